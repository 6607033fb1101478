//! Interfaces of the instances' own (`use_vmac`): made before there is a master, put back when somebody removes them,
//! removed at the end, with the settings of the kernel they need; and the settings that the file names itself.
//!
//! The kernel numbers a new link, so that nothing is believed of one before it tells of it. Until then, or until it
//! refuses, the link is on its way, and its absence is no fault.

use super::action::Action;
use super::put_back::PutBack;
use super::{Engine, Ledger};
use crate::model::{Instance, Model, Vmac};
use crate::net::{Link, NetOp, NewLink};
use crate::wire::LinkIndex;
use lb_shared::event::What;
use lb_shared::names::Family;
use lb_shared::state::ObjectId;
use lb_shared::units::Mono;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long a link may take to appear, or to follow its parent up.
const PATIENCE: Duration = Duration::from_secs(2);

/// What one should be.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Wanted {
    parent: String,
    mac: [u8; 6],
    family: Family,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Vmacs {
    wanted: BTreeMap<String, Wanted>,
    /// Made or taken over by us: ours to remove.
    owned: BTreeSet<String>,
    put_back: PutBack<String>,
    /// Why there is none, in the kernel's words or ours.
    failed: BTreeMap<String, String>,
    /// On its way until then.
    coming: BTreeMap<String, Mono>,
    /// Settings that the file wants by words of their own: `promote_secondaries`, `disable_local_igmp`.
    of_file: BTreeMap<String, &'static str>,
    /// Settings that were asked for, and what those were that we changed.
    asked: BTreeSet<String>,
    originals: BTreeMap<String, String>,
    /// Whether the parents of IPv6 ones route, as the kernel says it.
    forwarding: BTreeMap<String, String>,
}

/// How one stands.
pub(super) enum Standing<'a> {
    Fine,
    Coming,
    Wrong(&'a str),
}

impl Vmacs {
    /// How a link of this name stands, if it is one of these.
    pub(super) fn standing(&self, name: &str) -> Option<Standing<'_>> {
        self.wanted.get(name)?;
        Some(match self.failed.get(name) {
            Some(why) => Standing::Wrong(why),
            None if self.coming.contains_key(name) => Standing::Coming,
            None => Standing::Fine,
        })
    }

    pub(super) fn deadline(&self) -> Option<Mono> {
        let coming = self.coming.values().min().copied();
        coming.into_iter().chain(self.put_back.deadline()).min()
    }

    /// What could not be made, for people.
    pub(super) fn trouble(&self) -> impl Iterator<Item = String> {
        self.failed
            .iter()
            .map(|(name, why)| format!("interface {name}: {why}"))
    }

    /// What the next start must know: our links, and settings as they were before us.
    pub(super) fn for_ledger(&self) -> (BTreeSet<String>, BTreeMap<String, String>) {
        (self.owned.clone(), self.originals.clone())
    }

    /// What an earlier run left.
    pub(super) fn take_over(&mut self, earlier: &Ledger) {
        self.owned.extend(earlier.links.iter().cloned());
        self.originals.extend(earlier.link_sysctls.clone());
    }

    /// The settings of the kernel that these links need beside their own, and those of the file, with their values.
    fn settings(&self) -> BTreeMap<String, &'static str> {
        let mut settings = BTreeMap::new();
        for it in self.wanted.values().filter(|it| it.family == Family::Inet) {
            // Else the parent answers for addresses of its children, with its own MAC.
            settings.insert(format!("net/ipv4/conf/{}/arp_ignore", it.parent), "1");
            settings.insert(format!("net/ipv4/conf/{}/arp_filter", it.parent), "1");
            // Strict for all, packets to a child would be dropped: the way back leads through the parent.
            settings.insert(ALL_RP_FILTER.to_owned(), "0");
        }
        settings.extend(self.of_file.clone());
        settings
    }
}

const ALL_RP_FILTER: &str = "net/ipv4/conf/all/rp_filter";

fn rp_filter_of(name: &str) -> String {
    format!("net/ipv4/conf/{name}/rp_filter")
}

fn forwarding_of(name: &str) -> String {
    format!("net/ipv6/conf/{name}/forwarding")
}

fn settings_of(model: &Model) -> BTreeMap<String, &'static str> {
    let promoting = model.instances.values().filter(|it| it.promote_secondaries);
    let mut settings: BTreeMap<String, &'static str> = promoting
        .filter_map(|it| it.interface.as_ref())
        .map(|name| (format!("net/ipv4/conf/{name}/promote_secondaries"), "1"))
        .collect();
    if model.global.disable_local_igmp {
        settings.insert("net/ipv4/igmp_link_local_mcast_reports".to_owned(), "0");
    }
    settings
}

