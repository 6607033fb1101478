//! Netlink messages and attributes: the frame that route and generic netlink share.
//!
//! Headers and iteration are `netlink-packet-core`'s; what is here keeps its types out of the other rooms, and builds
//! messages in place, many to a buffer, for batches.

use netlink_packet_core::{Emitable, NetlinkBuffer, NetlinkHeader, NlasIterator};

/// Flags of a message (linux/netlink.h).
pub mod flags {
    /// It asks the kernel for something.
    pub const REQUEST: u16 = 0x01;
    /// One of several that end with `NLMSG_DONE`.
    pub const MULTI: u16 = 0x02;
    /// Success is answered, too.
    pub const ACK: u16 = 0x04;
    /// What was dumped changed meanwhile: not to be acted on.
    pub const DUMP_INTR: u16 = 0x10;
    /// Everything there is.
    pub const DUMP: u16 = 0x300;
    /// What is there gives way. The bits below 0x1000 mean another thing in a question.
    pub const REPLACE: u16 = 0x100;
    /// Refused where it is there already.
    pub const EXCL: u16 = 0x200;
    /// Made where it is not there.
    pub const CREATE: u16 = 0x400;
    /// Put behind those that are there.
    pub const APPEND: u16 = 0x800;
}

const NOOP: u16 = 1;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const OVERRUN: u16 = 4;
/// In an error: the refused request is not repeated in full.
const CAPPED: u16 = 0x100;
/// In an error: attributes with the kernel's words follow.
const ACK_TLVS: u16 = 0x200;
const ERROR_ATTR_MSG: u16 = 1;
const HEADER: usize = 16;

/// Bytes that are not what they should be: which.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("malformed netlink {0}")]
pub struct Malformed(pub &'static str);

/// One message of a datagram.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Message<'a> {
    /// The sequence number of the request it answers.
    pub seq: u32,
    /// The port of the socket whose request it answers or tells others about; 0 for the kernel's own doing.
    pub port: u32,
    pub flags: u16,
    pub body: Body<'a>,
}

/// What a message says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Body<'a> {
    /// A request was carried out (errno 0) or refused (errno as a positive number), with the kernel's words if any.
    Answer { errno: i32, text: Option<&'a str> },
    /// The end of a dump, with its errno.
    Done { errno: i32 },
    /// Messages were lost.
    Overrun,
    /// Data of a type.
    Data { kind: u16, payload: &'a [u8] },
}

/// The messages of a datagram, up to the first that cannot be read.
pub fn messages(datagram: &[u8]) -> Messages<'_> {
    Messages { rest: datagram }
}

/// Iterator of [`messages`].
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            let Ok(buffer) = NetlinkBuffer::new_checked(self.rest) else {
                self.rest = &[];
                return Some(Err(Malformed("message length")));
            };
            let length = buffer.length() as usize;
            let port = buffer.port_number();
            let (kind, flags, seq) = (buffer.message_type(), buffer.flags(), buffer.sequence_number());
            let payload = &self.rest[HEADER..length];
            self.rest = self.rest.get(align(length)..).unwrap_or_default();
            if kind == NOOP {
                continue;
            }
            return Some(body(kind, flags, payload).map(|body| Message {
                seq,
                port,
                flags,
                body,
            }));
        }
    }
}

fn body(kind: u16, flags: u16, payload: &[u8]) -> Result<Body<'_>, Malformed> {
    match kind {
        ERROR => {
            let errno = i32_at(payload, 0).ok_or(Malformed("error message"))?;
            Ok(Body::Answer {
                errno: errno.saturating_neg(),
                text: error_text(flags, payload),
            })
        }
        DONE => Ok(Body::Done {
            // A DONE may come without a status.
            errno: i32_at(payload, 0).unwrap_or(0).saturating_neg(),
        }),
        OVERRUN => Ok(Body::Overrun),
        kind => Ok(Body::Data { kind, payload }),
    }
}

fn i32_at(bytes: &[u8], at: usize) -> Option<i32> {
    let bytes = bytes.get(at..at + 4)?;
    Some(i32::from_ne_bytes(bytes.try_into().ok()?))
}

