//! All virtual routers of this node: finds the one an input is about, and keeps their deadlines in order.

use super::accept::Rejected;
use super::datagram::{Datagram, Ear, Endpoint, Envelope};
use super::effect::{Effect, Ground, Terms};
use super::group::Group;
use super::role::{Exit, Role, Step};
use super::router::Router;
use super::sign::{Wall, later};
use crate::model::{Authentication, Instance, NotifyState, NotifyWho};
use crate::wire::LinkIndex;
use crate::wire::ah;
use lb_shared::counters::InstanceCounters;
use lb_shared::event::What;
use lb_shared::names::{Family, GroupName, InstanceName};
use lb_shared::state::{GroupView, InstanceView, Pin, Term};
use lb_shared::units::Mono;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Every virtual router and sync group.
#[derive(Clone, Debug)]
pub struct Routers {
    /// A router keeps its place for life; places of removed ones are used again.
    pub(crate) slots: Vec<Option<Router>>,
    pub(crate) names: BTreeMap<InstanceName, usize>,
    pub(crate) groups: Vec<Group>,
    /// Where adverts of a VRID are taken.
    heard_at: BTreeMap<Place, usize>,
    /// The router that counts adverts of its VRID that came to the wrong place.
    strays: BTreeMap<Stray, usize>,
    agenda: BTreeSet<(Mono, usize)>,
    pub(crate) started: bool,
    pub(crate) stopped: bool,
    random: u64,
    /// Where the numbers of sealed adverts begin.
    pub(crate) floor: u32,
    wall: Wall,
    /// The last number of signed adverts of an earlier run.
    signed: Option<u64>,
}

/// A VRID where its adverts are taken.
type Place = (u8, Endpoint);
/// A VRID anywhere on a link.
type Stray = (u8, Family, LinkIndex);

impl Routers {
    /// None yet. `seed`: for the pauses that must not be the same on every node.
    pub fn new(seed: u64) -> Self {
        Self {
            slots: Vec::new(),
            names: BTreeMap::new(),
            groups: Vec::new(),
            heard_at: BTreeMap::new(),
            strays: BTreeMap::new(),
            agenda: BTreeSet::new(),
            started: false,
            stopped: false,
            random: seed | 1,
            floor: 0,
            wall: Wall::default(),
            signed: None,
        }
    }

    // ---- What happens.

    /// An advert arrived, for whomever.
    pub fn on_datagram(&mut self, now: Mono, datagram: &Datagram, out: &mut Vec<Effect>) {
        let before = match datagram.envelope {
            Envelope::Open => 0,
            Envelope::Sealed { .. } => ah::LENGTH,
        };
        let Some(&vrid) = datagram.payload.get(before + 1) else {
            return;
        };
        if self.stopped {
            return;
        }
        let place = if datagram.destination.is_multicast() {
            Endpoint::Multicast {
                link: datagram.link,
                group: datagram.destination,
            }
        } else {
            Endpoint::Unicast {
                local: datagram.destination,
            }
        };
        if let Some(&slot) = self.heard_at.get(&(vrid, place)) {
            let step = self.router(slot).on_advert(now, datagram, out);
            self.take(now, slot, step, out);
            return;
        }
        let stray = (vrid, Family::of(datagram.source), datagram.link);
        if let Some(&slot) = self.strays.get(&stray) {
            let router = self.router(slot);
            if matches!(router.role, Role::Backup(_) | Role::Master(_)) {
                let why = Rejected::Destination(datagram.destination);
                router.reject(now, datagram.source, why, out);
            }
        }
    }

    /// What an instance stands on is another thing now.
    pub fn on_ground(&mut self, now: Mono, name: &InstanceName, ground: Ground, out: &mut Vec<Effect>) {
        let Some(slot) = self.find(name) else { return };
        let mut ground = ground;
        ground.own_addresses.sort_unstable();
        let router = self.router(slot);
        if router.ground.as_ref() == Some(&ground) {
            return;
        }
        self.unindex(slot);
        let link = ground.link;
        let router = self.router(slot);
        let old = router.ground.replace(ground);
        router.mute_until = None;
        router.fit(out);
        router.rewire();
        let moved = old
            .and_then(|old| old.link)
            .is_some_and(|old| link.is_some_and(|new| new != old));
        self.index(slot);
        if moved && self.router(slot).is_master() {
            // The addresses went with the old interface.
            self.leave_together(now, slot, "its interface was made anew", Exit::Quiet, out);
        }
        self.settle(now, slot, out);
    }

