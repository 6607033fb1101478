//! The numbers of sealed adverts (`auth_type AH`): ours grow, and none of the others' counts twice.

use super::accept::Rejected;
use super::datagram::{Advert, Envelope};
use super::packet::PROTOCOL;
use crate::wire::ah;
use std::net::IpAddr;

/// What one instance keeps of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seal {
    /// Our next number is not below this one: above what an earlier run of ours can have sent.
    pub(crate) floor: u32,
    sent: u32,
    heard: u32,
    identification: u16,
}

impl Seal {
    /// A number was heard behind a seal that is whole.
    ///
    /// Numbers are one sequence for all nodes, as with keepalived: whoever becomes master goes on from what was heard.
    pub(crate) fn take(&mut self, number: Option<u32>) -> Result<(), Rejected> {
        match number {
            Some(number) if number <= self.heard => Err(Rejected::Replay(number, self.heard)),
            Some(number) => {
                self.heard = number;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The number of the next round of adverts. At the end of all numbers it stays there: nobody would take a lower one.
    pub(crate) fn next(&mut self) -> u32 {
        let last = self.sent.max(self.heard);
        self.sent = last.saturating_add(1).max(self.floor);
        self.sent
    }

    /// An advert as it leaves.
    pub(crate) fn put(&mut self, key: &[u8; 8], number: u32, advert: Advert) -> Advert {
        let (IpAddr::V4(source), IpAddr::V4(destination)) = (advert.source, advert.destination) else {
            return advert;
        };
        // Zero would be filled in by the kernel, and break the seal.
        self.identification = self.identification.checked_add(1).unwrap_or(1);
        let outer = ah::Outer {
            source,
            destination,
            identification: self.identification,
            ttl: advert.ttl,
        };
        Advert {
            envelope: Envelope::Sealed {
                identification: self.identification,
            },
            payload: ah::seal(key, outer, PROTOCOL, number, &advert.payload),
            ..advert
        }
    }
}
