//! Faults begin and end; people do things.

use crate::advert;
use crate::cluster::{DEVICES, Edits};
use crate::faults::{Edit, Fault, Forgery, Kind, Operator};
use crate::shell::{actor, wall_ms};
use crate::sometimes::Hit;
use crate::trials::Wish;
use crate::world::{Cause, Deferred, Event, Truth, World};
use lb_shared::names::{ServerId, ServiceKey};
use lb_shared::request::{Act, Role, Verb, WeightChange};
use lb_shared::state::{DrainThen, Target, VrrpState};
use lb_shared::units::Weight;
use lbagent::engine::{Command, Input, NewModel, StopMode, Ticket};
use lbagent::net::{Address, AddressKey};

impl World {
    pub(crate) fn begin(&mut self, place: usize) {
        let fault = self.plan.faults[place].clone();
        self.note(|| format!("fault {place} begins: {:?}", fault.kind));
        if !fault.kind.is_momentary() {
            let end = fault.at.saturating_add(fault.span).min(self.plan.quiet_at);
            self.active.push((place, fault.clone()));
            self.push(end.max(self.now), Event::End(place));
        }
        if fault.kind.disturbs_election() {
            self.disturbed_at = self.now;
        }
        self.excuse(&fault);
        self.take_effect(place, &fault);
        self.lan.disturb(self.active.iter().map(|(_, fault)| fault));
        self.refresh_pairs();
    }

    pub(crate) fn end(&mut self, place: usize) {
        let fault = self.plan.faults[place].clone();
        self.note(|| format!("fault {place} ends: {:?}", fault.kind));
        self.active.retain(|(active, _)| *active != place);
        if fault.kind.disturbs_election() {
            self.disturbed_at = self.now;
        }
        self.excuse(&fault);
        self.wear_off(&fault);
        self.lan.disturb(self.active.iter().map(|(_, fault)| fault));
        self.refresh_pairs();
    }

    /// Notes for a while what an agent cannot be blamed for.
    fn excuse(&mut self, fault: &Fault) {
        let now = self.now.max(1);
        match fault.kind {
            Kind::LinkDown { node, .. }
            | Kind::LinkAnew { node, .. }
            | Kind::OwnAddressGone { node, .. }
            | Kind::SendRefused { node } => {
                self.nodes[node].ground_moved_at = now;
                self.nodes[node].net_trouble_at = now;
            }
            Kind::AddressStolen { node, .. }
            | Kind::AddressPlanted { node, .. }
            | Kind::NetRefused { node, .. }
            | Kind::Overrun { node } => self.nodes[node].net_trouble_at = now,
            Kind::LaneSlow { node, .. } => {
                self.nodes[node].net_trouble_at = now;
                self.nodes[node].ipvs_trouble_at = now;
            }
            Kind::IpvsRefused { node, .. }
            | Kind::IpvsGone { node }
            | Kind::IpvsFlushed { node }
            | Kind::IpvsWeight { node, .. } => self.nodes[node].ipvs_trouble_at = now,
            _ => {}
        }
    }

