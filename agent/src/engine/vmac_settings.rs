//! The settings of the kernel that interfaces of the instances' own need, and those that the file names itself
//! (`promote_secondaries`, `disable_local_igmp`): asked for before they are changed, and given back when nobody needs them
//! any more.

use super::Engine;
use super::action::Action;
use super::vmacs::Vmacs;
use crate::model::{Instance, Model, OwnKind, OwnLink};
use crate::net::NetOp;
use lb_shared::names::Family;
use std::collections::{BTreeMap, BTreeSet};

const ALL_RP_FILTER: &str = "net/ipv4/conf/all/rp_filter";

fn rp_filter_of(name: &str) -> String {
    format!("net/ipv4/conf/{name}/rp_filter")
}

fn forwarding_of(name: &str) -> String {
    format!("net/ipv6/conf/{name}/forwarding")
}

impl Vmacs {
    pub(super) fn macvlans(&self, family: Family) -> impl Iterator<Item = &OwnLink> {
        let wanted = self.wanted.values();
        wanted.filter(move |it| it.family == family && matches!(it.kind, OwnKind::Macvlan(_)))
    }

    /// The settings of the kernel that these links need beside their own, and those of the file, with their values.
    fn settings(&self) -> BTreeMap<String, &'static str> {
        let mut settings = BTreeMap::new();
        for it in self.macvlans(Family::Inet) {
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

/// The settings that a file asks for, with their values.
pub(super) fn settings_of_file(model: &Model) -> BTreeMap<String, &'static str> {
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

impl Engine {
    pub(super) fn settings_back(&mut self) -> Vec<NetOp> {
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

    /// Asks what the settings are that will have to be changed, to be able to put them back.
    pub(super) fn ask_vmac_settings(&mut self) {
        let mut paths: Vec<String> = self.vmacs.settings().into_keys().collect();
        if paths.iter().any(|it| it == ALL_RP_FILTER) {
            let links = self.net.have().links.values();
            let names = links.filter(|it| !self.vmacs.wanted.contains_key(&it.name));
            paths.extend(names.map(|it| rp_filter_of(&it.name)));
            paths.push(rp_filter_of("default"));
        }
        let v6 = self.vmacs.macvlans(Family::Inet6);
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
            let ours = self.vmacs.macvlans(Family::Inet);
            ops.extend(ours.map(|it| NetOp::Sysctl {
                path: rp_filter_of(&it.name),
                value: "0".to_owned(),
            }));
        }
        // What is for all goes last, so that no interface is open in between.
        ops.sort_by_key(|op| matches!(op, NetOp::Sysctl { path, .. } if path == ALL_RP_FILTER));
        self.send_vmacs(ops);
    }

    /// As a router, an interface says so to its neighbours: only the MASTER's may.
    pub(super) fn vmac_routes(&mut self, instance: &Instance, master: bool) {
        let mut ops = Vec::new();
        for link in instance.own_links().filter(is_macvlan_v6) {
            let forwarding = self.vmacs.forwarding.get(&link.parent);
            let Some(value) = forwarding.filter(|it| *it != "0") else {
                continue;
            };
            if self.net.have().link(&link.name).is_some() {
                let value = if master { value.clone() } else { "0".to_owned() };
                let path = forwarding_of(&link.name);
                ops.push(NetOp::Sysctl { path, value });
            }
        }
        self.net.send(ops, &mut self.queue);
    }
}

/// One for IPv6 with a MAC of its own.
pub(super) fn is_macvlan_v6(link: &OwnLink) -> bool {
    link.family == Family::Inet6 && matches!(link.kind, OwnKind::Macvlan(_))
}

/// A link's own settings, before it is up.
pub(super) fn own_settings(link: &OwnLink) -> Vec<NetOp> {
    let OwnLink {
        name, family, kind, ..
    } = link;
    if let OwnKind::Ipvlan(_) = kind {
        return Vec::new();
    }
    let v4 = |key: &str, value: &str| (format!("net/ipv4/conf/{name}/{key}"), value.to_owned());
    let v6 = |key: &str, value: &str| (format!("net/ipv6/conf/{name}/{key}"), value.to_owned());
    let settings = match *family {
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
