//! `metrics`, `history` and `raw --schema`, against the agent's real control room with a made-up core behind it.
#![allow(clippy::unwrap_used, reason = "what a test is made of may fail it")]

mod agent;

use agent::Agent;

#[test]
fn metrics_are_the_text_prometheus_reads() {
    let agent = Agent::new();
    let page = agent.text(&["metrics"]);
    assert!(page.starts_with("# HELP lbagent_build_info "), "{page}");
    assert!(page.contains("\nlbagent_server_up{service=\"web\",server=\"198.51.100.25\",port=\"443\"} 0\n"));
    assert!(!page.contains("keepalived_"));
    let few = agent.text(&["metrics", "--servers", "none", "--compat"]);
    assert!(!few.contains("lbagent_server_up{") && few.contains("\nkeepalived_up 1\n"));
    assert_eq!(agent.code(&["metrics", "--servers", "many"]), 2);
}

#[test]
fn history_shows_how_the_checks_of_a_server_ended() {
    let agent = Agent::new();
    let table = agent.text(&["history", "web/198.51.100.25", "--since", "5m"]);
    assert!(table.starts_with("web/198.51.100.25:443\n"), "{table}");
    let run = table.lines().last().unwrap();
    assert!(
        run.contains("failed") && run.contains("2.1ms") && run.contains("status 503"),
        "{table}"
    );
    let document: serde_json::Value =
        serde_json::from_str(&agent.text(&["history", "web/198.51.100.25", "-o", "json"])).unwrap();
    assert_eq!(document["data"]["rows"][0]["checks"][0]["result"], "failed");
    assert_eq!(agent.code(&["history", "nobody"]), 3);
    assert_eq!(agent.code(&["history", "web", "--step", "5"]), 2);
}

#[test]
fn the_schema_is_printed_without_an_agent() {
    let agent = Agent::new();
    let printed = std::process::Command::new(env!("CARGO_BIN_EXE_lbctl"))
        .args(["--socket", "/nonexistent", "raw", "--schema"])
        .output()
        .unwrap();
    let schema: serde_json::Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert!(schema["$defs"]["data-servers"].is_object());
    let asked = agent.text(&["raw", "{\"op\":\"schema\"}"]);
    let asked: serde_json::Value = serde_json::from_str(&asked).unwrap();
    assert_eq!(asked["data"], schema);
}

#[test]
fn stats_since_the_last_time_are_the_difference_and_only_mine() {
    let agent = Agent::new();
    let home = agent.folder.join("state");
    let ask = |home: &std::path::Path| {
        let output = agent
            .command(&["stats", "web", "--since-last", "-o", "json"])
            .env("XDG_STATE_HOME", home)
            .output()
            .unwrap();
        let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let first = document["data"]["servers"][0]["connections"].as_u64().unwrap();
        (first, String::from_utf8(output.stderr).unwrap())
    };
    let (whole, told) = ask(&home);
    assert!(told.contains("for the first time"), "{told}");
    // The made-up core counts nothing more.
    let (since, told) = ask(&home);
    assert!(whole > 0 && since == 0, "{whole} {since}");
    assert!(told.starts_with("counted since "), "{told}");
    assert_eq!(ask(&agent.folder.join("another")).0, whole);
    // A file that is damaged is as good as none.
    let file = std::fs::read_dir(home.join("lbctl"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    std::fs::write(file.path(), "{").unwrap();
    assert_eq!(ask(&home).0, whole);
}
