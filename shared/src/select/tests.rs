use super::*;
use crate::fixture;
use proptest::prelude::*;
use std::sync::Arc;

fn typed(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn server_names(texts: &[&str], whole: bool) -> Result<Vec<String>, RefusalCode> {
    let demo = fixture::demo();
    let view = View::of(&demo.snapshot);
    let found = servers(&view, &typed(texts), whole).map_err(|refusal| refusal.code)?;
    Ok(found.iter().map(|id| view.server_name(id)).collect())
}

#[test]
fn what_people_type_selects_what_they_mean() {
    for (text, want) in [
        ("web/198.51.100.24", &["web/198.51.100.24:443"][..]),
        (
            "web/198.51.100.2[34]:443",
            &["web/198.51.100.23:443", "web/198.51.100.24:443"],
        ),
        (
            "198.51.100.24",
            &["web-plain/198.51.100.24:80", "web/198.51.100.24:443"],
        ),
        ("198.51.100.24:443", &["web/198.51.100.24:443"]),
        ("rs:203.0.113.10:443/198.51.100.21", &["web/198.51.100.21:443"]),
        ("mail/*", &["mail/198.51.100.61:25", "mail/198.51.100.62:25"]),
        (
            "203.0.113.25:25/tcp/*",
            &["mail/198.51.100.61:25", "mail/198.51.100.62:25"],
        ),
        (
            "fwmark:8/198.51.100.7[12]",
            &["video/198.51.100.71:0", "video/198.51.100.72:0"],
        ),
        (
            "[2001:DB8:10:0::443]:443/2001:db8:20::1",
            &["web6/[2001:db8:20::1]:443"],
        ),
        ("web6/[2001:db8:20::2]:443", &["web6/[2001:db8:20::2]:443"]),
        ("nothing/*", &[]),
        ("web?/*4]:443", &["web6/[2001:db8:20::4]:443"]),
    ] {
        assert_eq!(
            server_names(&[text], false).as_deref(),
            Ok(&typed(want)[..]),
            "{text}"
        );
    }
}

#[test]
fn a_service_is_no_server_for_a_verb_but_a_list_shows_its_servers() {
    assert_eq!(server_names(&["web"], false), Err(RefusalCode::BadSelector));
    assert_eq!(server_names(&["web"], true).map(|found| found.len()), Ok(6));
    assert_eq!(server_names(&["we"], true), Err(RefusalCode::NotFound));
    assert_eq!(server_names(&["we*"], true).map(|found| found.len()), Ok(16));
}

#[test]
fn several_targets_are_merged_and_each_counts_once() {
    let found = server_names(&["web/198.51.100.24", "198.51.100.24:443", "web/*4:443"], false);
    assert_eq!(found, Ok(typed(&["web/198.51.100.24:443"])));
}

#[test]
fn what_does_not_exist_is_an_error_unless_it_is_a_pattern() {
    assert_eq!(
        server_names(&["web/192.0.2.1"], false),
        Err(RefusalCode::NotFound)
    );
    assert_eq!(server_names(&["web/192.0.2.*"], false), Ok(vec![]));
    assert_eq!(server_names(&[""], false), Err(RefusalCode::BadSelector));
}

#[test]
fn instances_are_named_alone_or_by_their_group() {
    let demo = fixture::demo();
    let view = View::of(&demo.snapshot);
    for (text, want) in [
        ("VI_int", &["VI_int"][..]),
        ("vrrp:VI_int", &["VI_int"]),
        ("group:VG_edge", &["VI_edge", "VI_edge6"]),
        ("VI_edge*", &["VI_edge", "VI_edge6"]),
    ] {
        let found = instances(&view, &typed(&[text])).unwrap();
        let names: Vec<_> = found.iter().map(|name| name.0.as_str()).collect();
        assert_eq!(names, want, "{text}");
    }
}

#[test]
fn a_name_of_two_kinds_needs_its_prefix() {
    let mut demo = fixture::demo();
    let mut twin = demo.snapshot.state.instances[&"VI_int".into()].clone();
    Arc::make_mut(&mut twin).name = "web".into();
    demo.snapshot.state.instances.insert(twin.name.clone(), twin);
    let view = View::of(&demo.snapshot);
    let refusal = objects(&view, &typed(&["web"])).unwrap_err();
    assert_eq!(refusal.code, RefusalCode::Ambiguous);
    assert_eq!(refusal.hint, "write one of: vrrp:web  vs:203.0.113.10:443/tcp");
    assert_eq!(
        objects(&view, &typed(&["vrrp:web"])).unwrap()[0].to_string(),
        "vrrp:web"
    );
}

#[test]
fn the_canonical_form_selects_its_object_and_no_other() {
    let demo = fixture::demo();
    let view = View::of(&demo.snapshot);
    for object in demo.snapshot.state.objects() {
        let id = object.id();
        if matches!(id, ObjectId::Agent | ObjectId::Override(_)) {
            continue;
        }
        let found = objects(&view, &[id.to_string()]).unwrap();
        assert_eq!(found, vec![id.clone()], "{id}");
    }
    for id in demo.snapshot.state.servers.keys() {
        assert_eq!(
            servers(&view, &[id.to_string()], false).unwrap(),
            vec![id.clone()]
        );
    }
}

#[test]
fn a_name_two_services_share_is_not_shown() {
    let mut demo = fixture::demo();
    for service in demo.snapshot.state.services.values_mut().map(Arc::make_mut) {
        service.name = Some("web".into());
    }
    let view = View::of(&demo.snapshot);
    let key = "203.0.113.25:25/tcp".parse().unwrap();
    assert_eq!(view.service_name(&key), "203.0.113.25:25/tcp");
}

proptest! {
    #[test]
    fn no_text_breaks_the_selector(text in "\\PC{0,40}|[a-z0-9:/.*?\\[\\]-]{0,40}") {
        let demo = fixture::demo();
        let view = View::of(&demo.snapshot);
        let _ = objects(&view, std::slice::from_ref(&text));
        let _ = servers(&view, &[text], true);
    }

    #[test]
    fn canonical_ids_read_back(
        v4 in any::<u32>(), v6 in any::<u128>(), port in any::<u16>(), mark in any::<u32>(), kind in 0u8..5
    ) {
        let server = if kind.is_multiple_of(2) {
            crate::names::with_port(std::net::Ipv4Addr::from(v4).into(), port)
        } else {
            crate::names::with_port(std::net::Ipv6Addr::from(v6).into(), port)
        };
        let service = match kind {
            0 => format!("{server}/tcp"),
            1 => format!("{server}/udp"),
            2 => format!("fwmark:{mark}"),
            3 => format!("fwmark:{mark}/inet6"),
            _ => "group:web/sctp".to_owned(),
        };
        let text = format!("{service}/{server}");
        let id: ServerId = text.parse().unwrap();
        prop_assert_eq!(id.to_string(), text);
    }
}
