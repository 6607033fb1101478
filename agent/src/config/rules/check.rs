//! Health checks, each setting taken from the nearest block that has it.

use super::follow::Followed;
use super::script;
use crate::config::findings::Cx;
use crate::config::keyword::shown;
use crate::config::keywords::{CheckWords, Checker, Raw, RawCheck, Talk};
use crate::model::{
    Check, CheckKind, ClientCertificate, DnsCheck, FileCheck, HttpGet, MiscCheck, Multiplier, PingCheck,
    SmtpCheck, StatusRange, TcpCheck, UdpCheck, UdpReply, Url,
};
use lb_shared::names::{ServerKey, with_port};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

const DELAY_LOOP: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Different patterns of one configuration: each costs time and memory to prepare.
const PATTERNS_MAX: usize = 2_000;
/// The settings of a block, those it lacks taken from the block around it.
pub(crate) fn inherit(inner: &CheckWords, outer: &CheckWords) -> CheckWords {
    CheckWords {
        delay_loop: inner.delay_loop.or(outer.delay_loop),
        retry: inner.retry.or(outer.retry),
        delay_before_retry: inner.delay_before_retry.or(outer.delay_before_retry),
        warmup: inner.warmup.or(outer.warmup),
        connect_timeout: inner.connect_timeout.or(outer.connect_timeout),
        alpha: inner.alpha.or(outer.alpha),
        virtualhost: inner.virtualhost.clone().or_else(|| outer.virtualhost.clone()),
    }
}

pub(super) fn check(
    it: &RawCheck,
    server: ServerKey,
    server_words: &CheckWords,
    followed: &Followed<'_>,
    cx: &mut Cx<'_>,
) -> Option<Check> {
    let words = inherit(&it.words, server_words);
    let delay_loop = words.delay_loop.unwrap_or(DELAY_LOOP);
    let kind = match it.checker {
        Checker::Tcp => CheckKind::Tcp(connect(it, server, &words, cx)),
        Checker::Http | Checker::Ssl => CheckKind::Http(http_get(it, server, &words, cx)?),
        Checker::Misc => CheckKind::Misc(misc(it, delay_loop, cx)?),
        Checker::Ping => CheckKind::Ping(PingCheck {
            to: it.connect_ip.unwrap_or(server.address),
            from: it.bind_to.map(|(address, _)| address),
            device: it.bind_if.clone(),
            mark: it.mark,
            timeout: words.connect_timeout.unwrap_or(CONNECT_TIMEOUT),
        }),
        Checker::Bfd => CheckKind::Bfd(super::bfd::of_check(it, cx)?),
        Checker::Smtp | Checker::Dns | Checker::Udp => talk(it, connect(it, server, &words, cx)),
        Checker::File => CheckKind::File(file(it, followed, cx)?),
    };
    Some(Check {
        kind,
        delay_loop,
        // A session has waited long enough itself.
        retry: words
            .retry
            .filter(|_| it.checker != Checker::Bfd)
            .unwrap_or(match it.checker {
                Checker::Misc | Checker::Bfd => 0,
                Checker::Dns => 3,
                Checker::Tcp
                | Checker::Http
                | Checker::Ssl
                | Checker::Ping
                | Checker::Smtp
                | Checker::Udp
                | Checker::File => 1,
            }),
        delay_before_retry: words.delay_before_retry.unwrap_or(match it.checker {
            Checker::Http | Checker::Ssl => Duration::from_secs(3),
            Checker::Dns => delay_loop,
            Checker::Tcp
            | Checker::Misc
            | Checker::Ping
            | Checker::Smtp
            | Checker::Udp
            | Checker::File
            | Checker::Bfd => Duration::from_secs(1),
        }),
        warmup: words.warmup.unwrap_or(delay_loop),
        alpha: words.alpha.unwrap_or(false),
        log_all_failures: it.log_all_failures.unwrap_or(cx.global.checker_log_all_failures),
    })
}

fn file(it: &RawCheck, followed: &Followed<'_>, cx: &mut Cx<'_>) -> Option<FileCheck> {
    let otherwise = "the check is left out, as in keepalived: the server counts as up";
    let Some((name, at)) = &it.file else {
        let text = "FILE_CHECK without track_file";
        cx.error("S-29", it.at, text, &[otherwise, "write 'track_file NAME'"]);
        return None;
    };
    let own = followed.files.find(name, *at, otherwise, cx)?;
    let (weight, reverse) = it.file_weight.unwrap_or(own);
    Some(FileCheck {
        file: name.clone(),
        multiplier: Multiplier { weight, reverse },
    })
}

