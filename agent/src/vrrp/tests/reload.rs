//! What a reload changes, and above all what it does not.

use super::*;

fn reload(node: &mut Node, now: u64, instances: &[Instance], groups: &[SyncGroup]) -> Vec<String> {
    node.configure(instances, groups);
    brief(&node.apply(Mono(now), Duration::ZERO))
}

fn master(cfg: &Instance) -> Node {
    let mut node = Node::start("10.5.0.1", std::slice::from_ref(cfg), &[]);
    node.run(Mono(5 * S));
    assert_eq!(node.state(&cfg.name.0), VrrpState::Master);
    node
}

#[test]
fn f038_a_reload_of_the_same_file_does_nothing_at_any_moment() {
    let instances = [vi(51, 100), vi(52, 150), vi(53, 200)];
    let groups = [group("G1", &["VI_51", "VI_52"])];
    let mut node = Node::start("10.5.0.1", &instances, &groups);
    for step in 0..80 {
        let now = step * 100 * MS;
        node.run(Mono(now));
        let before: Vec<_> = node
            .routers
            .slots
            .iter()
            .flatten()
            .map(|router| router.role.clone())
            .collect();
        assert!(reload(&mut node, now, &instances, &groups).is_empty(), "at {now}");
        let after: Vec<_> = node
            .routers
            .slots
            .iter()
            .flatten()
            .map(|router| router.role.clone())
            .collect();
        assert_eq!(after, before);
    }
}

#[test]
fn f040_a_change_in_place_keeps_the_state_and_tells_the_backups_at_once() {
    type Edit = fn(&mut Instance);
    let cases: [(&str, Edit, &[&str]); 6] = [
        (
            "priority",
            |cfg| cfg.priority = Priority::new(120).unwrap(),
            &["vrrp.changed", "vrrp.priority", "send 120"],
        ),
        (
            "interval",
            |cfg| cfg.advert_interval = Duration::from_secs(2),
            &["vrrp.changed", "send 100"],
        ),
        (
            "password",
            |cfg| cfg.authentication = Authentication::Pass(*b"secret12"),
            &["vrrp.changed", "send 100"],
        ),
        (
            "another address",
            |cfg| {
                let mut virt = cfg.addresses[0].clone();
                virt.address = ip("10.5.1.99");
                cfg.addresses.push(virt);
            },
            &["vrrp.changed", "send 100", "announce 5"],
        ),
        (
            "fewer addresses",
            |cfg| cfg.addresses.clear(),
            &["vrrp.changed", "send 100"],
        ),
        ("preempt", |cfg| cfg.preempt = false, &["vrrp.changed"]),
    ];
    for (what, edit, want) in cases {
        let mut cfg = vi(51, 100);
        let mut node = master(&cfg);
        let since = node.view("VI_51").since;
        edit(&mut cfg);
        assert_eq!(reload(&mut node, 5 * S, &[cfg], &[]), want, "{what}");
        let view = node.view("VI_51");
        assert_eq!((view.state, view.since), (VrrpState::Master, since), "{what}");
    }
}

#[test]
fn a_backup_counts_with_the_new_settings_from_where_the_silence_began() {
    let mut cfg = vi(51, 100);
    let mut node = Node::start("10.5.0.1", std::slice::from_ref(&cfg), &[]);
    cfg.priority = Priority::new(200).unwrap();
    cfg.advert_interval = Duration::from_secs(2);
    reload(&mut node, S, &[cfg], &[]);
    node.run(Mono(20 * S));
    assert_eq!(node.entered(What::BecameMaster), [Mono(6_218_750)]);
}

#[test]
fn f040_another_vrid_is_another_router_and_the_old_one_says_farewell() {
    let mut node = master(&vi(51, 100));
    let mut other = vi(61, 100);
    other.name = "VI_51".into();
    let got = reload(&mut node, 5 * S, &[other], &[]);
    assert_eq!(
        got,
        [
            "send 0",
            "notify VI_51 DELETED 100",
            "removed VI_51",
            "vrrp.changed"
        ]
    );
    assert_eq!(node.state("VI_51"), VrrpState::Init, "until it has ground");
    assert_eq!(node.routers.slots.iter().flatten().count(), 1);
}

#[test]
fn another_version_is_another_router() {
    let mut node = master(&vi(51, 100));
    let mut other = vi(51, 100);
    other.version = VrrpVersion::V3;
    let got = reload(&mut node, 5 * S, &[other], &[]);
    assert!(got.contains(&"send 0".to_owned()) && got.contains(&"removed VI_51".to_owned()));
}

#[test]
fn a_renamed_instance_keeps_its_state() {
    let mut cfg = vi(51, 100);
    let mut node = master(&cfg);
    cfg.name = "VI_new".into();
    assert_eq!(
        reload(&mut node, 5 * S, &[cfg], &[]),
        ["vrrp.changed", "removed VI_51"]
    );
    assert!(node.routers.is_master(&"VI_new".into()));
    assert!(node.routers.view(&"VI_51".into()).is_none());
}

#[test]
fn two_instances_can_swap_their_names() {
    let (mut one, mut two) = (vi(51, 100), vi(52, 100));
    let mut node = Node::start("10.5.0.1", &[one.clone(), two.clone()], &[]);
    node.run(Mono(5 * S));
    std::mem::swap(&mut one.name, &mut two.name);
    let got = reload(&mut node, 5 * S, &[one, two], &[]);
    assert_eq!(got, ["vrrp.changed", "vrrp.changed"]);
    assert_eq!(node.view("VI_51").vrid, 52);
    assert_eq!(node.view("VI_51").state, VrrpState::Master);
}

