//! `use_vmac`: the interface of an instance's own.

use crate::config::findings::Cx;
use crate::config::keyword::shown;
use crate::config::keywords::RawInstance;
use crate::model::Vmac;
use lb_shared::names::Family;
use lb_shared::units::Vrid;
use std::collections::BTreeSet;

/// The longest name of an interface, in bytes.
const NAME_MAX: usize = 15;

/// `None`: the instance has none. `names`: those of the instances above.
pub(super) fn vmac(
    it: &RawInstance,
    (vrid, family, strict): (Vrid, Family, bool),
    interface: Option<&str>,
    names: &mut BTreeSet<String>,
    cx: &mut Cx<'_>,
) -> Option<Vmac> {
    let Some(words) = &it.vmac else {
        if let Some(at) = it.vmac_xmit_base {
            let text = "vmac_xmit_base means something together with use_vmac only";
            cx.warn("V-67", at, text, &["it is ignored"]);
        }
        return None;
    };
    if interface.is_none() {
        let notes: &[&str] = &["the instance is without one", "write 'interface NAME'"];
        cx.error("V-67", words.at, "use_vmac needs an interface to be on", notes);
        return None;
    }
    let default = default_name(vrid, family, names, cx);
    let name = match &words.name {
        None => default,
        Some((name, at)) => {
            let odd = |c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control();
            let wrong =
                if name.len() > NAME_MAX || name.is_empty() || name.contains(odd) || name.starts_with('.') {
                    Some(format!("'{}' cannot be the name of an interface", shown(name)))
                } else if names.contains(name) || interface == Some(name.as_str()) {
                    Some(format!("the name '{}' is taken in this file", shown(name)))
                } else {
                    None
                };
            match wrong {
                None => name.clone(),
                Some(text) => {
                    let used = format!("'{default}' is used");
                    cx.error(
                        "V-67",
                        *at,
                        text,
                        &[&used, "a name has at most 15 characters, none of them / or :"],
                    );
                    default
                }
            }
        }
    };
    names.insert(name.clone());
    let mut mac = [
        0,
        0,
        0x5e,
        0,
        if family == Family::Inet { 1 } else { 2 },
        vrid.get(),
    ];
    mac[..words.mac.len()].copy_from_slice(&words.mac);
    let wants_base = it.vmac_xmit_base.filter(|_| strict);
    if let Some(at) = wants_base {
        let text = "strict mode sends by the interface with the virtual MAC";
        cx.warn("V-08", at, text, &["vmac_xmit_base is ignored, as in keepalived"]);
    }
    Some(Vmac {
        name,
        mac,
        sends_on_base: it.vmac_xmit_base.is_some() && !strict || !it.peers.is_empty(),
    })
}

/// `vrrp.51`; the second of a number is that of the other family, or on another link.
fn default_name(vrid: Vrid, family: Family, taken: &BTreeSet<String>, cx: &Cx<'_>) -> String {
    let prefix: String = cx
        .global
        .vmac_prefix
        .as_deref()
        .unwrap_or("vrrp")
        .chars()
        .take(NAME_MAX - 8)
        .collect();
    let first = format!("{prefix}.{vrid}");
    let second = (family == Family::Inet6).then(|| format!("{prefix}6.{vrid}"));
    let further = (1..1_000).map(|number| format!("{prefix}{number}.{vrid}"));
    [first.clone()]
        .into_iter()
        .chain(second)
        .chain(further)
        .find(|name| !taken.contains(name))
        .unwrap_or(first)
}