/// What mail, name and UDP servers are asked.
fn talk(it: &RawCheck, connect: TcpCheck) -> CheckKind {
    const HELO: &str = "smtpchecker.keepalived.org";
    let none = Talk::default();
    let said = it.talk.as_deref().unwrap_or(&none);
    match it.checker {
        Checker::Dns => CheckKind::Dns(DnsCheck {
            connect,
            kind: said.record.unwrap_or("SOA").to_owned(),
            name: said.name.clone().unwrap_or_else(|| ".".to_owned()),
        }),
        Checker::Udp => {
            let bounds = said.reply_min.is_some() || said.reply_max.is_some();
            let reply = said.reply.clone().or_else(|| bounds.then(Vec::new));
            CheckKind::Udp(UdpCheck {
                connect,
                payload: said.payload.clone(),
                reply: reply.map(|pattern| UdpReply {
                    pattern,
                    length_min: said.reply_min.unwrap_or(0),
                    length_max: said.reply_max.unwrap_or(255),
                }),
            })
        }
        _ => CheckKind::Smtp(SmtpCheck {
            connect,
            helo: said.helo.clone().unwrap_or_else(|| HELO.to_owned()),
        }),
    }
}

fn connect(it: &RawCheck, server: ServerKey, words: &CheckWords, cx: &mut Cx<'_>) -> TcpCheck {
    let address = it.connect_ip.unwrap_or(server.address);
    let port = it.connect_port.unwrap_or(server.port);
    if port == 0 {
        cx.error(
            "S-22",
            it.at,
            "there is no port to check",
            &[
                "the check fails always: port 0 cannot be connected to",
                "write 'connect_port N' into the check",
            ],
        );
    }
    let from = match (it.bind_to, it.bind_port) {
        (Some((from, at)), port) => {
            if from.is_ipv4() == address.is_ipv4() {
                Some(SocketAddr::new(from, port.unwrap_or(0)))
            } else {
                cx.error(
                    "S-07",
                    at,
                    format!("bindto {from} is of another family than {address}"),
                    &["it is left out"],
                );
                None
            }
        }
        (None, Some(port)) => {
            let any = if address.is_ipv4() {
                IpAddr::from([0; 4])
            } else {
                IpAddr::from([0; 16])
            };
            Some(SocketAddr::new(any, port))
        }
        (None, None) => None,
    };
    TcpCheck {
        to: SocketAddr::new(address, port),
        from,
        device: it.bind_if.clone(),
        mark: it.mark,
        timeout: words.connect_timeout.unwrap_or(CONNECT_TIMEOUT),
    }
}

fn http_get(it: &RawCheck, server: ServerKey, words: &CheckWords, cx: &mut Cx<'_>) -> Option<HttpGet> {
    let tls = it.checker == Checker::Ssl;
    let mut urls = Vec::with_capacity(it.urls.len());
    for raw in &it.urls {
        let Some(path) = raw.path.clone() else {
            cx.error(
                "S-14",
                raw.at,
                "a url without path",
                &["it is left out, as in keepalived", "write 'path /'"],
            );
            continue;
        };
        let host = raw.virtualhost.clone().or_else(|| words.virtualhost.clone());
        let any = StatusRange { low: 200, high: 299 };
        urls.push(Url {
            path,
            host: host.unwrap_or_else(|| with_port(server.address, server.port)),
            status: if raw.status.is_empty() {
                vec![any]
            } else {
                raw.status.clone()
            },
            digest: raw.digest,
            regex: raw.regex.as_ref().and_then(|(pattern, at)| {
                let pattern = match raw.regex_flags.as_str() {
                    "" => pattern.clone(),
                    flags => format!("(?{flags}){pattern}"),
                };
                compiles(&pattern, *at, cx).then_some((pattern, !raw.regex_no_match))
            }),
            regex_within: raw.regex_within,
        });
    }
    if urls.is_empty() {
        cx.error(
            "S-14",
            it.at,
            "the check asks for nothing: it has no url",
            &[
                "the check is left out, as in keepalived: the server counts as up",
                "write 'url { path / }'",
            ],
        );
        return None;
    }
    let named = it
        .words
        .virtualhost
        .clone()
        .or_else(|| it.urls.iter().find_map(|url| url.virtualhost.clone()));
    let sni = if tls && it.enable_sni {
        it.sni_name.clone().or(named)
    } else {
        None
    };
    if tls && it.enable_sni && sni.is_none() {
        cx.warn(
            "S-26",
            it.at,
            "enable_sni without a name to send",
            &[
                "no name is sent, as in keepalived",
                "write 'virtualhost NAME' into the check, or 'sni_name NAME'",
            ],
        );
    }
    Some(HttpGet {
        connect: connect(it, server, words, cx),
        tls,
        client: if tls { cx.client_certificate.clone() } else { None },
        sni,
        version: it.version,
        urls,
        fast_recovery: it.fast_recovery,
    })
}

