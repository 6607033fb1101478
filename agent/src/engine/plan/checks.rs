//! Checks, told setting by setting.

use super::values::{Facts, Told};
use crate::model::{
    Check, CheckKind, DnsCheck, FileCheck, HttpGet, MiscCheck, PingCheck, SmtpCheck, TcpCheck, UdpCheck, Url,
};
use std::time::Duration;

/// The settings of a server's checks, each under its keyword; with a number where there are several of one kind.
pub(super) fn facts(checks: &[Check]) -> Facts {
    let mut facts = vec![(
        "checks".to_owned(),
        Told::Many(numbered(checks).map(|(name, _)| name).collect()),
    )];
    for (name, check) in numbered(checks) {
        let settings = of(check);
        facts.extend(
            settings
                .into_iter()
                .map(|(setting, value)| (format!("{name} {setting}"), Told::One(value))),
        );
    }
    facts
}

/// What of the settings of checks is worth telling: not those of a check that comes or goes as a whole.
pub(super) fn common(old: &[Check], new: &[Check], facts: &mut Facts) {
    let names = |checks| numbered(checks).map(|(name, _)| name).collect::<Vec<String>>();
    let (old, new) = (names(old), names(new));
    let all = old.iter().chain(&new);
    let lone: Vec<String> = (all.filter(|name| !(old.contains(name) && new.contains(name))))
        .map(|name| format!("{name} "))
        .collect();
    facts.retain(|(name, _)| !lone.iter().any(|it| name.starts_with(it.as_str())));
}

fn numbered(checks: &[Check]) -> impl Iterator<Item = (String, &Check)> {
    checks.iter().enumerate().map(|(place, check)| {
        let word = check.kind.keyword();
        match checks[..place]
            .iter()
            .filter(|it| it.kind.keyword() == word)
            .count()
        {
            0 => (word.to_owned(), check),
            before => (format!("{word}#{}", before + 1), check),
        }
    })
}

fn of(check: &Check) -> Vec<(String, String)> {
    let Check {
        kind,
        delay_loop,
        retry,
        delay_before_retry,
        warmup,
        alpha,
        log_all_failures,
    } = check;
    let mut all = vec![
        ("delay_loop", seconds(*delay_loop)),
        ("retry", retry.to_string()),
        ("delay_before_retry", seconds(*delay_before_retry)),
        ("warmup", seconds(*warmup)),
        ("alpha", flag(*alpha)),
        ("log_all_failures", flag(*log_all_failures)),
    ];
    match kind {
        CheckKind::Tcp(connect) => all.extend(connection(connect)),
        CheckKind::Http(HttpGet {
            connect,
            tls: _,
            client,
            sni,
            version,
            urls,
            fast_recovery,
        }) => {
            all.extend(connection(connect));
            let client = client
                .as_ref()
                .map(|it| format!("{} with {}", it.chain.display(), it.key.display()));
            all.push(("SSL certificate", client.unwrap_or_else(none)));
            all.push(("sni_name", sni.clone().unwrap_or_else(none)));
            all.push((
                "http_protocol",
                format!("{version:?}").replace("V1_", "1.").replace("Close", "C"),
            ));
            all.push(("url", urls.iter().map(url).collect::<Vec<_>>().join("; ")));
            all.push(("fast_recovery", flag(*fast_recovery)));
        }
        CheckKind::Misc(MiscCheck {
            script,
            timeout,
            dynamic,
            broken,
        }) => all.extend([
            ("misc_path", format!("\"{}\"", script.argv.join(" "))),
            (
                "user",
                script
                    .user
                    .map_or_else(none, |(user, group)| format!("{user}:{group}")),
            ),
            ("misc_timeout", seconds(*timeout)),
            ("misc_dynamic", flag(*dynamic)),
            ("cannot be run", broken.clone().unwrap_or_else(none)),
        ]),
        CheckKind::Ping(PingCheck {
            to,
            from,
            device,
            mark,
            timeout,
        }) => all.extend([
            ("connect_ip", to.to_string()),
            ("bindto", from.map_or_else(none, |it| it.to_string())),
            ("bind_if", device.clone().unwrap_or_else(none)),
            ("fwmark", mark.to_string()),
            ("timeout", seconds(*timeout)),
        ]),
        CheckKind::Smtp(SmtpCheck { connect, helo }) => {
            all.extend(connection(connect));
            all.push(("helo_name", helo.clone()));
        }
        CheckKind::Dns(DnsCheck { connect, kind, name }) => {
            all.extend(connection(connect));
            all.extend([("type", kind.clone()), ("name", name.clone())]);
        }
        CheckKind::Udp(UdpCheck {
            connect,
            payload,
            reply,
        }) => {
            all.extend(connection(connect));
            all.push(("payload", hex(payload)));
            let reply = reply.as_ref().map(|it| {
                let pattern: Vec<u8> = it.pattern.iter().map(|(value, _)| *value).collect();
                let bits: Vec<u8> = it.pattern.iter().map(|(_, bits)| *bits).collect();
                format!(
                    "{} bits {}, {} to {} bytes",
                    hex(&pattern),
                    hex(&bits),
                    it.length_min,
                    it.length_max
                )
            });
            all.push(("require_reply", reply.unwrap_or_else(none)));
        }
        CheckKind::Bfd(session) => all.push(("name", session.clone())),
        CheckKind::File(FileCheck { file, multiplier }) => all.extend([
            ("track_file", file.clone()),
            ("weight", multiplier.weight.to_string()),
            ("reverse", flag(multiplier.reverse)),
        ]),
    }
    all.into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn connection(it: &TcpCheck) -> [(&'static str, String); 5] {
    let TcpCheck {
        to,
        from,
        device,
        mark,
        timeout,
    } = it;
    [
        ("connect_ip", to.to_string()),
        ("bindto", from.map_or_else(none, |it| it.to_string())),
        ("bind_if", device.clone().unwrap_or_else(none)),
        ("fwmark", mark.to_string()),
        ("connect_timeout", seconds(*timeout)),
    ]
}

fn url(it: &Url) -> String {
    let Url {
        path,
        host,
        status,
        digest,
        regex,
        regex_within,
    } = it;
    let status: Vec<String> = (status.iter())
        .map(|it| {
            if it.low == it.high {
                it.low.to_string()
            } else {
                format!("{}-{}", it.low, it.high)
            }
        })
        .collect();
    let digest = digest
        .map(|it| format!(" digest {}", hex(&it)))
        .unwrap_or_default();
    let regex = regex
        .as_ref()
        .map(|(text, wanted)| format!(" {} \"{text}\"", if *wanted { "regex" } else { "regex_no_match" }));
    let mut within = String::new();
    if regex_within.from > 0 {
        within.push_str(&format!(" from {}", regex_within.from));
    }
    if let Some(to) = regex_within.to {
        within.push_str(&format!(" up to {to}"));
    }
    format!(
        "{host}{path} status {}{digest}{}{within}",
        status.join(" "),
        regex.unwrap_or_default()
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn seconds(span: Duration) -> String {
    format!("{}s", span.as_secs_f64())
}

fn flag(on: bool) -> String {
    (if on { "yes" } else { "no" }).to_owned()
}

fn none() -> String {
    "none".to_owned()
}
