//! What is accepted, what is refused, and that a refused advert leaves no trace but its counter.

use super::*;
use crate::model::UnicastPeer;
use proptest::prelude::*;

const AT: Mono = Mono(20 * S);

fn refused(node: &Node) -> Vec<String> {
    let counters = node.routers.counters(&"VI_51".into()).unwrap();
    counters.rejected.into_keys().collect()
}

fn hear(node: &mut Node, datagram: Datagram) -> Vec<Effect> {
    node.with(AT, |routers, now, out| routers.on_datagram(now, &datagram, out))
}

fn master(cfg: &Instance, source: &str) -> Node {
    let mut node = Node::start(source, std::slice::from_ref(cfg), &[]);
    node.run(AT);
    assert_eq!(node.state("VI_51"), VrrpState::Master);
    node
}

/// One advert that would depose us, changed in one way, at a master: the reason, or `None` if it deposes us.
fn verdict(cfg: &Instance, source: &str, change: impl FnOnce(&mut Datagram)) -> Option<String> {
    let (ours, theirs) = if cfg.family == Family::Inet {
        ("10.5.0.1", "10.5.0.9")
    } else {
        ("fe80::1", "fe80::9")
    };
    let theirs = if source.is_empty() { theirs } else { source };
    let mut node = master(cfg, ours);
    let mut peer = cfg.clone();
    if !peer.unicast_peers.is_empty() {
        peer.unicast_peers[0].address = ip(ours);
    }
    let mut datagram = datagram(&advert(&peer, theirs, 200));
    change(&mut datagram);
    let role = node.routers.slots[0].as_ref().unwrap().role.clone();
    hear(&mut node, datagram);
    if node.state("VI_51") == VrrpState::Backup {
        return None;
    }
    assert_eq!(node.routers.slots[0].as_ref().unwrap().role, role, "inert");
    assert_eq!(
        node.routers.counters(&"VI_51".into()).unwrap().adverts_received,
        0
    );
    let mut refused = refused(&node);
    assert!(refused.len() < 2);
    Some(refused.pop().unwrap_or_else(|| "ignored".to_owned()))
}

fn v3(mut cfg: Instance) -> Instance {
    cfg.version = VrrpVersion::V3;
    cfg
}

fn unicast(mut cfg: Instance) -> Instance {
    cfg.unicast_peers = vec![UnicastPeer {
        address: ip("10.5.0.9"),
        min_ttl: None,
        max_ttl: None,
    }];
    cfg
}

fn password(mut cfg: Instance, text: &[u8; 8]) -> Instance {
    cfg.authentication = Authentication::Pass(*text);
    cfg
}

#[test]
fn a_good_advert_counts_in_every_dialect() {
    for cfg in [
        vi(51, 100),
        v3(vi(51, 100)),
        vi6(51, 100),
        unicast(vi(51, 100)),
        unicast(v3(vi(51, 100))),
        password(vi(51, 100), b"secret12"),
    ] {
        assert_eq!(verdict(&cfg, "", |_| {}), None);
    }
}

#[test]
fn f001_f002_only_hop_limit_255_counts_in_multicast() {
    for cfg in [vi(51, 100), v3(vi(51, 100)), vi6(51, 100)] {
        for ttl in [None, Some(0), Some(1), Some(64), Some(254)] {
            let got = verdict(&cfg, "", |datagram| datagram.ttl = ttl);
            assert_eq!(got.as_deref(), Some("ttl"), "{ttl:?}");
        }
    }
}

