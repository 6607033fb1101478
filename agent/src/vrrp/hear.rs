//! What an advert does to a router.

use super::accept::{Apart, Rejected, Seconds, accept};
use super::datagram::Datagram;
use super::effect::{Effect, Ground};
use super::election::must_yield;
use super::limit::{Topic, swallowed};
use super::packet::{ChecksumForm, Packet};
use super::role::{Backup, Master, Rival, Role, Step};
use super::router::Router;
use crate::model::{Authentication, VrrpVersion};
use lb_shared::event::What;
use lb_shared::state::{MasterView, Pin, RefusedView};
use lb_shared::units::{Mono, Priority};
use std::net::IpAddr;
use std::time::Duration;

/// Senders whose odd checksum form is remembered: a link has a handful of routers, a forger any number.
const FORMS_MAX: usize = 16;

impl Router {
    /// An advert for this virtual router arrived.
    pub(crate) fn on_advert(&mut self, now: Mono, datagram: &Datagram, out: &mut Vec<Effect>) -> Step {
        let Some(ground) = &self.ground else {
            return Step::Stay;
        };
        if matches!(self.role, Role::Init(_) | Role::Fault) || self.is_own_loop(now, ground, datagram) {
            return Step::Stay;
        }
        let owner = self.effective == Priority::OWNER.get();
        let wall = self.signer.wall;
        let ahead = |number| wall.ahead_of(now, number);
        let accepted = accept(&self.cfg, ground, &self.address_bytes, owner, ahead, datagram);
        let taken = accepted.and_then(|packet| {
            self.seal.take(packet.sequence)?;
            if let Authentication::Signed(signing) = &self.cfg.authentication {
                self.signer.take(now, datagram.source, packet.number, signing)?;
            }
            Ok(packet)
        });
        match taken {
            Ok(packet) => {
                self.judge_signature(now, datagram.source, packet.number, out);
                self.on_packet(now, datagram.source, &packet, out)
            }
            Err(why) => {
                self.reject(now, datagram.source, why, out);
                Step::Stay
            }
        }
    }

    /// What operators have to know of an advert that counts: its sender's clock drifts away, or it is not signed.
    fn judge_signature(&mut self, now: Mono, source: IpAddr, number: Option<u64>, out: &mut Vec<Effect>) {
        let Authentication::Signed(signing) = &self.cfg.authentication else {
            return;
        };
        let (window, mode) = (signing.window, signing.mode);
        match (number, window) {
            (None, _) => {
                if let Some(count) = self.limiter.allow(Topic::Unsigned, now) {
                    let text = format!(
                        "advert from {source} is not signed; it counts, since the mode is {}",
                        mode.word()
                    );
                    self.changed(What::InstanceChanged, text, swallowed(count), out);
                }
            }
            (Some(number), Some(window)) => {
                let ahead = self.signer.wall.ahead_of(now, number);
                if ahead.unsigned_abs() > window.as_secs() / 2
                    && let Some(count) = self.limiter.allow(Topic::ClocksApart, now)
                {
                    let text = format!(
                        "the clock of {source} is {}; from {} s its adverts are refused, and there are two masters",
                        Apart(ahead),
                        window.as_secs() + 1
                    );
                    let why =
                        swallowed(count).unwrap_or_else(|| "look after the clocks of both nodes".to_owned());
                    self.changed(What::ClocksApart, text, Some(why), out);
                }
            }
            (Some(_), None) => {}
        }
    }

    /// Some switches and sockets hand our own adverts back, at once. What comes later is another host with our address,
    /// such as a cloned machine.
    fn is_own_loop(&self, now: Mono, ground: &Ground, datagram: &Datagram) -> bool {
        let window = (self.own_interval() / 4).min(Duration::from_millis(100));
        Some(datagram.source) == ground.source && self.tally.sent_at.is_some_and(|at| now.since(at) <= window)
    }

    /// Counts an advert that does not count, and says so now and then.
    pub(crate) fn reject(&mut self, now: Mono, source: IpAddr, why: Rejected, out: &mut Vec<Effect>) {
        *self.tally.rejected.entry(why.name()).or_default() += 1;
        if let Some(count) = self.limiter.allow(Topic::Rejected(why.number()), now) {
            let text = format!("advert from {source} rejected: {why}");
            self.refused = Some(RefusedView {
                source,
                why: why.to_string(),
                at: now,
            });
            self.changed(What::AdvertRejected, text, swallowed(count), out);
        }
    }

