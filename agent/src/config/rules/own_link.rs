//! Interfaces of the instances' own: `use_vmac`, `use_vmac_addr` and `use_ipvlan`.

use crate::config::findings::Cx;
use crate::config::keyword::shown;
use crate::config::keywords::{AddressLine, IpvlanWords, RawInstance};
use crate::config::lexer::Span;
use crate::model::{AddressExtras, Ipvlan, OwnKind, OwnLink, VirtualAddress, Vmac};
use lb_shared::names::Family;
use lb_shared::units::Vrid;
use std::collections::{BTreeMap, BTreeSet};

/// The longest name of an interface, in bytes.
const NAME_MAX: usize = 15;

/// What instances above have already.
#[derive(Default)]
pub(super) struct Taken {
    names: BTreeSet<String>,
    /// Whose MAC it is, by interface.
    macs: BTreeMap<(String, [u8; 6]), String>,
    /// Interfaces that carry ipvlans, and who asked for the first.
    ipvlans: BTreeMap<String, String>,
}

/// An instance that cannot be, which was told.
pub(super) struct LeftOut;

/// What an instance is, as far as its interfaces go.
#[derive(Clone, Copy)]
pub(super) struct Who<'a> {
    pub raw: &'a RawInstance,
    pub vrid: Vrid,
    pub family: Family,
    pub interface: Option<&'a str>,
}

impl Who<'_> {
    /// The virtual MAC for a family, or the one that is written.
    fn mac(&self, family: Family) -> [u8; 6] {
        let kind = if family == Family::Inet { 1 } else { 2 };
        let mut mac = [0, 0, 0x5e, 0, kind, self.vrid.get()];
        let given = self.raw.vmac.as_ref().map_or(&[][..], |it| &it.mac);
        mac[..given.len()].copy_from_slice(given);
        mac
    }
}

/// `None`: the instance has none.
pub(super) fn vmac(
    who: Who<'_>,
    strict: bool,
    taken: &mut Taken,
    cx: &mut Cx<'_>,
) -> Result<Option<Vmac>, LeftOut> {
    let it = who.raw;
    let Some(words) = &it.vmac else {
        if let Some(at) = it.vmac_xmit_base {
            let text = "vmac_xmit_base means something together with use_vmac only";
            cx.warn("V-67", at, text, &["it is ignored"]);
        }
        return Ok(None);
    };
    let Some(interface) = needs_interface(who, "use_vmac", words.at, cx) else {
        return Ok(None);
    };
    let mac = who.mac(who.family);
    taken.claim(interface, mac, who, words.at, cx)?;
    let name = taken.name(words.name.as_ref(), cx.global.vmac_prefix.clone(), who, cx);
    let wants_base = it.vmac_xmit_base.filter(|_| strict);
    if let Some(at) = wants_base {
        let text = "strict mode sends by the interface with the virtual MAC";
        cx.warn("V-08", at, text, &["vmac_xmit_base is ignored, as in keepalived"]);
    }
    Ok(Some(Vmac {
        name,
        mac,
        sends_on_base: it.vmac_xmit_base.is_some() && !strict || !it.peers.is_empty(),
    }))
}

/// `None`: the instance has none.
pub(super) fn ipvlan(who: Who<'_>, taken: &mut Taken, cx: &mut Cx<'_>) -> Result<Option<Ipvlan>, LeftOut> {
    let Some(words) = &who.raw.ipvlan else {
        return Ok(None);
    };
    if who.raw.vmac.is_some() {
        let notes: &[&str] = &["use_ipvlan is ignored", "write one of the two"];
        cx.error(
            "V-71",
            words.at,
            "use_vmac and use_ipvlan exclude each other",
            notes,
        );
        return Ok(None);
    }
    let Some(interface) = needs_interface(who, "use_ipvlan", words.at, cx) else {
        return Ok(None);
    };
    let address = ipvlan_address(words, who.family, cx);
    if address.is_none() && who.family == Family::Inet {
        let notes: &[&str] = &[
            "the instance is left out; keepalived keeps it in FAULT",
            "write 'use_ipvlan ADDRESS/LENGTH' with an address of this node's own",
        ];
        cx.error(
            "V-71",
            words.at,
            "use_ipvlan needs an IPv4 address to send from",
            notes,
        );
        return Err(LeftOut);
    }
    if taken.macs.keys().any(|(parent, _)| parent == interface) {
        taken.mixed(interface, words.at, cx);
    }
    let owner = || who.raw.name.clone();
    taken.ipvlans.entry(interface.to_owned()).or_insert_with(owner);
    Ok(Some(Ipvlan {
        name: taken.name(words.name.as_ref(), cx.global.vmac_prefix.clone(), who, cx),
        mode: words.mode,
        address,
    }))
}

fn ipvlan_address(words: &IpvlanWords, family: Family, cx: &mut Cx<'_>) -> Option<(std::net::IpAddr, u8)> {
    let (address, length, at) = words.address?;
    if Family::of(address) != family {
        let text = format!("{address} is of another family than the addresses");
        cx.error("V-71", at, text, &["it is ignored, as in keepalived"]);
        return None;
    }
    Some((address, length))
}

/// The address of an ipvlan, which is there as long as the ipvlan is.
pub(super) fn address_of(ipvlan: &Ipvlan) -> Option<VirtualAddress> {
    let (address, prefix_len) = ipvlan.address?;
    Some(VirtualAddress {
        address,
        prefix_len,
        device: ipvlan.name.clone(),
        label: None,
        scope: 0,
        broadcast: None,
        track: true,
        extras: AddressExtras::default(),
    })
}

