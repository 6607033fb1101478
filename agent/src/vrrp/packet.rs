//! VRRP messages, versions 2 and 3, both families: bytes to fields and back.
//!
//! ```text
//!  version 2 (RFC 3768 §5.1)                    version 3 (RFC 9568 §5.2)
//!  0       1       2       3                    0       1       2       3
//! |2 |1  | vrid  | prio  | count |             |3 |1  | vrid  | prio  | count |
//! |auth   | secs  |   checksum    |            |0 |centiseconds|   checksum    |
//! |  addresses, 4 bytes each …    |            |  addresses, 4 or 16 bytes …   |
//! |  8 bytes of authentication    |
//! ```

use crate::model::{Authentication, VrrpVersion};
use crate::wire::checksum::{Sum, pseudo_header};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// VRRP's number in the IP header.
pub(crate) const PROTOCOL: u8 = 112;
const HEADER: usize = 8;
const AUTH_DATA: usize = 8;
const ADVERTISEMENT: u8 = 1;
/// What a minimum Ethernet frame can hold after an IPv4 header: shorter messages may arrive padded up to this.
const PADDED_IPV4: usize = 46 - 20;

/// What a version 3 checksum over IPv4 covers: not everybody reads RFC 5798 the same way.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum ChecksumForm {
    /// The message and a pseudo-header. keepalived, and most others; over IPv6 everybody.
    #[default]
    PseudoHeader,
    /// The message only: version 2, and RFC 9568 §5.2.8 for version 3 over IPv4.
    MessageOnly,
    /// Unicast with the multicast group in the pseudo-header: keepalived up to 1.3.6.
    OldUnicast,
}

/// A message whose own claims hold together: type, length, checksum.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Packet<'a> {
    pub(crate) version: VrrpVersion,
    pub(crate) vrid: u8,
    /// 0: its sender is leaving.
    pub(crate) priority: u8,
    /// Whole seconds in version 2, hundredths in version 3.
    pub(crate) interval: Duration,
    /// Type and data; version 2 over IPv4 only.
    pub(crate) auth: Option<(u8, [u8; 8])>,
    /// One after the other, 4 or 16 bytes each.
    pub(crate) addresses: &'a [u8],
    pub(crate) checksum: ChecksumForm,
    /// Of the authentication header around it.
    pub(crate) sequence: Option<u32>,
    /// Of the trailer behind it.
    pub(crate) number: Option<u64>,
}

/// Why bytes are no message for us.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum BadPacket {
    Truncated(usize),
    Version(u8),
    Type(u8),
    NoAddresses,
    Length { got: usize, want: usize },
    Checksum(u16),
}

/// Who sent it to whom: the checksum may cover them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Ends {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
}

/// How long a message says it is, without what may stand behind it.
pub(crate) fn told_length(bytes: &[u8], inet6: bool, version: VrrpVersion) -> Result<usize, BadPacket> {
    let Some((header, _)) = bytes.split_first_chunk::<HEADER>() else {
        return Err(BadPacket::Truncated(bytes.len()));
    };
    if header[0] >> 4 != version.number() {
        return Err(BadPacket::Version(header[0] >> 4));
    }
    let addresses_size = usize::from(header[3]) * if inet6 { 16 } else { 4 };
    Ok(HEADER + addresses_size + auth_size(version, inet6))
}

/// Reads a message of one version, behind which a trailer stands or nothing. `empty_ok`: an empty address list is not
/// an error.
pub(crate) fn decode<'a>(
    bytes: &'a [u8],
    trailer: &[u8],
    ends: Ends,
    version: VrrpVersion,
    empty_ok: bool,
) -> Result<Packet<'a>, BadPacket> {
    let inet6 = ends.source.is_ipv6();
    let want = told_length(bytes, inet6, version)?;
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else {
        return Err(BadPacket::Truncated(bytes.len()));
    };
    if header[0] & 0x0f != ADVERTISEMENT {
        return Err(BadPacket::Type(header[0] & 0x0f));
    }
    // Verified erratum 8299 of RFC 9568 makes an empty list an error.
    if header[3] == 0 && !empty_ok {
        return Err(BadPacket::NoAddresses);
    }
    let auth_size = auth_size(version, inet6);
    let padded = !inet6 && bytes.len() > want && bytes.len() <= PADDED_IPV4;
    if bytes.len() != want && !padded {
        return Err(BadPacket::Length {
            got: bytes.len(),
            want,
        });
    }
    let message = &bytes[..want];
    let checksum = verify(message, trailer, ends, version)
        .ok_or(BadPacket::Checksum(u16::from_be_bytes([header[6], header[7]])))?;
    let (addresses, rest) = rest.split_at(want - HEADER - auth_size);
    let auth = (auth_size > 0)
        .then(|| rest.first_chunk::<AUTH_DATA>().map(|data| (header[4], *data)))
        .flatten();
    let interval = match version {
        VrrpVersion::V2 => Duration::from_secs(u64::from(header[5])),
        // The upper four bits are reserved: zero when sent, ignored when received.
        VrrpVersion::V3 => {
            Duration::from_millis(10 * u64::from(u16::from_be_bytes([header[4] & 0x0f, header[5]])))
        }
    };
    Ok(Packet {
        version,
        vrid: header[1],
        priority: header[2],
        interval,
        auth,
        addresses,
        checksum,
        sequence: None,
        number: None,
    })
}

