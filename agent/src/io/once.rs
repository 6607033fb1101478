//! `startup_script` and `shutdown_script`: run once, and waited for.

use super::runner::Runner;
use crate::model::{Job, JobEnd, JobId, Once, ScriptRules};
use std::sync::mpsc;
use std::time::Duration;

/// How long the runner may take beyond the script's own time: it asks a script to end before it kills it.
const GRACE: Duration = Duration::from_secs(5);

/// Runs it to its end. What went wrong is logged; nothing else depends on it (as in keepalived).
pub fn run(word: &str, it: &Once, rules: ScriptRules) {
    let (sender, ended) = mpsc::channel();
    let runner = Runner::start(true, move |_, outcome| {
        let _ = sender.send(outcome);
    });
    let runner = match runner {
        Ok(runner) => runner,
        Err(e) => return tracing::error!("{word} is not run: {e:#}"),
    };
    runner.set_rules(rules);
    let job = Job {
        script: it.script.clone(),
        arguments: Vec::new(),
        timeout: Some(it.timeout),
        report: true,
        lane: None,
    };
    runner.run(JobId(0), job);
    let name = it.script.argv.first().map_or("", String::as_str);
    match ended.recv_timeout(it.timeout + GRACE).map(|outcome| outcome.end) {
        Ok(JobEnd::Exited(0)) => tracing::info!("{word} {name} is over"),
        Ok(JobEnd::Exited(code)) => tracing::error!("{word} {name} ended with code {code}; going on"),
        Ok(JobEnd::Signalled(signal)) => {
            tracing::error!("{word} {name} was killed by signal {signal}; going on")
        }
        Ok(JobEnd::TimedOut) | Err(_) => {
            let limit = it.timeout.as_secs();
            tracing::error!(
                "{word} {name} took longer than {limit} s and was ended; going on. Write a longer {word}_timeout"
            );
        }
        Ok(JobEnd::NotStarted(why)) => tracing::error!("{word} {name} was not run: {why}; going on"),
    }
}
