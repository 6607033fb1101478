//! Frames of both directions: no byte from a socket may panic or make us allocate more than its limit.
#![no_main]

use lb_shared::frame::{self, Assembler};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some(head) = bytes.first_chunk::<{ frame::HEAD_LEN }>() {
        let _ = frame::head(*head);
    }
    if let Some(preface) = bytes.first_chunk::<{ frame::PREFACE_LEN }>() {
        let _ = frame::Version::from_preface(preface);
    }
    if let Ok(request) = frame::decode_request(bytes) {
        let again = frame::encode_request(&request).expect("what was decoded can be encoded");
        assert_eq!(frame::decode_request(&again[frame::HEAD_LEN..]).as_ref(), Ok(&request));
    }
    let _ = frame::decode_reply(bytes);
    let mut assembler = Assembler::default();
    for part in bytes.chunks(7) {
        assembler.feed(part);
        if assembler.next_reply().is_err() {
            break;
        }
    }
});
