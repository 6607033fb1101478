//! Lists as they stream, and verbs that look back, against an agent's control room.
#![allow(clippy::unwrap_used, reason = "what a test is made of may fail it")]

mod agent;

use agent::Agent;

#[test]
fn a_sorted_list_has_the_rows_and_the_look_of_the_list_as_it_comes() {
    let agent = Agent::new();
    for form in ["table", "wide", "name"] {
        let rows = |more: &[&str]| -> Vec<String> {
            let text = agent.text(
                &[
                    &["servers", "-o", form, "--columns", "state,server,active,check"],
                    more,
                ]
                .concat(),
            );
            text.lines().map(ToOwned::to_owned).collect()
        };
        let mut plain = rows(&[]);
        let sorted = rows(&["--sort", "-active"]);
        assert_ne!(plain, sorted, "{form}");
        plain.sort();
        let mut again = sorted.clone();
        again.sort();
        assert_eq!(plain, again, "{form}");
    }
    let numbers: Vec<u64> = agent
        .text(&[
            "servers",
            "--columns",
            "active",
            "--no-headers",
            "--sort",
            "-active",
        ])
        .lines()
        .map(|line| line.trim().parse().unwrap())
        .collect();
    assert!(
        numbers.is_sorted_by(|a, b| a >= b) && numbers.len() > 30,
        "{numbers:?}"
    );
}

#[test]
fn a_document_of_a_list_is_one_whether_it_has_rows_or_none() {
    let agent = Agent::new();
    for (filter, any) in [("st:down", true), ("st:off", false)] {
        let text = agent.text(&["servers", "-o", "json", "--filter", filter]);
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["v"], 1, "{filter}");
        assert_eq!(document["host"], "lb1", "{filter}");
        assert_eq!(!document["data"].as_array().unwrap().is_empty(), any, "{filter}");
        let lines: Vec<serde_json::Value> = agent
            .text(&["servers", "-o", "jsonl", "--filter", filter])
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        // The ages of objects are told by the clock: all but those are the same.
        assert_eq!(
            document["data"].as_array().unwrap().len(),
            lines.len(),
            "{filter}"
        );
    }
}

#[test]
fn verbs_that_look_can_look_back_and_others_say_that_they_cannot() {
    let agent = Agent::new();
    // Before the agent began nothing is known.
    for verb in [
        &["status"][..],
        &["servers", "web"],
        &["why", "web"],
        &["vrrp"],
        &["stats"],
    ] {
        let output = agent.run(&[verb, &["--at", "-10m"]].concat());
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{verb:?}: {told}");
        assert!(told.contains("the past is known from "), "{verb:?}: {told}");
        // Nothing was counted yet that could be shown.
        let want = i32::from(verb == ["stats"]);
        assert_eq!(agent.code(&[verb, &["--at", "-0s"]].concat()), want, "{verb:?}");
        assert_eq!(agent.code(&[verb, &["--at", "soon"]].concat()), 2, "{verb:?}");
    }
    for verb in [&["drain", "web/198.51.100.21"][..], &["events"], &["reload"]] {
        let output = agent.run(&[verb, &["--at", "-1s"]].concat());
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{verb:?}");
        assert!(told.contains("--at is for status, vrrp"), "{verb:?}: {told}");
    }
    assert!(agent.asked.lock().unwrap().is_empty());
}

#[test]
fn a_list_shows_a_server_as_it_was() {
    let agent = Agent::new();
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    assert_eq!(agent.code(&["drain", "web/198.51.100.21", "--wait"]), 0);
    let state = |more: &[&str]| {
        let arguments = [
            &[
                "servers",
                "web/198.51.100.21",
                "--no-headers",
                "--columns",
                "state",
            ],
            more,
        ]
        .concat();
        agent.text(&arguments).trim().to_owned()
    };
    assert_eq!(state(&[]), "DRAINED");
    assert_eq!(state(&["--at", "-1s"]), "UP");
}