fn wanted(model: &Model) -> BTreeMap<String, Wanted> {
    let of = |it: &Instance| {
        let vmac = it.vmac.as_ref()?;
        let wanted = Wanted {
            parent: it.interface.clone()?,
            mac: vmac.mac,
            family: it.family,
        };
        Some((vmac.name.clone(), wanted))
    };
    model.instances.values().filter_map(|it| of(it)).collect()
}

impl Engine {
    /// Before the instances take a new model: what they will send by is made.
    pub(super) fn raise_vmacs(&mut self) {
        self.vmacs.wanted = wanted(&self.model);
        self.vmacs.of_file = settings_of(&self.model);
        let names: Vec<String> = self.vmacs.wanted.keys().cloned().collect();
        for name in names {
            self.make_vmac(&name);
        }
        self.ask_vmac_settings();
    }

    /// After they took it: what nobody sends by any more goes, and settings nobody needs are as they were.
    pub(super) fn drop_vmacs(&mut self) {
        let gone: Vec<String> = (self.vmacs.owned.iter())
            .filter(|name| !self.vmacs.wanted.contains_key(*name))
            .cloned()
            .collect();
        let mut ops = Vec::new();
        for name in gone {
            self.vmacs.owned.remove(&name);
            self.vmacs.failed.remove(&name);
            self.vmacs.coming.remove(&name);
            self.vmacs.put_back.forget(&name);
            if let Some(link) = self.net.have().link(&name).filter(|it| it.private_over.is_some()) {
                ops.push(NetOp::RemoveLink { link: link.index });
                let text = format!("interface {name} removed");
                self.say(What::Cleaned, text, Some("no instance uses it".into()));
            }
        }
        ops.extend(self.settings_back());
        self.send_vmacs(ops);
    }

    /// A stop takes all of them down.
    pub(super) fn drop_all_vmacs(&mut self) {
        self.vmacs.wanted.clear();
        self.vmacs.of_file.clear();
        self.drop_vmacs();
    }

    fn settings_back(&mut self) -> Vec<NetOp> {
        let needed = self.vmacs.settings();
        let rp_filter = needed.contains_key(ALL_RP_FILTER);
        let goes = |path: &String| match path.ends_with("/rp_filter") {
            true => !rp_filter,
            false => !needed.contains_key(path),
        };
        let back: Vec<String> = self
            .vmacs
            .originals
            .keys()
            .filter(|it| goes(it))
            .cloned()
            .collect();
        let mut ops = Vec::new();
        for path in back {
            self.vmacs.asked.remove(&path);
            if let Some(value) = self.vmacs.originals.remove(&path) {
                ops.push(NetOp::Sysctl { path, value });
            }
        }
        ops
    }

    fn send_vmacs(&mut self, ops: Vec<NetOp>) {
        if !ops.is_empty() {
            self.ledger_due = true;
            self.net.send(ops, &mut self.queue);
        }
    }

    /// Makes one, or takes over the one that is there, if it is as it should be.
    fn make_vmac(&mut self, name: &str) {
        let Some(wanted) = self.vmacs.wanted.get(name).cloned() else {
            return;
        };
        // Its parent's news bring us back here.
        let Some((parent, running)) = (self.net.have().link(&wanted.parent)).map(|it| (it.index, it.running))
        else {
            return;
        };
        let mut ops = Vec::new();
        if let Some(link) = self.net.have().link(name).cloned() {
            let fits = link.private_over == Some(parent) && link.mac == wanted.mac;
            let ours = self.vmacs.owned.contains(name);
            if !fits && !ours {
                let why = format!(
                    "an interface of this name is there already and is no macvlan in private mode on {} with the MAC \
                     {}: remove it, or write another name behind use_vmac",
                    wanted.parent,
                    Vmac::mac_text(wanted.mac)
                );
                return self.fail_vmac(name, why);
            }
            if fits {
                if ours && (link.running || !running) {
                    return self.vmac_is_there(name, &link);
                }
                if !ours {
                    self.vmacs.owned.insert(name.to_owned());
                    ops.extend(own_settings(name, wanted.family));
                }
                if !link.running && running {
                    self.vmacs.coming.insert(name.to_owned(), self.now + PATIENCE);
                    ops.push(NetOp::RaiseLink {
                        name: name.to_owned(),
                    });
                }
                return self.send_vmacs(ops);
            }
            ops.push(NetOp::RemoveLink { link: link.index });
        }
        self.vmacs.owned.insert(name.to_owned());
        self.vmacs.coming.insert(name.to_owned(), self.now + PATIENCE);
        ops.push(NetOp::AddLink(NewLink {
            name: name.to_owned(),
            over: parent,
            mac: wanted.mac,
        }));
        ops.push(NetOp::QuietLink {
            name: name.to_owned(),
        });
        ops.extend(own_settings(name, wanted.family));
        ops.push(NetOp::RaiseLink {
            name: name.to_owned(),
        });
        self.send_vmacs(ops);
    }

