//! Whether an advert counts: every check of RFC 3768 §7.1 and RFC 9568 §7.1, with keepalived's additions.
//!
//! Total and without memory: any bytes give a [`Packet`] or one [`Rejected`], and nothing else changes.

use super::datagram::{Datagram, Envelope};
use super::effect::Ground;
use super::packet::{BadPacket, ChecksumForm, Ends, PROTOCOL, Packet, auth_type, decode, told_length};
use super::sign::within;
use crate::model::{Authentication, Instance, OldChecksum, SigningMode, UnicastPeer, VrrpVersion};
use crate::wire::ah::{self, Unsealed};
use crate::wire::same::is_same;
use crate::wire::trailer::{self, Bound, Trailer};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

macro_rules! rejections {
    ($($(#[$attribute:meta])* $variant:ident $(($($field:ty),*))? = $name:literal, $number:literal;)*) => {
        /// Why an advert was refused. Each variant has a counter of its own.
        #[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
        pub(crate) enum Rejected { $($(#[$attribute])* $variant $(($($field),*))?,)* }

        impl Rejected {
            /// The names of the counters, in the order of [`Rejected::number`].
            pub(crate) const NAMES: &'static [&'static str] = &[$($name,)*];

            /// Its place among the counters.
            pub(crate) fn number(&self) -> usize {
                match self { $(Self::$variant { .. } => $number,)* }
            }

            /// The name of its counter.
            pub(crate) fn name(&self) -> &'static str {
                match self { $(Self::$variant { .. } => $name,)* }
            }
        }
    };
}

rejections! {
    #[error("it was sent to {0}, which is not where this instance listens")]
    Destination(IpAddr) = "destination", 0;
    #[error("TTL {0}, must be 255 (RFC 9568 §7.1)")]
    Ttl(Hops) = "ttl", 1;
    #[error("TTL {0}, outside the peer's min_ttl and max_ttl")]
    PeerTtl(Hops) = "peer_ttl", 2;
    #[error("it comes from an address of this host: somebody uses our address")]
    OwnAddress = "own_address", 3;
    #[error("{0} bytes is shorter than a header")]
    Truncated(usize) = "truncated", 4;
    #[error("version {0}, this instance speaks {1}")]
    Version(u8, u8) = "version", 5;
    #[error("type {0}, must be 1")]
    Type(u8) = "type", 6;
    #[error("it carries no addresses")]
    NoAddresses = "address_count", 7;
    #[error("{0} bytes long, its header says {1}")]
    Length(usize, usize) = "length", 8;
    #[error("checksum {0:#06x} is wrong")]
    Checksum(u16) = "checksum", 9;
    #[error("interval 0")]
    ZeroInterval = "interval_zero", 10;
    #[error("its interval is {0}, ours is {1}; version 2 needs them equal")]
    Interval(Seconds, Seconds) = "interval", 11;
    #[error("authentication type {0}, ours is {1}")]
    AuthType(u8, u8) = "auth_type", 12;
    #[error("wrong password")]
    Password = "password", 13;
    #[error("its source is not link-local")]
    NotLinkLocal = "source", 14;
    #[error("its first address is not link-local")]
    FirstAddress = "first_address", 15;
    #[error("its sender is not among unicast_peer")]
    Stranger = "unicast_source", 16;
    #[error("this node owns the addresses and ignores adverts (owner_ignore_adverts)")]
    Owner = "owner", 17;
    #[error("it has no authentication header")]
    Open = "unsealed", 18;
    #[error("{0}")]
    Seal(Unsealed) = "seal", 19;
    #[error("its number {0} is not above {1}, the last one: it was heard before, or a node has begun anew")]
    Replay(u32, u32) = "replay", 20;
    #[error("it is not signed (auth_hmac), and mode enforce wants it to be")]
    Unsigned = "unsigned", 21;
    #[error("the trailer of its signature is of a form that is not known here")]
    TrailerForm = "signature_form", 22;
    #[error("it is signed with key {0}, which is not listed here: a rotation begins with the new key on every node")]
    UnknownKey(u8) = "signature_key", 23;
    #[error("its signature does not fit: key {0} is another one here, or somebody forged it")]
    Signature(u8) = "signature", 24;
    #[error("its sender's clock is {0}, and time_window allows {1} s: look after the clocks of both nodes")]
    Clock(Apart, u64) = "signature_time", 25;
    #[error("its number is not above the last one of its sender: it was heard before, or the sender began anew with its \
             clock set back")]
    OldNumber = "signature_replay", 26;
    #[error("it is signed (auth_hmac), and this instance knows no signatures")]
    Signed = "signed", 27;
}

/// A TTL or hop limit; the kernel may not have told it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Hops(pub(crate) Option<u8>);

impl fmt::Display for Hops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(hops) => hops.fmt(f),
            None => f.write_str("unknown"),
        }
    }
}

/// By how many seconds our clock is ahead of the sender's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Apart(pub(crate) i64);

