//! Who would be master of a virtual router if its master were lost, as far as the hosts that answer tell.

use lb_shared::differences::{Router, Seen};
use lb_shared::problems;
use lb_shared::state::{InstanceView, VrrpState};
use lb_shared::text::{escape, span};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

/// What would happen to one virtual router.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Next {
    pub(crate) name: String,
    /// `+` somebody takes over, `!` nobody does.
    pub(crate) mark: char,
    pub(crate) text: String,
    /// What else counts: connections that go on, trackers that fail.
    pub(crate) notes: Vec<String>,
}

type Member<'a> = (&'a Seen<'a>, &'a InstanceView);

/// A row for each virtual router that any of these hosts has.
pub(crate) fn next_masters(live: &[Seen<'_>]) -> Vec<Next> {
    let mut routers: BTreeMap<Router, Vec<Member<'_>>> = BTreeMap::new();
    for host in live {
        for it in host.view.state.instances.values() {
            routers.entry(Router::of(it)).or_default().push((host, it));
        }
    }
    let mut rows: Vec<Next> = routers.values().filter_map(|members| next(members)).collect();
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    rows
}

fn next(members: &[Member<'_>]) -> Option<Next> {
    let (_, first) = members.first()?;
    let masters = members.iter().filter(|(_, it)| it.state == VrrpState::Master);
    let master = masters.max_by_key(|(_, it)| it.effective_priority);
    // Equal priorities are decided by addresses, which are not told; the first host is as good a guess.
    let heir = members
        .iter()
        .filter(|(_, it)| it.state == VrrpState::Backup && it.effective_priority > 0)
        .min_by_key(|(_, it)| Reverse(it.effective_priority));
    let (mark, text, notes) = match (master, heir) {
        (Some(master), Some(heir)) => ('+', takes_over(master, heir), notes(master, heir)),
        (None, Some((host, it))) => (
            '+',
            format!("{} (prio {}) is about to be it", host.name, it.effective_priority),
            Vec::new(),
        ),
        (_, None) => ('!', nobody(members), Vec::new()),
    };
    Some(Next {
        name: escape(&first.name.0),
        mark,
        text,
        notes,
    })
}

fn takes_over(master: &Member<'_>, heir: &Member<'_>) -> String {
    let (from, old) = master;
    let (host, it) = heir;
    let silence = Duration::from_micros(it.master_down_us);
    // A master that ends says so, and only the skew is waited for.
    let unit = if it.version == 3 {
        old.advert_interval_us
    } else {
        1_000_000
    };
    let skew = Duration::from_micros(unit * u64::from(256 - u16::from(it.effective_priority)) / 256);
    format!(
        "{} (prio {}) in {}, or {} if {} stops cleanly",
        host.name,
        it.effective_priority,
        brief(silence),
        brief(skew),
        from.name
    )
}

fn brief(time: Duration) -> String {
    if time < Duration::from_secs(10) {
        format!("{:.1}s", time.as_secs_f64())
    } else {
        span(time)
    }
}

fn notes((from, _): &Member<'_>, (host, it): &Member<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    let sends = from.view.state.agent.sync.as_ref().is_some_and(|sync| sync.sends);
    let takes = host.view.state.agent.sync.as_ref().is_some_and(|sync| sync.takes);
    if sends && takes {
        notes.push("connections are synced".into());
    }
    for term in it.terms.iter().filter(|term| term.ok == Some(false)) {
        notes.push(format!(
            "{} fails on {}: it would serve anyway",
            escape(&term.tracker.to_string()),
            host.name
        ));
    }
    notes
}

/// Why nobody would take over.
fn nobody(members: &[Member<'_>]) -> String {
    let others: Vec<String> = members
        .iter()
        .filter(|(_, it)| it.state != VrrpState::Master)
        .map(|(host, it)| match it.state {
            VrrpState::Fault => format!("{} is in FAULT ({})", host.name, problems::fault(it)),
            _ => format!("{} is {}", host.name, problems::instance_word(it)),
        })
        .collect();
    match others.as_slice() {
        [] => "nobody: no other host that answers has it".into(),
        others => format!("nobody: {}", others.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_shared::fixture;
    use lb_shared::view::View;

    #[test]
    fn the_next_master_has_the_highest_priority_and_waits_for_its_time() {
        let (lb1, lb2) = (fixture::demo(), fixture::lb2());
        let seen = [("lb1", &lb1), ("lb2", &lb2)].map(|(name, demo)| Seen {
            name,
            view: View::of(&demo.snapshot),
            skew_ms: 0,
        });
        let rows = next_masters(&seen);
        let told: Vec<String> = rows
            .iter()
            .map(|row| format!("{} {}", row.name, row.text))
            .collect();
        assert!(told[0].starts_with("VI_edge lb2 (prio 140) in 3."), "{told:?}");
        assert!(told[0].ends_with("if lb1 stops cleanly"), "{told:?}");
        assert!(told[2].starts_with("VI_int lb1 (prio 130) in "), "{told:?}");
        assert!(
            rows[2]
                .notes
                .iter()
                .any(|note| note.contains("chk_db fails on lb1")),
            "{:?}",
            rows[2]
        );
        assert_eq!(
            told[3],
            "VI_mgmt nobody: lb1 is in FAULT (interface eth2 is down)"
        );
        // Alone, nobody takes over.
        let alone = next_masters(&seen[..1]);
        assert_eq!(alone[0].text, "nobody: no other host that answers has it");
        assert_eq!(alone[0].mark, '!');
    }
}
