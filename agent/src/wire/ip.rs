//! IPv4 packets as raw sockets deliver them: header and all.

use super::checksum::Sum;
use std::net::Ipv4Addr;

/// What the IPv4 header said, and what it carried.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// |4 |hdr len|      tos        |         total length             |
/// |       identification       |flags|     fragment offset        |
/// |    ttl      |   protocol   |        header checksum           |
/// |                           source                              |
/// |                         destination                           |
/// |                    options, if any …                          |
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ipv4<'a> {
    pub source: Ipv4Addr,
    pub destination: Ipv4Addr,
    pub ttl: u8,
    pub protocol: u8,
    pub identification: u16,
    pub has_options: bool,
    /// Without options and without what the link padded.
    pub payload: &'a [u8],
}

/// Why bytes are not an IPv4 packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotIpv4 {
    #[error("{0} bytes is shorter than an IPv4 header")]
    Truncated(usize),
    #[error("IP version {0}, must be 4")]
    Version(u8),
    #[error("header length {header} does not fit a packet of {packet} bytes")]
    HeaderLength { header: usize, packet: usize },
    #[error("total length {total} does not fit {received} received bytes")]
    TotalLength { total: usize, received: usize },
}

const HEADER: usize = 20;

/// Splits a packet into header and payload. Options are skipped; the header checksum is the kernel's business.
pub fn split(packet: &[u8]) -> Result<Ipv4<'_>, NotIpv4> {
    let Some((fixed, _)) = packet.split_first_chunk::<HEADER>() else {
        return Err(NotIpv4::Truncated(packet.len()));
    };
    if fixed[0] >> 4 != 4 {
        return Err(NotIpv4::Version(fixed[0] >> 4));
    }
    let header = usize::from(fixed[0] & 0x0f) * 4;
    let total = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
    if total > packet.len() {
        return Err(NotIpv4::TotalLength {
            total,
            received: packet.len(),
        });
    }
    if header < HEADER || header > total {
        return Err(NotIpv4::HeaderLength {
            header,
            packet: total,
        });
    }
    Ok(Ipv4 {
        source: Ipv4Addr::new(fixed[12], fixed[13], fixed[14], fixed[15]),
        destination: Ipv4Addr::new(fixed[16], fixed[17], fixed[18], fixed[19]),
        ttl: fixed[8],
        protocol: fixed[9],
        identification: u16::from_be_bytes([fixed[4], fixed[5]]),
        has_options: header > HEADER,
        payload: &packet[header..total],
    })
}

/// The header to put before a payload: class 0xc0 (network control), not fragmented, no options.
///
/// `None` if the payload is too long for an IPv4 packet. Linux fills in an identification of 0 and the checksum by
/// itself; the checksum is here for whoever sends past it.
pub fn header(
    source: Ipv4Addr,
    destination: Ipv4Addr,
    protocol: u8,
    identification: u16,
    ttl: u8,
    length: usize,
) -> Option<[u8; HEADER]> {
    let total = u16::try_from(HEADER + length).ok()?;
    let mut header = [0; HEADER];
    header[0] = 0x45;
    header[1] = 0xc0;
    header[2..4].copy_from_slice(&total.to_be_bytes());
    header[4..6].copy_from_slice(&identification.to_be_bytes());
    header[8] = ttl;
    header[9] = protocol;
    header[12..16].copy_from_slice(&source.octets());
    header[16..20].copy_from_slice(&destination.octets());
    let checksum = Sum::default().bytes(&header).checksum();
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    Some(header)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet() -> Vec<u8> {
        let mut packet = header([10, 5, 0, 1].into(), [224, 0, 0, 18].into(), 112, 1, 255, 20)
            .unwrap()
            .to_vec();
        packet.extend([7; 20]);
        packet
    }

    #[test]
    fn our_header_is_the_one_keepalived_sends() {
        let want = [
            0x45, 0xc0, 0x00, 0x28, 0x00, 0x01, 0x00, 0x00, 0xff, 0x70, 0xd0, 0x8c, 10, 5, 0, 1, 224, 0, 0,
            18,
        ];
        assert_eq!(packet()[..20], want);
    }

    #[test]
    fn a_packet_splits_into_what_it_was_made_of() {
        let packet = packet();
        let got = split(&packet).unwrap();
        assert_eq!(got.source, Ipv4Addr::new(10, 5, 0, 1));
        assert_eq!(got.destination, Ipv4Addr::new(224, 0, 0, 18));
        assert_eq!((got.ttl, got.protocol, got.payload.len()), (255, 112, 20));
    }

    #[test]
    fn f030_every_header_length_is_parsed_or_refused() {
        for words in 0..16 {
            let mut packet = packet();
            packet[0] = 0x40 | words;
            let length = usize::from(words) * 4;
            match split(&packet) {
                Ok(got) => assert_eq!(got.payload.len(), 40 - length, "{words} words"),
                Err(why) => {
                    assert!(!(20..=40).contains(&length), "{words} words: {why}");
                    assert_eq!(
                        why,
                        NotIpv4::HeaderLength {
                            header: length,
                            packet: 40
                        }
                    );
                }
            }
        }
    }

    #[test]
    fn what_the_link_padded_is_not_payload_and_a_length_beyond_the_bytes_is_refused() {
        let mut padded = packet();
        padded.extend([0; 6]);
        assert_eq!(split(&padded).unwrap().payload.len(), 20);
        let short = &packet()[..39];
        assert_eq!(
            split(short),
            Err(NotIpv4::TotalLength {
                total: 40,
                received: 39
            })
        );
        assert_eq!(split(&short[..19]), Err(NotIpv4::Truncated(19)));
        assert_eq!(
            split(&[0x65; 40]).map(|_| ()),
            Err(NotIpv4::Version(6)),
            "an IPv6 packet"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_split_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..128)) {
            if let Ok(got) = split(&bytes) {
                prop_assert!(got.payload.len() + HEADER <= bytes.len());
            }
        }
    }
}
