//! The binary dialect of the socket: a fixed preface, then frames. The only file that names bincode.
//!
//! ```text
//! preface  B1 'L' 'B' 0A | major u16 | minor u16 | 8 bytes of zero       sent by both sides, layout never changes
//! frame    length u32 | kind u8 | body of `length` bytes                 all numbers big-endian
//! ```
//!
//! `B1` begins neither JSON nor any UTF-8 text, so the first byte tells the two dialects apart. Lengths, kinds and
//! versions stand outside bincode and are checked before anything is allocated. A body is one message exactly:
//! left-over bytes are an error. An answer longer than one frame travels as several [`Kind::Part`]s and a last
//! [`Kind::Reply`].

use crate::request::{Refusal, RefusalCode, Reply, Request};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;

/// The first byte of the binary dialect.
pub const FIRST_BYTE: u8 = 0xB1;
/// What a preface begins with.
pub const MAGIC: [u8; 4] = [FIRST_BYTE, b'L', b'B', b'\n'];
/// Length of a preface in bytes.
pub const PREFACE_LEN: usize = 16;
/// Length of a frame's head in bytes.
pub const HEAD_LEN: usize = 5;
/// The longest request body, in bytes; also the longest JSON line.
pub const REQUEST_MAX: usize = 1 << 20;
/// The longest body of one frame of an answer, in bytes.
pub const REPLY_FRAME_MAX: usize = 256 << 10;
/// The longest answer over all its frames, in bytes: 50,000 servers need about a tenth.
pub const REPLY_MAX: usize = 128 << 20;

// What decoding may hold in memory; bincode counts containers by the size of their elements there.
const REQUEST_MEMORY: usize = 16 << 20;
const REPLY_MEMORY: usize = 1 << 30;

/// The version of the messages. Both sides must speak the same one: the messages carry no tags to skip by.
pub const VERSION: Version = Version { major: 1, minor: 1 };

/// A protocol version.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Version {
    pub major: u16,
    pub minor: u16,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl Version {
    /// The preface that announces this version.
    pub fn preface(self) -> [u8; PREFACE_LEN] {
        let mut bytes = [0; PREFACE_LEN];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..6].copy_from_slice(&self.major.to_be_bytes());
        bytes[6..8].copy_from_slice(&self.minor.to_be_bytes());
        bytes
    }

    /// The version a preface announces. Its last eight bytes are free for later versions and not looked at.
    pub fn from_preface(bytes: &[u8; PREFACE_LEN]) -> Result<Self, FrameError> {
        if bytes[..4] != MAGIC {
            return Err(FrameError::Magic);
        }
        Ok(Self {
            major: u16::from_be_bytes([bytes[4], bytes[5]]),
            minor: u16::from_be_bytes([bytes[6], bytes[7]]),
        })
    }
}

/// Why bytes are not what the protocol allows.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FrameError {
    #[error("the other side does not speak this protocol")]
    Magic,
    #[error("frame kind {0} is unknown")]
    Kind(u8),
    #[error("a frame of {got} bytes is over the limit of {limit}")]
    TooLarge { got: usize, limit: usize },
    #[error("{0} bytes are left over after the message")]
    LeftOver(usize),
    #[error("the message does not decode: {0}")]
    Decode(String),
    #[error("the message does not encode: {0}")]
    Encode(String),
}

/// What a frame carries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A whole [`Request`].
    Request,
    /// A piece of a [`Reply`]; more follow.
    Part,
    /// The last or only piece of a [`Reply`].
    Reply,
}

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Self::Request => 1,
            Self::Part => 2,
            Self::Reply => 3,
        }
    }

    fn limit(self) -> usize {
        match self {
            Self::Request => REQUEST_MAX,
            Self::Part | Self::Reply => REPLY_FRAME_MAX,
        }
    }
}