    fn take_effect(&mut self, place: usize, fault: &Fault) {
        match fault.kind.clone() {
            Kind::Forge { .. } => self.forge(place, 0),
            Kind::Crash { node, disk, reboot } => self.crash(node, disk, reboot),
            Kind::Pause { node } => {
                if self.nodes[node].engine.is_some() {
                    self.nodes[node].paused = true;
                    self.nodes[node].hiccup = false;
                }
            }
            Kind::ClockRate { node, ppm } => {
                self.nodes[node].clock.set_rate(self.now, ppm);
                self.nodes[node].wake = None;
                self.arm(node);
            }
            Kind::Stop { node, hand_over } => {
                let mode = StopMode {
                    keep_addresses: false,
                    keep_ipvs: false,
                    hand_over,
                };
                self.feed_or_defer(node, Cause::Stop { hand_over }, Input::Stop(mode));
            }
            Kind::LinkDown { node, segment } => {
                let news = self.nodes[node].kernel.set_running(segment, false);
                self.tell(node, news);
            }
            Kind::LinkAnew { node, segment } => {
                let news = self.nodes[node].kernel.remove_link(segment);
                self.tell(node, news);
            }
            Kind::OwnAddressGone { node, segment } => {
                let cluster = &self.plan.cluster;
                let news = self.nodes[node].kernel.remove_own(cluster, segment);
                self.tell(node, news);
            }
            Kind::AddressStolen { node, vr } => self.steal_address(node, vr),
            Kind::AddressPlanted { node, vr } => self.plant_address(node, vr),
            Kind::IpvsGone { node } => {
                self.nodes[node].kernel.has_ipvs = false;
                self.nodes[node].kernel.ipvs = Default::default();
            }
            Kind::IpvsFlushed { node } => self.nodes[node].kernel.ipvs = Default::default(),
            Kind::IpvsWeight { node, server } => {
                let Some(id) = self.server_id(server) else { return };
                let table = &mut self.nodes[node].kernel.ipvs;
                let found = table
                    .services
                    .values_mut()
                    .find_map(|service| service.destinations.get_mut(&id.server));
                if let Some(destination) = found {
                    destination.settings.weight = 33;
                }
            }
            Kind::Overrun { node } => self.nodes[node].overrun = self.nodes[node].engine.is_some(),
            Kind::Operator { node, act } => self.operate(node, act),
            Kind::Reload { node, edit } => match node {
                Some(node) => self.reload(node, edit),
                None => (0..self.nodes.len()).for_each(|node| self.reload(node, edit)),
            },
            Kind::Try {
                node,
                edit,
                within_us,
            } => self.try_reload(node, edit, within_us),
            Kind::Confirmed { node } => self.confirm(node),
            Kind::Drop { .. }
            | Kind::Delay { .. }
            | Kind::Duplicate { .. }
            | Kind::Corrupt { .. }
            | Kind::Cut { .. }
            | Kind::Split { .. }
            | Kind::Slow { .. }
            | Kind::SendRefused { .. }
            | Kind::NetRefused { .. }
            | Kind::IpvsRefused { .. }
            | Kind::LaneSlow { .. }
            | Kind::ServerDown { .. }
            | Kind::AllServersDown
            | Kind::Inconclusive { .. }
            | Kind::ScriptFails { .. }
            | Kind::DiskFull { .. } => {}
        }
    }

    fn wear_off(&mut self, fault: &Fault) {
        match fault.kind {
            Kind::Crash { node, .. } => self.start(node),
            Kind::Stop { node, .. } => {
                if self.nodes[node].engine.is_some() {
                    // The service manager loses patience.
                    self.nodes[node].lose_agent();
                }
                self.start(node);
            }
            Kind::Pause { node } => {
                let still = self.active.iter().any(|(_, it)| it.kind == Kind::Pause { node });
                if !still && self.nodes[node].paused {
                    if self.nodes[node].roles.contains(&VrrpState::Master) {
                        self.sometimes.hit(Hit::MasterPaused);
                    }
                    self.nodes[node].hiccup = false;
                    self.resume(node);
                }
            }
            Kind::Slow { node, .. } if self.nodes[node].hiccup => {
                self.nodes[node].hiccup = false;
                self.resume(node);
            }
            Kind::ClockRate { node, .. } => {
                let ppm = self.plan.cluster.clock_ppm[node];
                self.nodes[node].clock.set_rate(self.now, ppm);
                self.nodes[node].wake = None;
                self.arm(node);
            }
            Kind::LinkDown { node, segment } => {
                let still =
                    self.active.iter().any(|(_, it)| matches!(it.kind, Kind::LinkDown { node: n, segment: s } if (n, s) == (node, segment)));
                if !still {
                    let news = self.nodes[node].kernel.set_running(segment, true);
                    self.tell(node, news);
                }
            }
            Kind::LinkAnew { node, segment } => {
                let still =
                    self.active.iter().any(|(_, it)| matches!(it.kind, Kind::LinkAnew { node: n, segment: s } if (n, s) == (node, segment)));
                if !still && self.nodes[node].kernel.index(segment).is_none() {
                    self.sometimes.hit(Hit::LinkAnew);
                    let news = self.nodes[node].kernel.make_link(&self.plan.cluster, segment);
                    self.tell(node, news);
                }
            }
            Kind::OwnAddressGone { node, segment } => {
                let news = self.nodes[node].kernel.add_own(&self.plan.cluster, segment);
                self.tell(node, news);
            }
            Kind::AddressPlanted { node, vr } => self.unplant_address(node, vr),
            Kind::IpvsGone { node } => self.nodes[node].kernel.has_ipvs = true,
            Kind::Overrun { node } if self.nodes[node].engine.is_some() => {
                let epoch = self.nodes[node].epoch;
                self.after(500, Event::Snapshot { node, epoch });
            }
            _ => {}
        }
    }

