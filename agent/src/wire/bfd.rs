//! BFD control packets (RFC 5880 §4.1), without authentication.

use std::fmt;
use std::time::Duration;

/// Bytes of a packet without authentication.
pub const LENGTH: usize = 24;

/// What one side says of its session.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum State {
    /// Taken down by an operator.
    AdminDown,
    #[default]
    Down,
    Init,
    Up,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AdminDown => "AdminDown",
            Self::Down => "Down",
            Self::Init => "Init",
            Self::Up => "Up",
        })
    }
}

/// Why a session went down last.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Diagnostic(pub u8);

impl Diagnostic {
    pub const NONE: Self = Self(0);
    /// Nothing was heard for the detection time.
    pub const TIME_EXPIRED: Self = Self(1);
    /// The other side said that it is down.
    pub const NEIGHBOR_DOWN: Self = Self(3);
}

/// A control packet.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-----+---------+---+-+-+-+-+-+-+---------------+---------------+
/// |Vers | Diag    |Sta|P|F|C|A|D|M|  Detect Mult  |    Length     |
/// +-----+---------+---+-+-+-+-+-+-+---------------+---------------+
/// |                       My Discriminator                        |
/// |                      Your Discriminator                       |
/// |                    Desired Min TX Interval                    |
/// |                   Required Min RX Interval                    |
/// |                 Required Min Echo RX Interval                 |
/// +---------------------------------------------------------------+
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Packet {
    pub diagnostic: Diagnostic,
    pub state: State,
    /// P: an answer with F is wanted at once.
    pub poll: bool,
    /// F: the answer to P.
    pub fin: bool,
    /// D: the other side is to be quiet while both are up.
    pub demand: bool,
    pub multiplier: u8,
    pub mine: u32,
    /// Zero while the other side's is not known.
    pub yours: u32,
    /// Whole microseconds.
    pub desired_min_tx: Duration,
    /// Whole microseconds; zero: send nothing periodically.
    pub required_min_rx: Duration,
}

/// Why a packet was ignored (RFC 5880 §6.8.6).
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Rejected {
    #[error("{0} bytes is shorter than a packet")]
    Truncated(usize),
    #[error("version {0}, must be 1")]
    Version(u8),
    #[error("length field {0} does not fit")]
    Length(u8),
    #[error("it is authenticated, which is not spoken here")]
    Authenticated,
    #[error("the multipoint bit is set")]
    Multipoint,
    #[error("detect multiplier 0")]
    Multiplier,
    #[error("my discriminator is 0")]
    Mine,
    #[error("your discriminator is 0 in state {0}")]
    Yours(State),
}

impl Packet {
    /// The bytes on the wire. We run apart from any forwarding plane, so C is not set; echo is not spoken.
    pub fn encode(&self) -> [u8; LENGTH] {
        let state = match self.state {
            State::AdminDown => 0,
            State::Down => 1,
            State::Init => 2,
            State::Up => 3,
        };
        let flag = |set: bool, bit: u8| if set { 1 << bit } else { 0 };
        let mut bytes = [0; LENGTH];
        bytes[0] = 1 << 5 | (self.diagnostic.0 & 0x1f);
        bytes[1] = state << 6 | flag(self.poll, 5) | flag(self.fin, 4) | flag(self.demand, 1);
        bytes[2] = self.multiplier;
        bytes[3] = LENGTH as u8;
        bytes[4..8].copy_from_slice(&self.mine.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.yours.to_be_bytes());
        bytes[12..16].copy_from_slice(&micros(self.desired_min_tx).to_be_bytes());
        bytes[16..20].copy_from_slice(&micros(self.required_min_rx).to_be_bytes());
        bytes
    }

