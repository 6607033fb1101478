//! Our own files, whatever became of them on the disk.
#![no_main]

use lb_shared::state::Override;
use lbagent::io::store;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = store::decode::<Vec<Override>>(bytes);
});