    /// What the trackers make of an instance.
    pub fn on_terms(&mut self, now: Mono, name: &InstanceName, terms: Terms, out: &mut Vec<Effect>) {
        let Some(slot) = self.find(name) else { return };
        let router = self.router(slot);
        if router.terms == terms {
            return;
        }
        let old = std::mem::replace(&mut router.terms, terms);
        let why = moving_term(&old.terms, &router.terms.terms);
        let told = out.len();
        router.reprioritise(why.clone(), out);
        let shown = old.terms != router.terms.terms;
        if shown && out.len() == told {
            router.changed(What::InstanceChanged, "its trackers changed".to_owned(), why, out);
        }
        self.settle(now, slot, out);
    }

    /// An operator pins an instance, or releases it. Its sync group goes with it.
    pub fn on_pin(&mut self, now: Mono, name: &InstanceName, pin: Option<Pin>, out: &mut Vec<Effect>) {
        let Some(slot) = self.find(name) else { return };
        let team = self.team(slot);
        if team.iter().all(|member| self.router(*member).pin == pin) {
            return;
        }
        let (text, why) = match pin {
            Some(Pin::Promoted) => ("promoted", "promoted by an operator"),
            Some(Pin::Demoted) => ("demoted", "demoted by an operator"),
            Some(Pin::DemotedHard) => ("demoted, and kept down", "demoted by an operator"),
            None => ("released", "released by an operator"),
        };
        if matches!(pin, Some(Pin::Demoted | Pin::DemotedHard)) {
            // The farewell still carries the old form of everything else.
            self.leave_together(now, slot, why, Exit::Farewell, out);
        }
        let able = team
            .iter()
            .all(|member| matches!(self.router(*member).role, Role::Backup(_) | Role::Master(_)));
        for member in &team {
            let router = self.router(*member);
            router.pin = pin;
            router.reprioritise(Some(why.to_owned()), out);
            router.rearm();
            router.changed(What::InstanceChanged, text.to_owned(), None, out);
        }
        if pin == Some(Pin::Promoted) && able {
            for member in &team {
                let router = self.router(*member);
                match &mut router.role {
                    Role::Backup(_) => router.enter_master(now, why.to_owned(), false, out),
                    Role::Master(master) => {
                        master.advert_at = now + router.cfg.advert_interval;
                        router.send(now, out);
                    }
                    Role::Init(_) | Role::Fault => {}
                }
            }
        }
        self.sum_up(now, slot, out);
        self.finish(slot);
    }

    /// Somebody removed one of the addresses: a master gives way for a moment, as keepalived does.
    pub fn on_address_lost(
        &mut self,
        now: Mono,
        name: &InstanceName,
        address: IpAddr,
        out: &mut Vec<Effect>,
    ) {
        let Some(slot) = self.find(name) else { return };
        let router = self.router(slot);
        let cfg = &router.cfg;
        let tracked = cfg
            .addresses
            .iter()
            .chain(&cfg.excluded_addresses)
            .any(|virt| virt.address == address && virt.track);
        if router.is_master() && tracked {
            let why = format!("somebody removed its address {address}");
            self.leave_together(now, slot, &why, Exit::Brief, out);
            self.sum_up(now, slot, out);
            self.finish(slot);
        }
    }

    /// It was master when an earlier process ended, and its last advert is this old: it goes on if that is young
    /// enough for nobody to have taken over.
    pub fn resume(&mut self, now: Mono, name: &InstanceName, last_sent_ago: Duration, out: &mut Vec<Effect>) {
        let Some(slot) = self.find(name) else { return };
        let router = self.router(slot);
        let left = (router.own_interval() * 2).saturating_sub(last_sent_ago);
        if !left.is_zero() && router.role.let_resume(now + left) {
            self.settle(now, slot, out);
        }
    }

    /// An advert of this instance did not get out.
    pub fn on_send_failed(&mut self, now: Mono, name: &InstanceName, out: &mut Vec<Effect>) {
        let Some(slot) = self.find(name) else { return };
        let pause = self.pause();
        let step = self.router(slot).on_send_failed(now, pause, out);
        self.take(now, slot, step, out);
    }

