//! The numbers of signed adverts (`auth_hmac`): moments by the wall clock, and none of a sender's counts twice.
//!
//! A number is 64 bits: seconds of Unix time, a fraction of a second, a counter for those of one moment. They are
//! compared as serial numbers (RFC 1982), so the end of the seconds in 2106 is no event.

use super::accept::Rejected;
use super::datagram::Advert;
use super::packet::append;
use crate::model::{Signing, VrrpVersion};
use crate::wire::trailer::{self, Bound};
use lb_shared::units::Mono;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Senders whose last number is kept. Only who has a key gets in, and a link has a handful of routers.
const SENDERS_MAX: usize = 32;

/// The wall clock, told by how far it is ahead of the agent's own: in microseconds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Wall(pub(crate) i64);

impl Wall {
    /// A clock that says now that it is so many microseconds since 1970.
    pub(crate) fn at(now: Mono, unix_us: u64) -> Self {
        Self(unix_us.cast_signed().wrapping_sub(now.0.cast_signed()))
    }

    /// What it says.
    pub(crate) fn unix_us(self, now: Mono) -> u64 {
        now.0.cast_signed().wrapping_add(self.0).max(0).cast_unsigned()
    }

    /// The number of this moment, its counter 0.
    fn number(self, now: Mono) -> u64 {
        let us = self.unix_us(now);
        let fraction = (us % 1_000_000) * 65_536 / 1_000_000;
        // The seconds wrap, as their field on the wire does.
        (us / 1_000_000) << 32 | fraction << 16
    }

    /// By how many seconds this clock is ahead of the one a number was made by.
    pub(crate) fn ahead_of(self, now: Mono, number: u64) -> i64 {
        let (ours, theirs) = (seconds(self.number(now)), seconds(number));
        i64::from(ours.wrapping_sub(theirs).cast_signed())
    }
}

fn seconds(number: u64) -> u32 {
    (number >> 32) as u32
}

fn is_after(one: u64, other: u64) -> bool {
    one.wrapping_sub(other).cast_signed() > 0
}

/// What one instance keeps of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signer {
    pub(crate) wall: Wall,
    /// Our last number, or the last of an earlier run.
    pub(crate) sent: Option<u64>,
    /// The last number of each sender, and when it was heard.
    heard: BTreeMap<IpAddr, (u64, Mono)>,
}

impl Signer {
    /// The number of the next advert; the same for all peers it goes to.
    ///
    /// After a step of the clock backwards the numbers go on from where they were. With `anti_replay time` nobody would
    /// take those that are too far ahead, so they begin again at the clock then (as keepalived).
    pub(crate) fn next(&mut self, now: Mono, signing: &Signing) -> u64 {
        let clock = self.wall.number(now);
        let next = match self.sent {
            Some(sent) if !is_after(clock, sent) => {
                let ahead = -self.wall.ahead_of(now, sent);
                if within(signing, ahead) {
                    sent.wrapping_add(1)
                } else {
                    clock
                }
            }
            Some(_) | None => clock,
        };
        self.sent = Some(next);
        next
    }

    /// A number was heard behind a signature that fits.
    ///
    /// With `anti_replay time` a number that is outside the window by now is forgotten: whatever it could keep out is
    /// kept out by the window, and the sender's clock may have been put right (as keepalived).
    pub(crate) fn take(
        &mut self,
        now: Mono,
        source: IpAddr,
        number: Option<u64>,
        signing: &Signing,
    ) -> Result<(), Rejected> {
        let Some(number) = number else { return Ok(()) };
        if let Some((last, _)) = self.heard.get(&source)
            && within(signing, self.wall.ahead_of(now, *last))
            && !is_after(number, *last)
        {
            return Err(Rejected::OldNumber);
        }
        if !self.heard.contains_key(&source) && self.heard.len() >= SENDERS_MAX {
            let oldest = self
                .heard
                .iter()
                .min_by_key(|(_, (_, at))| *at)
                .map(|(who, _)| *who);
            oldest.and_then(|who| self.heard.remove(&who));
        }
        self.heard.insert(source, (number, now));
        Ok(())
    }

    /// The highest number heard from anybody or sent.
    pub(crate) fn last(&self) -> Option<u64> {
        let heard = self.heard.values().map(|(number, _)| *number);
        heard.chain(self.sent).reduce(later)
    }
}

/// The later of two numbers.
pub(crate) fn later(one: u64, other: u64) -> u64 {
    if is_after(other, one) { other } else { one }
}

/// Whether clocks that are so many seconds apart do.
pub(crate) fn within(signing: &Signing, apart_s: i64) -> bool {
    signing
        .window
        .is_none_or(|window| apart_s.unsigned_abs() <= window.as_secs())
}

/// An advert as it leaves.
pub(crate) fn signed(
    signing: &Signing,
    number: u64,
    (version, vrid): (VrrpVersion, u8),
    advert: Advert,
) -> Advert {
    let Some(key) = signing.active_key().filter(|_| signing.signs()) else {
        return advert;
    };
    let bound = Bound {
        source: advert.source,
        version: version.number(),
        vrid,
    };
    let trailer = trailer::sign(&key.0, signing.active, number, bound, &advert.payload);
    Advert {
        payload: append(&advert.payload, &trailer, advert.source, advert.destination),
        number: Some(number),
        ..advert
    }
}