/// The head of a frame: its kind and the length of its body, both within limits.
pub fn head(bytes: [u8; HEAD_LEN]) -> Result<(Kind, usize), FrameError> {
    let kind = [Kind::Request, Kind::Part, Kind::Reply]
        .into_iter()
        .find(|kind| kind.byte() == bytes[4])
        .ok_or(FrameError::Kind(bytes[4]))?;
    let got = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
    let limit = kind.limit();
    if got > limit {
        return Err(FrameError::TooLarge { got, limit });
    }
    Ok((kind, got))
}

/// A request as one frame.
pub fn encode_request(request: &Request) -> Result<Vec<u8>, FrameError> {
    let body = bincode::serde::encode_to_vec(request, bincode::config::standard())
        .map_err(|error| FrameError::Encode(error.to_string()))?;
    if body.len() > REQUEST_MAX {
        return Err(FrameError::TooLarge {
            got: body.len(),
            limit: REQUEST_MAX,
        });
    }
    let mut frame = Vec::with_capacity(HEAD_LEN + body.len());
    put_frame(&mut frame, Kind::Request, &body);
    Ok(frame)
}

/// An answer as one frame or several.
pub fn encode_reply(reply: &Reply) -> Result<Vec<u8>, FrameError> {
    let body = bincode::serde::encode_to_vec(reply, bincode::config::standard())
        .map_err(|error| FrameError::Encode(error.to_string()))?;
    if body.len() > REPLY_MAX {
        return Err(FrameError::TooLarge {
            got: body.len(),
            limit: REPLY_MAX,
        });
    }
    let mut frames = Vec::with_capacity(body.len() + HEAD_LEN * (body.len() / REPLY_FRAME_MAX + 1));
    let mut rest = body.as_slice();
    while rest.len() > REPLY_FRAME_MAX {
        let (part, more) = rest.split_at(REPLY_FRAME_MAX);
        put_frame(&mut frames, Kind::Part, part);
        rest = more;
    }
    put_frame(&mut frames, Kind::Reply, rest);
    Ok(frames)
}

fn put_frame(out: &mut Vec<u8>, kind: Kind, body: &[u8]) {
    let length = u32::try_from(body.len()).expect("bodies are cut to their limit");
    out.extend_from_slice(&length.to_be_bytes());
    out.push(kind.byte());
    out.extend_from_slice(body);
}

/// The request in a frame's body.
pub fn decode_request(body: &[u8]) -> Result<Request, FrameError> {
    let config = bincode::config::standard().with_limit::<REQUEST_MEMORY>();
    whole(body, bincode::serde::decode_from_slice(body, config))
}

/// The answer in the joined bodies of its frames.
pub fn decode_reply(body: &[u8]) -> Result<Reply, FrameError> {
    let config = bincode::config::standard().with_limit::<REPLY_MEMORY>();
    whole(body, bincode::serde::decode_from_slice(body, config))
}

/// What a recording keeps of a message, in the form of this version.
pub fn encode_record<T: Serialize>(record: &T) -> Result<Vec<u8>, FrameError> {
    bincode::serde::encode_to_vec(record, bincode::config::standard())
        .map_err(|error| FrameError::Encode(error.to_string()))
}

/// The reverse; limits are those of an answer.
pub fn decode_record<T: DeserializeOwned>(body: &[u8]) -> Result<T, FrameError> {
    let config = bincode::config::standard().with_limit::<REPLY_MEMORY>();
    whole(body, bincode::serde::decode_from_slice(body, config))
}

fn whole<T>(body: &[u8], decoded: Result<(T, usize), bincode::error::DecodeError>) -> Result<T, FrameError> {
    let (value, used) = decoded.map_err(|error| FrameError::Decode(error.to_string()))?;
    match body.len() - used {
        0 => Ok(value),
        left => Err(FrameError::LeftOver(left)),
    }
}