impl fmt::Display for Apart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.0 > 0 { "behind" } else { "ahead of" };
        write!(f, "{} s {word} ours", self.0.unsigned_abs())
    }
}

/// A span as configurations write it: `1s`, `0.5s`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Seconds(pub(crate) Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.3}", self.0.as_secs_f64());
        write!(f, "{}s", text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// Reads an advert for an instance, or says why it does not count.
///
/// `own_addresses` are the instance's as they stand in a message, `owner` whether it advertises 255. `ahead` is by how
/// many seconds our clock is ahead of the one a number was made by.
pub(crate) fn accept<'a>(
    cfg: &Instance,
    ground: &Ground,
    own_addresses: &[u8],
    owner: bool,
    ahead: impl Fn(u64) -> i64,
    datagram: &'a Datagram,
) -> Result<Packet<'a>, Rejected> {
    check_ends(cfg, ground, datagram)?;
    let ends = Ends {
        source: datagram.source,
        destination: datagram.destination,
    };
    // A router without addresses of its own has to expect the same of its peers: keepalived allows such instances.
    let (sequence, message) = unseal(cfg, datagram)?;
    let (number, message, trailer) = verify(cfg, message, ends.source, ahead)?;
    let packet = decode(message, trailer, ends, cfg.version, own_addresses.is_empty())
        .map_err(|bad| named(bad, cfg.version))?;
    if number.is_none() && wants_signature(cfg) {
        return Err(Rejected::Unsigned);
    }
    if cfg.old_unicast_checksum == OldChecksum::Never && packet.checksum == ChecksumForm::OldUnicast {
        return Err(Rejected::Checksum(u16::from_be_bytes([message[6], message[7]])));
    }
    check_interval(cfg, &packet)?;
    check_authentication(cfg, &packet)?;
    if datagram.source.is_ipv6() && (cfg.strict || link_local_first(own_addresses)) {
        // Verified erratum 8300 of RFC 9568. Instances with other first addresses run on keepalived, so they are held
        // to their own standard.
        let first_ok = packet.addresses.is_empty() || link_local_first(packet.addresses);
        if !first_ok {
            return Err(Rejected::FirstAddress);
        }
    }
    if owner && cfg.owner_ignore_adverts {
        return Err(Rejected::Owner);
    }
    Ok(Packet {
        sequence,
        number,
        ..packet
    })
}

/// Numbers are counted for each sender, so it has to be one of the peers (as keepalived).
fn wants_peers(cfg: &Instance) -> bool {
    matches!(cfg.authentication, Authentication::Signed(_))
}

fn wants_signature(cfg: &Instance) -> bool {
    matches!(&cfg.authentication, Authentication::Signed(it) if it.mode == SigningMode::Enforce)
}

/// The number of a signature, the message, and what stands behind it.
type Parts<'a> = (Option<u64>, &'a [u8], &'a [u8]);

/// The number behind a signature that fits, the message and its trailer; or all of it as a message that is not signed.
///
/// The moment is looked at before the value is computed: a flood of old adverts costs no digest each.
fn verify<'a>(
    cfg: &Instance,
    bytes: &'a [u8],
    source: IpAddr,
    ahead: impl Fn(u64) -> i64,
) -> Result<Parts<'a>, Rejected> {
    let Authentication::Signed(signing) = &cfg.authentication else {
        return Ok((None, bytes, &[]));
    };
    let length = told_length(bytes, source.is_ipv6(), cfg.version).map_err(|bad| named(bad, cfg.version))?;
    let Some((message, trailer)) = bytes.split_at_checked(length) else {
        return Ok((None, bytes, &[]));
    };
    // Nothing else is as long: padding is shorter.
    let Ok(whole) = <&[u8; trailer::LENGTH]>::try_from(trailer) else {
        return Ok((None, bytes, &[]));
    };
    let read = Trailer::read(whole).ok_or(Rejected::TrailerForm)?;
    let ahead = ahead(read.sequence);
    if let Some(window) = signing.window.filter(|_| !within(signing, ahead)) {
        return Err(Rejected::Clock(Apart(ahead), window.as_secs()));
    }
    let key = signing
        .keys
        .get(&read.key)
        .ok_or(Rejected::UnknownKey(read.key))?;
    let bound = Bound {
        source,
        version: cfg.version.number(),
        vrid: cfg.vrid.get(),
    };
    if !read.fits(&key.0, bound, message) {
        return Err(Rejected::Signature(read.key));
    }
    Ok((Some(read.sequence), message, trailer))
}

