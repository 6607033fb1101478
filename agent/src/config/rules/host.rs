//! Process and host.

use super::script;
use crate::config::findings::Cx;
use crate::config::keyword::shown;
use crate::config::keywords::Raw;
use crate::config::lexer::Span;
use crate::config::value::ScriptWords;
use crate::model::{GarpGroup, Host, InterfaceDelays, Model, Once};
use std::collections::BTreeSet;
use std::time::Duration;

/// How long `startup_script` and `shutdown_script` may take.
const SCRIPT_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn host(raw: &Raw, model: &Model, cx: &mut Cx<'_>) -> Host {
    cx.object.clear();
    let words = &cx.global.host;
    let (startup, shutdown) = (words.startup.clone(), words.shutdown.clone());
    let (startup_timeout, shutdown_timeout) = (words.startup_timeout, words.shutdown_timeout);
    let mut host = Host {
        net_namespace: namespace(raw, cx),
        startup: once(startup.as_ref(), startup_timeout, cx),
        shutdown: once(shutdown.as_ref(), shutdown_timeout, cx),
        delay_after_boot: cx.global.host.delay_after_boot,
        vrrp: cx.global.host.vrrp.clone(),
        checker: cx.global.host.checker.clone(),
        no_swap: cx.global.host.no_swap,
        garp_groups: garp_groups(raw, cx),
        ..Host::default()
    };
    for (name, down, up, at) in &raw.interface_delays {
        let down = capped((name, "down"), *down, *at, model, cx);
        let up = capped((name, "up"), *up, *at, model, cx);
        host.interface_delays
            .insert(name.clone(), InterfaceDelays { down, up });
    }
    host
}

/// An interface is in the first group that names it.
fn garp_groups(raw: &Raw, cx: &mut Cx<'_>) -> Vec<GarpGroup> {
    let mut seen = BTreeSet::new();
    let mut groups = Vec::new();
    for it in &raw.garp_groups {
        if it.arp_gap.is_none() && it.na_gap.is_none() {
            let notes: &[&str] = &[
                "it is left out, as in keepalived",
                "write garp_interval or gna_interval",
            ];
            cx.error("V-73", it.at, "garp_group without an interval", notes);
            continue;
        }
        let mut interfaces = BTreeSet::new();
        for (name, at) in &it.interfaces {
            if seen.insert(name.clone()) {
                interfaces.insert(name.clone());
            } else {
                let text = format!("{} is in a garp_group already", shown(name));
                cx.error("V-73", *at, text, &["the first one counts, as in keepalived"]);
            }
        }
        if interfaces.is_empty() {
            let notes: &[&str] = &["it is left out", "write 'interface NAME' or 'interfaces { … }'"];
            cx.error("V-73", it.at, "garp_group without an interface", notes);
            continue;
        }
        groups.push(GarpGroup {
            interfaces,
            arp_gap: it.arp_gap.unwrap_or_default(),
            na_gap: it.na_gap.unwrap_or_default(),
        });
    }
    groups
}

fn once(words: Option<&(ScriptWords, Span)>, timeout: Option<Duration>, cx: &mut Cx<'_>) -> Option<Once> {
    let script = script::notify(words, cx)?;
    Some(Once {
        script,
        timeout: timeout.unwrap_or(SCRIPT_TIMEOUT),
    })
}

fn namespace(raw: &Raw, cx: &mut Cx<'_>) -> Option<String> {
    let (name, at) = raw.net_namespace.as_ref()?;
    if name.contains('/') || name.starts_with('.') {
        let text = format!("'{}' is no name of a network namespace", shown(name));
        let notes: &[&str] = &[
            "the agent runs where it is started",
            "'ip netns list' shows those there are",
        ];
        cx.error("H-26", *at, text, notes);
        return None;
    }
    Some(name.clone())
}

/// Others must not take over before this node knows that it is down.
fn capped(
    (name, which): (&str, &str),
    delay: Duration,
    at: Span,
    model: &Model,
    cx: &mut Cx<'_>,
) -> Duration {
    let on_it = model
        .instances
        .values()
        .filter(|it| it.interface.as_deref() == Some(name));
    let most = on_it
        .map(|it| it.advert_interval * u32::from(it.down_timer_adverts.saturating_sub(1)))
        .min();
    match most {
        Some(most) if most < delay => {
            let text = format!(
                "the {which} delay of {name}, {} s, is cut to {} s",
                delay.as_secs_f64(),
                most.as_secs_f64()
            );
            let notes: &[&str] = &[match which {
                "down" => "after that the others take over anyway; keepalived cuts it, too",
                _ => "as keepalived does with both delays",
            }];
            cx.warn("V-41", at, text, notes);
            most
        }
        Some(_) | None => delay,
    }
}