#[test]
fn a_unicast_peer_is_held_to_its_ttl_bounds_and_only_to_them() {
    for (min, max, ttl, want) in [
        (None, None, None, None),
        (None, None, Some(3), None),
        (Some(254), None, Some(254), None),
        (Some(254), None, Some(253), Some("peer_ttl")),
        (None, Some(10), Some(10), None),
        (None, Some(10), Some(11), Some("peer_ttl")),
        (Some(254), None, None, Some("peer_ttl")),
    ] {
        let mut cfg = unicast(vi(51, 100));
        cfg.unicast_peers[0].min_ttl = min;
        cfg.unicast_peers[0].max_ttl = max;
        let mut node = master(&cfg, "10.5.0.1");
        let mut peer = cfg.clone();
        peer.unicast_peers[0].address = ip("10.5.0.1");
        let mut datagram = datagram(&advert(&peer, "10.5.0.9", 200));
        datagram.ttl = ttl;
        hear(&mut node, datagram);
        assert_eq!(
            refused(&node).first().map(String::as_str),
            want,
            "{min:?} {max:?} {ttl:?}"
        );
    }
}

#[test]
fn f003_f004_f005_f006_bytes_that_are_no_advert_are_refused_by_name() {
    type Change = fn(&mut Vec<u8>);
    let cases: [(&str, Change); 6] = [
        ("version", |bytes| bytes[0] = 0x31),
        ("type", |bytes| bytes[0] = 0x22),
        ("address_count", |bytes| bytes[3] = 0),
        ("length", |bytes| bytes.truncate(12)),
        ("truncated", |bytes| bytes.truncate(7)),
        ("checksum", |bytes| bytes[9] ^= 1),
    ];
    for (want, change) in cases {
        let got = verdict(&vi(51, 100), "", |datagram| change(&mut datagram.payload));
        assert_eq!(got.as_deref(), Some(want));
    }
}

#[test]
fn f012_a_version_3_interval_of_0_is_refused() {
    let mut cfg = v3(vi(51, 100));
    let mut node = master(&cfg, "10.5.0.1");
    cfg.advert_interval = Duration::ZERO;
    hear(&mut node, datagram(&advert(&cfg, "10.5.0.9", 200)));
    assert_eq!(refused(&node), ["interval_zero"]);
}

#[test]
fn f013_a_version_2_interval_must_be_ours() {
    for seconds in [0, 2, 255] {
        let mut cfg = vi(51, 100);
        let mut node = master(&cfg, "10.5.0.1");
        cfg.advert_interval = Duration::from_secs(seconds);
        let got = hear(&mut node, datagram(&advert(&cfg, "10.5.0.9", 200)));
        assert_eq!(refused(&node), ["interval"]);
        let [Effect::Changed { what, text, .. }] = &got[..] else {
            panic!("{got:?}");
        };
        assert_eq!(*what, What::AdvertRejected);
        assert!(
            text.contains(&format!("its interval is {seconds}s, ours is 1s")),
            "{text}"
        );
    }
}

#[test]
fn f016_unknown_vrids_are_ignored_without_a_trace() {
    let mut node = master(&vi(51, 100), "10.5.0.1");
    for vrid in (1..=255).filter(|vrid| *vrid != 51) {
        assert!(hear(&mut node, datagram(&advert(&vi(vrid, 200), "10.5.0.9", 200))).is_empty());
    }
    assert!(refused(&node).is_empty());
}

#[test]
fn f017_authentication_must_match_in_type_and_password() {
    let (none, right, wrong) = (
        vi(51, 100),
        password(vi(51, 100), b"secret12"),
        password(vi(51, 100), b"secret1\0"),
    );
    let cases = [
        (&none, &right, Some("auth_type")),
        (&right, &none, Some("auth_type")),
        (&right, &wrong, Some("password")),
        (&right, &right, None),
        (&none, &none, None),
    ];
    for (ours, theirs, want) in cases {
        let mut node = master(ours, "10.5.0.1");
        hear(&mut node, datagram(&advert(theirs, "10.5.0.9", 200)));
        assert_eq!(refused(&node).first().map(String::as_str), want);
    }
    // Authentication type 2 exists in neither.
    let got = verdict(&none, "", |datagram| {
        datagram.payload[4] = 2;
        datagram.payload[6..8].fill(0);
        let sum = crate::wire::checksum::internet(&datagram.payload);
        datagram.payload[6..8].copy_from_slice(&sum.to_be_bytes());
    });
    assert_eq!(got.as_deref(), Some("auth_type"));
}