    /// An event a process is told of, now or when it runs again.
    pub(crate) fn feed_or_defer(&mut self, node: usize, cause: Cause, input: Input) {
        if self.nodes[node].engine.is_none() {
            return;
        }
        if self.nodes[node].paused {
            self.nodes[node]
                .deferred
                .push(Deferred::Feed(Box::new((cause, input))));
        } else {
            self.feed(node, cause, input);
        }
    }

    fn crash(&mut self, node: usize, loss: crate::faults::DiskLoss, reboot: bool) {
        if self.nodes[node].engine.is_none() && !reboot {
            return;
        }
        // A thread may die in the middle of a batch.
        if let Some(crate::node::Job::Net(_, ops)) = self.nodes[node].net_lane.jobs.front().cloned() {
            let done = self.random.index(ops.len() + 1);
            for op in &ops[..done] {
                let _ = self.nodes[node].kernel.execute_net(op, None);
            }
        }
        if let Some(crate::node::Job::Ipvs(_, ops)) = self.nodes[node].ipvs_lane.jobs.front().cloned() {
            let done = if self.nodes[node].kernel.has_ipvs {
                self.random.index(ops.len() + 1)
            } else {
                0
            };
            for op in &ops[..done] {
                let _ = self.nodes[node].kernel.execute_ipvs(op, None);
            }
        }
        let caught = self.nodes[node].disk.crash(loss, &mut self.random);
        if caught {
            self.sometimes.hit(Hit::CrashDuringWrite);
        }
        let it = &mut self.nodes[node];
        it.lose_agent();
        if reboot {
            let has_ipvs = it.kernel.has_ipvs;
            it.kernel = crate::kernel::Kernel::new(&self.plan.cluster, node);
            it.kernel.has_ipvs = has_ipvs;
            it.disk.ledger = None;
            it.disk.sent_at.clear();
            for segment in 0..DEVICES.len() {
                let down = self.active.iter().any(
                    |(_, fault)| matches!(fault.kind, Kind::LinkDown { node: n, segment: s } if (n, s) == (node, segment)),
                );
                let _ = self.nodes[node].kernel.set_running(segment, !down);
            }
        }
        self.forget_promises(node, loss, reboot);
    }

    /// What an operator was promised, as far as the disk and the kernel can still know it.
    fn forget_promises(&mut self, node: usize, loss: crate::faults::DiskLoss, reboot: bool) {
        if loss == crate::faults::DiskLoss::Nothing {
            return;
        }
        let it = &mut self.nodes[node];
        let witness = loss == crate::faults::DiskLoss::Both && !reboot && it.kernel.has_ipvs;
        let table = &it.kernel.ipvs;
        it.promises.drained.retain(|id| {
            let ServiceKey::Single(key) = &id.service else {
                return false;
            };
            let held = table
                .services
                .get(key)
                .and_then(|service| service.destinations.get(&id.server));
            witness && held.is_some_and(|it| it.settings.weight == 0)
        });
    }

    fn steal_address(&mut self, node: usize, vr: usize) {
        let address = self.plan.cluster.routers[vr].addresses[0];
        let found = self.nodes[node].kernel.find(address).map(|(key, _)| key);
        if let Some(key) = found {
            self.nodes[node].kernel.net.addresses.remove(&key);
            self.tell(node, [lbagent::engine::NetNews::AddressGone(key)]);
        }
        // And the route of the next one, which keeps its address.
        let routers = &self.plan.cluster.routers;
        let next = routers[(vr + 1) % routers.len()].clone();
        let news = self.nodes[node].kernel.steal_route(&next);
        self.tell(node, news);
    }