    /// Reads a datagram.
    pub fn decode(bytes: &[u8]) -> Result<Self, Rejected> {
        let Some(head) = bytes.first_chunk::<LENGTH>() else {
            return Err(Rejected::Truncated(bytes.len()));
        };
        let version = head[0] >> 5;
        if version != 1 {
            return Err(Rejected::Version(version));
        }
        if usize::from(head[3]) < LENGTH || usize::from(head[3]) > bytes.len() {
            return Err(Rejected::Length(head[3]));
        }
        let flag = |bit: u8| head[1] >> bit & 1 == 1;
        if flag(2) {
            return Err(Rejected::Authenticated);
        }
        if flag(0) {
            return Err(Rejected::Multipoint);
        }
        let state = match head[1] >> 6 {
            0 => State::AdminDown,
            1 => State::Down,
            2 => State::Init,
            _ => State::Up,
        };
        let word = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let packet = Self {
            diagnostic: Diagnostic(head[0] & 0x1f),
            state,
            poll: flag(5),
            fin: flag(4),
            demand: flag(1),
            multiplier: head[2],
            mine: word(4),
            yours: word(8),
            desired_min_tx: Duration::from_micros(u64::from(word(12))),
            required_min_rx: Duration::from_micros(u64::from(word(16))),
        };
        if packet.multiplier == 0 {
            return Err(Rejected::Multiplier);
        }
        if packet.mine == 0 {
            return Err(Rejected::Mine);
        }
        if packet.yours == 0 && matches!(state, State::Init | State::Up) {
            return Err(Rejected::Yours(state));
        }
        Ok(packet)
    }
}

fn micros(interval: Duration) -> u32 {
    u32::try_from(interval.as_micros()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet() -> Packet {
        Packet {
            diagnostic: Diagnostic::NEIGHBOR_DOWN,
            state: State::Init,
            poll: true,
            fin: false,
            demand: false,
            multiplier: 5,
            mine: 0x0102_0304,
            yours: 0x0a0b_0c0d,
            desired_min_tx: Duration::from_secs(1),
            required_min_rx: Duration::from_millis(10),
        }
    }

    #[test]
    fn a_packet_is_what_rfc_5880_draws() {
        let want = [
            0x23, 0xa0, 5, 24, 1, 2, 3, 4, 0xa, 0xb, 0xc, 0xd, 0, 0xf, 0x42, 0x40, 0, 0, 0x27, 0x10, 0, 0, 0,
            0,
        ];
        assert_eq!(packet().encode(), want);
        assert_eq!(Packet::decode(&want), Ok(packet()));
    }

    #[test]
    fn what_rfc_5880_discards_is_discarded() {
        let good = packet().encode();
        let with = |at: usize, value: u8| {
            let mut bytes = good;
            bytes[at] = value;
            Packet::decode(&bytes)
        };
        assert_eq!(Packet::decode(&good[..23]), Err(Rejected::Truncated(23)));
        assert_eq!(with(0, 0x03), Err(Rejected::Version(0)));
        assert_eq!(with(0, 0x43), Err(Rejected::Version(2)));
        assert_eq!(with(1, 0xa4), Err(Rejected::Authenticated));
        assert_eq!(with(1, 0xa1), Err(Rejected::Multipoint));
        assert_eq!(with(2, 0), Err(Rejected::Multiplier));
        assert_eq!(with(3, 23), Err(Rejected::Length(23)));
        assert_eq!(with(3, 25), Err(Rejected::Length(25)));
        let mut silent = good;
        silent[8..12].fill(0);
        assert_eq!(Packet::decode(&silent), Err(Rejected::Yours(State::Init)));
        silent[1] = 0x40;
        assert!(
            Packet::decode(&silent).is_ok(),
            "a neighbour that is down may not know us"
        );
        let mut nobody = good;
        nobody[4..8].fill(0);
        assert_eq!(Packet::decode(&nobody), Err(Rejected::Mine));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic_and_what_is_read_is_written_again(
            bytes in proptest::collection::vec(any::<u8>(), 0..40)
        ) {
            if let Ok(packet) = Packet::decode(&bytes) {
                prop_assert_eq!(Packet::decode(&packet.encode()), Ok(packet));
            }
        }
    }
}
