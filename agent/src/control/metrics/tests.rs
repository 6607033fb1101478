use super::*;
use lb_shared::counters::{CheckCounters, CheckTally};
use lb_shared::event::{Event, What};
use lb_shared::fixture;
use lb_shared::state::{ObjectId, Override, OverrideKind, Pin, SyncView, Target};
use lb_shared::units::Mono;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// A page of the fixture, with some of everything that can be measured.
fn rendered(asked: MetricsAsk) -> String {
    let mut demo = fixture::demo();
    let web = demo.snapshot.state.services.keys().next().unwrap().clone();
    let mut ended = CheckTally::default();
    ended.add(true, Duration::from_micros(700));
    ended.add(true, Duration::from_millis(30));
    ended.add(false, Duration::from_secs(9));
    demo.counters.checks.push(CheckCounters {
        service: web,
        kind: "HTTP_GET".into(),
        ended,
    });
    let counted = demo.counters.instances.get_mut(&"VI_int".into()).unwrap();
    counted.rejected.insert("ttl".into(), 4);
    counted.rejected.insert("peer_ttl".into(), 1);
    let pinned = Arc::make_mut(demo.snapshot.state.instances.get_mut(&"VI_edge".into()).unwrap());
    pinned.pin = Some(Pin::Promoted);
    let promote = Override {
        target: Target::Instance("VI_edge".into()),
        kind: OverrideKind::Pin(Pin::Promoted),
        actor: Default::default(),
        at_wall_ms: demo.snapshot.wall_ms,
        until_wall_ms: None,
        until: None,
        message: String::new(),
        dormant: None,
    };
    let state = &mut demo.snapshot.state;
    state.overrides.insert(promote.target.clone(), promote);
    state.agent.sync = Some(SyncView {
        interface: "eth1".into(),
        id: 1,
        instance: None,
        sends: true,
        takes: false,
    });
    let mut tally = Tally::default();
    for what in [What::BecameMaster, What::BecameBackup, What::BecameMaster] {
        tally.fold(&event(what, ObjectId::Instance("VI_int".into())));
    }
    tally.fold(&event(What::ReloadRefused, ObjectId::Agent));
    let served = Served {
        requests: [(("status", "ok"), 3), (("drain", "forbidden"), 1)].into(),
        clients: 2,
    };
    let view = View::of(&demo.snapshot).with_counters(Some(&demo.counters));
    page(&view, &tally, &served, MetricsSetup::default(), asked)
}

fn event(what: What, object: ObjectId) -> Event {
    Event {
        what,
        object,
        text: String::new(),
        why: None,
        actor: None,
        at: Mono::ZERO,
        changes: Vec::new(),
    }
}

fn all() -> String {
    rendered(MetricsAsk {
        servers: None,
        compat: Some(true),
    })
}

/// The families of a page, by a reading that takes nothing but what the format allows.
fn families(page: &str) -> BTreeMap<String, Vec<String>> {
    let name_ok = |name: &str| {
        name.chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    let mut families: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut lines = page.lines().peekable();
    while let Some(help) = lines.next() {
        let (name, words) = help.strip_prefix("# HELP ").unwrap().split_once(' ').unwrap();
        assert!(name_ok(name) && words.ends_with('.'), "{help}");
        let kind = lines
            .next()
            .unwrap()
            .strip_prefix(&format!("# TYPE {name} "))
            .unwrap();
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
        let samples = families.entry(name.to_owned()).or_default();
        assert!(samples.is_empty(), "{name} comes twice");
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().is_ok_and(f64::is_finite), "{line}");
            assert!(seen.insert(series.to_owned()), "{series} comes twice");
            let sample = series.split('{').next().unwrap();
            let suffix = sample.strip_prefix(name).unwrap();
            let allowed: &[&str] = if kind == "histogram" {
                &["_bucket", "_sum", "_count"]
            } else {
                &[""]
            };
            assert!(allowed.contains(&suffix), "{line}");
            samples.push(line.to_owned());
        }
        assert!(!samples.is_empty(), "{name} has a head and no sample");
    }
    families
}

#[test]
fn the_page_has_every_promised_family_and_reads_strictly() {
    let page = all();
    let families = families(&page);
    for name in include_str!("names.txt").split_ascii_whitespace() {
        assert!(families.contains_key(name), "{name} is missing");
    }
    for name in families.keys() {
        let promised = include_str!("names.txt")
            .split_ascii_whitespace()
            .any(|it| it == name);
        assert!(promised, "{name} is not in the list of names");
        assert!(name.starts_with(lb_shared::paths::METRICS_PREFIX) || name.starts_with("keepalived_"));
    }
}

