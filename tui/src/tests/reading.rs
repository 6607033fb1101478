//! What an operator reads: nothing that matters is cut, untrue or hidden.

use super::Bench;
use lb_shared::fixture;
use lb_shared::state::SyncView;
use std::sync::Arc;

#[test]
fn services_without_names_are_told_by_their_whole_addresses() {
    let mut demo = fixture::demo();
    for service in demo.snapshot.state.services.values_mut() {
        Arc::make_mut(service).name = None;
    }
    let mut bench = Bench::of(demo, 80, 24);
    let picture = bench.keys("2").picture();
    assert!(!picture.contains("SERVICE "), "{picture}");
    for address in ["203.0.113.10:443/tcp", "[2001:db8:10::443]:443/tcp", "fwmark:8"] {
        assert!(picture.contains(address), "{address}: {picture}");
    }
    // With a column that went, what was cut for it has room again.
    let picture = bench.keys("3").picture();
    assert!(picture.contains(" 203.0.113.10:443 "), "{picture}");
    // One with a name: the others are told by their addresses alone.
    let mut demo = fixture::demo();
    let key = "203.0.113.11:8443/tcp".parse().unwrap();
    Arc::make_mut(demo.snapshot.state.services.get_mut(&key).unwrap()).name = None;
    let picture = Bench::of(demo, 80, 24).keys("2").picture();
    assert!(
        picture.contains(" + UP    -          203.0.113.11:8443/tcp"),
        "{picture}"
    );
}

#[test]
fn a_problem_of_the_agent_itself_is_told_whole() {
    let mut demo = fixture::demo();
    let text = "no ip_vs in this kernel (modprobe ip_vs), so that no service of the file can be given to it";
    demo.snapshot.state.agent.ipvs_missing = Some(text.into());
    let mut bench = Bench::of(demo, 80, 24);
    let picture = bench.keys("Tab").picture();
    assert!(picture.contains("── The agent ──"), "{picture}");
    assert!(!picture.contains("no longer there"), "{picture}");
    let told: String = picture.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains(text), "{picture}");
    bench.keys("Enter");
    assert!(bench.picture().contains("Ctrl-r reloads"), "{}", bench.picture());
}

#[test]
fn the_last_line_of_every_screen_names_help() {
    for (width, height) in super::golden::SIZES {
        for keys in ["1", "2", "2 Tab", "3", "3 Enter", "4", "5", "5 Enter", "1 Enter"] {
            let mut bench = Bench::demo(width, height);
            let picture = bench.keys(keys).picture();
            let last = picture.lines().next_back().unwrap();
            assert!(last.contains("? help"), "{keys}: {last}");
        }
    }
}

#[test]
fn a_picture_held_still_is_not_told_to_be_live() {
    let mut bench = Bench::demo(80, 24);
    bench.keys("p p");
    assert!(bench.picture().contains("live again"), "{}", bench.picture());
    bench.keys("p");
    let picture = bench.picture();
    assert!(
        picture.contains("FROZEN") && !picture.contains("live again"),
        "{picture}"
    );
}

#[test]
fn what_happened_is_told_whole_below_the_list_of_events() {
    let mut demo = fixture::demo();
    let text =
        "UP -> DOWN after a long time in which nothing had happened at all, and then everything at once";
    demo.events.last_mut().unwrap().event.text = text.into();
    let picture = Bench::of(demo, 80, 24).keys("4").picture();
    let told: String = picture.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains(text), "{picture}");
}

#[test]
fn who_sets_a_weight_sees_the_one_in_force() {
    let picture = Bench::demo(80, 24).keys("3 w").picture();
    assert!(
        picture.contains("weight -/1 ") || picture.contains("weight -/100 "),
        "{picture}"
    );
}

#[test]
fn a_promote_says_from_whom_and_what_becomes_of_connections() {
    let sync = |takes| {
        Some(SyncView {
            interface: "eth9".into(),
            id: 1,
            instance: None,
            sends: false,
            takes,
        })
    };
    for (sync, connections) in [
        (None, "not synchronised to this node, open ones may end"),
        (sync(false), "not synchronised to this node, open ones may end"),
        (sync(true), "synchronised to this node, they go on"),
    ] {
        let mut demo = fixture::demo();
        demo.snapshot.state.agent.sync = sync;
        let mut bench = Bench::of(demo, 80, 24);
        bench.keys("j j P");
        super::acts::agree(&mut bench);
        let picture = bench.picture();
        let told: String = picture
            .split(['│', ' ', '\n'])
            .filter(|it| !it.is_empty())
            .collect::<Vec<_>>()
            .join(" ");
        assert!(told.contains("198.51.100.3"), "{picture}");
        assert!(
            picture.contains("gap: none; the addresses are taken at once, and"),
            "{picture}"
        );
        assert!(
            picture.contains(&format!("connections: {connections}")),
            "{picture}"
        );
    }
    // Nobody else is heard: there is nothing to say.
    let mut bench = Bench::demo(80, 24);
    bench.keys("P");
    super::acts::agree(&mut bench);
    assert!(!bench.picture().contains("gap:"), "{}", bench.picture());
}