/// Whether an agent refused a request since its version does not have it.
///
/// It knows no variant of that number, which is told in the words of [`FrameError::Decode`].
pub fn is_unknown(refusal: &Refusal) -> bool {
    let told = FrameError::Decode(String::new()).to_string();
    refusal.code == RefusalCode::BadRequest && refusal.message.starts_with(&told)
}

/// Puts the frames of answers together, however the bytes arrive.
#[derive(Debug, Default)]
pub struct Assembler {
    bytes: Vec<u8>,
    body: Vec<u8>,
}

impl Assembler {
    /// Takes what was read.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole answer, or `None` while bytes are missing. After an error the connection is of no more use.
    pub fn next_reply(&mut self) -> Result<Option<Reply>, FrameError> {
        let mut at = 0;
        let mut found = None;
        while let Some(bytes) = self.bytes.get(at..at + HEAD_LEN) {
            let bytes: [u8; HEAD_LEN] = bytes.try_into().expect("the range is that long");
            let (kind, length) = head(bytes)?;
            let Some(body) = self.bytes.get(at + HEAD_LEN..at + HEAD_LEN + length) else {
                break;
            };
            if self.body.len() + length > REPLY_MAX {
                return Err(FrameError::TooLarge {
                    got: self.body.len() + length,
                    limit: REPLY_MAX,
                });
            }
            self.body.extend_from_slice(body);
            at += HEAD_LEN + length;
            match kind {
                Kind::Part => {}
                Kind::Reply => {
                    found = Some(decode_reply(&self.body)?);
                    self.body = Vec::new();
                    break;
                }
                Kind::Request => return Err(FrameError::Kind(kind.byte())),
            }
        }
        self.bytes.drain(..at);
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Numbered;
    use crate::request::{Act, Snapshot, Verb};
    use crate::state::{DrainThen, Object, State, Target};
    use proptest::prelude::*;

    fn act() -> Request {
        Request::Act(Act {
            verb: Verb::Drain {
                timeout_ms: Some(600_000),
                then: DrainThen::Keep,
                inactive: false,
            },
            targets: vec![Target::Instance("VI_1".into())],
            dry_run: true,
            force: false,
            message: "kernel update".into(),
            key: Some("k".into()),
        })
    }

    #[test]
    fn the_preface_tells_the_version_and_never_looks_like_json() {
        let bytes = Version { major: 3, minor: 258 }.preface();
        assert_eq!(bytes, [0xB1, b'L', b'B', 10, 0, 3, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(
            Version::from_preface(&bytes),
            Ok(Version { major: 3, minor: 258 })
        );
        assert_eq!(
            Version::from_preface(b"{\"op\":\"status\"}\n"),
            Err(FrameError::Magic)
        );
        assert!(std::str::from_utf8(&bytes[..1]).is_err());
    }

    #[test]
    fn a_request_has_these_bytes_in_protocol_1_1() {
        assert_eq!(
            encode_request(&Request::Snapshot).unwrap(),
            [0, 0, 0, 1, 1, 1],
            "change the version when this changes"
        );
        let frame = encode_request(&act()).unwrap();
        assert_eq!(
            frame[HEAD_LEN..],
            [
                &[5, 0, 1, 252, 192, 39, 9, 0, 0, 0, 1, 1, 4][..],
                b"VI_1",
                &[1, 0, 13],
                b"kernel update",
                &[1, 1, b'k'],
            ]
            .concat()
        );
        assert_eq!(decode_request(&frame[HEAD_LEN..]), Ok(act()));
    }

    #[test]
    fn a_head_over_the_limit_or_of_unknown_kind_is_refused() {
        let limit = u32::try_from(REQUEST_MAX).unwrap();
        for (length, kind, want) in [
            (0, 1, Ok((Kind::Request, 0))),
            (limit, 1, Ok((Kind::Request, REQUEST_MAX))),
            (
                limit + 1,
                1,
                Err(FrameError::TooLarge {
                    got: REQUEST_MAX + 1,
                    limit: REQUEST_MAX,
                }),
            ),
            (
                u32::MAX,
                3,
                Err(FrameError::TooLarge {
                    got: u32::MAX as usize,
                    limit: REPLY_FRAME_MAX,
                }),
            ),
            (1, 0, Err(FrameError::Kind(0))),
            (1, 9, Err(FrameError::Kind(9))),
        ] {
            let mut bytes = [0; HEAD_LEN];
            bytes[..4].copy_from_slice(&u32::to_be_bytes(length));
            bytes[4] = kind;
            assert_eq!(head(bytes), want, "length {length}, kind {kind}");
        }
    }

    #[test]
    fn a_request_of_a_later_version_is_told_from_a_bad_one() {
        let refused = |error: FrameError| Refusal::new(RefusalCode::BadRequest, error.to_string(), "");
        let unknown = decode_request(&[250]).unwrap_err();
        assert!(is_unknown(&refused(unknown)));
        assert!(!is_unknown(&refused(decode_request(&[1, 0]).unwrap_err())));
        assert!(!is_unknown(&Refusal::new(
            RefusalCode::BadRequest,
            "'x' is no weight",
            ""
        )));
    }

    #[test]
    fn bytes_left_over_and_claimed_giants_are_errors() {
        assert_eq!(decode_request(&[1, 0]), Err(FrameError::LeftOver(1)));
        // `Hello` with a text that claims 2^62 bytes.
        let bomb = [0, 253, 0, 0, 0, 0, 0, 0, 0, 0x40];
        assert!(matches!(decode_request(&bomb), Err(FrameError::Decode(_))));
        assert!(matches!(decode_request(&[]), Err(FrameError::Decode(_))));
    }

    #[test]
    fn a_long_answer_arrives_whole_whatever_the_pieces() {
        let mut state = State::default();
        state.agent.kernel_trouble = (0..20_000).map(|i| format!("trouble number {i}")).collect();
        let reply = Reply::Snapshot(Box::new(Snapshot {
            state,
            ..Snapshot::default()
        }));
        let mut bytes = encode_reply(&reply).unwrap();
        assert!(bytes.len() > REPLY_FRAME_MAX);
        let lost = Reply::Lost { from: 3, to: 9 };
        bytes.extend(encode_reply(&lost).unwrap());
        for size in [1 << 12, 77_777, bytes.len()] {
            let mut assembler = Assembler::default();
            let mut got = Vec::new();
            for piece in bytes.chunks(size) {
                assembler.feed(piece);
                while let Some(reply) = assembler.next_reply().unwrap() {
                    got.push(reply);
                }
            }
            assert!(got == [reply.clone(), lost.clone()], "pieces of {size}");
        }
    }

    #[test]
    fn an_event_with_objects_survives_the_wire() {
        let mut state = State::default();
        state.agent.host = "lb1".into();
        let event = state.as_events().remove(0);
        assert!(matches!(
            event.changes[0],
            crate::event::Change::Put(Object::Agent(_))
        ));
        let reply = Reply::Event(Box::new(Numbered {
            seq: 1,
            wall_ms: 2,
            event,
        }));
        let mut assembler = Assembler::default();
        assembler.feed(&encode_reply(&reply).unwrap());
        assert_eq!(assembler.next_reply(), Ok(Some(reply)));
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_decoder(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = decode_request(&bytes);
            let _ = decode_reply(&bytes);
            let mut assembler = Assembler::default();
            assembler.feed(&bytes);
            let _ = assembler.next_reply();
        }

        #[test]
        fn a_damaged_request_is_an_error_or_another_request(at in 0usize..40, bit in 0u8..8) {
            let mut frame = encode_request(&act()).unwrap();
            let at = HEAD_LEN + at % (frame.len() - HEAD_LEN);
            frame[at] ^= 1 << bit;
            let _ = decode_request(&frame[HEAD_LEN..]);
        }
    }
}