    fn on_packet(&mut self, now: Mono, source: IpAddr, packet: &Packet<'_>, out: &mut Vec<Effect>) -> Step {
        self.tally.received += 1;
        if self.refused.take_if(|it| it.source == source).is_some() {
            let text = format!("adverts of {source} count again");
            self.changed(What::InstanceChanged, text, None, out);
        }
        self.compare_addresses(now, source, packet, out);
        self.tally.heard_at = Some(now);
        self.learn_form(now, source, packet.checksum, out);
        let theirs = MasterView {
            address: source,
            priority: packet.priority,
        };
        match &self.role {
            Role::Backup(_) => {
                self.on_backup_packet(now, theirs, packet, out);
                Step::Stay
            }
            Role::Master(_) => self.on_master_packet(now, theirs, packet, out),
            Role::Init(_) | Role::Fault => Step::Stay,
        }
    }

    // ---- Backup (RFC 9568 §6.4.2).

    fn on_backup_packet(
        &mut self,
        now: Mono,
        theirs: MasterView,
        packet: &Packet<'_>,
        out: &mut Vec<Effect>,
    ) {
        if packet.priority == 0 {
            self.tally.zero_received += 1;
            self.on_farewell(now, &theirs, out);
            return;
        }
        let respected = packet.priority >= self.effective || !self.preempts();
        let delayed = !respected && self.respects_for_now(now, &theirs, out);
        let Role::Backup(backup) = &mut self.role else {
            return;
        };
        if respected {
            backup.preempt_at = None;
        }
        if respected || delayed {
            *backup = Backup {
                silent_since: now,
                leaving: false,
                ready: false,
                resume_until: None,
                ..*backup
            };
            self.adopt_interval(now, theirs.address, packet.interval, out);
            self.rearm();
        }
        self.note_master(now, theirs, out);
    }

    fn on_farewell(&mut self, now: Mono, theirs: &MasterView, out: &mut Vec<Effect>) {
        let Role::Backup(backup) = &mut self.role else {
            return;
        };
        // A farewell that is repeated for ever must not put off the election for ever.
        if backup.leaving {
            return;
        }
        backup.leaving = true;
        backup.silent_since = now;
        self.rearm();
        if let Some(count) = self.limiter.allow(Topic::PriorityZero, now) {
            let text = format!("{} says farewell (priority 0)", theirs.address);
            self.changed(What::InstanceChanged, text, swallowed(count), out);
        }
    }

    /// `preempt_delay`: begins with the first lower advert; until it is over lower ones are respected.
    fn respects_for_now(&mut self, now: Mono, theirs: &MasterView, out: &mut Vec<Effect>) -> bool {
        let delay = self.cfg.preempt_delay;
        let hurried = self.effective == Priority::OWNER.get() || self.pin == Some(Pin::Promoted);
        let Role::Backup(backup) = &mut self.role else {
            return false;
        };
        if delay.is_zero() || hurried {
            return false;
        }
        match backup.preempt_at {
            Some(at) => now < at,
            None => {
                backup.preempt_at = Some(now + delay);
                let text = format!(
                    "waiting {} before {} is preempted (preempt_delay)",
                    Seconds(delay),
                    theirs.address
                );
                self.changed(What::InstanceChanged, text, None, out);
                true
            }
        }
    }

    /// Version 3 counts silence in the master's intervals (RFC 9568 §6.4.2).
    fn adopt_interval(&mut self, now: Mono, source: IpAddr, interval: Duration, out: &mut Vec<Effect>) {
        if self.cfg.version == VrrpVersion::V2 {
            return;
        }
        self.master_interval = interval;
        if interval != self.shown_interval
            && let Some(count) = self.limiter.allow(Topic::Interval, now)
        {
            self.shown_interval = interval;
            let text = format!(
                "{source} advertises every {}, ours is {}; counting in its intervals",
                Seconds(interval),
                Seconds(self.cfg.advert_interval)
            );
            self.changed(What::InstanceChanged, text, swallowed(count), out);
        }
    }