    /// The end. With a farewell the addresses are given up; without one everything stays as it is, for the process
    /// that follows.
    pub fn stop(&mut self, now: Mono, farewell: bool, out: &mut Vec<Effect>) {
        if self.stopped {
            return;
        }
        self.stopped = true;
        self.agenda.clear();
        if !farewell {
            return;
        }
        // All farewells first: the peers can begin while we still tell everybody else.
        for router in self.slots.iter_mut().flatten() {
            router.leave(now, true, out);
        }
        for router in self.slots.iter_mut().flatten() {
            if !matches!(router.role, Role::Init(_)) {
                router.enter_stopped(now, out);
            }
            router.notify(NotifyState::Stop, out);
        }
        for at in 0..self.groups.len() {
            self.sum_up_group(now, at, out);
            out.push(Effect::Notify {
                who: NotifyWho::Group(self.groups[at].name.clone()),
                state: NotifyState::Stop,
                priority: 0,
            });
        }
    }

    /// Does what is due. Packets that waited must have been given in before.
    pub fn on_tick(&mut self, now: Mono, out: &mut Vec<Effect>) {
        while let Some(&(at, slot)) = self.agenda.first() {
            if at > now {
                break;
            }
            let step = self.router(slot).on_tick(now, out);
            self.take(now, slot, step, out);
        }
    }

    // ---- What is asked.

    /// When something is due next.
    pub fn deadline(&self) -> Option<Mono> {
        self.agenda.first().map(|(at, _)| *at)
    }

    /// Whether an instance holds its addresses.
    pub fn is_master(&self, name: &InstanceName) -> bool {
        self.seek(name).is_some_and(Router::is_master)
    }

    /// An instance as clients see it.
    pub fn view(&self, name: &InstanceName) -> Option<InstanceView> {
        self.seek(name).map(Router::view)
    }

    /// A group as clients see it.
    pub fn group_view(&self, name: &GroupName) -> Option<GroupView> {
        let group = self.groups.iter().find(|group| group.name == *name)?;
        Some(GroupView {
            name: group.name.clone(),
            members: group.names.clone(),
            state: group.state,
            since: group.since,
        })
    }

    /// What an instance counted since it was created.
    pub fn counters(&self, name: &InstanceName) -> Option<InstanceCounters> {
        self.seek(name).map(Router::counters)
    }

    /// Where adverts have to be heard. Where sealed ones are expected open ones are heard, too: to be told of.
    pub fn ears(&self) -> BTreeSet<Ear> {
        let ears = self.heard_at.iter().map(|((_, endpoint), slot)| {
            let router = self.slots[*slot].as_ref();
            let authentication = router.map(|it| &it.cfg.authentication);
            let ear = Ear {
                endpoint: *endpoint,
                sealed: false,
                vrf: match endpoint {
                    Endpoint::Unicast { .. } => router.and_then(|it| it.ground.as_ref()?.vrf),
                    Endpoint::Multicast { .. } => None,
                },
            };
            (ear, matches!(authentication, Some(Authentication::Header(_))))
        });
        let both = ears.flat_map(|(ear, seals)| {
            let sealed = Ear { sealed: true, ..ear };
            [Some(ear), Some(sealed).filter(|_| seals)]
        });
        both.flatten().collect()
    }

    /// Numbers of sealed adverts begin there: above any that an earlier run can have used.
    pub fn number_from(&mut self, floor: u32) {
        self.floor = floor;
    }

    /// Numbers of signed adverts go on above this one.
    pub fn sign_after(&mut self, last: Option<u64>) {
        self.signed = last;
    }

    /// The highest number of signed adverts that was sent or heard.
    pub fn last_number(&self) -> Option<u64> {
        let last = self.slots.iter().flatten().filter_map(|it| it.signer.last());
        last.chain(self.signed).reduce(later)
    }

    /// The wall clock says that it is so many microseconds since 1970: numbers of signed adverts are made by it, and
    /// judged with `anti_replay time`. Nothing else follows from it.
    pub fn on_wall(&mut self, now: Mono, unix_us: u64) {
        self.wall = Wall::at(now, unix_us);
        for router in self.slots.iter_mut().flatten() {
            router.signer.wall = self.wall;
        }
    }

    /// What the wall clock says, as far as it was told.
    pub fn unix_us(&self, now: Mono) -> u64 {
        self.wall.unix_us(now)
    }

    /// Makes a router, as this one goes about it.
    pub(crate) fn make(&self, now: Mono, cfg: Arc<Instance>, start_at: Mono) -> Router {
        let mut router = Router::new(cfg, start_at, now);
        router.seal.floor = self.floor;
        router.signer.wall = self.wall;
        router.signer.sent = self.signed;
        router
    }

    // ---- Inside.

