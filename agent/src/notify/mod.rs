//! Notifications: which scripts an event runs, with which arguments, and what FIFOs and old log readers get to see.
//!
//! Pure text and lists. Scripts are run, FIFOs written and lines logged by the shell; the order between members and their
//! group is the engine's.

pub mod dump;
pub mod fifo;
pub mod loglines;
pub mod mail;
mod serverlines;

use crate::model::{Job, NotifyScripts, NotifyState, NotifyWho, QuorumScripts, Script, ServerScripts};

/// The scripts of an instance or a group that enters a state, in the order in which keepalived starts them: the one of
/// the state, then `notify` with kind, name, state and priority.
pub fn jobs_for_state(
    scripts: &NotifyScripts,
    who: &NotifyWho,
    state: NotifyState,
    priority: u8,
) -> Vec<Job> {
    let own = match state {
        NotifyState::Master => &scripts.master,
        NotifyState::Backup => &scripts.backup,
        NotifyState::Fault => &scripts.fault,
        NotifyState::Deleted => &scripts.deleted,
        NotifyState::Stop => &scripts.stop,
    };
    let (kind, name) = kind_and_name(who);
    let arguments = vec![
        kind.to_owned(),
        name.to_owned(),
        word(state).to_owned(),
        shown_priority(who, priority).to_string(),
    ];
    let own = own.iter().map(|script| job(script, Vec::new()));
    let any = scripts.any.iter().map(|script| job(script, arguments.clone()));
    own.chain(any).collect()
}

/// `notify_master_rx_lower_pri`.
pub fn jobs_for_lower_priority(scripts: &NotifyScripts) -> Vec<Job> {
    plain(scripts.master_rx_lower_priority.as_ref())
}

/// `notify_up` or `notify_down`.
pub fn jobs_for_server(scripts: &ServerScripts, up: bool) -> Vec<Job> {
    plain(if up {
        scripts.up.as_ref()
    } else {
        scripts.down.as_ref()
    })
}

/// `quorum_up` or `quorum_down`.
pub fn jobs_for_quorum(scripts: &QuorumScripts, up: bool) -> Vec<Job> {
    plain(if up {
        scripts.up.as_ref()
    } else {
        scripts.down.as_ref()
    })
}

fn plain(script: Option<&Script>) -> Vec<Job> {
    script.into_iter().map(|script| job(script, Vec::new())).collect()
}

/// Started and forgotten, as keepalived does: no time limit, not in order, nobody waits. Who needs order reads a FIFO or
/// the stream of events.
fn job(script: &Script, arguments: Vec<String>) -> Job {
    Job {
        script: script.clone(),
        arguments,
        timeout: None,
        report: false,
        lane: None,
    }
}

fn kind_and_name(who: &NotifyWho) -> (&'static str, &str) {
    match who {
        NotifyWho::Instance(name) => ("INSTANCE", &name.0),
        NotifyWho::Group(name) => ("GROUP", &name.0),
    }
}

fn word(state: NotifyState) -> &'static str {
    match state {
        NotifyState::Master => "MASTER",
        NotifyState::Backup => "BACKUP",
        NotifyState::Fault => "FAULT",
        NotifyState::Deleted => "DELETED",
        NotifyState::Stop => "STOP",
    }
}

/// A group has no priority: 0.
fn shown_priority(who: &NotifyWho, priority: u8) -> u8 {
    match who {
        NotifyWho::Instance(_) => priority,
        NotifyWho::Group(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(path: &str) -> Option<Script> {
        Some(Script {
            argv: vec![path.to_owned(), "own".to_owned()],
            user: Some((1, 1)),
        })
    }

    fn scripts() -> NotifyScripts {
        NotifyScripts {
            master: script("/m"),
            backup: script("/b"),
            fault: script("/f"),
            stop: script("/s"),
            master_rx_lower_priority: script("/l"),
            any: script("/n"),
            tell_deleted: true,
            deleted: script("/d"),
            mail: false,
        }
    }

    fn told(jobs: &[Job]) -> Vec<String> {
        jobs.iter()
            .map(|job| {
                assert!(job.timeout.is_none() && !job.report && job.lane.is_none());
                [job.script.argv.join(" "), job.arguments.join(" ")]
                    .join(" ")
                    .trim_end()
                    .to_owned()
            })
            .collect()
    }

    #[test]
    fn the_script_of_the_state_comes_first_then_notify_with_four_more_arguments() {
        let cases = [
            (NotifyState::Master, "/m own", "MASTER"),
            (NotifyState::Backup, "/b own", "BACKUP"),
            (NotifyState::Fault, "/f own", "FAULT"),
            (NotifyState::Stop, "/s own", "STOP"),
            (NotifyState::Deleted, "/d own", "DELETED"),
        ];
        let (instance, group) = (NotifyWho::Instance("VI_1".into()), NotifyWho::Group("G1".into()));
        for (state, first, word) in cases {
            let jobs = jobs_for_state(&scripts(), &instance, state, 120);
            assert_eq!(
                told(&jobs),
                [first.to_owned(), format!("/n own INSTANCE VI_1 {word} 120")]
            );
            let jobs = jobs_for_state(&scripts(), &group, state, 120);
            assert_eq!(
                told(&jobs),
                [first.to_owned(), format!("/n own GROUP G1 {word} 0")]
            );
        }
    }

    #[test]
    fn what_is_not_configured_is_not_run() {
        let who = NotifyWho::Instance("VI_1".into());
        let none = NotifyScripts::default();
        assert!(jobs_for_state(&none, &who, NotifyState::Master, 1).is_empty());
        assert!(jobs_for_lower_priority(&none).is_empty());
        assert!(jobs_for_server(&ServerScripts::default(), true).is_empty());
    }

    #[test]
    fn up_and_down_run_their_own_scripts() {
        let server = ServerScripts {
            up: script("/up"),
            down: script("/down"),
            ..ServerScripts::default()
        };
        let quorum = QuorumScripts {
            up: script("/qup"),
            down: script("/qdown"),
            mail: false,
        };
        assert_eq!(told(&jobs_for_server(&server, true)), ["/up own"]);
        assert_eq!(told(&jobs_for_server(&server, false)), ["/down own"]);
        assert_eq!(told(&jobs_for_quorum(&quorum, true)), ["/qup own"]);
        assert_eq!(told(&jobs_for_quorum(&quorum, false)), ["/qdown own"]);
        assert_eq!(told(&jobs_for_lower_priority(&scripts())), ["/l own"]);
    }
}