#[test]
fn a_removed_backup_leaves_without_a_word_on_the_wire() {
    let mut node = Node::start("10.5.0.1", &[vi(51, 100), vi(52, 100)], &[]);
    let got = reload(&mut node, S, &[vi(51, 100)], &[]);
    assert_eq!(got, ["notify VI_52 DELETED 100", "removed VI_52"]);
    node.run(Mono(20 * S));
    assert!(node.routers.is_master(&"VI_51".into()));
}

#[test]
fn a_place_is_used_again_and_old_deadlines_do_not_haunt_it() {
    let mut node = master(&vi(51, 100));
    for vrid in 52..90 {
        reload(&mut node, 5 * S + u64::from(vrid), &[vi(vrid, 100)], &[]);
    }
    assert_eq!(node.routers.slots.len(), 1);
    assert_eq!(node.routers.deadline(), None);
}

#[test]
fn the_startup_delay_counts_at_the_start_only() {
    let mut node = master(&vi(51, 100));
    node.configure(&[vi(51, 100), vi(52, 100)], &[]);
    node.apply(Mono(5 * S), Duration::from_secs(100));
    let solid = ground("10.5.0.1");
    node.with(Mono(5 * S), |routers, now, out| {
        routers.on_ground(now, &"VI_52".into(), solid, out)
    });
    assert_eq!(node.state("VI_52"), VrrpState::Backup);
}

#[test]
fn a_master_and_a_backup_that_are_put_together_begin_as_backups() {
    let mut node = Node::start("10.5.0.1", &[vi(51, 100), vi(52, 100)], &[]);
    for second in 1..=5 {
        node.run(Mono(second * S));
        node.hear(Mono(second * S), &advert(&vi(52, 200), "10.5.0.9", 200));
    }
    let got = reload(
        &mut node,
        5 * S,
        &[vi(51, 100), vi(52, 100)],
        &[group("G1", &["VI_51", "VI_52"])],
    );
    assert_eq!(
        got,
        [
            "vrrp.changed",
            "vrrp.changed",
            "group G1 added",
            "send 0",
            "vrrp.backup",
            "notify VI_51 BACKUP 100",
            "group G1 INIT -> BACKUP",
            "notify G1 BACKUP 0"
        ]
    );
}

#[test]
fn a_new_member_joins_a_running_master_group_as_master() {
    let two = [vi(51, 100), vi(52, 100)];
    let three = [vi(51, 100), vi(52, 100), vi(53, 100)];
    let mut node = Node::start("10.5.0.1", &two, &[group("G1", &["VI_51", "VI_52"])]);
    node.run(Mono(5 * S));
    reload(
        &mut node,
        5 * S,
        &three,
        &[group("G1", &["VI_51", "VI_52", "VI_53"])],
    );
    let solid = ground("10.5.0.1");
    let got = node.with(Mono(5 * S), |routers, now, out| {
        routers.on_ground(now, &"VI_53".into(), solid, out)
    });
    let told: Vec<String> = brief(&got)
        .into_iter()
        .filter(|it| it.starts_with("notify"))
        .collect();
    assert_eq!(
        told,
        ["notify VI_53 BACKUP 100", "notify VI_53 MASTER 100"],
        "the group was MASTER before and is MASTER"
    );
    for name in ["VI_51", "VI_52", "VI_53"] {
        assert_eq!(node.state(name), VrrpState::Master);
    }
}

#[test]
fn members_of_a_dissolved_group_go_on_alone() {
    let mut instances = [vi(51, 100), vi(52, 100)];
    let mut node = Node::start("10.5.0.1", &instances, &[group("G1", &["VI_51", "VI_52"])]);
    node.run(Mono(5 * S));
    instances[1].name = "VI_new".into();
    reload(&mut node, 5 * S, &instances, &[group("G1", &["VI_51", "VI_new"])]);
    assert_eq!(
        node.routers.group_view(&"G1".into()).unwrap().members[1],
        "VI_new".into()
    );
    instances[1].name = "VI_52".into();
    reload(&mut node, 5 * S, &instances, &[group("G1", &["VI_51", "VI_52"])]);
    let got = reload(&mut node, 5 * S, &instances, &[]);
    assert_eq!(got, ["vrrp.changed", "vrrp.changed", "group G1 removed"]);
    assert!(node.routers.group_view(&"G1".into()).is_none());
    node.with(Mono(5 * S), |routers, now, out| {
        routers.on_ground(now, &"VI_51".into(), down("10.5.0.1"), out);
    });
    assert_eq!(node.state("VI_52"), VrrpState::Master);
    // A fault that came from a mate ends with the group.
    let mut node = Node::start("10.5.0.1", &instances, &[group("G1", &["VI_51", "VI_52"])]);
    node.with(Mono(S), |routers, now, out| {
        routers.on_ground(now, &"VI_51".into(), down("10.5.0.1"), out);
    });
    assert_eq!(node.state("VI_52"), VrrpState::Fault);
    reload(&mut node, 2 * S, &instances, &[]);
    assert_eq!(node.state("VI_52"), VrrpState::Backup);
    assert_eq!(node.state("VI_51"), VrrpState::Fault);
}