#[test]
fn f020_unicast_for_a_multicast_instance_and_the_reverse_are_refused() {
    let got = verdict(&vi(51, 100), "", |datagram| datagram.destination = ip("10.5.0.1"));
    assert_eq!(got.as_deref(), Some("destination"));
    let got = verdict(&unicast(vi(51, 100)), "", |datagram| {
        datagram.destination = ip("224.0.0.18");
    });
    assert_eq!(got.as_deref(), Some("destination"));
    let got = verdict(&vi(51, 100), "", |datagram| {
        datagram.destination = ip("224.0.0.19")
    });
    assert_eq!(got.as_deref(), Some("destination"));
    let got = verdict(&vi(51, 100), "", |datagram| datagram.link = LinkIndex(3));
    assert_eq!(got.as_deref(), Some("ignored"), "another link is another place");
}

#[test]
fn f021_a_stranger_counts_unless_the_source_is_checked() {
    for (check, want) in [(false, None), (true, Some("unicast_source"))] {
        let mut cfg = unicast(vi(51, 100));
        cfg.check_unicast_source = check;
        let got = verdict(&cfg, "10.5.0.66", |_| {});
        assert_eq!(got.as_deref(), want);
    }
}

#[test]
fn f022_our_own_advert_coming_back_is_dropped_silently_and_a_clones_loudly() {
    let cfg = vi(51, 100);
    let mut node = master(&cfg, "10.5.0.1");
    let sent = node.routers.counters(&"VI_51".into()).unwrap().sent_at.unwrap();
    let back = datagram(&advert(&cfg, "10.5.0.1", 100));
    for (at, told) in [(sent, 0), (sent + Duration::from_millis(3), 0), (AT, 1), (AT, 0)] {
        let got = node.with(at, |routers, now, out| routers.on_datagram(now, &back, out));
        assert_eq!(got.len(), told, "{at:?}: {got:?}");
    }
    assert_eq!(refused(&node), ["own_address"]);
}

#[test]
fn the_returning_owner_is_heard_by_the_one_that_holds_its_address() {
    let cfg = vi(51, 100);
    let mut node = master(&cfg, "10.5.0.1");
    let mut holding = ground("10.5.0.1");
    holding.own_addresses.push(ip("10.5.1.51"));
    node.with(AT, |routers, now, out| {
        routers.on_ground(now, &"VI_51".into(), holding, out);
    });
    let mut owner = datagram(&advert(&cfg, "10.5.1.51", 255));
    owner.source = ip("10.5.1.51");
    hear(&mut node, owner);
    assert_eq!(node.state("VI_51"), VrrpState::Backup);
}

#[test]
fn f026_another_address_list_is_counted_and_the_advert_counts() {
    let ours = vi(51, 100);
    let mut two = ours.clone();
    two.addresses.push(two.addresses[0].clone());
    two.addresses[1].address = ip("10.5.1.99");
    let mut turned = two.clone();
    turned.addresses.reverse();
    let mut other = ours.clone();
    other.addresses[0].address = ip("10.5.1.98");
    let cases = [
        (&ours, &ours, false),
        (&two, &turned, false),
        (&ours, &two, true),
        (&two, &ours, true),
        (&ours, &other, true),
    ];
    for (ours, theirs, differs) in cases {
        let mut node = master(ours, "10.5.0.1");
        hear(&mut node, datagram(&advert(theirs, "10.5.0.9", 200)));
        assert_eq!(node.state("VI_51"), VrrpState::Backup, "the advert counts");
        assert_eq!(refused(&node).contains(&"address_list".to_owned()), differs);
    }
}

#[test]
fn f027_ipv6_wants_a_link_local_source_and_first_address() {
    let got = verdict(&vi6(51, 100), "2001:db8::9", |_| {});
    assert_eq!(got.as_deref(), Some("source"));
    let mut theirs = vi6(51, 100);
    theirs.addresses[0].address = ip("2001:db8::51");
    let mut node = master(&vi6(51, 100), "fe80::1");
    hear(&mut node, datagram(&advert(&theirs, "fe80::9", 200)));
    assert_eq!(refused(&node), ["first_address"]);
    // Who does not keep to it cannot ask it of others: two masters would be the result.
    let mut node = master(&theirs, "fe80::1");
    hear(&mut node, datagram(&advert(&theirs, "fe80::9", 200)));
    assert_eq!(node.state("VI_51"), VrrpState::Backup);
}

