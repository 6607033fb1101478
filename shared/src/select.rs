//! Targets as people type them: names, addresses, patterns; turned into the exact objects of a state.
//!
//! ```text
//! server    = [ "rs:" ] ( service "/" rsaddr | rsaddr )
//! service   = [ "vs:" ] ( NAME | vip ":" PORT [ "/" PROTO ] | "fwmark:" N [ "/inet6" ] | "group:" NAME "/" PROTO )
//! instance  = [ "vrrp:" ] NAME | "group:" NAME
//! tracker   = ( "script:" | "interface:" | "file:" | "process:" | "bfd:" ) NAME
//! rsaddr    = ADDR [ ":" PORT ]
//! ```
//!
//! A server's address alone means that server in every service. `Display` of an object's id is its canonical form: it
//! uses no service names, and selects that object and no other.

use crate::glob::Glob;
use crate::names::{InstanceName, ServerId, ServiceKey, TrackerName, VirtualKey};
use crate::request::{Refusal, RefusalCode};
use crate::state::{ObjectId, ServiceView, State};
use crate::text::escape;
use crate::view::View;
use std::net::IpAddr;

/// A typed target: what it selects depends on the state.
#[derive(Clone, Debug)]
pub struct Selector {
    typed: String,
    prefix: Option<Prefix>,
    rest: String,
    whole: Glob,
    /// Each way to read it as service and server address.
    splits: Vec<(Glob, Glob)>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Prefix {
    Server,
    Service,
    Instance,
    Group,
    Tracker(&'static str),
}

const PREFIXES: [(&str, Prefix); 9] = [
    ("rs:", Prefix::Server),
    ("vs:", Prefix::Service),
    ("vrrp:", Prefix::Instance),
    ("group:", Prefix::Group),
    ("script:", Prefix::Tracker("script")),
    ("interface:", Prefix::Tracker("interface")),
    ("file:", Prefix::Tracker("file")),
    ("process:", Prefix::Tracker("process")),
    ("bfd:", Prefix::Tracker("bfd")),
];

impl Selector {
    /// Reads one target. Whether anything has that name is seen when it is resolved.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        if text.is_empty() || text.len() > 512 || text.contains(|c: char| c.is_control()) {
            return Err(Refusal::new(
                RefusalCode::BadSelector,
                format!("'{}' is no target", escape(text)),
                "name an instance, a service, a server or an address",
            ));
        }
        let found = PREFIXES
            .iter()
            .find_map(|(word, prefix)| Some((*prefix, text.strip_prefix(word)?)));
        // `group:NAME/tcp` is the service of a virtual_server group, `group:NAME` a sync group.
        let (prefix, rest) = match found {
            Some((Prefix::Group, rest)) if rest.contains('/') => (None, text),
            Some((prefix, rest)) => (Some(prefix), rest),
            None => (None, text),
        };
        let splits = rest
            .char_indices()
            .filter(|(_, c)| *c == '/')
            .map(|(at, _)| (Glob::new(&tidy(&rest[..at])), Glob::new(&tidy(&rest[at + 1..]))))
            .collect();
        Ok(Self {
            typed: text.to_owned(),
            prefix,
            rest: rest.to_owned(),
            whole: Glob::new(&tidy(rest)),
            splits,
        })
    }

    /// What was typed.
    pub fn typed(&self) -> &str {
        &self.typed
    }

    /// Whether it names something rather than a pattern: then it must exist.
    pub fn is_exact(&self) -> bool {
        self.whole.is_exact()
    }

    fn may_be(&self, prefix: Prefix) -> bool {
        self.prefix.is_none_or(|own| own == prefix)
    }

    fn takes_service(&self, view: &View<'_>, service: &ServiceView) -> bool {
        takes_service(&self.whole, view, service)
    }