fn needs_interface<'a>(who: Who<'a>, word: &str, at: Span, cx: &mut Cx<'_>) -> Option<&'a str> {
    if who.interface.is_none() {
        let text = format!("{word} needs an interface to be on");
        let notes: &[&str] = &["the instance is without one", "write 'interface NAME'"];
        cx.error("V-67", at, text, notes);
    }
    who.interface
}

impl Taken {
    /// A MAC on an interface is one instance's: two could be MASTER on two nodes, and switches would see it twice.
    fn claim(
        &mut self,
        interface: &str,
        mac: [u8; 6],
        who: Who<'_>,
        at: Span,
        cx: &mut Cx<'_>,
    ) -> Result<(), LeftOut> {
        let name = &who.raw.name;
        let owner = self
            .macs
            .entry((interface.to_owned(), mac))
            .or_insert_with(|| name.clone());
        if owner != name {
            let text = format!(
                "'{owner}' has the MAC {} on {interface} already",
                Vmac::mac_text(mac)
            );
            let notes: &[&str] = &[
                "the instance is left out; keepalived disables it",
                "give the instances different virtual_router_ids",
            ];
            cx.error("V-72", at, text, notes);
            return Err(LeftOut);
        }
        if self.ipvlans.contains_key(interface) {
            self.mixed(interface, at, cx);
        }
        Ok(())
    }

    /// The kernel gives what comes in by an interface to macvlans or to ipvlans.
    fn mixed(&self, interface: &str, at: Span, cx: &mut Cx<'_>) {
        let text = format!("{interface} cannot carry interfaces of use_vmac and of use_ipvlan");
        let notes: &[&str] = &[
            "the kernel refuses those made last: their instances stay in FAULT",
            "write use_vmac, or use_ipvlan, on all instances of the interface",
        ];
        cx.error("V-71", at, text, notes);
    }

    /// The name that is written if it can be used, or the first free one.
    fn name(
        &mut self,
        given: Option<&(String, Span)>,
        prefix: Option<String>,
        who: Who<'_>,
        cx: &mut Cx<'_>,
    ) -> String {
        let default = self.free_name(prefix, who.vrid, who.family);
        let name = match given {
            None => default,
            Some((name, at)) => {
                let odd = |c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control();
                let wrong = if name.len() > NAME_MAX
                    || name.is_empty()
                    || name.contains(odd)
                    || name.starts_with('.')
                {
                    Some(format!("'{}' cannot be the name of an interface", shown(name)))
                } else if self.names.contains(name) || who.interface == Some(name.as_str()) {
                    Some(format!("the name '{}' is taken in this file", shown(name)))
                } else {
                    None
                };
                match wrong {
                    None => name.clone(),
                    Some(text) => {
                        let used = format!("'{default}' is used");
                        let notes = &[&used, "a name has at most 15 characters, none of them / or :"];
                        cx.error("V-67", *at, text, notes);
                        default
                    }
                }
            }
        };
        self.names.insert(name.clone());
        name
    }

    /// `vrrp.51`; the second of a number is that of the other family, or on another interface.
    fn free_name(&self, prefix: Option<String>, vrid: Vrid, family: Family) -> String {
        let prefix = prefix.unwrap_or_else(|| "vrrp".to_owned());
        let prefix: String = prefix.chars().take(NAME_MAX - 8).collect();
        let first = format!("{prefix}.{vrid}");
        let second = (family == Family::Inet6).then(|| format!("{prefix}6.{vrid}"));
        let further = (1..1_000).map(|number| format!("{prefix}{number}.{vrid}"));
        [first.clone()]
            .into_iter()
            .chain(second)
            .chain(further)
            .find(|name| !self.names.contains(name))
            .unwrap_or(first)
    }
}

/// Where the addresses of an instance go, and the interfaces that are made for them.
pub(super) struct Homes<'a> {
    pub who: Who<'a>,
    pub vmac: Option<&'a Vmac>,
    pub taken: &'a mut Taken,
    pub made: Vec<OwnLink>,
    /// An address would need a MAC that another instance has.
    pub left_out: bool,
}

impl Homes<'_> {
    /// The interface that carries an address written for `device`.
    ///
    /// As keepalived: `use_vmac` of the instance is for addresses of its family on its interface, `use_vmac_addr` and
    /// `use_vmac` of an address for the others.
    pub(super) fn of(&mut self, line: &AddressLine, device: String, cx: &mut Cx<'_>) -> String {
        let family = Family::of(line.address);
        let own = self.who.interface == Some(device.as_str()) && family == self.who.family;
        if own && let Some(vmac) = self.vmac {
            if let Some(at) = line.use_vmac {
                let text = "use_vmac says nothing here: the instance has it";
                cx.hint("V-71", at, text, &["it can be removed"]);
            }
            return vmac.name.clone();
        }
        let by_instance = self.who.raw.vmac_addr.filter(|_| !own);
        let Some(at) = line.use_vmac.or(by_instance) else {
            return device;
        };
        let mac = self.who.mac(family);
        let kind = OwnKind::Macvlan(mac);
        if let Some(link) = self.made.iter().find(|it| it.parent == device && it.kind == kind) {
            return link.name.clone();
        }
        if self.taken.claim(&device, mac, self.who, at, cx).is_err() {
            self.left_out = true;
            return device;
        }
        let prefix = (cx.global.vmac_addr_prefix.clone()).or_else(|| cx.global.vmac_prefix.clone());
        let name = self.taken.free_name(prefix, self.who.vrid, family);
        self.taken.names.insert(name.clone());
        self.made.push(OwnLink {
            name: name.clone(),
            parent: device,
            family,
            kind,
        });
        name
    }
}