/// The message, and its number if it was sealed.
fn unseal<'a>(cfg: &Instance, datagram: &'a Datagram) -> Result<(Option<u32>, &'a [u8]), Rejected> {
    let (IpAddr::V4(source), IpAddr::V4(destination)) = (datagram.source, datagram.destination) else {
        return Ok((None, &datagram.payload));
    };
    match (&cfg.authentication, datagram.envelope) {
        (Authentication::Header(key), Envelope::Sealed { identification }) => {
            let outer = ah::Outer {
                source,
                destination,
                identification,
                ttl: datagram.ttl.unwrap_or(255),
            };
            let (number, message) =
                ah::open(key, outer, PROTOCOL, &datagram.payload).map_err(Rejected::Seal)?;
            Ok((Some(number), message))
        }
        (Authentication::Header(_), Envelope::Open) => Err(Rejected::Open),
        (other, Envelope::Sealed { .. }) => Err(Rejected::AuthType(2, auth_type(other))),
        (_, Envelope::Open) => Ok((None, &datagram.payload)),
    }
}

fn check_ends(cfg: &Instance, ground: &Ground, datagram: &Datagram) -> Result<(), Rejected> {
    let source = datagram.source;
    if cfg.unicast_peers.is_empty() {
        if datagram.destination != cfg.multicast_group {
            return Err(Rejected::Destination(datagram.destination));
        }
        if datagram.ttl != Some(255) {
            return Err(Rejected::Ttl(Hops(datagram.ttl)));
        }
    } else if datagram.destination.is_multicast() || Some(datagram.destination) != ground.source {
        return Err(Rejected::Destination(datagram.destination));
    }
    // The owner of an address advertises from it. A backup that stands in holds the same address, and must still
    // hear the owner come back: a virtual address is never "ours".
    let virtual_address = || cfg.addresses.iter().any(|virt| virt.address == source);
    if Some(source) == ground.source
        || (ground.own_addresses.binary_search(&source).is_ok() && !virtual_address())
    {
        return Err(Rejected::OwnAddress);
    }
    match cfg.unicast_peers.iter().find(|peer| peer.address == source) {
        Some(peer) if !ttl_fits(peer, datagram.ttl) => return Err(Rejected::PeerTtl(Hops(datagram.ttl))),
        None if (cfg.check_unicast_source || wants_peers(cfg)) && !cfg.unicast_peers.is_empty() => {
            return Err(Rejected::Stranger);
        }
        Some(_) | None => {}
    }
    match source {
        IpAddr::V6(v6) if cfg.unicast_peers.is_empty() && !v6.is_unicast_link_local() => {
            Err(Rejected::NotLinkLocal)
        }
        IpAddr::V6(_) | IpAddr::V4(_) => Ok(()),
    }
}

fn ttl_fits(peer: &UnicastPeer, ttl: Option<u8>) -> bool {
    if peer.min_ttl.is_none() && peer.max_ttl.is_none() {
        return true;
    }
    ttl.is_some_and(|ttl| ttl >= peer.min_ttl.unwrap_or(0) && ttl <= peer.max_ttl.unwrap_or(u8::MAX))
}

fn named(bad: BadPacket, version: VrrpVersion) -> Rejected {
    match bad {
        BadPacket::Truncated(size) => Rejected::Truncated(size),
        BadPacket::Version(got) => Rejected::Version(got, version.number()),
        BadPacket::Type(got) => Rejected::Type(got),
        BadPacket::NoAddresses => Rejected::NoAddresses,
        BadPacket::Length { got, want } if got == want + trailer::LENGTH => Rejected::Signed,
        BadPacket::Length { got, want } => Rejected::Length(got, want),
        BadPacket::Checksum(got) => Rejected::Checksum(got),
    }
}

fn check_interval(cfg: &Instance, packet: &Packet<'_>) -> Result<(), Rejected> {
    match packet.version {
        VrrpVersion::V2 => {
            let ours = Duration::from_secs(cfg.advert_interval.as_secs());
            if packet.interval != ours {
                return Err(Rejected::Interval(Seconds(packet.interval), Seconds(ours)));
            }
        }
        // Verified erratum 8301 of RFC 9568.
        VrrpVersion::V3 if packet.interval.is_zero() => return Err(Rejected::ZeroInterval),
        VrrpVersion::V3 => {}
    }
    Ok(())
}

fn check_authentication(cfg: &Instance, packet: &Packet<'_>) -> Result<(), Rejected> {
    let Some((kind, data)) = packet.auth else {
        return Ok(());
    };
    match &cfg.authentication {
        Authentication::None | Authentication::Signed(_) if kind != 0 => Err(Rejected::AuthType(kind, 0)),
        Authentication::None | Authentication::Signed(_) => Ok(()),
        Authentication::Pass(_) if kind != 1 => Err(Rejected::AuthType(kind, 1)),
        Authentication::Pass(password) if !is_same(password, &data) => Err(Rejected::Password),
        Authentication::Pass(_) => Ok(()),
        Authentication::Header(_) if kind != 2 => Err(Rejected::AuthType(kind, 2)),
        Authentication::Header(_) => Ok(()),
    }
}

fn link_local_first(addresses: &[u8]) -> bool {
    addresses
        .first_chunk::<16>()
        .is_some_and(|first| Ipv6Addr::from(*first).is_unicast_link_local())
}