    /// The servers it selects; with `whole_services` also all servers of a service it names.
    pub fn servers(&self, view: &View<'_>, whole_services: bool) -> Vec<ServerId> {
        let as_service = whole_services && self.prefix == Some(Prefix::Service);
        if !(self.may_be(Prefix::Server) || as_service) {
            return Vec::new();
        }
        if let Ok(id) = self.rest.parse::<ServerId>()
            && view.state.servers.contains_key(&id)
        {
            return vec![id];
        }
        let mut found = Vec::new();
        for service in view.state.services.values() {
            if whole_services && self.takes_service(view, service) {
                found.extend(
                    view.state
                        .servers_of(&service.key)
                        .map(|server| server.id.clone()),
                );
                continue;
            }
            // An address alone, or the address part of each split whose service part fits.
            let mut addresses = vec![];
            if self.splits.is_empty() {
                addresses.push(&self.whole);
            }
            addresses.extend(
                self.splits
                    .iter()
                    .filter(|(wanted, _)| takes_service(wanted, view, service))
                    .map(|(_, address)| address),
            );
            if addresses.is_empty() {
                continue;
            }
            found.extend(
                view.state
                    .servers_of(&service.key)
                    .filter(|server| addresses.iter().any(|wanted| takes_server(wanted, &server.id)))
                    .map(|server| server.id.clone()),
            );
        }
        found
    }

    /// The services it selects.
    pub fn services(&self, view: &View<'_>) -> Vec<ServiceKey> {
        if !self.may_be(Prefix::Service) {
            return Vec::new();
        }
        view.state
            .services
            .values()
            .filter(|service| self.takes_service(view, service))
            .map(|service| service.key.clone())
            .collect()
    }

    /// The instances it selects: by name, or all members of a sync group.
    pub fn instances(&self, state: &State) -> Vec<InstanceName> {
        match self.prefix {
            None | Some(Prefix::Instance) => state
                .instances
                .keys()
                .filter(|name| self.rest == name.0 || self.whole.matches(&name.0))
                .cloned()
                .collect(),
            Some(Prefix::Group) => state
                .groups
                .values()
                .filter(|group| self.rest == group.name.0 || self.whole.matches(&group.name.0))
                .flat_map(|group| group.members.iter().cloned())
                .filter(|name| state.instances.contains_key(name))
                .collect(),
            Some(Prefix::Server | Prefix::Service | Prefix::Tracker(_)) => Vec::new(),
        }
    }

    /// Every object it selects. An exact name that several kinds of objects have is refused with the prefixed forms.
    pub fn objects(&self, view: &View<'_>) -> Result<Vec<ObjectId>, Refusal> {
        let state = view.state;
        let instances = match self.prefix {
            Some(Prefix::Group) => Vec::new(),
            _ => self.instances(state),
        };
        let kinds: [Vec<ObjectId>; 5] = [
            instances.into_iter().map(ObjectId::Instance).collect(),
            state
                .groups
                .keys()
                .filter(|name| {
                    self.may_be(Prefix::Group) && (self.rest == name.0 || self.whole.matches(&name.0))
                })
                .cloned()
                .map(ObjectId::Group)
                .collect(),
            state
                .trackers
                .keys()
                .filter(|name| self.takes_tracker(name))
                .cloned()
                .map(ObjectId::Tracker)
                .collect(),
            self.services(view).into_iter().map(ObjectId::Service).collect(),
            self.servers(view, false)
                .into_iter()
                .map(ObjectId::Server)
                .collect(),
        ];
        let used = kinds.iter().filter(|kind| !kind.is_empty()).count();
        let found: Vec<ObjectId> = kinds.into_iter().flatten().collect();
        if used > 1 && self.is_exact() {
            let forms: Vec<String> = found.iter().map(ToString::to_string).collect();
            let mut refusal = Refusal::new(
                RefusalCode::Ambiguous,
                format!("{} is ambiguous", escape(&self.typed)),
                format!("write one of: {}", forms.join("  ")),
            );
            refusal.details = forms.into_iter().map(|form| ("candidate".into(), form)).collect();
            return Err(refusal);
        }
        Ok(found)
    }