    fn note_master(&mut self, now: Mono, theirs: MasterView, out: &mut Vec<Effect>) {
        if self.master.as_ref() == Some(&theirs) || self.limiter.allow(Topic::MasterHeard, now).is_none() {
            return;
        }
        let text = format!("hears {} with priority {}", theirs.address, theirs.priority);
        self.master = Some(theirs);
        self.changed(What::MasterHeard, text, None, out);
    }

    // ---- Master (RFC 9568 §6.4.3).

    fn on_master_packet(
        &mut self,
        now: Mono,
        theirs: MasterView,
        packet: &Packet<'_>,
        out: &mut Vec<Effect>,
    ) -> Step {
        let Some(own) = self.ground.as_ref().and_then(|ground| ground.source) else {
            return Step::Stay;
        };
        if packet.priority == 0 {
            self.tally.zero_received += 1;
            let interval = self.own_interval();
            // At most once each tenth of an interval: an answer to every one would double a flood.
            let Role::Master(master) = &mut self.role else {
                return Step::Stay;
            };
            if may_answer(&mut master.farewell_answered_at, now, interval / 10) {
                master.advert_at = now + interval;
                self.send(now, out);
            }
            return Step::Stay;
        }
        if packet.priority == Priority::OWNER.get() && self.effective == Priority::OWNER.get() {
            self.report_owner(now, &theirs, out);
        }
        if must_yield((self.effective, own), (theirs.priority, theirs.address)) {
            if self.cfg.higher_priority_send_advert {
                self.send(now, out);
            }
            let why = format!(
                "{} advertises {} priority {}, ours is {}",
                theirs.address,
                if theirs.priority > self.effective {
                    "the higher"
                } else {
                    "from a higher address the same"
                },
                theirs.priority,
                self.effective
            );
            return Step::Yield {
                master: theirs,
                interval: packet.interval,
                why,
            };
        }
        if self.slept_through_its_office(now) {
            let why = format!("it was paused, and {} took over meanwhile", theirs.address);
            return Step::Yield {
                master: theirs,
                interval: packet.interval,
                why,
            };
        }
        self.note_rival(now, theirs, packet.interval, out)
    }

    /// A master that was silent for so long that another took over, and may not preempt, is no longer the master.
    fn slept_through_its_office(&self, now: Mono) -> bool {
        let silence = self.tally.sent_at.map(|at| now.since(at)).unwrap_or_default();
        !self.preempts() && silence >= self.own_interval() * u32::from(self.cfg.down_timer_adverts)
    }

    /// A lower master is told at once, so that switches learn again where the addresses are (RFC 9568 §6.4.3), and the
    /// addresses are announced again, since hosts have learnt its own.
    fn note_rival(
        &mut self,
        now: Mono,
        theirs: MasterView,
        interval: Duration,
        out: &mut Vec<Effect>,
    ) -> Step {
        let own_interval = self.own_interval();
        // One advert of ours is enough to silence it; if it still speaks an interval later, it does not hear us.
        let bound = own_interval.max(interval);
        let gone_at = now + interval * 3 + Duration::from_secs(1);
        let Role::Master(master) = &mut self.role else {
            return Step::Stay;
        };
        let rival = master.rival.get_or_insert_with(|| Rival {
            since: now,
            gone_at,
            master: theirs.clone(),
            flagged: false,
        });
        rival.gone_at = gone_at;
        rival.master = theirs.clone();
        let raise = !rival.flagged && now.since(rival.since) >= bound;
        rival.flagged |= raise;
        if raise {
            self.master = Some(theirs.clone());
            let text = format!(
                "two masters: {} advertises priority {} too",
                theirs.address, theirs.priority
            );
            let why = format!(
                "ours is {} and it does not give way: it does not hear us, or refuses our adverts",
                self.effective
            );
            self.changed(What::SecondMaster, text, Some(why), out);
        }
        // Half an interval leaves room for its jitter, and a flood is not answered packet by packet.
        if !self.may_answer_lower(now, own_interval / 2) {
            return Step::Stay;
        }
        if !raise && let Some(count) = self.limiter.allow(Topic::LowerHeard, now) {
            let text = format!(
                "received advert from {} with lower priority {}, ours {}, forcing new election",
                theirs.address, theirs.priority, self.effective
            );
            self.changed(What::MasterHeard, text, swallowed(count), out);
        }
        if !self.cfg.lower_priority_no_advert {
            self.send(now, out);
        }
        self.announce_again(now, out);
        out.push(Effect::MasterRxLowerPriority {
            instance: self.name().clone(),
            priority: self.effective,
        });
        Step::Answered
    }

