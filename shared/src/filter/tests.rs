use super::*;
use crate::fixture;
use proptest::prelude::*;

fn servers(text: &str) -> Vec<String> {
    let demo = fixture::demo();
    let view = View::of(&demo.snapshot).with_counters(Some(&demo.counters));
    let filter = Filter::parse(text).unwrap();
    view.servers()
        .filter(|it| filter.passes(&view, Item::Server(it)))
        .map(|it| view.server_name(&it.id))
        .collect()
}

#[test]
fn each_key_narrows_as_it_says() {
    for (text, want) in [
        ("", 37),
        ("st:down", 4),
        ("st:DOWN,drain", 5),
        ("!st:up", 5),
        ("st:down svc:web*", 2),
        ("svc:web", 6),
        ("svc:web,api", 10),
        ("!svc:web,svc:api", 31),
        ("rs:198.51.100.24", 2),
        ("198.51.100.2", 12),
        ("vip:203.0.113.10", 12),
        ("vrrp:VI_edge6", 4),
        ("act:>4k", 3),
        ("act:37", 1),
        ("w:0", 1),
        ("w:<100 svc:web", 1),
        ("cps:>250", 3),
        ("chk:ssl", 10),
        ("chk:tcp_check", 4),
        ("why:503", 2),
        ("why:healthz:", 2),
        ("ov:drain", 1),
        ("for:<5m", 3),
        ("st:down for:>5m", 2),
        ("WEB/", 6),
    ] {
        assert_eq!(servers(text).len(), want, "{text}: {:?}", servers(text));
    }
}

#[test]
fn instances_and_services_are_filtered_by_the_same_words() {
    let demo = fixture::demo();
    let view = View::of(&demo.snapshot).with_counters(Some(&demo.counters));
    let instances = |text: &str| {
        let filter = Filter::parse(text).unwrap();
        let all = demo.snapshot.state.instances.values();
        all.filter(|it| filter.passes(&view, Item::Instance(it))).count()
    };
    let services = |text: &str| {
        let filter = Filter::parse(text).unwrap();
        let all = demo.snapshot.state.services.values();
        all.filter(|it| filter.passes(&view, Item::Service(it))).count()
    };
    assert_eq!(instances("st:master"), 2);
    assert_eq!(instances("eth1"), 1);
    assert_eq!(instances("vip:198.51.100.1"), 1);
    assert_eq!(instances("why:chk_db"), 1);
    assert_eq!(services("st:sorry"), 1);
    assert_eq!(services("act:>1k !svc:web"), 3);
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for (text, code) in [
        ("colour:red", RefusalCode::BadSelector),
        ("act:>lots", RefusalCode::BadSelector),
        ("for:>5", RefusalCode::BadDuration),
        ("for:>5M", RefusalCode::BadDuration),
    ] {
        assert_eq!(Filter::parse(text).unwrap_err().code, code, "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_breaks_the_filter(text in "\\PC{0,40}|[a-z:,!<>0-9kM ]{0,40}") {
        let demo = fixture::demo();
        let view = View::of(&demo.snapshot);
        if let Ok(filter) = Filter::parse(&text) {
            for it in view.servers() {
                let _ = filter.passes(&view, Item::Server(it));
            }
        }
    }
}

#[test]
fn events_are_narrowed_by_what_they_tell() {
    let demo = fixture::demo();
    let view = View::of(&demo.snapshot);
    let count = |text: &str| {
        let filter = Filter::parse(text).unwrap();
        let all = demo.events.iter();
        all.filter(|it| filter.passes(&view, Item::Event(&it.event)))
            .count()
    };
    let all = demo.events.len();
    assert_eq!(count(""), all);
    for text in [
        "svc:web",
        "rs:198.51.100.25",
        "st:down",
        "why:503",
        "vrrp:VI_int",
        "chk_db",
    ] {
        assert!(
            (1..all).contains(&count(text)),
            "{text}: {} of {all}",
            count(text)
        );
    }
    assert_eq!(count("svc:web") + count("!svc:web"), all);
    assert_eq!(count("svc:nothing,w:>1"), 0);
}
