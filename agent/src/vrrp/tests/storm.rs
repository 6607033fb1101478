//! Anything, in any order: what must hold after every input holds (see [`Node::with`]), and once it is quiet there is
//! one master.

use super::*;
use lb_shared::state::Pin;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Op {
    Wait(u64),
    Ground(usize, u8),
    Terms(usize, i32, bool),
    Pin(usize, Option<Pin>),
    Hear(usize, u8, u8),
    AddressLost(usize),
    SendFailed(usize),
    Resume(usize, u64),
    Reload(u8),
    Cut(bool),
}

fn op() -> impl Strategy<Value = Op> {
    let member = 0..3usize;
    prop_oneof![
        6 => (1..5_000u64).prop_map(Op::Wait),
        2 => (member.clone(), 0..4u8).prop_map(|(at, kind)| Op::Ground(at, kind)),
        2 => (member.clone(), -300..300i32, any::<bool>()).prop_map(|(at, delta, fault)| Op::Terms(at, delta, fault)),
        1 => (member.clone(), prop_oneof![
            Just(None),
            Just(Some(Pin::Promoted)),
            Just(Some(Pin::Demoted)),
            Just(Some(Pin::DemotedHard)),
        ]).prop_map(|(at, pin)| Op::Pin(at, pin)),
        2 => (member.clone(), any::<u8>(), 3..9u8).prop_map(|(at, priority, host)| Op::Hear(at, priority, host)),
        1 => member.clone().prop_map(Op::AddressLost),
        1 => member.clone().prop_map(Op::SendFailed),
        1 => (member, 0..3_000u64).prop_map(|(at, ago)| Op::Resume(at, ago)),
        1 => (0..6u8).prop_map(Op::Reload),
        1 => any::<bool>().prop_map(Op::Cut),
    ]
}

const NAMES: [&str; 3] = ["VI_51", "VI_52", "VI_53"];

fn configuration(kind: u8, priority: u8) -> (Vec<Instance>, Vec<SyncGroup>) {
    let mut all = vec![vi(51, priority), vi(52, priority), vi(53, priority)];
    let mut groups = vec![group("G1", &NAMES[..2])];
    match kind {
        0 => {}
        1 => groups.clear(),
        2 => groups = vec![group("G1", &NAMES)],
        3 => all[0].preempt = false,
        4 => all[1].preempt_delay = Duration::from_secs(2),
        _ => {
            all.remove(1);
            groups = vec![group("G1", &["VI_51", "VI_53"])];
        }
    }
    (all, groups)
}

fn run(node: &mut Node, now: Mono, op: &Op, base: u8) {
    let source = node.source.clone();
    let name = |at: &usize| InstanceName::from(NAMES[*at]);
    match op {
        Op::Wait(_) | Op::Cut(_) => {}
        Op::Ground(at, kind) => {
            let ground = match kind {
                0 => down(&source),
                1 => Ground::default(),
                _ => ground(&source),
            };
            node.with(now, |routers, now, out| {
                routers.on_ground(now, &name(at), ground, out)
            });
        }
        Op::Terms(at, delta, fault) => {
            let mut terms = terms(&[*delta]);
            terms.faults.extend(fault.then(|| "script x failed".to_owned()));
            node.with(now, |routers, now, out| {
                routers.on_terms(now, &name(at), terms, out)
            });
        }
        Op::Pin(at, pin) => {
            node.with(now, |routers, now, out| routers.on_pin(now, &name(at), *pin, out));
        }
        Op::Hear(at, priority, host) => {
            let vrid = 51 + u8::try_from(*at).unwrap();
            node.hear(now, &advert(&vi(vrid, 100), &format!("10.5.0.{host}"), *priority));
        }
        Op::AddressLost(at) => {
            let address = ip(&format!("10.5.1.{}", 51 + at));
            node.with(now, |routers, now, out| {
                routers.on_address_lost(now, &name(at), address, out);
            });
        }
        Op::SendFailed(at) => {
            node.with(now, |routers, now, out| {
                routers.on_send_failed(now, &name(at), out)
            });
        }
        Op::Resume(at, ago) => {
            let ago = Duration::from_millis(*ago);
            node.with(now, |routers, now, out| routers.resume(now, &name(at), ago, out));
        }
        Op::Reload(kind) => {
            let (instances, groups) = configuration(*kind, base);
            node.configure(&instances, &groups);
            node.apply(now, Duration::ZERO);
        }
    }
}

/// All faults and pins go, both nodes have the same plain configuration again.
fn calm(lan: &mut Lan) {
    lan.cut.clear();
    let now = lan.now;
    for (at, base) in [(0, 150), (1, 100)] {
        let node = &mut lan.nodes[at];
        run(node, now, &Op::Reload(0), base);
        for member in 0..3 {
            run(node, now, &Op::Pin(member, None), base);
            run(node, now, &Op::Ground(member, 3), base);
            run(node, now, &Op::Terms(member, 0, false), base);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn after_any_storm_the_best_node_is_the_only_master(
        ops in proptest::collection::vec((0..2usize, op()), 1..60),
    ) {
        let (one, groups) = configuration(0, 150);
        let (two, _) = configuration(0, 100);
        let mut lan = Lan::new(vec![
            Node::start("10.5.0.1", &one, &groups),
            Node::start("10.5.0.2", &two, &groups),
        ]);
        for (at, op) in &ops {
            match op {
                Op::Wait(ms) => lan.run(Mono(lan.now.0 + ms * MS)),
                Op::Cut(true) => drop(lan.cut.insert((*at, 1 - at))),
                Op::Cut(false) => lan.cut.clear(),
                _ => run(&mut lan.nodes[*at], lan.now, op, if *at == 0 { 150 } else { 100 }),
            }
        }
        calm(&mut lan);
        // A pause after failed sends is the longest wait there is: 15 s, then a down interval.
        lan.run(Mono(lan.now.0 + 25 * S));
        for name in NAMES {
            prop_assert_eq!(lan.masters(name), [0], "{}", name);
        }
        let (before, masters) = (lan.nodes[0].log.len(), lan.masters(NAMES[0]));
        lan.run(Mono(lan.now.0 + 100 * S));
        prop_assert_eq!(lan.masters(NAMES[0]), masters);
        let quiet = lan.nodes[0].log[before..].iter().all(|(_, effect)| {
            matches!(effect, Effect::Send { .. } | Effect::Announce { .. })
                || matches!(effect, Effect::Changed { what: What::SecondMasterGone, .. })
        });
        prop_assert!(quiet, "{:?}", brief(&lan.nodes[0].log[before..].iter().map(|(_, e)| e.clone()).collect::<Vec<_>>()));
    }
}
