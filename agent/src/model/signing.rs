//! `auth_hmac`: who signs adverts with what, and what counts as signed.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The block of one instance.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Signing {
    /// By id, 1 to 255. Whatever is signed with one of them counts.
    pub keys: BTreeMap<u8, SigningKey>,
    /// The one that signs; among `keys`.
    pub active: u8,
    pub mode: SigningMode,
    /// `anti_replay time`: how far a sender's clock may be from ours. `None`: `anti_replay monotonic`, clocks do not
    /// matter.
    pub window: Option<Duration>,
}

impl Signing {
    /// The key that signs.
    pub fn active_key(&self) -> Option<&SigningKey> {
        self.keys.get(&self.active)
    }

    /// Whether our own adverts are signed.
    pub fn signs(&self) -> bool {
        self.mode != SigningMode::ReceiveOnly
    }
}

/// `mode`. A signature that is there has to be right in each of them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum SigningMode {
    /// Signs, and takes signed adverts only.
    #[default]
    Enforce,
    /// Signs, and takes adverts without signature, too.
    Permissive,
    /// Does not sign, and takes adverts with and without signature.
    ReceiveOnly,
}

impl SigningMode {
    /// As it is written in the file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Permissive => "permissive",
            Self::ReceiveOnly => "receive-only",
        }
    }
}

/// A key of 32 to 64 bytes. It is never shown, in whatever form.
#[derive(Clone, Eq, PartialEq)]
pub struct SigningKey(pub Vec<u8>);

impl SigningKey {
    /// Bytes of the shortest and of the longest key.
    pub const SIZES: std::ops::RangeInclusive<usize> = 32..=64;
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}