#[test]
fn an_owner_may_ignore_everybody() {
    for ignore in [true, false] {
        let mut cfg = vi(51, 255);
        cfg.initial_master = true;
        cfg.owner_ignore_adverts = ignore;
        let mut node = Node::start("10.5.0.1", std::slice::from_ref(&cfg), &[]);
        hear(&mut node, datagram(&advert(&cfg, "10.5.0.9", 255)));
        let want = if ignore {
            VrrpState::Master
        } else {
            VrrpState::Backup
        };
        assert_eq!(node.state("VI_51"), want);
    }
}

#[test]
fn f028_a_flood_is_reported_once_a_minute_and_answered_twice_an_interval() {
    let cfg = vi(51, 100);
    let mut node = master(&cfg, "10.5.0.1");
    let (bad, lower) = (
        advert(&password(cfg.clone(), b"x\0\0\0\0\0\0\0"), "10.5.0.9", 200),
        advert(&cfg, "10.5.0.8", 50),
    );
    let mut effects = Vec::new();
    for packet in 0..20_000u64 {
        let now = Mono(AT.0 + packet * 100);
        effects.extend(node.hear(now, &bad));
        effects.extend(node.hear(now, &lower));
    }
    let told = brief(&effects);
    let count = |what: &str| told.iter().filter(|told| told.starts_with(what)).count();
    assert_eq!(count("vrrp.advert_rejected"), 1);
    assert_eq!(count("vrrp.master_heard"), 1);
    assert_eq!(count("vrrp.second_master"), 1);
    assert_eq!(count("announce"), 4);
    assert_eq!(
        count("send"),
        4,
        "answers; the regular adverts are not among these effects"
    );
    let counters = node.routers.counters(&"VI_51".into()).unwrap();
    assert_eq!(counters.rejected["auth_type"], 20_000);
    assert_eq!(counters.adverts_received, 20_000);
}

#[test]
fn f010_a_peer_without_pseudo_header_is_heard_and_reported_once() {
    let cfg = v3(vi(51, 100));
    let mut theirs = cfg.clone();
    theirs.checksum_without_pseudo_header = true;
    let mut node = Node::start("10.5.0.1", std::slice::from_ref(&cfg), &[]);
    let mut told = Vec::new();
    for second in 1..=10 {
        told.extend(node.hear(Mono(second * S), &advert(&theirs, "10.5.0.9", 200)));
    }
    assert_eq!(brief(&told), ["vrrp.changed", "vrrp.master_heard"]);
    assert_eq!(node.state("VI_51"), VrrpState::Backup);
    assert_eq!(
        node.routers.counters(&"VI_51".into()).unwrap().adverts_received,
        10
    );
}

#[test]
fn a_peer_of_keepalived_1_3_is_answered_in_its_own_form() {
    let cfg = unicast(v3(vi(51, 100)));
    let mut node = Node::start("10.5.0.1", std::slice::from_ref(&cfg), &[]);
    let theirs = "31336401006475690a050064";
    let payload = (0..theirs.len() / 2)
        .map(|at| u8::from_str_radix(&theirs[2 * at..2 * at + 2], 16).unwrap())
        .collect::<Vec<_>>();
    let ends = packet::Ends {
        source: ip("10.5.0.9"),
        destination: ip("10.5.0.1"),
    };
    // Their capture is from another pair of addresses: let the sum say ours.
    let mut payload = payload;
    payload[6..8].fill(0);
    let sum = crate::wire::checksum::pseudo_header(ends.source, ip("224.0.0.18"), 112, payload.len())
        .bytes(&payload)
        .checksum();
    payload[6..8].copy_from_slice(&sum.to_be_bytes());
    let heard = Datagram {
        link: LINK,
        source: ends.source,
        destination: ends.destination,
        ttl: Some(255),
        envelope: Default::default(),
        payload,
    };
    node.with(Mono(S), |routers, now, out| routers.on_datagram(now, &heard, out));
    let got = node.run(Mono(10 * S));
    let sent = sends(&got)[0];
    let ends = packet::Ends {
        source: sent.source,
        destination: sent.destination,
    };
    let read = packet::decode(&sent.payload, &[], ends, VrrpVersion::V3, false).unwrap();
    assert_eq!(read.checksum, packet::ChecksumForm::OldUnicast);
}