    fn seek(&self, name: &InstanceName) -> Option<&Router> {
        self.slots[*self.names.get(name)?].as_ref()
    }

    /// The place of an instance, unless everything has ended.
    fn find(&self, name: &InstanceName) -> Option<usize> {
        if self.stopped {
            None
        } else {
            self.names.get(name).copied()
        }
    }

    pub(crate) fn router(&mut self, slot: usize) -> &mut Router {
        self.slots[slot].as_mut().expect("indexes name living routers")
    }

    /// Carries out what a router wants, and puts it back on the agenda.
    pub(crate) fn take(&mut self, now: Mono, slot: usize, step: Step, out: &mut Vec<Effect>) {
        match step {
            Step::Stay => self.schedule(slot),
            Step::TakeOver { why } => {
                self.take_over(now, slot, &why, out);
                self.finish(slot);
            }
            Step::Resign { why } => {
                self.leave_together(now, slot, &why, Exit::Quiet, out);
                self.finish(slot);
            }
            Step::Yield {
                master,
                interval,
                why,
            } => {
                self.yield_to(now, slot, (master, interval), why, out);
                self.finish(slot);
            }
            Step::Answered => {
                self.announce_mates(now, slot, out);
                self.finish(slot);
            }
            Step::Settle => self.settle(now, slot, out),
        }
    }

    /// Puts the whole group on the agenda. What is due already waits for the next tick: there may be packets to read first.
    pub(crate) fn finish(&mut self, slot: usize) {
        for member in self.team(slot) {
            self.schedule(member);
        }
    }

    fn schedule(&mut self, slot: usize) {
        let router = self.slots[slot].as_mut().expect("indexes name living routers");
        let deadline = router.deadline();
        if router.scheduled == deadline {
            return;
        }
        if let Some(old) = std::mem::replace(&mut router.scheduled, deadline) {
            self.agenda.remove(&(old, slot));
        }
        if let Some(new) = deadline {
            self.agenda.insert((new, slot));
        }
    }

    pub(crate) fn unschedule(&mut self, slot: usize) {
        if let Some(at) = self.router(slot).scheduled.take() {
            self.agenda.remove(&(at, slot));
        }
    }

    /// Notes where adverts of a router are taken; after anything of its address or ground changed.
    pub(crate) fn index(&mut self, slot: usize) {
        let (place, stray) = self.router(slot).places();
        if let Some(place) = place {
            self.heard_at.insert(place, slot);
        }
        if let Some(stray) = stray {
            self.strays.insert(stray, slot);
        }
    }

    /// The reverse; before the change.
    pub(crate) fn unindex(&mut self, slot: usize) {
        let (place, stray) = self.router(slot).places();
        if let Some(place) = place.filter(|place| self.heard_at.get(place) == Some(&slot)) {
            self.heard_at.remove(&place);
        }
        if let Some(stray) = stray.filter(|stray| self.strays.get(stray) == Some(&slot)) {
            self.strays.remove(&stray);
        }
    }

    /// 10 to 15 seconds: how long a master that could not send stays away.
    fn pause(&mut self) -> Duration {
        // xorshift64
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        Duration::from_millis(10_000 + self.random % 5_000)
    }
}

impl Router {
    fn places(&self) -> (Option<Place>, Option<Stray>) {
        let Some(ground) = &self.ground else {
            return (None, None);
        };
        let vrid = self.cfg.vrid.get();
        let endpoint = if self.cfg.unicast_peers.is_empty() {
            ground.link.map(|link| Endpoint::Multicast {
                link,
                group: self.cfg.multicast_group,
            })
        } else {
            ground.source.map(|local| Endpoint::Unicast { local })
        };
        (
            endpoint.map(|endpoint| (vrid, endpoint)),
            ground.link.map(|link| (vrid, self.cfg.family, link)),
        )
    }
}

/// The tracker that moved the priority, in words.
fn moving_term(old: &[Term], new: &[Term]) -> Option<String> {
    let moved = new.iter().find(|term| {
        let before = old.iter().find(|before| before.tracker == term.tracker);
        before.is_none_or(|before| (before.delta, before.ok) != (term.delta, term.ok))
    })?;
    let verdict = match moved.ok {
        Some(true) => "is good",
        Some(false) => "failed",
        None => "has no result yet",
    };
    let detail = if moved.detail.is_empty() {
        String::new()
    } else {
        format!(" ({})", moved.detail)
    };
    Some(format!("{} {verdict}{detail}", moved.tracker))
}
