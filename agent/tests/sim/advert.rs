//! Adverts written and judged without the agent's own codec, so that a mistake in it does not hide itself.

use crate::cluster::{Vr, host_address, multicast_group};
use crate::faults::Forgery;
use crate::world::{Heard, Packet, Truth};
use lbagent::model::VrrpVersion;
use std::net::IpAddr;

/// A host that is none of the cluster's.
const STRANGER: u8 = 200;
const PROTOCOL: u32 = 112;

/// A forged advert of a virtual router. Where it is unicast, it claims to come from `peer`.
pub(crate) fn forge(vr: &Vr, shape: Forgery, peer: IpAddr, destination: IpAddr, interval_us: u64) -> Packet {
    let source = if vr.unicast {
        peer
    } else {
        host_address(vr.segment, vr.family, STRANGER)
    };
    let destination = if vr.unicast {
        destination
    } else {
        multicast_group(vr.family)
    };
    let priority = match shape {
        Forgery::Valid { priority } | Forgery::WrongTtl { priority } => priority,
        _ => 254,
    };
    let mut payload = encode(vr, priority, interval_us, source, destination);
    let mut ttl = 255;
    let heard = Heard {
        vr: usize::from(vr.vrid) - 1,
        from: None,
        priority,
        interval_us,
        source,
    };
    let mut truth = Truth::Junk;
    match shape {
        Forgery::Valid { .. } | Forgery::Replay => truth = Truth::Whole(heard),
        Forgery::WrongTtl { .. } => {
            ttl = 64;
            if vr.unicast {
                truth = Truth::Whole(heard);
            }
        }
        Forgery::WrongVersion => {
            payload[0] = if vr.version == VrrpVersion::V2 { 0x31 } else { 0x21 };
            seal(&mut payload, vr.version, source, destination);
        }
        Forgery::WrongChecksum => payload[6] ^= 0x55,
        Forgery::NoAddresses => {
            payload.truncate(8);
            payload[3] = 0;
            if vr.version == VrrpVersion::V2 {
                payload.extend(vr.password.unwrap_or_default());
            }
            seal(&mut payload, vr.version, source, destination);
        }
        Forgery::WrongPassword => match vr.version {
            VrrpVersion::V2 => {
                let end = payload.len();
                payload[4] = 1;
                payload[end - 8..].copy_from_slice(b"guessed!");
                seal(&mut payload, vr.version, source, destination);
            }
            VrrpVersion::V3 => payload[0] = 0x32,
        },
        Forgery::Short => payload.truncate(7),
    }
    Packet {
        segment: vr.segment,
        source,
        destination,
        ttl,
        payload,
        truth,
    }
}

fn encode(vr: &Vr, priority: u8, interval_us: u64, source: IpAddr, destination: IpAddr) -> Vec<u8> {
    let count = u8::try_from(vr.addresses.len()).unwrap_or(u8::MAX);
    let mut bytes = match vr.version {
        VrrpVersion::V2 => {
            let seconds = u8::try_from(interval_us / 1_000_000).unwrap_or(u8::MAX);
            vec![
                0x21,
                vr.vrid,
                priority,
                count,
                u8::from(vr.password.is_some()),
                seconds,
                0,
                0,
            ]
        }
        VrrpVersion::V3 => {
            let [high, low] = u16::try_from(interval_us / 10_000)
                .unwrap_or(0x0fff)
                .to_be_bytes();
            vec![0x31, vr.vrid, priority, count, high, low, 0, 0]
        }
    };
    for address in &vr.addresses {
        match address {
            IpAddr::V4(v4) => bytes.extend(v4.octets()),
            IpAddr::V6(v6) => bytes.extend(v6.octets()),
        }
    }
    if vr.version == VrrpVersion::V2 {
        bytes.extend(vr.password.unwrap_or_default());
    }
    seal(&mut bytes, vr.version, source, destination);
    bytes
}

/// Puts the right checksum in.
pub(crate) fn seal(bytes: &mut [u8], version: VrrpVersion, source: IpAddr, destination: IpAddr) {
    if bytes.len() < 8 {
        return;
    }
    bytes[6..8].fill(0);
    let start = match version {
        VrrpVersion::V2 => 0,
        VrrpVersion::V3 => pseudo(source, destination, bytes.len()),
    };
    let checksum = !fold(start + words(bytes));
    bytes[6..8].copy_from_slice(&checksum.to_be_bytes());
}

fn words(bytes: &[u8]) -> u32 {
    bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)))
        .sum()
}

fn pseudo(source: IpAddr, destination: IpAddr, length: usize) -> u32 {
    let of = |address: IpAddr| match address {
        IpAddr::V4(v4) => words(&v4.octets()),
        IpAddr::V6(v6) => words(&v6.octets()),
    };
    of(source) + of(destination) + PROTOCOL + u32::try_from(length).unwrap_or(0)
}

fn fold(sum: u32) -> u16 {
    let mut sum = sum;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap_or(0)
}

/// What is to be expected of damaged bytes: refused for certain, or who knows.
pub(crate) fn judge(packet: &Packet) -> Truth {
    let bytes = &packet.payload;
    let inet6 = packet.source.is_ipv6();
    if bytes.len() < 8 || !matches!(bytes[0], 0x21 | 0x31) {
        return Truth::Junk;
    }
    let auth = if bytes[0] == 0x21 && !inet6 { 8 } else { 0 };
    let want = 8 + usize::from(bytes[3]) * if inet6 { 16 } else { 4 } + auth;
    // A short message may come with the padding of its frame.
    if bytes.len() < want || bytes.len() > want.max(26) {
        return Truth::Junk;
    }
    let message = &bytes[..want];
    let group = multicast_group(lb_shared::names::Family::of(packet.source));
    let starts = [
        0,
        pseudo(packet.source, packet.destination, want),
        pseudo(packet.source, group, want),
    ];
    if starts.iter().any(|start| fold(start + words(message)) == 0xffff) {
        Truth::Unknown
    } else {
        Truth::Junk
    }
}