    fn planted_key(&self, node: usize, vr: usize) -> Option<AddressKey> {
        let vr = &self.plan.cluster.routers[vr];
        let address = vr.addresses[0];
        let link = self.nodes[node].kernel.net.link(&vr.device())?.index;
        Some(AddressKey {
            link,
            address,
            prefix_len: if address.is_ipv4() { 32 } else { 128 },
        })
    }

    fn plant_address(&mut self, node: usize, vr: usize) {
        let Some(key) = self.planted_key(node, vr) else {
            return;
        };
        if self.nodes[node].kernel.net.addresses.contains_key(&key) {
            return;
        }
        let value = Address {
            usable: true,
            ..Address::default()
        };
        self.nodes[node].kernel.net.addresses.insert(key, value.clone());
        self.tell(node, [lbagent::engine::NetNews::Address(key, value)]);
    }

    fn unplant_address(&mut self, node: usize, vr: usize) {
        let Some(key) = self.planted_key(node, vr) else {
            return;
        };
        let foreign = self.nodes[node]
            .kernel
            .net
            .addresses
            .get(&key)
            .is_some_and(|it| !it.ours);
        // Whoever put it there takes it away again, unless the node has come to need it.
        if foreign && self.role(node, vr) != VrrpState::Master {
            self.nodes[node].kernel.net.addresses.remove(&key);
            self.tell(node, [lbagent::engine::NetNews::AddressGone(key)]);
        }
    }

    pub(crate) fn slowness(&self, node: usize) -> Option<u64> {
        if self.active.is_empty() {
            return None;
        }
        self.active.iter().find_map(|(_, it)| match it.kind {
            Kind::Slow { node: slow, most_us } if slow == node => Some(most_us),
            _ => None,
        })
    }

    pub(crate) fn forge(&mut self, place: usize, nth: u64) {
        let Kind::Forge {
            vr,
            shape,
            count,
            gap_us,
        } = self.plan.faults[place].kind
        else {
            return;
        };
        let router = self.plan.cluster.routers[vr].clone();
        let interval_us = router.intervals_us[0];
        let sent: Vec<_> = self
            .sent
            .iter()
            .filter(|packet| matches!(packet.truth, Truth::Whole(heard) if heard.vr == vr))
            .cloned()
            .collect();
        for node in 0..self.nodes.len() {
            let peer = self.plan.cluster.source((node + 1) % self.nodes.len(), &router);
            let to = self.plan.cluster.source(node, &router);
            let packet = match (shape, sent.first()) {
                (Forgery::Replay, Some(old)) => old.clone(),
                (Forgery::Replay, None) => continue,
                _ => advert::forge(&router, shape, peer, to, interval_us),
            };
            if router.unicast && packet.destination != to {
                continue;
            }
            if matches!(packet.truth, Truth::Whole(heard) if heard.from == Some(node)) {
                // Nobody hears himself.
                continue;
            }
            if let Truth::Whole(heard) = packet.truth {
                self.oracle.longest_us[vr] = self.oracle.longest_us[vr].max(heard.interval_us);
            }
            let wait = self.random.below(100);
            self.after(
                wait,
                Event::Packet {
                    node,
                    packet: Box::new(packet),
                },
            );
        }
        self.disturbed_at = self.now;
        if nth + 1 < count && self.now + gap_us < self.plan.quiet_at {
            self.after(
                gap_us,
                Event::Forge {
                    fault: place,
                    nth: nth + 1,
                },
            );
        }
    }

    pub(crate) fn server_id(&self, server: usize) -> Option<ServerId> {
        self.plan
            .cluster
            .servers()
            .nth(server)
            .map(|(service, it)| ServerId {
                service: ServiceKey::Single(service.key),
                server: it.key,
            })
    }