#[test]
fn states_are_sets_and_numbers_those_of_the_state() {
    let page = all();
    for line in [
        "lbagent_vrrp_state{vrrp_instance=\"VI_int\",interface=\"eth1\",vrid=\"60\",family=\"inet\",state=\"backup\"} 1",
        "lbagent_vrrp_state{vrrp_instance=\"VI_int\",interface=\"eth1\",vrid=\"60\",family=\"inet\",state=\"master\"} 0",
        "lbagent_vrrp_priority{vrrp_instance=\"VI_edge\",kind=\"override\"} 254",
        "lbagent_vrrp_priority_delta{vrrp_instance=\"VI_int\",type=\"script\",tracker=\"chk_db\"} -20",
        "lbagent_vrrp_transitions_total{vrrp_instance=\"VI_int\",to=\"master\"} 2",
        "lbagent_config_reloads_total{result=\"applied\"} 16",
        "lbagent_config_reloads_total{result=\"refused\"} 1",
        "lbagent_server_up{service=\"web\",server=\"198.51.100.25\",port=\"443\"} 0",
        "lbagent_server_connections{service=\"web\",server=\"198.51.100.24\",port=\"443\",state=\"active\"} 37",
        "lbagent_drain_remaining_connections{service=\"web\",server=\"198.51.100.24\",port=\"443\"} 37",
        "lbagent_service_sorry{service=\"mail\",vip=\"203.0.113.25\",port=\"25\",proto=\"tcp\",fwmark=\"\"} 1",
        "lbagent_api_requests_total{op=\"drain\",result=\"forbidden\"} 1",
        "keepalived_ip_ttl_errors_total{iname=\"VI_int\",intf=\"eth1\",vrid=\"60\"} 5",
        "keepalived_script_status{name=\"chk_db\"} 0",
    ] {
        let name = line.split('{').next().unwrap();
        let found: Vec<&str> = page.lines().filter(|it| it.starts_with(name)).collect();
        assert!(found.contains(&line), "{line}\n{found:#?}");
    }
}

#[test]
fn the_spans_of_checks_add_up() {
    let page = all();
    let buckets: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("lbagent_check_duration_seconds_bucket"))
        .map(|line| line.rsplit_once(' ').unwrap().1)
        .collect();
    assert_eq!(
        buckets,
        ["0", "1", "1", "1", "1", "1", "2", "2", "2", "2", "2", "3"]
    );
    assert!(page.contains("le=\"+Inf\"} 3\n"));
}

#[test]
fn the_number_of_series_can_be_held_down() {
    let servers = |servers: Option<MetricsServers>| {
        let page = rendered(MetricsAsk {
            servers,
            compat: None,
        });
        assert!(!page.contains("keepalived_"));
        assert!(
            page.contains("lbagent_drain_remaining_connections{"),
            "drains are always there"
        );
        page.lines()
            .filter(|line| line.starts_with("lbagent_server_up{"))
            .count()
    };
    let state = fixture::demo().snapshot.state;
    assert_eq!(servers(None), state.servers.len());
    assert_eq!(servers(Some(MetricsServers::None)), 0);
    let unhealthy = servers(Some(MetricsServers::Unhealthy));
    let down = state.servers.values().filter(|it| !it.in_rotation()).count();
    assert_eq!(unhealthy, down);
}

/// `promtool` is the format's own judge; where it is not installed, the strict reading above has to do.
#[test]
fn promtool_has_nothing_to_say() {
    let Ok(mut child) = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
    else {
        return;
    };
    let page = rendered(MetricsAsk::default());
    child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

/// The alerts and the dashboard that come along ask for nothing that is not there.
#[test]
fn what_is_shipped_for_prometheus_and_grafana_uses_names_that_exist() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/prometheus");
    let names: BTreeSet<&str> = include_str!("names.txt").split_ascii_whitespace().collect();
    for file in ["alerts.yml", "dashboard.json"] {
        let text = std::fs::read_to_string(format!("{folder}/{file}")).unwrap();
        let mut used = 0;
        for word in text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            if word.starts_with("lbagent_") {
                used += 1;
                let name = word.trim_end_matches("_bucket");
                assert!(names.contains(name), "{file}: {word}");
            }
        }
        assert!(used > 8, "{file} uses {used} names");
    }
    let dashboard = std::fs::read_to_string(format!("{folder}/dashboard.json")).unwrap();
    serde_json::from_str::<serde_json::Value>(&dashboard).unwrap();
}
