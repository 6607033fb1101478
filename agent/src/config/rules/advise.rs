//! Judgements of what is right to write and yet does not do what was meant. Each is said once a file, at the first place.

use crate::config::findings::Cx;
use crate::config::keywords::{RawInstance, RawScript, RawService};
use crate::config::lexer::Span;
use crate::model::{Check, CheckKind, Instance, Service, VrrpScript};
use std::time::Duration;

/// Ports behind which somebody speaks HTTP.
const WEB_PORTS: [u16; 6] = [80, 443, 8000, 8008, 8080, 8443];
/// Schedulers to which a weight only says whether a server gets anything.
const WITHOUT_WEIGHTS: [&str; 3] = ["rr", "lc", "dh"];

/// How long a dead server of this check can keep its traffic, and how that comes about. `None`: not a matter of waiting.
fn detection(check: &Check) -> Option<(Duration, String)> {
    let one = timeout(check)?;
    let tries = check.retry.saturating_add(1);
    let pauses = check.delay_before_retry.saturating_mul(check.retry);
    let worst = (check.delay_loop)
        .saturating_add(one.saturating_mul(tries))
        .saturating_add(pauses);
    let mut text = format!(
        "interval {} s + {tries} × time-out {} s",
        check.delay_loop.as_secs_f64(),
        one.as_secs_f64()
    );
    if check.retry > 0 {
        let pause = check.delay_before_retry.as_secs_f64();
        text.push_str(&format!(" + {} × delay_before_retry {pause} s", check.retry));
    }
    Some((worst, text))
}

/// How long one try of a check lasts at most.
fn timeout(check: &Check) -> Option<Duration> {
    Some(match &check.kind {
        CheckKind::Tcp(connect) => connect.timeout,
        // Once to connect, once for the answer.
        CheckKind::Http(it) => it.connect.timeout.saturating_mul(2),
        CheckKind::Misc(it) => it.timeout,
        CheckKind::Ping(it) => it.timeout,
        CheckKind::Smtp(it) => it.connect.timeout,
        CheckKind::Dns(it) => it.connect.timeout,
        CheckKind::Udp(it) => it.connect.timeout,
        CheckKind::Bfd(_) | CheckKind::File(_) => return None,
    })
}

pub(super) fn service(it: &RawService, service: &Service, cx: &mut Cx<'_>) {
    for server in &it.servers {
        let key = service.servers.values().find(|known| {
            known.key.address == server.address && server.port.is_none_or(|port| port == known.key.port)
        });
        for check in key.into_iter().flat_map(|known| &known.checks) {
            checked(check, server.at, cx);
        }
        // What is said of the first one goes for the others.
        if key.is_some_and(|known| !known.checks.is_empty()) {
            break;
        }
    }
    weights(it, service, cx);
    drains(it, service, cx);
}

fn checked(check: &Check, at: Span, cx: &mut Cx<'_>) {
    let keyword = check.kind.keyword();
    if let Some((worst, sum)) = detection(check)
        && cx.advises(at, "E-06")
    {
        let text = format!(
            "a server that stops answering is taken out after {} s at worst",
            worst.as_secs_f64()
        );
        let sum = format!("{keyword}: {sum}");
        let notes: &[&str] = &[
            &sum,
            "delay_loop is the time between two checks, in seconds, not a number of checks; keepalived counts the same",
        ];
        cx.hint("E-06", at, text, notes);
    }
    if let Some(one) = timeout(check).filter(|one| *one > check.delay_loop)
        && cx.advises(at, "S-41")
    {
        let text = format!(
            "one {keyword} may last {} s, longer than its interval of {} s",
            one.as_secs_f64(),
            check.delay_loop.as_secs_f64()
        );
        let notes: &[&str] = &[
            "the next check begins when the former has ended, as in keepalived",
            "write a shorter time-out, or a delay_loop above it",
        ];
        cx.hint("S-41", at, text, notes);
    }
    match &check.kind {
        CheckKind::Tcp(to) if WEB_PORTS.contains(&to.to.port()) && cx.advises(at, "S-42") => {
            let text = format!("TCP_CHECK sees an open port {}, not an answer", to.to.port());
            let notes: &[&str] = &[
                "a proxy accepts connections while all servers behind it are down; keepalived sees no more",
                "if HTTP is spoken there, write HTTP_GET (or SSL_GET) with a url",
            ];
            cx.hint("S-42", at, text, notes);
        }
        CheckKind::Http(it) => {
            let page = it.urls.iter().find(|url| {
                let path = url.path.split(['?', '#']).next().unwrap_or_default();
                path.ends_with(".php") || path.ends_with(".jsp") || path.ends_with(".aspx")
            });
            if let Some(url) = page
                && cx.advises(at, "E-29")
            {
                let text = format!(
                    "the check runs the whole page {} every {} s, from every director",
                    crate::config::keyword::shown(&url.path),
                    check.delay_loop.as_secs_f64()
                );
                let notes: &[&str] = &[
                    "keepalived does the same",
                    "give it a light page made for health checks",
                ];
                cx.hint("E-29", at, text, notes);
            }
        }
        _ => {}
    }
}