#[test]
fn a_refused_advert_does_not_count_as_heard_by_a_backup() {
    type Change = fn(&mut Datagram);
    let changes: [Change; 7] = [
        |datagram| datagram.ttl = Some(254),
        |datagram| datagram.payload[0] = 0x31,
        |datagram| datagram.payload[2] ^= 1,
        |datagram| datagram.payload[5] = 2,
        |datagram| datagram.payload.truncate(19),
        |datagram| datagram.source = ip("10.5.0.1"),
        |datagram| datagram.destination = ip("10.5.0.1"),
    ];
    let cfg = vi(51, 100);
    for (at, change) in changes.into_iter().enumerate() {
        let mut node = Node::start("10.5.0.1", std::slice::from_ref(&cfg), &[]);
        node.hear(Mono(S), &advert(&cfg, "10.5.0.9", 200));
        let before = (
            node.routers.deadline(),
            node.view("VI_51"),
            node.routers.counters(&"VI_51".into()).unwrap().heard_at,
        );
        let mut bad = datagram(&advert(&cfg, "10.5.0.8", 200));
        change(&mut bad);
        node.with(Mono(2 * S), |routers, now, out| {
            routers.on_datagram(now, &bad, out)
        });
        let after = (
            node.routers.deadline(),
            InstanceView {
                // That it was refused is all that is shown of it.
                refused: None,
                ..node.view("VI_51")
            },
            node.routers.counters(&"VI_51".into()).unwrap().heard_at,
        );
        assert_eq!(after, before, "change {at}");
        assert_eq!(refused(&node).len(), 1, "change {at}");
    }
}

proptest! {
    #[test]
    fn f009_any_change_of_a_good_advert_is_inert(
        flips in proptest::collection::vec(0..160usize, 1..4),
        ttl in proptest::option::of(any::<u8>()),
    ) {
        let cfg = vi(51, 100);
        let mut node = master(&cfg, "10.5.0.1");
        let mut datagram = datagram(&advert(&cfg, "10.5.0.9", 200));
        let good = datagram.payload.clone();
        for bit in flips {
            datagram.payload[bit / 8] ^= 1 << (bit % 8);
        }
        datagram.ttl = ttl;
        let sum_right = crate::wire::checksum::Sum::default().bytes(&datagram.payload).is_right();
        prop_assume!(datagram.payload != good || ttl != Some(255));
        prop_assume!(datagram.payload == good || !sum_right);
        let role = node.routers.slots[0].as_ref().unwrap().role.clone();
        hear(&mut node, datagram);
        prop_assert_eq!(&node.routers.slots[0].as_ref().unwrap().role, &role);
    }

    #[test]
    fn any_datagram_is_survived(
        payload in proptest::collection::vec(any::<u8>(), 0..64),
        multicast in any::<bool>(),
        ttl in proptest::option::of(any::<u8>()),
    ) {
        let mut node = master(&vi(51, 100), "10.5.0.1");
        let mut payload = payload;
        if let Some(vrid) = payload.get_mut(1) {
            *vrid = 51;
        }
        hear(&mut node, Datagram {
            link: LINK,
            source: ip("10.5.0.9"),
            destination: ip(if multicast { "224.0.0.18" } else { "10.5.0.1" }),
            ttl,
            envelope: Default::default(),
            payload,
        });
    }
}
