//! keepalived's words for services and their servers.

use super::fifo::{server_name, service_name};
use lb_shared::event::{Change, Event, What};
use lb_shared::names::{ServerId, ServiceKey};
use lb_shared::state::{CheckView, Object, ServerView};

/// Of a service: the event has the numbers as keepalived writes them.
pub(super) fn quorum(event: &Event, key: &ServiceKey) -> Vec<String> {
    match event.what {
        What::QuorumGained | What::QuorumLost => {
            vec![format!("{} for VS {}", event.text, service_name(key))]
        }
        _ => Vec::new(),
    }
}

/// Of a server: what its check said, then what became of it.
pub(super) fn server(event: &Event, id: &ServerId) -> Vec<String> {
    let (server, service) = (server_name(&id.service, &id.server), service_name(&id.service));
    let view = view_of_server(event);
    match event.what {
        What::ServerUp => {
            let done = match event.text.contains(", weight 0 -> ") {
                true => format!("Enabling service {server} of VS {service}"),
                false => format!("Adding service {server} to VS {service}"),
            };
            success(event, &server).into_iter().chain([done]).collect()
        }
        What::ServerDown => {
            let done = match view.is_some_and(|view| view.effective.is_some()) {
                true => format!("Disabling service {server} of VS {service}"),
                false => format!("Removing service {server} from VS {service}"),
            };
            failure(event, view, &server, &service)
                .into_iter()
                .chain([done])
                .collect()
        }
        What::WeightChanged => weights(event)
            .map(|(old, new)| {
                format!("Changing weight from {old} to {new} for active service {server} of VS {service}")
            })
            .into_iter()
            .collect(),
        _ => Vec::new(),
    }
}

/// The check that decided, and what it found.
fn verdict(event: &Event) -> Option<(&str, &str)> {
    event.why.as_deref()?.split_once(": ")
}

fn success(event: &Event, server: &str) -> Option<String> {
    let kind = event.why.as_deref()?.strip_suffix(" succeeded")?;
    Some(match kind {
        "TCP_CHECK" => format!("TCP connection to {server} success."),
        "HTTP_GET" | "SSL_GET" => format!("Remote Web server {server} succeed on service."),
        "SMTP_CHECK" => format!("Remote SMTP server {server} succeed on service."),
        "UDP_CHECK" => format!("UDP connection to {server} success."),
        "PING_CHECK" => format!("ICMP connection to {server} success."),
        _ => return None,
    })
}

/// With the reason in brackets where keepalived has the number of retries.
fn failure(event: &Event, view: Option<&ServerView>, server: &str, service: &str) -> Vec<String> {
    let Some((kind, reason)) = verdict(event) else {
        return Vec::new();
    };
    let web = matches!(kind, "HTTP_GET" | "SSL_GET");
    let target = view
        .and_then(|view| failed(view, kind))
        .map_or("", |check| check.target.as_str());
    // Which of several urls it was is not told.
    let path = target
        .split_once(' ')
        .map(|(_, path)| path)
        .filter(|path| !path.contains(' '));
    let status = reason
        .strip_prefix("status ")
        .zip(path.filter(|_| web))
        .map(|(rest, path)| {
            let code: String = rest.chars().take_while(char::is_ascii_digit).collect();
            format!("HTTP status code error to {server} url({path}), status_code [{code}].")
        });
    let said = match kind {
        "MISC_CHECK" => {
            let path = target.split(' ').next().unwrap_or_default();
            format!("Misc check for [{server} VS {service}] by [{path}] failed ({reason}).")
        }
        "PING_CHECK" => format!("ICMP CHECK on service {server} failed ({reason})."),
        _ if web => format!("HTTP_CHECK on service {server} failed ({reason})."),
        kind => format!("{kind} on service {server} failed ({reason})."),
    };
    status.into_iter().chain([said]).collect()
}

/// The check of that kind that is bad now.
fn failed<'v>(view: &'v ServerView, kind: &str) -> Option<&'v CheckView> {
    let mut checks = view.checks.iter().filter(|check| check.kind == kind);
    checks.find(|check| check.ok == Some(false))
}

/// `weight 1 -> 0`, where the server is in the table before and after.
fn weights(event: &Event) -> Option<(u32, u32)> {
    let (old, new) = event.text.strip_prefix("weight ")?.split_once(" -> ")?;
    Some((old.parse().ok()?, new.parse().ok()?))
}