/// Weights that the scheduler does not look at.
fn weights(it: &RawService, service: &Service, cx: &mut Cx<'_>) {
    let name = service.scheduler.name.as_str();
    let mut used = service
        .servers
        .values()
        .map(|it| it.weight.get())
        .filter(|it| *it > 0);
    let Some(first) = used.next() else { return };
    if !WITHOUT_WEIGHTS.contains(&name) || used.all(|weight| weight == first) {
        return;
    }
    let at = it.scheduler.map_or(it.at, |(_, at)| at);
    if !cx.first_in_file(at, "", "S-43") {
        return;
    }
    let better = match name {
        "rr" => "wrr",
        "lc" => "wlc",
        _ => "sh or mh",
    };
    let advice = format!("write 'lb_algo {better}' if the weights are meant");
    let notes: &[&str] = &[
        "to it every weight above 0 is the same, in keepalived too: the kernel decides",
        &advice,
    ];
    cx.warn(
        "S-43",
        at,
        format!("the scheduler {name} does not look at the weights"),
        notes,
    );
}

/// What keeps clients on a server that is being drained.
fn drains(it: &RawService, service: &Service, cx: &mut Cx<'_>) {
    let at = it.scheduler.map_or(it.at, |(_, at)| at);
    if service.scheduler.hashes_clients() && !service.scheduler.flag_1 && cx.first_in_file(at, "", "S-44") {
        let name = &service.scheduler.name;
        let text = format!("with {name}, clients of a server of weight 0 are refused, not moved");
        let advice =
            format!("write '{name}-fallback' into the service: its clients then go to another server");
        let notes: &[&str] = &[
            "a drain therefore turns its share of clients away, in keepalived too",
            &advice,
        ];
        cx.warn("S-44", at, text, notes);
    }
    if let Some(persistence) = &service.persistence
        && cx.advises(it.at, "S-45")
    {
        let text = format!(
            "clients return to their server for {} s, also to one that is being drained",
            persistence.timeout_s
        );
        let notes: &[&str] = &[
            "each new connection begins that time again; keepalived leaves it at that",
            "'lbctl drain' sets expire_quiescent_template while it runs; for keepalived write it into sysctl.d",
        ];
        cx.hint("S-45", it.at, text, notes);
    }
}

/// A script's counts and times, in seconds.
pub(super) fn script(it: &RawScript, script: &VrrpScript, cx: &mut Cx<'_>) {
    if (it.rise.is_some() || it.fall.is_some()) && cx.advises(it.at, "E-22") {
        let seconds = |count: u32| script.interval.saturating_mul(count).as_secs_f64();
        let text = format!(
            "'{}' is bad after {} failures in a row ({} s) and good after {} successes in a row ({} s)",
            it.name,
            script.fall,
            seconds(script.fall),
            script.rise,
            seconds(script.rise)
        );
        let notes: &[&str] = &[
            "a single success begins the count of failures anew, and the other way round; keepalived \
             counts the same",
        ];
        cx.hint("E-22", it.at, text, notes);
    }
    if script.timeout > script.interval && cx.advises(it.at, "V-39") {
        let text = format!(
            "a run of '{}' may last {} s, longer than its interval of {} s",
            it.name,
            script.timeout.as_secs_f64(),
            script.interval.as_secs_f64()
        );
        let notes: &[&str] = &[
            "the next run waits for it, as in keepalived: a hanging script is noticed late",
            "write a 'timeout' of at most the interval",
        ];
        cx.hint("V-39", it.at, text, notes);
    }
}

/// How long a dead master is not missed.
pub(super) fn instance(it: &RawInstance, instance: &Instance, cx: &mut Cx<'_>) {
    if instance.priority.is_owner() || !cx.advises(it.at, "V-40") {
        return;
    }
    let interval = instance.advert_interval;
    let skew = interval * (256 - u32::from(instance.priority.get())) / 256;
    let silence = interval * u32::from(instance.down_timer_adverts) + skew;
    let text = format!(
        "this node takes over {:.2} s after the last advert of a master that died",
        silence.as_secs_f64()
    );
    let sum = format!(
        "{} × advert_int {} s + {:.2} s for its priority {}; a master that is stopped is followed at once",
        instance.down_timer_adverts,
        interval.as_secs_f64(),
        skew.as_secs_f64(),
        instance.priority
    );
    cx.hint("V-40", it.at, text, &[&sum, "keepalived counts the same"]);
}