/// keepalived sends version 2 over IPv6, which no RFC knows, without the authentication data.
fn auth_size(version: VrrpVersion, inet6: bool) -> usize {
    match version {
        VrrpVersion::V2 if !inet6 => AUTH_DATA,
        VrrpVersion::V2 | VrrpVersion::V3 => 0,
    }
}

fn verify(message: &[u8], trailer: &[u8], ends: Ends, version: VrrpVersion) -> Option<ChecksumForm> {
    let behind = covered_behind(trailer, ends);
    let sum = |form| {
        cover(form, ends, message.len() + behind.len())
            .bytes(message)
            .bytes(behind)
    };
    forms(ends, version)
        .iter()
        .copied()
        .find(|form| sum(*form).is_right())
}

/// What a checksum covers of a trailer: over IPv6 it is the kernel's, which knows of no trailer and covers everything.
fn covered_behind(trailer: &[u8], ends: Ends) -> &[u8] {
    if ends.source.is_ipv6() { trailer } else { &[] }
}

/// The forms to be accepted, likeliest first.
fn forms(ends: Ends, version: VrrpVersion) -> &'static [ChecksumForm] {
    use ChecksumForm::{MessageOnly, OldUnicast, PseudoHeader};
    match (version, ends.source.is_ipv6(), ends.destination.is_multicast()) {
        (_, true, _) => &[PseudoHeader],
        (VrrpVersion::V2, false, _) => &[MessageOnly],
        (VrrpVersion::V3, false, true) => &[PseudoHeader, MessageOnly],
        (VrrpVersion::V3, false, false) => &[PseudoHeader, MessageOnly, OldUnicast],
    }
}

/// The sum of what a form covers besides the message.
fn cover(form: ChecksumForm, ends: Ends, length: usize) -> Sum {
    const GROUP: IpAddr = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18));
    match form {
        ChecksumForm::MessageOnly => Sum::default(),
        ChecksumForm::PseudoHeader => pseudo_header(ends.source, ends.destination, PROTOCOL, length),
        ChecksumForm::OldUnicast => pseudo_header(ends.source, GROUP, PROTOCOL, length),
    }
}

/// What goes into a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contents<'a> {
    pub(crate) version: VrrpVersion,
    pub(crate) vrid: u8,
    pub(crate) priority: u8,
    pub(crate) interval: Duration,
    pub(crate) authentication: &'a Authentication,
    /// One after the other, 4 or 16 bytes each; at most 255.
    pub(crate) addresses: &'a [u8],
    /// For version 3 over IPv4; everything else has one form only.
    pub(crate) checksum: ChecksumForm,
}

/// Writes a message.
pub(crate) fn encode(contents: &Contents<'_>, ends: Ends) -> Vec<u8> {
    let inet6 = ends.source.is_ipv6();
    let auth_size = auth_size(contents.version, inet6);
    let count = contents.addresses.len() / if inet6 { 16 } else { 4 };
    let mut bytes = Vec::with_capacity(HEADER + contents.addresses.len() + auth_size);
    bytes.push(contents.version.number() << 4 | ADVERTISEMENT);
    bytes.push(contents.vrid);
    bytes.push(contents.priority);
    bytes.push(u8::try_from(count).expect("the model keeps at most 255 addresses"));
    match contents.version {
        VrrpVersion::V2 => {
            bytes.push(auth_type(contents.authentication));
            bytes.push(u8::try_from(contents.interval.as_secs()).unwrap_or(u8::MAX));
        }
        VrrpVersion::V3 => {
            let centiseconds = u16::try_from(contents.interval.as_millis() / 10).unwrap_or(u16::MAX);
            bytes.extend(centiseconds.min(0x0fff).to_be_bytes());
        }
    }
    bytes.extend([0, 0]);
    bytes.extend(contents.addresses);
    if auth_size > 0 {
        match contents.authentication {
            Authentication::None | Authentication::Header(_) | Authentication::Signed(_) => {
                bytes.extend([0; AUTH_DATA]);
            }
            Authentication::Pass(password) => bytes.extend(password),
        }
    }
    let form = match (contents.version, inet6) {
        (_, true) => ChecksumForm::PseudoHeader,
        (VrrpVersion::V2, false) => ChecksumForm::MessageOnly,
        (VrrpVersion::V3, false) => contents.checksum,
    };
    let checksum = cover(form, ends, bytes.len()).bytes(&bytes).checksum();
    bytes[6..8].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

/// A message with its trailer.
pub(crate) fn append(message: &[u8], trailer: &[u8], source: IpAddr, destination: IpAddr) -> Vec<u8> {
    let mut bytes = [message, trailer].concat();
    let ends = Ends { source, destination };
    if !covered_behind(trailer, ends).is_empty() {
        bytes[6..8].fill(0);
        let checksum = cover(ChecksumForm::PseudoHeader, ends, bytes.len())
            .bytes(&bytes)
            .checksum();
        bytes[6..8].copy_from_slice(&checksum.to_be_bytes());
    }
    bytes
}

/// As it stands in a version 2 message.
pub(crate) fn auth_type(authentication: &Authentication) -> u8 {
    match authentication {
        Authentication::None | Authentication::Signed(_) => 0,
        Authentication::Pass(_) => 1,
        Authentication::Header(_) => 2,
    }
}

/// Addresses as they stand in a message.
pub(crate) fn address_bytes(addresses: impl Iterator<Item = IpAddr>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for address in addresses {
        match address {
            IpAddr::V4(v4) => bytes.extend(v4.octets()),
            IpAddr::V6(v6) => bytes.extend(v6.octets()),
        }
    }
    bytes
}

#[cfg(test)]
#[path = "packet_tests.rs"]
mod tests;