    fn may_answer_lower(&mut self, now: Mono, pause: Duration) -> bool {
        match &mut self.role {
            Role::Master(master) => may_answer(&mut master.answered_at, now, pause),
            Role::Init(_) | Role::Backup(_) | Role::Fault => false,
        }
    }

    /// The announcements after a lower master was heard: `garp_lower_prio_repeat` and `garp_lower_prio_delay`.
    pub(crate) fn announce_again(&mut self, now: Mono, out: &mut Vec<Effect>) {
        let garp = self.cfg.garp;
        self.announce(garp.lower_repeat, out);
        if garp.lower_repeat == 0 || garp.lower_delay.is_zero() {
            return;
        }
        if let Role::Master(Master { block, .. }) = &mut self.role {
            let at = now + garp.lower_delay;
            *block = Some(match *block {
                Some((earlier, rounds)) => (earlier.min(at), rounds.max(garp.lower_repeat)),
                None => (at, garp.lower_repeat),
            });
        }
    }

    fn report_owner(&mut self, now: Mono, theirs: &MasterView, out: &mut Vec<Effect>) {
        if let Some(count) = self.limiter.allow(Topic::OwnerHeard, now) {
            let text = format!(
                "{} claims to own the addresses too (priority 255)",
                theirs.address
            );
            let why = swallowed(count).unwrap_or_else(|| "only one router may have priority 255".to_owned());
            self.changed(What::SecondMaster, text, Some(why), out);
        }
    }

    // ---- Differences that do no harm.

    /// A different address list is counted and reported, and the advert counts (as keepalived 2.4; 2.2 dropped it and
    /// so made two masters).
    fn compare_addresses(&mut self, now: Mono, source: IpAddr, packet: &Packet<'_>, out: &mut Vec<Effect>) {
        if packet.addresses == self.address_bytes {
            return;
        }
        let known = self
            .master
            .as_ref()
            .is_some_and(|master| master.address == source);
        if self.cfg.skip_check_adv_addr && known {
            return;
        }
        let size = if source.is_ipv6() { 16 } else { 4 };
        let sorted = |bytes: &[u8]| {
            let mut list: Vec<Vec<u8>> = bytes.chunks_exact(size).map(<[u8]>::to_vec).collect();
            list.sort();
            list
        };
        let (theirs, ours) = (sorted(packet.addresses), sorted(&self.address_bytes));
        if theirs == ours {
            return;
        }
        self.tally.address_list += 1;
        if let Some(count) = self.limiter.allow(Topic::AddressList, now) {
            let text = format!(
                "{source} advertises {} addresses, {} of them ours; we have {}",
                theirs.len(),
                theirs.iter().filter(|address| ours.contains(address)).count(),
                ours.len()
            );
            self.changed(What::InstanceChanged, text, swallowed(count), out);
        }
    }

    /// Remembers who reads RFC 5798 another way, and warns: it may refuse our adverts.
    fn learn_form(&mut self, now: Mono, source: IpAddr, form: ChecksumForm, out: &mut Vec<Effect>) {
        if self.cfg.version == VrrpVersion::V2 || source.is_ipv6() {
            return;
        }
        let known = self.forms.get(&source).copied();
        if form == known.unwrap_or_default() || (known.is_none() && self.forms.len() >= FORMS_MAX) {
            return;
        }
        self.forms.insert(source, form);
        self.rewire();
        let words = match form {
            ChecksumForm::PseudoHeader => "with the pseudo-header again",
            ChecksumForm::MessageOnly => "without the pseudo-header (RFC 9568 §5.2.8; see v3_checksum_as_v2)",
            ChecksumForm::OldUnicast => "as keepalived 1.3.6 did; it is answered in the same form",
        };
        if let Some(count) = self.limiter.allow(Topic::ChecksumForm, now) {
            let text = format!("{source} computes checksums {words}");
            self.changed(What::InstanceChanged, text, swallowed(count), out);
        }
    }
}

/// Whether something that was last answered then may be answered now.
fn may_answer(answered_at: &mut Option<Mono>, now: Mono, pause: Duration) -> bool {
    let may = answered_at.is_none_or(|at| now.since(at) >= pause);
    if may {
        *answered_at = Some(now);
    }
    may
}
