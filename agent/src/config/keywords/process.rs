//! `global_defs` about the process: how its threads are scheduled, and what is run before and after.
//!
//! keepalived has a process each for VRRP, checks and BFD; here they are threads of one.

use super::global::{GlobalDefs, Raw};
use crate::config::findings::Cx;
use crate::config::keyword::Does::{Idle, Refused, Set};
use crate::config::keyword::Live::NextStart;
use crate::config::keyword::Takes::{Int, Name, Nothing, OptInt, Script, WholeSeconds, Words};
use crate::config::keyword::{Args, Keyword, no_block, row, shown};
use crate::config::lexer::Span;
use crate::config::tree::Statement;
use crate::config::value::{self, ScriptWords};
use crate::model::Scheduling;
use std::time::Duration;

/// What is said about process and host, as written.
#[derive(Debug, Default)]
pub(crate) struct HostWords {
    pub startup: Option<(ScriptWords, Span)>,
    pub startup_timeout: Option<Duration>,
    pub shutdown: Option<(ScriptWords, Span)>,
    pub shutdown_timeout: Option<Duration>,
    pub delay_after_boot: Duration,
    pub vrrp: Scheduling,
    pub checker: Scheduling,
    pub no_swap: bool,
}

const NAMES: &str = "there is one process, 'lbagent'; its threads have names of their own";
const BFD: &str =
    "BFD is spoken by the thread that speaks VRRP: vrrp_priority and its companions hold for it, too";
const RTTIME: &str = "a process over this limit is killed, and its addresses stay behind; nothing here waits in a \
    real-time thread, and the kernel's own limit (kernel.sched_rt_runtime_us) holds";
const AUTO: &str = "priorities are not raised by themselves; write vrrp_rt_priority";

#[rustfmt::skip]
pub(super) const ROWS: &[Keyword<GlobalDefs>] = &[
    row("process_names", Nothing, "off", NextStart, "Gives processes distinct names.", Idle(NAMES)),
    row("process_name", Name("NAME"), "", NextStart, "Name of the parent process.", Idle(NAMES)),
    row("vrrp_process_name", Name("NAME"), "", NextStart, "Name of the VRRP process.", Idle(NAMES)),
    row("checker_process_name", Name("NAME"), "", NextStart, "Name of the checker process.", Idle(NAMES)),
    row("bfd_process_name", Name("NAME"), "", NextStart, "Name of the BFD process.", Idle(NAMES)),
    row("lvs_process_name", Name("NAME"), "", NextStart, "Old name of checker_process_name.", Idle(NAMES)),
    row("startup_script", Script, "none", NextStart, "Run once before everything else, and waited for.",
        Set(|it, a, _| it.host.startup = Some((a.script(), a.span())))),
    row("startup_script_timeout", WholeSeconds(1, 1_000), "10", NextStart, "How long it may take before it is ended.",
        Set(|it, a, _| it.host.startup_timeout = Some(a.span_of_time()))),
    row("shutdown_script", Script, "none", NextStart, "Run once after everything else; not for a hand-over to the next \
        start.", Set(|it, a, _| it.host.shutdown = Some((a.script(), a.span())))),
    row("shutdown_script_timeout", WholeSeconds(1, 1_000), "10", NextStart, "How long it may take before it is ended.",
        Set(|it, a, _| it.host.shutdown_timeout = Some(a.span_of_time()))),
    row("max_auto_priority", OptInt(-1, 99), "0", NextStart, "Highest real-time priority taken when timers run late.",
        Refused(AUTO)),
    row("min_auto_priority_delay", Int(1, 10_000_000), "1000000", NextStart, "Lateness in microseconds that raises \
        it.", Refused(AUTO)),
    row("vrrp_priority", Int(-20, 19), "0", NextStart, "Nice value of the threads that speak VRRP and set addresses.",
        Set(|it, a, _| it.host.vrrp.nice = Some(a.small()))),
    row("vrrp_no_swap", Nothing, "off", NextStart, "Locks the agent in memory, as it is touched.",
        Set(|it, _, _| it.host.no_swap = true)),
    row("vrrp_rt_priority", Int(1, 99), "0", NextStart, "Real-time priority (SCHED_RR) of the threads that speak VRRP \
        and set addresses. Scripts do not get it.", Set(|it, a, _| it.host.vrrp.real_time = Some(a.small()))),
    row("vrrp_cpu_affinity", Words("CPU"), "all", NextStart, "CPUs of those threads.",
        Set(|it, a, cx| cpus(&mut it.host.vrrp, a, cx))),
    row("vrrp_rlimit_rttime", Int(1, 4_294_967_295), "10000", NextStart, "Longest real-time run in microseconds.",
        Refused(RTTIME)),
    row("vrrp_rlimit_rtime", Int(1, 4_294_967_295), "", NextStart, "Old spelling of vrrp_rlimit_rttime.",
        Refused(RTTIME)),
    row("checker_priority", Int(-20, 19), "0", NextStart, "Nice value of the threads that check servers and program \
        IPVS.", Set(|it, a, _| it.host.checker.nice = Some(a.small()))),
    row("checker_no_swap", Nothing, "off", NextStart, "The same as vrrp_no_swap: there is one process.",
        Set(|it, _, _| it.host.no_swap = true)),
    row("checker_rt_priority", Int(1, 99), "0", NextStart, "Real-time priority (SCHED_RR) of the threads that check \
        servers and program IPVS.", Set(|it, a, _| it.host.checker.real_time = Some(a.small()))),
    row("checker_cpu_affinity", Words("CPU"), "all", NextStart, "CPUs of those threads.",
        Set(|it, a, cx| cpus(&mut it.host.checker, a, cx))),
    row("checker_rlimit_rttime", Int(1, 4_294_967_295), "10000", NextStart, "Longest real-time run in microseconds.",
        Refused(RTTIME)),
    row("checker_rlimit_rtime", Int(1, 4_294_967_295), "", NextStart, "Old spelling of checker_rlimit_rttime.",
        Refused(RTTIME)),
    row("bfd_priority", Int(-20, 19), "0", NextStart, "Nice value of the BFD process.", Idle(BFD)),
    row("bfd_no_swap", Nothing, "off", NextStart, "Locks the BFD process in memory.",
        Set(|it, _, _| it.host.no_swap = true)),
    row("bfd_rt_priority", Int(1, 99), "0", NextStart, "Real-time priority of the BFD process.", Idle(BFD)),
    row("bfd_cpu_affinity", Words("CPU"), "all", NextStart, "CPUs of the BFD process.", Idle(BFD)),
    row("bfd_rlimit_rttime", Int(1, 4_294_967_295), "10000", NextStart, "Longest real-time run in microseconds.",
        Refused(RTTIME)),
    row("bfd_rlimit_rtime", Int(1, 4_294_967_295), "", NextStart, "Old spelling of bfd_rlimit_rttime.",
        Refused(RTTIME)),
];