    fn operate(&mut self, node: usize, act: Operator) {
        if self.nodes[node].engine.is_none() {
            return;
        }
        let server = |server: usize| self.server_id(server).map(Target::Server);
        let vr = |vr: usize| Some(Target::Instance(self.plan.cluster.routers[vr].name.clone()));
        let (verb, target, force) = match act {
            Operator::Drain {
                server: place,
                for_us,
                force,
            } => {
                let then = if for_us.is_some() {
                    DrainThen::Undrain
                } else {
                    DrainThen::Keep
                };
                let verb = Verb::Drain {
                    timeout_ms: for_us.map(|us| us / 1000),
                    then,
                    inactive: false,
                };
                (verb, server(place), force)
            }
            Operator::Undrain { server: place } => (Verb::Undrain, server(place), false),
            Operator::Disable { server: place } => (Verb::Disable { cut: true }, server(place), true),
            Operator::Weight {
                server: place,
                weight,
            } => {
                let weight = Weight::clamped(i64::from(weight));
                (Verb::Weight(WeightChange::To(weight)), server(place), false)
            }
            Operator::WeightBack { server: place } => {
                (Verb::Weight(WeightChange::Config), server(place), false)
            }
            Operator::Promote { vr: place } => (Verb::Promote { for_ms: None }, vr(place), false),
            Operator::Demote { vr: place, hard } => (Verb::Demote { hard }, vr(place), true),
            Operator::Release { vr: place } => (Verb::Release, vr(place), false),
            Operator::Counters => {
                let ticket = self.ticket(node, Vec::new(), false);
                return self.feed_or_defer(node, Cause::Other, Input::Sample(ticket));
            }
        };
        let Some(target) = target else { return };
        let lasting = matches!(act, Operator::Drain { for_us: None, .. });
        let drains: Vec<ServerId> = match &target {
            Target::Server(id) if lasting => vec![id.clone()],
            Target::Server(_) | Target::Instance(_) => Vec::new(),
        };
        if let Target::Server(id) = &target
            && !lasting
        {
            let it = &mut self.nodes[node];
            it.promises.drained.remove(id);
            it.tickets
                .values_mut()
                .for_each(|asked| asked.drains.retain(|drain| drain != id));
        }
        let ticket = self.ticket(node, drains, true);
        let act = Act {
            verb,
            targets: vec![target],
            dry_run: false,
            force,
            message: String::new(),
            key: None,
        };
        let command = Command {
            actor: actor(),
            wall_ms: wall_ms(self.now),
            role: Role::Admin,
            act,
            expect: Vec::new(),
        };
        self.feed_or_defer(node, Cause::Command, Input::Command(ticket, command));
    }

    fn reload(&mut self, node: usize, edit: Edit) {
        if let Some(Reload { file, ticket, new }) = self.edit_file(node, edit) {
            self.wish(node, ticket, Wish::Keep(file.clone()));
            self.feed_or_defer(node, Cause::Reload { edits: file }, Input::Model(new));
        }
    }

    /// Changes a node's file; what its loader then hands over, if the node runs.
    pub(crate) fn edit_file(&mut self, node: usize, edit: Edit) -> Option<Reload> {
        self.nodes[node].file.change(edit);
        self.nodes[node].engine.as_ref()?;
        let file = self.nodes[node].file.clone();
        let ticket = self.ticket(node, Vec::new(), false);
        let mut new = self.new_model(node, &file);
        new.asked = Some((ticket, actor()));
        self.known.insert(new.texts.fingerprint(), file.clone());
        let new = Box::new(new);
        Some(Reload { file, ticket, new })
    }
}

/// A reload that somebody asks for.
pub(crate) struct Reload {
    pub(crate) file: Edits,
    pub(crate) ticket: Ticket,
    pub(crate) new: Box<NewModel>,
}

impl Edits {
    pub(crate) fn change(&mut self, edit: Edit) {
        match edit {
            Edit::None => {}
            Edit::Priority(by) => self.priority = by,
            Edit::Interval(percent) => self.interval_percent = Some(percent),
            Edit::Preempt(preempt) => self.preempt = Some(preempt),
            Edit::FewerAddresses(fewer) => self.fewer_addresses = fewer,
            Edit::ServerWeight { server, weight } => {
                self.server_weight.insert(server, weight);
            }
            Edit::Without { server, out } => {
                self.without.insert(server, out);
            }
            Edit::FewerInstances(fewer) => self.fewer_instances = fewer,
        }
    }
}
