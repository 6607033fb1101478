//! What excerpts show is what the whole shows.

use super::*;
use crate::fixture;
use crate::json;
use crate::problems::problems;
use crate::state::Health;
use crate::why;
use std::sync::Arc;

fn pieces(ask: &ExcerptAsk) -> Vec<Excerpt> {
    let demo = fixture::demo();
    let view = View::of(&demo.snapshot).with_counters(Some(&demo.counters));
    let mut reading = Reading::new(&view, ask).unwrap();
    let mut pieces = Vec::new();
    loop {
        let piece = reading.next(&view, demo.snapshot.seq);
        let more = piece.more;
        pieces.push(piece);
        if !more {
            return pieces;
        }
    }
}

fn whole(scope: Scope, targets: &[&str]) -> Excerpt {
    let ask = ExcerptAsk {
        targets: targets.iter().map(|it| (*it).to_owned()).collect(),
        ..ExcerptAsk::all(scope)
    };
    pieces(&ask).remove(0)
}

#[test]
fn a_status_from_an_excerpt_is_the_status_of_the_whole() {
    let demo = fixture::demo();
    let all = View::of(&demo.snapshot).with_counters(Some(&demo.counters));
    let excerpt = whole(Scope::Status, &[]);
    let view = View::excerpt(&excerpt);
    assert_eq!(json::status(&view), json::status(&all));
    assert_eq!(problems(&view), problems(&all));
    assert!(excerpt.snapshot.state.servers.len() < demo.snapshot.state.servers.len());
}

#[test]
fn lists_from_excerpts_are_the_lists_of_the_whole() {
    let demo = fixture::demo();
    let all = View::of(&demo.snapshot).with_counters(Some(&demo.counters));
    let excerpt = whole(Scope::Servers, &[]);
    let view = View::excerpt(&excerpt);
    assert_eq!(
        json::list(view.servers(), |it| json::server(&view, it)),
        json::list(all.servers(), |it| json::server(&all, it))
    );
    let excerpt = whole(Scope::Services, &[]);
    let view = View::excerpt(&excerpt);
    assert!(excerpt.snapshot.state.servers.is_empty());
    assert_eq!(
        json::list(view.services(), |it| json::service(&view, it)),
        json::list(all.services(), |it| json::service(&all, it))
    );
}

#[test]
fn every_object_is_explained_from_its_excerpt_as_from_the_whole() {
    let demo = fixture::demo();
    let all = View::of(&demo.snapshot).with_counters(Some(&demo.counters));
    for object in demo.snapshot.state.objects() {
        let id = object.id();
        if matches!(id, ObjectId::Agent | ObjectId::Override(_)) {
            continue;
        }
        let excerpt = whole(Scope::Objects, &[&id.to_string()]);
        let view = View::excerpt(&excerpt);
        assert_eq!(why::why(&view, &id), why::why(&all, &id), "{id}");
        let object = view.state.object(&id).unwrap();
        assert_eq!(json::object(&view, &object), json::object(&all, &object), "{id}");
    }
}

fn many() -> Snapshot {
    let mut snapshot = fixture::demo().snapshot;
    let template = snapshot.state.servers.values().next().unwrap().clone();
    for port in 1..=2_500 {
        let mut view = template.as_ref().clone();
        view.id.server.port = port;
        snapshot.state.servers.insert(view.id.clone(), Arc::new(view));
    }
    snapshot
}

#[test]
fn a_long_list_comes_in_pieces_and_each_object_once() {
    let snapshot = many();
    let view = View::of(&snapshot);
    let want: Vec<ServerId> = view.servers().map(|it| it.id.clone()).collect();
    let mut reading = Reading::new(&view, &ExcerptAsk::all(Scope::Servers)).unwrap();
    let mut got = Vec::new();
    loop {
        let piece = reading.next(&view, 1);
        assert!(piece.snapshot.state.servers.len() <= OBJECTS_AT_ONCE);
        got.extend(View::excerpt(&piece).servers().map(|it| it.id.clone()));
        if !piece.more {
            break;
        }
    }
    assert_eq!(got, want);
}

#[test]
fn a_name_two_services_have_is_not_used_for_one_of_them_alone() {
    let mut snapshot = fixture::demo().snapshot;
    let keys: Vec<ServiceKey> = snapshot.state.services.keys().cloned().collect();
    for key in &keys[..2] {
        let service = snapshot.state.services.get_mut(key).unwrap();
        Arc::make_mut(service).name = Some("twice".into());
    }
    let view = View::of(&snapshot);
    let ask = ExcerptAsk {
        targets: vec![keys[0].to_string()],
        ..ExcerptAsk::all(Scope::Services)
    };
    let excerpt = Reading::new(&view, &ask).unwrap().next(&view, 1);
    assert_eq!(
        View::excerpt(&excerpt).service_name(&keys[0]),
        keys[0].to_string()
    );
}

#[test]
fn pieces_joined_are_the_list() {
    let snapshot = many();
    let view = View::of(&snapshot);
    let mut reading = Reading::new(&view, &ExcerptAsk::all(Scope::Meant)).unwrap();
    let mut joined = reading.next(&view, 1);
    assert!(joined.more);
    while joined.more {
        joined.join(reading.next(&view, 1));
    }
    assert_eq!(joined.snapshot.state.servers, snapshot.state.servers);
    let names =
        |view: &View<'_>| -> Vec<String> { view.servers().map(|it| view.server_name(&it.id)).collect() };
    assert_eq!(names(&View::excerpt(&joined)), names(&view));
}

#[test]
fn what_is_meant_by_words_is_what_a_change_would_select() {
    let demo = fixture::demo();
    let all = View::of(&demo.snapshot).with_counters(Some(&demo.counters));
    for typed in [
        "web/198.51.100.24",
        "198.51.100.24",
        "web/198.51.100.2[34]",
        "w*/*",
        "*",
        "web",
        "web*",
        "nothing",
        "rs:nothing",
        "",
    ] {
        let typed = [typed.to_owned()];
        let want = select::servers(&all, &typed, false);
        let got = Reading::new(&all, &ExcerptAsk::of(Scope::Meant, &typed)).map(|mut reading| {
            let excerpt = reading.next(&all, 1);
            excerpt.snapshot.state.servers.into_keys().collect::<Vec<_>>()
        });
        assert_eq!(got, want, "{typed:?}");
    }
    assert_eq!(
        whole(Scope::Meant, &[]).snapshot.state.servers,
        demo.snapshot.state.servers
    );
}

#[test]
fn a_server_without_a_result_is_told_of_and_the_others_like_it_are_not() {
    let mut snapshot = fixture::demo().snapshot;
    for server in snapshot.state.servers.values_mut() {
        Arc::make_mut(server).health = Health::Init;
    }
    let view = View::of(&snapshot);
    let excerpt = Reading::new(&view, &ExcerptAsk::all(Scope::Status))
        .unwrap()
        .next(&view, 1);
    let told = excerpt.snapshot.state.servers.values();
    assert!(told.clone().any(|it| it.health == Health::Init));
    assert!(told.count() <= 2, "one, and one that an operator changed");
}
