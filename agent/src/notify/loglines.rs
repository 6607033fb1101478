//! keepalived's words for what happened, so that scripts that search its log go on working.

use super::serverlines;
use lb_shared::event::{Change, Event, What};
use lb_shared::names::TrackerName;
use lb_shared::state::{InstanceView, Object, ObjectId};

/// The lines keepalived would have logged for an event, oldest first; none where it has no line or where the event does
/// not tell enough.
pub fn lines(event: &Event) -> Vec<String> {
    match &event.object {
        ObjectId::Instance(name) => instance_lines(event, &name.0, instance(event)),
        ObjectId::Group(name) if event.what == What::GroupChanged && event.text.ends_with("-> MASTER") => {
            vec![format!("VRRP_Group({name}) Syncing instances to MASTER state")]
        }
        ObjectId::Tracker(TrackerName::Script(name)) => script_lines(event, name),
        ObjectId::Service(key) => serverlines::quorum(event, key),
        ObjectId::Server(id) => serverlines::server(event, id),
        ObjectId::Agent => agent_lines(event),
        ObjectId::Group(_) | ObjectId::Tracker(_) | ObjectId::Override(_) => Vec::new(),
    }
}

/// What keepalived logs of an event with `-D` alone.
pub fn details(event: &Event) -> Vec<String> {
    let ObjectId::Instance(name) = &event.object else {
        return Vec::new();
    };
    let leaves = event.text.starts_with("MASTER -> ");
    match event.what {
        What::BecameMaster => vec![format!("({name}) setting VIPs.")],
        What::BecameInit if leaves => vec![
            format!("({name}) sent 0 priority"),
            format!("({name}) removing VIPs."),
        ],
        What::BecameBackup | What::BecameFault if leaves => vec![format!("({name}) removing VIPs.")],
        What::AddressLost => {
            let place = event.text.strip_suffix(" was removed by somebody else");
            let place = place.and_then(|place| place.split_once(" on "));
            let line =
                |(address, link)| format!("Netlink reflector reports IP {address} removed from {link}");
            place.map(line).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

fn agent_lines(event: &Event) -> Vec<String> {
    let own = || format!("{} {}: {}", event.what.name(), event.object, event.text);
    match event.what {
        What::Started => vec!["Startup complete".to_owned()],
        What::Stopping => vec!["Stopping".to_owned()],
        // The first one is told as Started.
        What::Applied if !event.text.starts_with("revision 1 ") => vec!["Reload complete".to_owned(), own()],
        What::Finding => unknown_keyword(&event.text).into_iter().chain([own()]).collect(),
        What::LinkUp | What::LinkDown => {
            let mut words = event.text.split(' ');
            match (words.next(), words.next(), words.next()) {
                (Some("interface"), Some(name), Some(state @ ("up" | "down"))) => {
                    vec![format!("Netlink reports {name} {state}")]
                }
                _ => Vec::new(),
            }
        }
        _ => Vec::new(),
    }
}

/// `FILE:LINE:COLUMN: error[L-01]: 'WORD' is not a keyword …` as keepalived says it.
fn unknown_keyword(finding: &str) -> Option<String> {
    let (place, rest) = finding.split_once(": error[L-0")?;
    let rest = rest
        .strip_prefix("1]: '")
        .or_else(|| rest.strip_prefix("2]: '"))?;
    let (word, _) = rest.split_once('\'')?;
    let (place, _column) = place.rsplit_once(':')?;
    let (file, line) = place.rsplit_once(':')?;
    Some(format!("({file}: Line {line}) Unknown keyword '{word}'"))
}

fn instance_lines(event: &Event, name: &str, view: Option<&InstanceView>) -> Vec<String> {
    let from_init = event.text.starts_with("INIT ->");
    let init = if from_init { " (init)" } else { "" };
    match event.what {
        What::BecameBackup => {
            let mut lines = Vec::new();
            let heard = view.and_then(|view| view.master.as_ref().map(|master| (view, master)));
            if let Some((view, master)) = heard.filter(|_| event.text.starts_with("MASTER ->"))
                && master.priority > view.effective_priority
            {
                lines.push(format!(
                    "({name}) Master received advert from {} with higher priority {}, ours {}",
                    master.address, master.priority, view.effective_priority
                ));
            }
            lines.push(format!("({name}) Entering BACKUP STATE{init}"));
            lines
        }
        What::BecameMaster => {
            let timed_out = event
                .why
                .as_deref()
                .is_some_and(|why| why.starts_with("no advert"));
            let mut lines = Vec::new();
            if timed_out {
                lines.push(format!("({name}) Receive advertisement timeout"));
            }
            lines.push(format!("({name}) Entering MASTER STATE"));
            lines
        }
        What::BecameFault => {
            let faults = view.map(|view| view.faults.as_slice()).unwrap_or_default();
            let mut lines: Vec<_> = faults
                .iter()
                .map(|fault| {
                    // `interface eth0 is down` is `interface eth0 down` there.
                    let fault = fault.replace(" is down", " down");
                    format!("({name}): entering FAULT state ({fault})")
                })
                .collect();
            lines.push(format!("({name}) Entering FAULT STATE{init}"));
            lines
        }
        What::PriorityChanged => event
            .text
            .strip_prefix("effective priority ")
            .and_then(|numbers| numbers.split_once(" -> "))
            .map(|(old, new)| {
                vec![format!(
                    "({name}) Changing effective priority from {old} to {new}"
                )]
            })
            .unwrap_or_default(),
        What::MasterHeard => event
            .text
            .strip_prefix("received advert from ")
            .map(|rest| vec![format!("({name}) Received advert from {rest}")])
            .unwrap_or_default(),
        _ => Vec::new(),
    }
}

fn script_lines(event: &Event, name: &str) -> Vec<String> {
    let detail = event
        .changes
        .iter()
        .find_map(|change| match change {
            Change::Put(Object::Tracker(view)) => Some(view.detail.as_str()),
            Change::Put(_) | Change::Remove(_) => None,
        })
        .unwrap_or_default();
    let exit = detail.strip_prefix("exit ");
    match event.what {
        What::TrackerOk => vec![format!("VRRP_Script({name}) succeeded")],
        What::TrackerFailed => {
            let how = if let Some(code) = exit {
                format!("failed (exited with status {code})")
            } else if let Some(signal) = detail.strip_prefix("killed by signal ") {
                format!("failed (due to signal {signal})")
            } else {
                "timed_out".to_owned()
            };
            vec![format!("VRRP_Script({name}) {how}")]
        }
        What::TrackerChanged => exit
            .filter(|_| event.text.starts_with("now: "))
            .map(|code| vec![format!("Script `{name}` now returning {code}")])
            .unwrap_or_default(),
        _ => Vec::new(),
    }
}

fn instance(event: &Event) -> Option<&InstanceView> {
    event.changes.iter().find_map(|change| match change {
        Change::Put(Object::Instance(view)) => Some(&**view),
        Change::Put(_) | Change::Remove(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_shared::names::Family;
    use lb_shared::state::{MasterView, TrackerView, VrrpState};
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

    fn view(master: Option<(&str, u8)>, faults: &[&str]) -> Object {
        Object::Instance(std::sync::Arc::new(InstanceView {
            place: String::new(),
            name: "VI_1".into(),
            group: None,
            interface: Some("eth0".into()),
            vmac: None,
            refused: None,
            vrid: 51,
            family: Family::Inet,
            version: 2,
            unicast: false,
            state: VrrpState::Backup,
            since: Mono::ZERO,
            why: String::new(),
            second_master: false,
            base_priority: 100,
            effective_priority: 100,
            terms: Vec::new(),
            pin: None,
            master: master.map(|(address, priority)| MasterView {
                address: address.parse().unwrap(),
                priority,
            }),
            advert_interval_us: 1_000_000,
            master_down_us: 3_609_375,
            preempt: true,
            preempt_delay_us: 0,
            addresses: Vec::new(),
            faults: faults.iter().map(|fault| (*fault).to_owned()).collect(),
        }))
    }

    #[test]
    fn instances_speak_as_before() {
        type Case<'a> = (What, &'a str, Option<&'a str>, Object, &'a [&'a str]);
        let cases: [Case<'_>; 8] = [
            (
                What::BecameBackup,
                "INIT -> BACKUP",
                None,
                view(None, &[]),
                &["(VI_1) Entering BACKUP STATE (init)"],
            ),
            (
                What::BecameBackup,
                "MASTER -> BACKUP",
                None,
                view(Some(("10.0.0.2", 150)), &[]),
                &[
                    "(VI_1) Master received advert from 10.0.0.2 with higher priority 150, ours 100",
                    "(VI_1) Entering BACKUP STATE",
                ],
            ),
            (
                What::BecameMaster,
                "BACKUP -> MASTER",
                Some("no advert heard for 3.609s"),
                view(None, &[]),
                &[
                    "(VI_1) Receive advertisement timeout",
                    "(VI_1) Entering MASTER STATE",
                ],
            ),
            (
                What::BecameMaster,
                "BACKUP -> MASTER",
                Some("promoted by an operator"),
                view(None, &[]),
                &["(VI_1) Entering MASTER STATE"],
            ),
            (
                What::BecameFault,
                "MASTER -> FAULT",
                None,
                view(None, &["interface eth0 is down"]),
                &[
                    "(VI_1): entering FAULT state (interface eth0 down)",
                    "(VI_1) Entering FAULT STATE",
                ],
            ),
            (
                What::PriorityChanged,
                "effective priority 100 -> 80",
                None,
                view(None, &[]),
                &["(VI_1) Changing effective priority from 100 to 80"],
            ),
            (
                What::MasterHeard,
                "received advert from 10.0.0.2 with lower priority 100, ours 150, forcing new election",
                None,
                view(None, &[]),
                &[
                    "(VI_1) Received advert from 10.0.0.2 with lower priority 100, ours 150, forcing new election",
                ],
            ),
            (
                What::InstanceChanged,
                "settings changed",
                None,
                view(None, &[]),
                &[],
            ),
        ];
        for (what, text, why, put, want) in cases {
            let event = event(what, ObjectId::Instance("VI_1".into()), text, why, Some(put));
            assert_eq!(lines(&event), want, "{text}");
        }
    }

    #[test]
    fn scripts_and_groups_speak_as_before() {
        let cases = [
            (
                What::TrackerOk,
                "succeeded",
                "exit 0",
                "VRRP_Script(chk) succeeded",
            ),
            (
                What::TrackerFailed,
                "failed",
                "exit 1",
                "VRRP_Script(chk) failed (exited with status 1)",
            ),
            (
                What::TrackerFailed,
                "failed",
                "killed by signal 9",
                "VRRP_Script(chk) failed (due to signal 9)",
            ),
            (
                What::TrackerFailed,
                "failed",
                "timed out after 2s",
                "VRRP_Script(chk) timed_out",
            ),
            (
                What::TrackerChanged,
                "now: exit 1",
                "exit 1",
                "Script `chk` now returning 1",
            ),
        ];
        for (what, text, detail, want) in cases {
            let name = TrackerName::Script("chk".into());
            let put = Object::Tracker(TrackerView {
                name: name.clone(),
                ok: Some(true),
                since: Mono::ZERO,
                detail: detail.into(),
            });
            let event = event(what, ObjectId::Tracker(name), text, None, Some(put));
            assert_eq!(lines(&event), [want]);
        }
        let group = |text| event(What::GroupChanged, ObjectId::Group("G1".into()), text, None, None);
        assert_eq!(
            lines(&group("BACKUP -> MASTER")),
            ["VRRP_Group(G1) Syncing instances to MASTER state"]
        );
        assert!(lines(&group("MASTER -> BACKUP")).is_empty());
    }

    #[test]
    fn the_agent_speaks_as_before() {
        for (what, text, want) in [
            (What::Started, "started", &["Startup complete"][..]),
            (What::Stopping, "stopping", &["Stopping"]),
            (What::Applied, "revision 1 from a.conf", &[]),
            (
                What::Applied,
                "revision 2 from a.conf",
                &["Reload complete", "config.applied agent: revision 2 from a.conf"],
            ),
            (
                What::Finding,
                "/etc/a.conf:12:5: error[L-01]: 'prioritty' is not a keyword in vrrp_instance\n  did you mean 'priority'?",
                &[
                    "(/etc/a.conf: Line 12) Unknown keyword 'prioritty'",
                    "config.finding agent: /etc/a.conf:12:5: error[L-01]: 'prioritty' is not a keyword in \
                     vrrp_instance\n  did you mean 'priority'?",
                ],
            ),
            (
                What::Finding,
                "a.conf:1:1: warning[L-14]: 'x' is an old word",
                &["config.finding agent: a.conf:1:1: warning[L-14]: 'x' is an old word"],
            ),
            (
                What::LinkDown,
                "interface eth0 down",
                &["Netlink reports eth0 down"],
            ),
            (What::LinkUp, "interface eth0 up", &["Netlink reports eth0 up"]),
            (What::LinkUp, "interface eth0 appeared", &[]),
        ] {
            assert_eq!(
                lines(&event(what, ObjectId::Agent, text, None, None)),
                want,
                "{text}"
            );
        }
    }

    #[test]
    fn details_are_those_of_keepalived() {
        for (what, text, want) in [
            (
                What::BecameMaster,
                "BACKUP -> MASTER",
                &["(VI_1) setting VIPs."][..],
            ),
            (What::BecameBackup, "MASTER -> BACKUP", &["(VI_1) removing VIPs."]),
            (What::BecameFault, "MASTER -> FAULT", &["(VI_1) removing VIPs."]),
            (What::BecameBackup, "INIT -> BACKUP", &[]),
            (
                What::BecameInit,
                "MASTER -> INIT",
                &["(VI_1) sent 0 priority", "(VI_1) removing VIPs."],
            ),
            (
                What::AddressLost,
                "10.0.0.9/24 on eth0 was removed by somebody else",
                &["Netlink reflector reports IP 10.0.0.9/24 removed from eth0"],
            ),
        ] {
            let event = event(what, ObjectId::Instance("VI_1".into()), text, None, None);
            assert_eq!(details(&event), want, "{text}");
        }
    }
}