/// The extended text behind the refused request's header.
fn error_text(flags: u16, payload: &[u8]) -> Option<&str> {
    if flags & ACK_TLVS == 0 {
        return None;
    }
    let request = if flags & CAPPED == 0 {
        align(usize::try_from(i32_at(payload, 4)?).ok()?)
    } else {
        HEADER
    };
    let rest = payload.get(4usize.checked_add(request)?..)?;
    attributes(rest)
        .map_while(Result::ok)
        .find(|attribute| attribute.kind == ERROR_ATTR_MSG)?
        .text()
        .ok()
}

fn align(length: usize) -> usize {
    length.saturating_add(3) & !3
}

/// One attribute, its flag bits taken off.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Attribute<'a> {
    pub kind: u16,
    pub value: &'a [u8],
}

/// Numbers are in the host's order, unless the name says otherwise; a value of another length is malformed.
impl<'a> Attribute<'a> {
    pub fn u8(&self) -> Result<u8, Malformed> {
        self.array().map(u8::from_ne_bytes)
    }

    pub fn u16(&self) -> Result<u16, Malformed> {
        self.array().map(u16::from_ne_bytes)
    }

    pub fn u16_be(&self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    pub fn u32(&self) -> Result<u32, Malformed> {
        self.array().map(u32::from_ne_bytes)
    }

    pub fn u64(&self) -> Result<u64, Malformed> {
        self.array().map(u64::from_ne_bytes)
    }

    /// The bytes, when there are exactly as many as wanted.
    pub fn array<const N: usize>(&self) -> Result<[u8; N], Malformed> {
        self.value.try_into().map_err(|_| Malformed("attribute length"))
    }

    /// Text up to its first NUL; a missing NUL is forgiven.
    pub fn text(&self) -> Result<&'a str, Malformed> {
        let end = self.value.iter().position(|byte| *byte == 0);
        let bytes = &self.value[..end.unwrap_or(self.value.len())];
        std::str::from_utf8(bytes).map_err(|_| Malformed("attribute text"))
    }

    /// The attributes inside this one.
    pub fn nested(&self) -> impl Iterator<Item = Result<Attribute<'a>, Malformed>> + use<'a> {
        attributes(self.value)
    }
}

/// The attributes of a payload, up to the first that cannot be read.
pub fn attributes(payload: &[u8]) -> impl Iterator<Item = Result<Attribute<'_>, Malformed>> {
    let base = payload;
    NlasIterator::new(base).scan(0usize, move |at, found| {
        Some(match found {
            Ok(nla) => {
                // The iterator lends values for no longer than itself; the same bytes are taken from `base`.
                let (start, length) = (*at, usize::from(nla.length()));
                *at = start + align(length);
                match base.get(start + 4..start + length) {
                    Some(value) => Ok(Attribute {
                        kind: nla.kind(),
                        value,
                    }),
                    None => Err(Malformed("attribute")),
                }
            }
            Err(_) => Err(Malformed("attribute")),
        })
    })
}

/// Appends one message to a buffer that may already hold others.
#[derive(Debug)]
pub struct Builder<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    header: NetlinkHeader,
}

impl<'a> Builder<'a> {
    /// Begins a message of a type; `flags` besides [`flags::REQUEST`].
    pub fn new(out: &'a mut Vec<u8>, kind: u16, flags: u16, seq: u32) -> Self {
        let mut header = NetlinkHeader::default();
        header.message_type = kind;
        header.flags = flags | flags::REQUEST;
        header.sequence_number = seq;
        let start = out.len();
        out.resize(start + HEADER, 0);
        Self { out, start, header }
    }

    /// Bytes as they are: the family's own header.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// What encodes itself, such as a message of `netlink-packet-route`.
    pub(crate) fn emit(&mut self, what: &impl Emitable) {
        let at = self.out.len();
        self.out.resize(at + what.buffer_len(), 0);
        what.emit(&mut self.out[at..]);
    }

    /// An attribute with its padding. The value must be shorter than 64 KiB.
    pub fn attribute(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(value.len() + 4).expect("our attributes are small");
        self.out.extend_from_slice(&length.to_ne_bytes());
        self.out.extend_from_slice(&kind.to_ne_bytes());
        self.out.extend_from_slice(value);
        self.pad();
    }

    /// Text with its NUL.
    pub fn text(&mut self, kind: u16, text: &str) {
        let mut bytes = Vec::with_capacity(text.len() + 1);
        bytes.extend(text.bytes().take_while(|byte| *byte != 0));
        bytes.push(0);
        self.attribute(kind, &bytes);
    }