    fn fail_vmac(&mut self, name: &str, why: String) {
        self.vmacs.coming.remove(name);
        if self.vmacs.failed.insert(name.to_owned(), why.clone()).is_none() {
            self.say(What::KernelRefused, format!("interface {name}"), Some(why));
        }
        self.touch(ObjectId::Agent);
    }

    fn vmac_is_there(&mut self, name: &str, link: &Link) {
        if link.running {
            self.vmacs.coming.remove(name);
        }
        if self.vmacs.failed.remove(name).is_some() {
            self.say(
                What::KernelRecovered,
                format!("interface {name}: it is there"),
                None,
            );
            self.touch(ObjectId::Agent);
        }
    }

    /// A link appeared or changed, before its instances hear of it.
    pub(super) fn vmacs_on_link(&mut self, name: &str) {
        let idle = self.vmacs.wanted.is_empty() && self.vmacs.of_file.is_empty();
        if self.boot.is_some() || self.stopping.is_some() || idle {
            return;
        }
        if self.net.have().link(name).is_none() {
            // Its successor begins with settings of its own.
            let of_it = format!("/{name}/");
            self.vmacs.asked.retain(|path| !path.contains(&of_it));
        }
        if self.vmacs.wanted.contains_key(name) {
            let link = self.net.have().link(name).cloned();
            match link {
                Some(link) if link.running => self.make_vmac(name),
                // Somebody took it down; one that is on its way is told to rise already.
                Some(_) if self.vmacs.coming.contains_key(name) => {}
                Some(_) if self.parent_runs(name) => self.restore_vmac(name, "somebody took it down"),
                Some(_) => {}
                None => self.restore_vmac(name, "somebody removed it"),
            }
        }
        let children: Vec<String> = (self.vmacs.wanted.iter())
            .filter(|(_, it)| it.parent == name)
            .map(|(child, _)| child.clone())
            .collect();
        for child in children {
            if self.parent_runs(&child) {
                // It follows in a moment.
                self.vmacs.coming.insert(child.clone(), self.now + PATIENCE);
            }
            self.make_vmac(&child);
        }
        self.ask_vmac_settings();
    }

    fn parent_runs(&self, name: &str) -> bool {
        let parent = self.vmacs.wanted.get(name).map(|it| it.parent.as_str());
        parent
            .and_then(|parent| self.net.have().link(parent))
            .is_some_and(|it| it.running)
    }

    fn restore_vmac(&mut self, name: &str, why: &str) {
        // Together with its parent: nobody's hand.
        if !self.parent_runs(name) {
            return;
        }
        if self.vmacs.put_back.on_lost(self.now, &name.to_owned()) {
            self.say(
                What::DriftHealed,
                format!("interface {name} is put back"),
                Some(why.to_owned()),
            );
            self.make_vmac(name);
        }
    }

    pub(super) fn vmacs_on_tick(&mut self) {
        for name in self.vmacs.put_back.take_due(self.now) {
            self.make_vmac(&name);
        }
        let now = self.now;
        let late: Vec<String> = (self.vmacs.coming.iter())
            .filter(|(_, until)| **until <= now)
            .map(|(name, _)| name.clone())
            .collect();
        for name in late {
            self.vmacs.coming.remove(&name);
            self.refresh_grounds(Some(&name));
        }
    }

    /// The kernel refused an operation on a link of ours. False: it is about something else.
    pub(super) fn on_vmac_refused(&mut self, op: &NetOp, why: &str) -> bool {
        let (NetOp::AddLink(NewLink { name, .. }) | NetOp::RaiseLink { name }) = op else {
            return false;
        };
        if matches!(op, NetOp::AddLink(_)) {
            self.vmacs.owned.remove(name);
            self.ledger_due = true;
        }
        self.fail_vmac(name, why.to_owned());
        self.vmacs.put_back.on_refused(self.now, name);
        self.refresh_grounds(Some(name));
        true
    }

    /// Asks what the settings are that will have to be changed, to be able to put them back.
    fn ask_vmac_settings(&mut self) {
        let mut paths: Vec<String> = self.vmacs.settings().into_keys().collect();
        if paths.iter().any(|it| it == ALL_RP_FILTER) {
            let links = self.net.have().links.values();
            let names = links.filter(|it| !self.vmacs.wanted.contains_key(&it.name));
            paths.extend(names.map(|it| rp_filter_of(&it.name)));
            paths.push(rp_filter_of("default"));
        }
        let v6 = self.vmacs.wanted.values().filter(|it| it.family == Family::Inet6);
        paths.extend(v6.map(|it| forwarding_of(&it.parent)));
        // A parent that is not there yet has no settings.
        paths.retain(|it| !self.vmacs.asked.contains(it));
        if paths.is_empty() {
            return;
        }
        self.vmacs.asked.extend(paths.iter().cloned());
        self.queue.push_back(Action::ReadSysctls(paths));
    }