fn view_of_server(event: &Event) -> Option<&ServerView> {
    event.changes.iter().find_map(|change| match change {
        Change::Put(Object::Server(view)) => Some(&**view),
        Change::Put(_) | Change::Remove(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_shared::state::ObjectId;
    use lb_shared::units::Mono;

    fn event(what: What, object: ObjectId, text: &str, why: Option<&str>, put: Option<Object>) -> Event {
        Event {
            what,
            object,
            text: text.into(),
            why: why.map(Into::into),
            actor: None,
            at: Mono::ZERO,
            changes: put.into_iter().map(Change::Put).collect(),
        }
    }

    #[test]
    fn services_speak_as_before() {
        let key: ServiceKey = "192.0.2.1:80/tcp".parse().unwrap();
        for (what, text, want) in [
            (
                What::QuorumGained,
                "Gained quorum 1+0=1 <= 1",
                &["Gained quorum 1+0=1 <= 1 for VS [192.0.2.1]:tcp:80"][..],
            ),
            (
                What::QuorumLost,
                "Lost quorum 1-0=1 > 0",
                &["Lost quorum 1-0=1 > 0 for VS [192.0.2.1]:tcp:80"],
            ),
            (What::ServiceChanged, "live weight 1 -> 2", &[]),
        ] {
            let event = event(what, ObjectId::Service(key.clone()), text, None, None);
            assert_eq!(quorum(&event, &key), want);
        }
    }

    fn a_server(kind: &str, target: &str, effective: Option<u32>) -> Object {
        Object::Server(std::sync::Arc::new(ServerView {
            id: "192.0.2.1:80/tcp/192.0.2.21:80".parse().unwrap(),
            health: lb_shared::state::Health::Down,
            admin: lb_shared::state::Admin::Enabled,
            configured: lb_shared::units::Weight::new(1).unwrap(),
            effective: effective.map(|weight| lb_shared::units::Weight::new(weight).unwrap()),
            source: lb_shared::state::WeightSource::Config,
            since: Mono::ZERO,
            reason: String::new(),
            checks: vec![CheckView {
                kind: kind.into(),
                target: target.into(),
                ok: Some(false),
                detail: String::new(),
            }],
            drain: None,
        }))
    }

    #[test]
    fn servers_speak_as_before() {
        const S: &str = "[192.0.2.21]:tcp:80";
        let removing = format!("Removing service {S} from VS [192.0.2.1]:tcp:80");
        let adding = format!("Adding service {S} to VS [192.0.2.1]:tcp:80");
        let web = format!("HTTP status code error to {S} url(/healthz), status_code [503].");
        let cases: [(What, &str, &str, Object, Vec<String>); 9] = [
            (
                What::ServerDown,
                "UP -> DOWN",
                "TCP_CHECK: connection refused",
                a_server("TCP_CHECK", "192.0.2.21:80", None),
                vec![
                    format!("TCP_CHECK on service {S} failed (connection refused)."),
                    removing.clone(),
                ],
            ),
            (
                What::ServerDown,
                "UP -> DOWN",
                "TCP_CHECK: connection refused",
                a_server("TCP_CHECK", "192.0.2.21:80", Some(0)),
                vec![
                    format!("TCP_CHECK on service {S} failed (connection refused)."),
                    format!("Disabling service {S} of VS [192.0.2.1]:tcp:80"),
                ],
            ),
            (
                What::ServerDown,
                "UP -> DOWN",
                "HTTP_GET: status 503, want 200-299",
                a_server("HTTP_GET", "192.0.2.21:80 /healthz", None),
                vec![
                    web,
                    format!("HTTP_CHECK on service {S} failed (status 503, want 200-299)."),
                    removing.clone(),
                ],
            ),
            (
                What::ServerDown,
                "UP -> DOWN",
                "MISC_CHECK: exited with status 1",
                a_server("MISC_CHECK", "/opt/check", None),
                vec![
                    format!(
                        "Misc check for [{S} VS [192.0.2.1]:tcp:80] by [/opt/check] failed (exited with status 1)."
                    ),
                    removing,
                ],
            ),
            (
                What::ServerUp,
                "DOWN -> UP",
                "TCP_CHECK succeeded",
                a_server("TCP_CHECK", "", Some(1)),
                vec![format!("TCP connection to {S} success."), adding.clone()],
            ),
            (
                What::ServerUp,
                "DOWN -> UP",
                "MISC_CHECK succeeded",
                a_server("MISC_CHECK", "", Some(1)),
                vec![adding],
            ),
            (
                What::ServerUp,
                "DOWN -> UP, weight 0 -> 1",
                "SSL_GET succeeded",
                a_server("SSL_GET", "", Some(1)),
                vec![
                    format!("Remote Web server {S} succeed on service."),
                    format!("Enabling service {S} of VS [192.0.2.1]:tcp:80"),
                ],
            ),
            (
                What::WeightChanged,
                "weight 1 -> 0",
                "weight given by its check",
                a_server("MISC_CHECK", "", Some(0)),
                vec![format!(
                    "Changing weight from 1 to 0 for active service {S} of VS [192.0.2.1]:tcp:80"
                )],
            ),
            (
                What::WeightChanged,
                "weight none -> 1",
                "",
                a_server("MISC_CHECK", "", Some(1)),
                Vec::new(),
            ),
        ];
        for (what, text, why, put, want) in cases {
            let Object::Server(view) = &put else {
                unreachable!()
            };
            let id = view.id.clone();
            let event = event(what, ObjectId::Server(id.clone()), text, Some(why), Some(put));
            assert_eq!(server(&event, &id), want, "{text} {why}");
        }
    }
}
