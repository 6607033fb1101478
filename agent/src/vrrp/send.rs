//! What a router puts on the wire, and what it does when that fails.

use super::datagram::{Advert, Envelope};
use super::effect::Effect;
use super::limit::{Topic, swallowed};
use super::packet::{ChecksumForm, Contents, Ends, address_bytes, encode};
use super::role::{Role, Step};
use super::router::Router;
use super::sign::signed;
use crate::model::{Authentication, OldChecksum};
use lb_shared::event::What;
use lb_shared::units::Mono;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

impl Router {
    /// Our own interval; never so short that a loop would not end.
    pub(crate) fn own_interval(&self) -> Duration {
        self.cfg.advert_interval.max(Duration::from_millis(1))
    }

    /// Sends an advert to every destination.
    pub(crate) fn send(&mut self, now: Mono, out: &mut Vec<Effect>) {
        let destinations = self.wire.len().max(1);
        if let Role::Master(master) = &mut self.role {
            if master.unsent.failed < destinations {
                master.unsent.since = None;
                master.unsent.rounds = 0;
            }
            master.unsent.failed = 0;
        }
        self.tally.sent += 1;
        self.tally.sent_at = Some(now);
        self.put_on_wire(now, self.wire.clone(), out);
    }

    /// Sends these as they are, sealed or signed.
    pub(crate) fn put_on_wire(&mut self, now: Mono, adverts: Vec<Advert>, out: &mut Vec<Effect>) {
        let cfg = Arc::clone(&self.cfg);
        let mut send = |advert| {
            out.push(Effect::Send {
                instance: cfg.name.clone(),
                advert,
            });
        };
        match &cfg.authentication {
            Authentication::None | Authentication::Pass(_) => adverts.into_iter().for_each(send),
            Authentication::Header(key) => {
                let number = self.seal.next();
                for advert in adverts {
                    send(self.seal.put(key, number, advert));
                }
            }
            Authentication::Signed(signing) => {
                let number = self.signer.next(now, signing);
                for advert in adverts {
                    send(signed(signing, number, (cfg.version, cfg.vrid.get()), advert));
                }
            }
        }
    }

    /// An advert did not get out. It is tried again soon; a master that nobody can hear gives up its addresses.
    ///
    /// `pause` is how long it then stays away. Only multicast gives up: a unicast send also fails because of the peer
    /// (no neighbour, no route to it), and the addresses must not go down together with the other node.
    pub(crate) fn on_send_failed(&mut self, now: Mono, pause: Duration, out: &mut Vec<Effect>) -> Step {
        let (interval, down, destinations) =
            (self.own_interval(), self.down_interval(), self.wire.len().max(1));
        let unicast = !self.cfg.unicast_peers.is_empty();
        let Role::Master(master) = &mut self.role else {
            return Step::Stay;
        };
        let unsent = &mut master.unsent;
        unsent.failed += 1;
        if unsent.failed != destinations {
            return Step::Stay;
        }
        unsent.rounds += 1;
        let since = *unsent.since.get_or_insert(now);
        let rounds = unsent.rounds;
        master.advert_at = master.advert_at.min(now + interval / 10);
        if !unicast && now.since(since) >= down {
            self.mute_until = Some(now + pause);
            return Step::Settle;
        }
        if rounds >= 3
            && let Some(count) = self.limiter.allow(Topic::SendFailed, now)
        {
            let text = format!("{rounds} adverts in a row could not be sent");
            let why = Some(swallowed(count).unwrap_or_else(|| "see the kernel's error above".to_owned()));
            self.changed(What::InstanceChanged, text, why, out);
        }
        Step::Stay
    }

    pub(crate) fn announce(&self, rounds: u32, out: &mut Vec<Effect>) {
        if rounds > 0 {
            out.push(Effect::Announce {
                instance: self.name().clone(),
                rounds,
            });
        }
    }

    /// Chooses the addresses that adverts carry, and says so if there is no room for all.
    pub(crate) fn fit(&mut self, out: &mut Vec<Effect>) {
        if let Some(mtu) = self.ground.as_ref().and_then(|ground| ground.mtu) {
            self.mtu = mtu;
        }
        let (all, room) = (self.cfg.addresses.len(), self.cfg.advert_room(self.mtu));
        self.address_bytes = address_bytes(self.cfg.addresses.iter().take(room).map(|virt| virt.address));
        let left_out = all.saturating_sub(room);
        if std::mem::replace(&mut self.left_out, left_out) == left_out {
            return;
        }
        let (text, why) = if left_out == 0 {
            (format!("adverts carry all {all} addresses again"), None)
        } else {
            (
                format!(
                    "adverts carry {room} of {all} addresses: the last {left_out} are held and not advertised"
                ),
                Some(format!("an MTU of {} has room for {room}", self.mtu)),
            )
        };
        self.changed(What::InstanceChanged, text, why, out);
    }

    /// Encodes the adverts anew after anything in them changed.
    pub(crate) fn rewire(&mut self) {
        self.wire.clear();
        let Some((ground, source)) = self
            .ground
            .as_ref()
            .and_then(|ground| ground.source.map(|source| (ground, source)))
        else {
            return;
        };
        let group = [self.cfg.multicast_group];
        let peers = self.cfg.unicast_peers.iter().map(|peer| peer.address);
        let destinations: Vec<IpAddr> = if self.cfg.unicast_peers.is_empty() {
            group.to_vec()
        } else {
            peers.collect()
        };
        // Most have one: a list that grows would keep room for four.
        self.wire.reserve_exact(destinations.len());
        for destination in destinations {
            self.wire.push(Advert {
                link: ground.sends_by.or(ground.link),
                source,
                destination,
                ttl: if destination.is_multicast() {
                    255
                } else {
                    self.cfg.unicast_ttl
                },
                envelope: Envelope::Open,
                number: None,
                payload: self.message(self.effective, source, destination),
            });
        }
    }

    pub(crate) fn message(&self, priority: u8, source: IpAddr, destination: IpAddr) -> Vec<u8> {
        let always_old = self.cfg.old_unicast_checksum == OldChecksum::Always && !destination.is_multicast();
        let checksum = match self.forms.get(&destination) {
            _ if always_old => ChecksumForm::OldUnicast,
            // As keepalived: who sends the old form understands no other.
            Some(ChecksumForm::OldUnicast) => ChecksumForm::OldUnicast,
            Some(ChecksumForm::PseudoHeader | ChecksumForm::MessageOnly) | None
                if self.cfg.checksum_without_pseudo_header =>
            {
                ChecksumForm::MessageOnly
            }
            Some(ChecksumForm::PseudoHeader | ChecksumForm::MessageOnly) | None => ChecksumForm::PseudoHeader,
        };
        let contents = Contents {
            version: self.cfg.version,
            vrid: self.cfg.vrid.get(),
            priority,
            interval: self.cfg.advert_interval,
            authentication: &self.cfg.authentication,
            addresses: &self.address_bytes,
            checksum,
        };
        encode(&contents, Ends { source, destination })
    }
}