    /// What was asked for.
    pub(super) fn on_sysctls(&mut self, found: BTreeMap<String, String>) {
        if self.boot.is_some() || self.stopping.is_some() {
            return;
        }
        let settings = self.vmacs.settings();
        // What could not be read is asked for again when its interface tells of itself.
        self.vmacs
            .asked
            .retain(|it| found.contains_key(it) || it.ends_with("/rp_filter"));
        let parents: BTreeSet<String> = self.vmacs.wanted.values().map(|it| it.parent.clone()).collect();
        for parent in parents {
            let path = forwarding_of(&parent);
            if let Some(value) = found.get(&path) {
                self.vmacs.asked.remove(&path);
                self.vmacs.forwarding.insert(parent, value.clone());
            }
        }
        let strictness = (found.get(ALL_RP_FILTER))
            .and_then(|it| it.parse::<u8>().ok())
            .unwrap_or(0);
        let mut ops = Vec::new();
        for (path, value) in &found {
            let each_of_all = path.ends_with("/rp_filter") && path != ALL_RP_FILTER;
            let new = if each_of_all {
                // The kernel takes the stricter of this one and that for all.
                let own = value.parse::<u8>().unwrap_or(0);
                (own < strictness).then(|| strictness.to_string())
            } else {
                settings.get(path).map(|it| (*it).to_owned())
            };
            if let Some(new) = new.filter(|new| new != value) {
                self.vmacs
                    .originals
                    .entry(path.clone())
                    .or_insert_with(|| value.clone());
                let path = path.clone();
                ops.push(NetOp::Sysctl { path, value: new });
            }
        }
        if ops
            .iter()
            .any(|op| matches!(op, NetOp::Sysctl { path, .. } if *path == rp_filter_of("default")))
        {
            // The kernel hands the default on to links whose value nobody ever changed.
            let ours = self
                .vmacs
                .wanted
                .iter()
                .filter(|(_, it)| it.family == Family::Inet);
            ops.extend(ours.map(|(name, _)| NetOp::Sysctl {
                path: rp_filter_of(name),
                value: "0".to_owned(),
            }));
        }
        // What is for all goes last, so that no interface is open in between.
        ops.sort_by_key(|op| matches!(op, NetOp::Sysctl { path, .. } if path == ALL_RP_FILTER));
        self.send_vmacs(ops);
    }

    /// As a router, an interface says so to its neighbours: only the MASTER's may.
    pub(super) fn vmac_routes(&mut self, instance: &Instance, master: bool) {
        let Some(vmac) = instance
            .vmac
            .as_ref()
            .filter(|_| instance.family == Family::Inet6)
        else {
            return;
        };
        let parent = instance.interface.as_ref();
        let Some(value) = parent
            .and_then(|it| self.vmacs.forwarding.get(it))
            .filter(|it| *it != "0")
        else {
            return;
        };
        if self.vmac_of(instance).is_some() {
            let value = if master { value.clone() } else { "0".to_owned() };
            let path = forwarding_of(&vmac.name);
            self.net
                .send(vec![NetOp::Sysctl { path, value }], &mut self.queue);
        }
    }

    /// The link an instance sends by and puts its addresses on, if that is not its `interface`.
    pub(super) fn vmac_of(&self, instance: &Instance) -> Option<LinkIndex> {
        let name = &instance.vmac.as_ref()?.name;
        self.net.have().link(name).map(|it| it.index)
    }
}

/// A link's own settings, before it is up.
fn own_settings(name: &str, family: Family) -> Vec<NetOp> {
    let v4 = |key: &str, value: &str| (format!("net/ipv4/conf/{name}/{key}"), value.to_owned());
    let v6 = |key: &str, value: &str| (format!("net/ipv6/conf/{name}/{key}"), value.to_owned());
    let settings = match family {
        Family::Inet => vec![
            // It answers for its own addresses only, and takes packets from the parent's.
            v4("arp_ignore", "1"),
            v4("accept_local", "1"),
            v4("rp_filter", "0"),
            v4("promote_secondaries", "1"),
            v6("disable_ipv6", "1"),
        ],
        // Else it answers for the host's IPv4 addresses. A router's adverts are for the parent. As a router it would join
        // a group and report that with the virtual MAC, which switches would look for here though another node is the
        // master.
        Family::Inet6 => vec![v4("arp_ignore", "1"), v6("accept_ra", "0"), v6("forwarding", "0")],
    };
    settings
        .into_iter()
        .map(|(path, value)| NetOp::Sysctl { path, value })
        .collect()
}