fn cpus(it: &mut Scheduling, a: &Args<'_, '_>, cx: &mut Cx<'_>) {
    for word in a.words {
        match value::number(word.text).and_then(|number| u16::try_from(number).ok()) {
            // The largest set the kernel's call takes here.
            Some(cpu) if cpu < 1024 => {
                it.cpus.insert(cpu);
            }
            _ => {
                let text = format!("'{}' is no number of a CPU", shown(word.text));
                cx.error(
                    "L-04",
                    word.span,
                    text,
                    &["it is left out", "write for example: 0 1"],
                );
            }
        }
    }
}

/// The lines of `interface_up_down_delays`.
pub(super) fn interface_delays(raw: &mut Raw, statement: &Statement<'_>, cx: &mut Cx<'_>) {
    const MOST: u128 = 255_000_000;
    let Some(block) = &statement.block else {
        return no_block(statement, cx);
    };
    for line in &block.statements {
        let name = line.keyword();
        let mut delays = [Duration::ZERO; 2];
        let mut good = (1..=2).contains(&line.arguments().len());
        for (delay, word) in delays.iter_mut().zip(line.arguments()) {
            match value::micros(word.text).filter(|micros| *micros <= MOST) {
                Some(micros) => *delay = Duration::from_micros(u64::try_from(micros).unwrap_or(0)),
                None => good = false,
            }
        }
        if good {
            let [down, up] = delays;
            raw.interface_delays
                .push((name.text.to_owned(), down, up, name.span));
        } else {
            let text = format!(
                "'{}' needs a down delay and perhaps an up delay, 0 to 255 s",
                shown(name.text)
            );
            let notes: &[&str] = &["the line is left out", "write for example: eth0 0.5 1"];
            cx.error("L-05", name.span, text, notes);
        }
    }
}
