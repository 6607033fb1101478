//! Questions: what is told of the state, of the past and of the numbers.

use super::*;

#[test]
fn both_dialects_read_the_same_state() {
    let room = Room::new();
    let snapshot = room.client().snapshot().unwrap();
    assert_eq!(snapshot.state, fixture::demo().snapshot.state);
    assert_eq!(snapshot.role, Some(Role::Admin));
    let replies = room.shell("{\"id\":1,\"op\":\"status\"}\n{\"id\":\"b\",\"op\":\"vrrp\"}\n");
    assert_eq!(replies.len(), 2);
    assert_eq!(replies[0]["id"], 1);
    assert_eq!(replies[0]["data"]["agent"]["host"], snapshot.state.agent.host);
    assert_eq!(replies[0]["data"]["problems"][1]["object"], "mail");
    assert_eq!(replies[0]["data"]["traffic"]["active"], 27_058);
    assert_eq!(replies[1]["id"], "b");
    assert_eq!(replies[1]["data"].as_array().unwrap().len(), 4);
}

#[test]
fn the_past_is_told_in_samples_and_at_a_moment() {
    let room = Room::new();
    let replies = room.shell(concat!(
        "{\"op\":\"history\",\"targets\":[\"web/198.51.100.25\"],\"series\":[\"state\",\"active\"],\"since\":\"5m\"}\n",
        "{\"op\":\"history\",\"series\":[\"colour\"]}\n",
        "{\"op\":\"vrrp\",\"at\":\"1h\"}\n",
        "{\"op\":\"vrrp\",\"at\":\"0s\"}\n",
    ));
    let row = &replies[0]["data"]["rows"][0];
    assert_eq!(row["object"], "web/198.51.100.25:443", "{}", replies[0]);
    assert_eq!(row["checks"][0]["result"], "failed");
    assert_eq!(row["checks"][0]["why"], "status 503");
    assert!(row.get("state").is_some() && row.get("weight").is_none());
    assert_eq!(replies[1]["error"]["code"], "bad-request");
    assert_eq!(replies[2]["error"]["code"], "not-found");
    assert_eq!(replies[3]["data"].as_array().unwrap().len(), 4);
    let now = room.client().snapshot().unwrap();
    let past = room.client().past(now.wall_ms).unwrap();
    assert_eq!(past.snapshot.state, now.state);
}

#[test]
fn rows_come_one_by_one_with_an_end() {
    let room = Room::new();
    let replies = room.shell("{\"id\":1,\"op\":\"servers\",\"filter\":\"st:down\",\"rows\":true}");
    assert_eq!(replies.first().unwrap()["rows"], true);
    assert_eq!(replies.len(), 6);
    assert!(replies[1..5].iter().all(|reply| reply["row"]["state"] == "down"));
    assert_eq!(
        *replies.last().unwrap(),
        serde_json::json!({"v":1,"id":1,"end":true,"rows":4})
    );
}

#[test]
fn a_connection_is_told_what_changed_of_the_numbers_it_looks_at() {
    let room = Room::new();
    let mut client = room.client();
    let counters = client.counters().unwrap();
    let ids: Vec<ServerId> = counters.servers.keys().take(2).cloned().collect();
    let ask = WindowAsk {
        rows: Rows::These(ids.clone()),
        round: 0,
    };
    let patience = Duration::from_secs(10);
    let first = client.window(ask.clone(), patience).unwrap();
    let told: Vec<&ServerId> = first.servers.iter().map(|(id, _)| id).collect();
    assert_eq!((first.whole, told), (true, ids.iter().collect()));
    assert_eq!(first.totals, Some(CounterSums::of(&counters).all));
    assert!(client.window(ask.clone(), patience).unwrap().is_still());
    // Another connection was told nothing yet, and another round begins anew.
    assert!(room.client().window(ask.clone(), patience).unwrap().whole);
    let anew = WindowAsk { round: 1, ..ask };
    assert!(client.window(anew, patience).unwrap().whole);
}

#[test]
fn counters_are_told_with_objects_and_not_with_the_agent_alone() {
    let room = Room::new();
    let mut client = room.client();
    let told = |client: &mut Client, ask: &ExcerptAsk| client.excerpt(ask).unwrap().counters.is_some();
    assert!(!told(&mut client, &ExcerptAsk::agent()));
    assert!(told(&mut client, &ExcerptAsk::all(Scope::Status)));
    assert!(told(
        &mut client,
        &ExcerptAsk::of(Scope::Servers, &["web".to_owned()])
    ));
}
