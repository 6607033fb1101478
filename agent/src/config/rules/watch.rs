//! vrrp_scripts, and checks that look alive when what they check is not.

use super::advise;
use super::script::{self, Names};
use crate::config::findings::Cx;
use crate::config::keyword::shown;
use crate::config::keywords::{RawProcess, RawScript};
use crate::config::lexer::Span;
use crate::model::{ParamMatch, ProcessMatch, VrrpProcess, VrrpScript};
use std::time::Duration;

pub(super) fn vrrp_process(it: &RawProcess, cx: &mut Cx<'_>) -> Option<VrrpProcess> {
    let Some((command, parameters)) = it.process.split_first() else {
        cx.error(
            "V-27",
            it.at,
            format!("vrrp_track_process '{}' has no process", it.name),
            &["it is left out, as in keepalived", "write 'process NAME'"],
        );
        return None;
    };
    let quorum = it.quorum.unwrap_or(1);
    if let Some(most) = it.quorum_max.filter(|most| *most < quorum) {
        cx.error(
            "V-28",
            it.at,
            format!("quorum_max {most} is below the quorum {quorum}: it can never be met"),
            &[
                "quorum_max is left out",
                "write a quorum_max of at least the quorum",
            ],
        );
    }
    Some(VrrpProcess {
        name: it.name.clone(),
        matching: ProcessMatch {
            command: command.clone(),
            parameters: (!parameters.is_empty() || it.compare.is_some()).then(|| parameters.to_vec()),
            compare: match it.compare {
                // Without parameters it says that there must be none.
                Some(compare) if !parameters.is_empty() => compare,
                Some(_) | None => ParamMatch::Exact,
            },
            full_command: it.full_command,
        },
        quorum,
        quorum_max: it.quorum_max.filter(|most| *most >= quorum),
        fork_delay: it.fork_delay,
        terminate_delay: it.terminate_delay,
    })
}

pub(super) fn vrrp_script(it: &RawScript, cx: &mut Cx<'_>) -> Option<VrrpScript> {
    let Some((words, at)) = &it.script else {
        cx.error(
            "V-27",
            it.at,
            format!("vrrp_script '{}' has no script", it.name),
            &[
                "it is left out, as in keepalived",
                "write 'script \"/path/command\"'",
            ],
        );
        return None;
    };
    let second = Duration::from_secs(1);
    let nonzero = |time: Duration| if time.is_zero() { second } else { time };
    let interval = nonzero(it.interval.unwrap_or(second));
    let timeout = it
        .timeout
        .filter(|timeout| !timeout.is_zero())
        .unwrap_or(interval);
    let names: Option<&Names> = it.user.as_ref();
    let resolved = script::resolve(words, names, *at, script::Role::Tracks, cx);
    habits(&words.argv, resolved.text.as_deref(), timeout, *at, cx);
    let script = VrrpScript {
        name: it.name.clone(),
        script: resolved.script,
        interval,
        timeout,
        rise: it.rise.unwrap_or(1),
        fall: it.fall.unwrap_or(1),
        init_fail: it.init_fail,
        broken: resolved.broken,
    };
    advise::script(it, &script, cx);
    Some(script)
}

/// Checks that look alive when what they check is not.
fn habits(argv: &[String], text: Option<&str>, timeout: Duration, at: Span, cx: &mut Cx<'_>) {
    let program = argv[0].rsplit('/').next().unwrap_or("");
    let signal_zero = argv.iter().any(|word| word == "-0");
    if matches!(program, "killall" | "pkill") && signal_zero || program == "pidof" || program == "pgrep" {
        let what = argv.last().map_or("the process", String::as_str);
        cx.warn(
            "E-14",
            at,
            format!("'{program}' sees a process, not whether it serves"),
            &[
                &format!(
                    "it succeeds for a '{}' that hangs or is about to stop",
                    shown(what)
                ),
                "let the script ask for an answer, for example: curl -fsS -m 1 http://127.0.0.1/health",
            ],
        );
    }
    let Some(text) = text else { return };
    let code = || text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let stops = |line: &str| {
        line.contains("keepalived")
            && line
                .split_whitespace()
                .any(|word| matches!(word, "stop" | "kill" | "killall" | "pkill"))
    };
    if code().any(stops) {
        cx.warn(
            "E-15",
            at,
            "the script stops keepalived",
            &[
                "it would not stop this agent, and no address would move",
                "let it end with a code other than 0 instead; the agent gives up the addresses",
            ],
        );
    }
    let sleeps: f64 = code()
        .filter_map(|line| {
            line.trim()
                .strip_prefix("sleep ")?
                .split_whitespace()
                .next()?
                .parse::<f64>()
                .ok()
        })
        .sum();
    if sleeps > 0.0 && sleeps + 1.0 >= timeout.as_secs_f64() {
        let text = format!(
            "the script sleeps {sleeps} s and is ended after {} s",
            timeout.as_secs_f64()
        );
        cx.warn(
            "E-15",
            at,
            text,
            &["it may be ended half-way; write a longer 'timeout', or do not sleep in a check"],
        );
    }
}
