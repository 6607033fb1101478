//! Interfaces of the instances' own (`use_vmac`, `use_ipvlan`): made before there is a master, put back when somebody removes them,
//! removed at the end, with the settings of the kernel they need.
//!
//! The kernel numbers a new link, so that nothing is believed of one before it tells of it. Until then, or until it
//! refuses, the link is on its way, and its absence is no fault.

use super::put_back::PutBack;
use super::vmac_settings::{own_settings, settings_of_file};
use super::{Engine, Ledger};
use crate::model::{Model, OwnKind, OwnLink};
use crate::net::{Link, NetOp, NewLink};
use lb_shared::event::What;
use lb_shared::state::ObjectId;
use lb_shared::units::Mono;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long a link may take to appear, or to follow its parent up.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Clone, Debug, Default)]
pub(super) struct Vmacs {
    pub(super) wanted: BTreeMap<String, OwnLink>,
    /// Made or taken over by us: ours to remove.
    owned: BTreeSet<String>,
    put_back: PutBack<String>,
    /// Why there is none, in the kernel's words or ours.
    failed: BTreeMap<String, String>,
    /// On its way until then.
    coming: BTreeMap<String, Mono>,
    /// Settings that the file wants by words of their own: see `vmac_settings`.
    pub(super) of_file: BTreeMap<String, &'static str>,
    /// Settings that were asked for, and what those were that we changed.
    pub(super) asked: BTreeSet<String>,
    pub(super) originals: BTreeMap<String, String>,
    /// Whether the parents of IPv6 ones route, as the kernel says it.
    pub(super) forwarding: BTreeMap<String, String>,
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

    /// Whether one is there, or will be, by our doing.
    pub(super) fn owns(&self, name: &str) -> bool {
        self.owned.contains(name)
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
}

fn wanted(model: &Model) -> BTreeMap<String, OwnLink> {
    let links = model.instances.values().flat_map(|it| it.own_links());
    links.map(|link| (link.name.clone(), link)).collect()
}

/// Whether a link is what is wanted, on this parent.
fn fits(link: &Link, wanted: &OwnLink, below: &Link) -> bool {
    let parent = below.index;
    let kind = match wanted.kind {
        OwnKind::Macvlan(mac) => link.private_over == Some(parent) && link.mac == mac,
        // How they treat each other is up to all of them together.
        OwnKind::Ipvlan(_) => link.ipvlan_over == Some(parent),
    };
    kind && link.vrf == below.vrf
}

impl Engine {
    /// Before the instances take a new model: what they will send by is made.
    pub(super) fn raise_vmacs(&mut self) {
        self.vmacs.wanted = wanted(&self.model);
        self.vmacs.of_file = settings_of_file(&self.model);
        self.relay_reports();
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
            if let Some(link) = self.net.have().link(&name).filter(|it| it.over().is_some()) {
                ops.push(NetOp::RemoveLink { link: link.index });
                let text = format!("interface {name} removed");
                self.say(What::Cleaned, text, Some("no instance uses it".into()));
            }
        }
        ops.extend(self.settings_back());
        self.send_vmacs(ops);
        self.relay_reports();
    }

    /// A stop takes all of them down.
    pub(super) fn drop_all_vmacs(&mut self) {
        self.vmacs.wanted.clear();
        self.vmacs.of_file.clear();
        self.drop_vmacs();
    }

    pub(super) fn send_vmacs(&mut self, ops: Vec<NetOp>) {
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
        let Some(below) = self.net.have().link(&wanted.parent).cloned() else {
            return;
        };
        let (parent, running) = (below.index, below.running);
        let mut ops = Vec::new();
        if let Some(link) = self.net.have().link(name).cloned() {
            let fits = fits(&link, &wanted, &below);
            let ours = self.vmacs.owned.contains(name);
            if !fits && !ours {
                let word = match wanted.kind {
                    OwnKind::Macvlan(_) => "use_vmac",
                    OwnKind::Ipvlan(_) => "use_ipvlan",
                };
                let why = format!(
                    "an interface of this name is there already and is no {} on {}: remove it, or write another name \
                     behind {word}",
                    wanted.kind, wanted.parent
                );
                return self.fail_vmac(name, why);
            }
            if fits {
                if ours && (link.running || !running) {
                    return self.vmac_is_there(name, &link);
                }
                if !ours {
                    self.vmacs.owned.insert(name.to_owned());
                    ops.extend(own_settings(&wanted));
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
            kind: wanted.kind,
            vrf: below.vrf,
        }));
        if let OwnKind::Macvlan(_) = wanted.kind {
            ops.push(NetOp::QuietLink {
                name: name.to_owned(),
            });
        }
        ops.extend(own_settings(&wanted));
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
            // An address of its own is where adverts come from: it is there before its instance looks.
            self.static_addresses_on_interface(name);
        }
        let children: Vec<String> = (self.vmacs.wanted.iter())
            .filter(|(_, it)| it.parent == name)
            .map(|(child, _)| child.clone())
            .collect();
        if !children.is_empty() {
            // It may be another one of that name.
            self.relay_reports();
        }
        for child in children {
            if self.parent_runs(&child) {
                // It follows in a moment.
                self.vmacs.coming.insert(child.clone(), self.now + PATIENCE);
            }
            self.make_vmac(&child);
        }
        self.ask_vmac_settings();
    }

    /// One is up: whoever became MASTER while it was on its way could not put its addresses there.
    pub(super) fn hold_on_own_link(&mut self, name: &str) {
        let up = self.net.have().link(name).is_some_and(|it| it.running);
        if !up || !self.vmacs.wanted.contains_key(name) || self.stopping.is_some() {
            return;
        }
        let users = self.index.by_interface.get(name).into_iter().flatten();
        let masters = users.filter(|it| self.routers.is_master(it));
        let masters: Vec<_> = masters
            .filter_map(|it| self.model.instances.get(it).cloned())
            .collect();
        for instance in masters {
            let want = self.held_by(&instance);
            let held = self.net.held(&Some(instance.name.clone()));
            if want.keys().any(|key| held.binary_search(key).is_err()) {
                self.hold_addresses(&instance.name, instance.garp.repeat);
            }
        }
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
}