    fn takes_tracker(&self, name: &TrackerName) -> bool {
        let kind = match self.prefix {
            None => true,
            Some(Prefix::Tracker(kind)) => kind == name.kind(),
            Some(Prefix::Server | Prefix::Service | Prefix::Instance | Prefix::Group) => false,
        };
        kind && (self.rest == name.name() || self.whole.matches(name.name()))
    }
}

/// Several targets, merged: each object once, in the state's order. An exact target that does not exist is an error.
pub fn servers(view: &View<'_>, typed: &[String], whole_services: bool) -> Result<Vec<ServerId>, Refusal> {
    merge(typed, |selector| {
        let found = selector.servers(view, whole_services);
        if found.is_empty() && !whole_services && !selector.services(view).is_empty() {
            let name = escape(selector.typed());
            return Err(Refusal::new(
                RefusalCode::BadSelector,
                format!("{name} is a service, not a server"),
                format!("write '{name}/*' for all its servers, or {name}/ADDRESS for one"),
            ));
        }
        Ok(found)
    })
}

/// Several services, merged.
pub fn services(view: &View<'_>, typed: &[String]) -> Result<Vec<ServiceKey>, Refusal> {
    merge(typed, |selector| Ok(selector.services(view)))
}

/// Several instances, merged.
pub fn instances(view: &View<'_>, typed: &[String]) -> Result<Vec<InstanceName>, Refusal> {
    merge(typed, |selector| Ok(selector.instances(view.state)))
}

/// Several objects of any kind, merged.
pub fn objects(view: &View<'_>, typed: &[String]) -> Result<Vec<ObjectId>, Refusal> {
    merge(typed, |selector| selector.objects(view))
}

fn merge<T: Ord>(
    typed: &[String],
    find: impl Fn(&Selector) -> Result<Vec<T>, Refusal>,
) -> Result<Vec<T>, Refusal> {
    let mut merged = Vec::new();
    for text in typed {
        let selector = Selector::parse(text)?;
        let found = find(&selector)?;
        if found.is_empty() && selector.is_exact() {
            return Err(Refusal::new(
                RefusalCode::NotFound,
                format!("nothing here is called {}", escape(text)),
                "lbctl vrrp, services and servers list what there is",
            ));
        }
        merged.extend(found);
    }
    merged.sort();
    merged.dedup();
    Ok(merged)
}

fn takes_service(wanted: &Glob, view: &View<'_>, service: &ServiceView) -> bool {
    if service.name.as_deref().is_some_and(|name| wanted.matches(name)) {
        return true;
    }
    let canonical = service.key.to_string();
    if wanted.matches(&canonical) || wanted.matches(&view.service_name(&service.key)) {
        return true;
    }
    match &service.key {
        ServiceKey::Single(VirtualKey::Address { .. }) | ServiceKey::Group { .. } => canonical
            .rsplit_once('/')
            .is_some_and(|(without_protocol, _)| wanted.matches(without_protocol)),
        ServiceKey::Single(VirtualKey::Fwmark { .. }) => false,
    }
}

fn takes_server(wanted: &Glob, id: &ServerId) -> bool {
    wanted.matches(&id.server.to_string()) || wanted.matches(&id.server.address.to_string())
}

/// Brings an address in the text to the form it is printed in, so that `2001:DB8:0::1` finds `2001:db8::1`.
fn tidy(text: &str) -> String {
    if let Ok(address) = text.parse::<IpAddr>() {
        return address.to_string();
    }
    let inside = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    match inside.and_then(|(inside, rest)| Some((inside.parse::<IpAddr>().ok()?, rest))) {
        Some((address, "")) => address.to_string(),
        Some((address, rest)) => format!("[{address}]{rest}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
