//! What keys do: which requests they lead to, and when they lead to none.

use super::Bench;