    /// An attribute that holds those that `fill` adds.
    pub fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
        let at = self.out.len();
        self.attribute(kind, &[]);
        fill(self);
        let length = u16::try_from(self.out.len() - at).expect("our attributes are small");
        self.out[at..at + 2].copy_from_slice(&length.to_ne_bytes());
    }

    fn pad(&mut self) {
        while !self.out.len().is_multiple_of(4) {
            self.out.push(0);
        }
    }

    /// Ends the message: its length is known now.
    pub fn finish(mut self) {
        self.header.length = u32::try_from(self.out.len() - self.start).expect("our messages are small");
        self.header.emit(&mut self.out[self.start..self.start + HEADER]);
        // The next message begins at a multiple of four.
        self.pad();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Walks everything there is to read.
    fn read(bytes: &[u8]) -> usize {
        let mut count = 0;
        for message in messages(bytes).map_while(Result::ok) {
            count += 1;
            if let Body::Data { payload, .. } = message.body {
                for attribute in attributes(payload).map_while(Result::ok) {
                    count += 1 + attribute.nested().count();
                    let _ = (attribute.text(), attribute.u8(), attribute.u16(), attribute.u32());
                }
            }
        }
        count
    }

    #[test]
    fn what_is_built_reads_back() {
        let mut bytes = Vec::new();
        for seq in [7, 8] {
            let mut message = Builder::new(&mut bytes, 0x1c, flags::ACK, seq);
            message.raw(&[1, 2, 3, 4]);
            message.nest(1, |inner| {
                inner.attribute(2, &5u16.to_be_bytes());
                inner.text(3, "wlc");
            });
            message.finish();
        }
        let all: Vec<_> = messages(&bytes).map(Result::unwrap).collect();
        assert_eq!(all.iter().map(|m| m.seq).collect::<Vec<_>>(), [7, 8]);
        assert_eq!(all[0].flags, flags::ACK | flags::REQUEST);
        let Body::Data { kind: 0x1c, payload } = all[1].body else {
            panic!("{:?}", all[1])
        };
        let nest = attributes(&payload[4..]).next().unwrap().unwrap();
        let inner: Vec<_> = nest.nested().map(Result::unwrap).collect();
        assert_eq!(
            (inner[0].u16_be(), inner[1].text(), inner.len()),
            (Ok(5), Ok("wlc"), 2)
        );
    }

    #[test]
    fn an_error_carries_the_kernels_words() {
        let mut bytes = Vec::new();
        let mut message = Builder::new(&mut bytes, ERROR, CAPPED | ACK_TLVS, 5);
        message.raw(&(-22i32).to_ne_bytes());
        message.raw(&[0; 16]);
        message.text(ERROR_ATTR_MSG, "ipv4: Invalid address");
        message.finish();
        let answer = messages(&bytes).next().unwrap().unwrap();
        assert_eq!(
            answer.body,
            Body::Answer {
                errno: 22,
                text: Some("ipv4: Invalid address")
            }
        );
    }

    /// F067.
    #[test]
    fn a_length_beyond_the_end_is_an_error_and_the_last() {
        let mut bytes = vec![0; 16];
        for length in [0u32, 3, 15, 17, 65_535, u32::MAX] {
            bytes[..4].copy_from_slice(&length.to_ne_bytes());
            let all: Vec<_> = messages(&bytes).collect();
            assert_eq!(all, [Err(Malformed("message length"))], "length {length}");
        }
        assert_eq!(
            attributes(&[3, 0, 1, 0]).collect::<Vec<_>>(),
            [Err(Malformed("attribute"))]
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            read(&bytes);
        }

        /// F067.
        #[test]
        fn any_damage_is_read_without_panic(
            at in 0usize..64, byte in any::<u8>(), kind in 1u16..6, cut in 0usize..64,
        ) {
            let mut bytes = Vec::new();
            let mut message = Builder::new(&mut bytes, kind, ACK_TLVS, 1);
            message.raw(&(-2i32).to_ne_bytes());
            message.raw(&[16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            message.nest(1, |inner| inner.text(1, "text"));
            message.finish();
            let length = bytes.len();
            bytes[at % length] = byte;
            read(&bytes[..length - cut % length]);
        }
    }
}
