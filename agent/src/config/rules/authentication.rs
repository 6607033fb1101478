//! How adverts of an instance are told from those of others.

use super::hmac;
use crate::config::findings::Cx;
use crate::config::keywords::RawInstance;
use crate::model::{Authentication, VrrpVersion};
use lb_shared::names::Family;
use std::time::Duration;

/// `None` when the instance would be a second master because its peers will not hear it.
pub(super) fn of(
    it: &RawInstance,
    family: Family,
    version: VrrpVersion,
    interval: Duration,
    strict: bool,
    cx: &mut Cx<'_>,
) -> Option<Authentication> {
    if let Some(raw) = &it.auth_hmac {
        return hmac::signing(it, raw, interval, strict, cx).map(Authentication::Signed);
    }
    let Some((kind, at)) = it.auth_type else {
        return Some(Authentication::None);
    };
    if strict || version == VrrpVersion::V3 {
        let why = if strict { "strict mode" } else { "VRRP version 3" };
        cx.warn(
            "V-14",
            at,
            format!("{why} has no authentication"),
            &[
                "adverts are sent without, as keepalived does",
                "remove the authentication block",
            ],
        );
        return Some(Authentication::None);
    }
    let header = kind == "AH";
    if header && family == Family::Inet6 {
        cx.error(
            "V-24",
            at,
            "auth_type AH is for IPv4",
            &[
                "the instance is left out: without it, it would become a second master beside its peers",
                "remove the authentication block on all nodes",
            ],
        );
        return None;
    }
    let Some((password, at)) = &it.auth_pass else {
        cx.error(
            "V-19",
            at,
            format!("auth_type {kind} without auth_pass"),
            &["adverts are sent without authentication"],
        );
        return Some(Authentication::None);
    };
    let mut bytes = [0; 8];
    for (byte, given) in bytes.iter_mut().zip(password.bytes()) {
        *byte = given;
    }
    if password.len() > 8 {
        cx.warn(
            "E-08",
            *at,
            "only the first 8 bytes of the password are used",
            &[
                if header {
                    "keepalived does the same"
                } else {
                    "it is sent in clear text: anybody on the link can read it"
                },
                "write at most 8 characters",
            ],
        );
    } else if cx.advises(*at, "E-24") {
        cx.hint(
            "E-24",
            *at,
            "auth_pass is no encryption: anybody on the link can read it",
            &[
                "it keeps nodes apart that were misconfigured, nobody else; keepalived sends it in clear text too",
                "to keep strangers out let a firewall admit protocol 112 from the other nodes only",
            ],
        );
    }
    Some(if header {
        Authentication::Header(bytes)
    } else {
        Authentication::Pass(bytes)
    })
}