/// What `SSL` says, as far as it can be used.
pub(super) fn client_certificate(raw: &Raw, cx: &mut Cx<'_>) -> Option<Arc<ClientCertificate>> {
    let (chain, key) = match (&raw.ssl.certificate, &raw.ssl.key) {
        (None, None) => return None,
        (Some(chain), Some(key)) => (chain, key),
        (Some((_, at)), None) | (None, Some((_, at))) => {
            let notes: &[&str] = &[
                "SSL_GET shows no certificate",
                "write both, 'certificate FILE' and 'key FILE'",
            ];
            cx.error("S-46", *at, "a client certificate needs its key", notes);
            return None;
        }
    };
    for (path, at) in [chain, key] {
        let why = match cx.files.read(path) {
            Err(why) => format!("cannot be read: {}", why.0),
            Ok(text) if !has(&text.bytes, "-----BEGIN ") => "is not PEM".to_owned(),
            Ok(text) if has(&text.bytes, "ENCRYPTED") => "has a pass phrase".to_owned(),
            Ok(_) => continue,
        };
        let notes: &[&str] = &[
            "while that is so, an SSL_GET gives no result and servers keep their verdict",
            "it takes PEM without a pass phrase: openssl pkey -in KEY -out NEW-KEY",
        ];
        cx.warn("S-46", *at, format!("'{}' {why}", shown(path)), notes);
    }
    Some(Arc::new(ClientCertificate {
        chain: chain.0.clone().into(),
        key: key.0.clone().into(),
    }))
}

fn has(bytes: &[u8], words: &str) -> bool {
    bytes.windows(words.len()).any(|it| it == words.as_bytes())
}

/// Whether a pattern can be used: in linear time if possible, else with a limit on its steps.
fn compiles(pattern: &str, at: crate::config::lexer::Span, cx: &mut Cx<'_>) -> bool {
    if let Some(known) = cx.patterns.get(pattern) {
        return *known;
    }
    if cx.patterns.len() >= PATTERNS_MAX {
        cx.error(
            "L-24",
            at,
            format!("more than {PATTERNS_MAX} different patterns"),
            &["this one is not used", "let checks share their patterns"],
        );
        return false;
    }
    let good = regex::Regex::new(pattern).is_ok() || fancy_regex::Regex::new(pattern).is_ok();
    if !good {
        let notes: &[&str] = &[
            "the body is not searched",
            "test it with: curl -s URL | grep -P 'PATTERN'",
        ];
        cx.error("S-17", at, "the pattern is not a regular expression", notes);
    }
    cx.patterns.insert(pattern.to_owned(), good);
    good
}

fn misc(it: &RawCheck, delay_loop: Duration, cx: &mut Cx<'_>) -> Option<MiscCheck> {
    let Some((words, at)) = &it.misc_path else {
        cx.error(
            "S-15",
            it.at,
            "MISC_CHECK without misc_path",
            &[
                "the check is left out, as in keepalived: the server counts as up",
                "write 'misc_path \"/path/command\"'",
            ],
        );
        return None;
    };
    let resolved = script::resolve(words, it.user.as_ref(), *at, script::Role::Checks, cx);
    Some(MiscCheck {
        script: resolved.script,
        timeout: it
            .misc_timeout
            .filter(|timeout| !timeout.is_zero())
            .unwrap_or(delay_loop),
        dynamic: it.misc_dynamic,
        broken: resolved.broken,
    })
}
