//! What a verb asks for: as much as it takes, however many servers there are.
#![allow(clippy::unwrap_used, reason = "what a test is made of may fail it")]

mod agent;

use agent::Agent;
use std::collections::BTreeMap;

/// How often each thing was asked, as the agent counts it.
fn asked(agent: &Agent) -> BTreeMap<String, u64> {
    let text = agent.text(&["metrics"]);
    let lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("lbagent_api_requests_total{"));
    let mut asked = BTreeMap::new();
    for line in lines {
        let (labels, count) = line.rsplit_once(' ').unwrap();
        let op = labels.split('"').nth(1).unwrap();
        *asked.entry(op.to_owned()).or_default() += count.parse::<u64>().unwrap();
    }
    asked
}

const SERVER: &str = "web/198.51.100.24";

#[test]
fn no_verb_about_a_few_objects_asks_for_all_of_them() {
    let agent = Agent::new();
    let before = asked(&agent);
    let verbs: &[&[&str]] = &[
        &["status"],
        &["servers", "web"],
        &["why", "VI_int"],
        &["show", SERVER],
        &["drain", SERVER, "--yes"],
        &["drain", SERVER, "--yes", "--wait"],
        &["drain", SERVER, "--dry-run"],
        &["drain", "--all", "--filter", "st:down", "--yes"],
        &["drain", "--follow"],
        &["undrain", SERVER],
        &["undrain", SERVER, "--ramp", "1m"],
        &["weight", SERVER, "50"],
        &["disable", SERVER, "--cut"],
        &["promote", "VI_mgmt", "--yes"],
        &["demote", "VI_edge", "--yes", "--no-wait"],
        &["demote", "VI_edge", "--yes", "--timeout", "10ms"],
        &["release", "--all", "--yes"],
        &["undo", "--yes"],
        &["is", "up"],
        &["is", "ready"],
        &["is", "master", "VI_edge"],
        &["is", "drained", SERVER],
        &["is", "healthy", "web"],
        &["wait", "master", "VI_edge"],
        &["wait", "ready", "--timeout", "10ms"],
        &["history", SERVER],
        &["test", SERVER],
        &["what-if", "server web/198.51.100.24 down"],
        &["what-if", "promote VI_int", "drain web/198.51.100.24"],
        &["reload", "--dry-run"],
        &["reload", "--drain-removed", "1m", "--dry-run"],
        &["reload"],
        &["reload", "-o", "json"],
        &["config", "show"],
        &["hosts"],
        &["__complete", "--", "drain", "we"],
        &["__complete", "--", "drain", "web/"],
        &["__complete", "--", "promote", ""],
    ];
    for verb in verbs {
        let done = agent.run(verb);
        let code = done.status.code().unwrap();
        assert!(![2, 5].contains(&code), "{verb:?}: {code} {done:?}");
    }
    let after = asked(&agent);
    for whole in ["snapshot", "watch", "counters"] {
        let count = |asked: &BTreeMap<String, u64>| asked.get(whole).copied().unwrap_or(0);
        assert_eq!(count(&after), count(&before), "{whole}: {after:?}");
    }
    assert!(after["excerpt"] > before["excerpt"] + 30, "{after:?}");
    assert!(after["listen"] > before["listen"], "{after:?}");
}
