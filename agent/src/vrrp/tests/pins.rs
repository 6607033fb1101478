//! Promote, demote, release.

use super::*;
use lb_shared::state::Pin;

const VI: &str = "VI_51";

fn pair(preempt: bool) -> Lan {
    let cfg = |priority| {
        let mut cfg = vi(51, priority);
        cfg.preempt = preempt;
        cfg
    };
    let mut lan = Lan::new(vec![
        Node::start("10.5.0.1", &[cfg(150)], &[]),
        Node::start("10.5.0.2", &[cfg(100)], &[]),
    ]);
    lan.run(Mono(10 * S));
    assert_eq!(lan.masters(VI), [0]);
    lan
}

fn pin(lan: &mut Lan, node: usize, pin: Option<Pin>) -> Vec<Effect> {
    let now = lan.now;
    lan.nodes[node].with(now, |routers, now, out| routers.on_pin(now, &VI.into(), pin, out))
}

#[test]
fn f062_a_promoted_backup_is_master_at_once_and_the_other_yields_at_its_first_word() {
    for preempt in [true, false] {
        let mut lan = pair(preempt);
        pin(&mut lan, 1, Some(Pin::Promoted));
        assert!(lan.nodes[1].routers.is_master(&VI.into()));
        lan.run(Mono(10 * S + MS));
        assert_eq!(lan.masters(VI), [1], "preempt {preempt}");
        lan.run(Mono(60 * S));
        assert_eq!(lan.masters(VI), [1], "and it stays");
        assert!(lan.nodes[1].entered(What::SecondMaster).is_empty());
        // Released: the better one comes back, unless nobody preempts.
        pin(&mut lan, 1, None);
        assert_eq!(lan.nodes[1].view(VI).effective_priority, 100);
        lan.run(Mono(70 * S));
        assert_eq!(lan.masters(VI), [if preempt { 0 } else { 1 }]);
    }
}

#[test]
fn a_promoted_node_ignores_weights_and_obeys_faults() {
    let mut lan = pair(true);
    pin(&mut lan, 1, Some(Pin::Promoted));
    let now = lan.now;
    lan.nodes[1].with(now, |routers, now, out| {
        routers.on_terms(now, &VI.into(), terms(&[-90]), out);
    });
    assert_eq!(lan.nodes[1].view(VI).effective_priority, 254);
    lan.nodes[1].with(now, |routers, now, out| {
        routers.on_ground(now, &VI.into(), down("10.5.0.2"), out)
    });
    lan.run(Mono(12 * S));
    assert_eq!(lan.masters(VI), [0]);
    // The fault goes, the pin is still there.
    let now = lan.now;
    lan.nodes[1].with(now, |routers, now, out| {
        routers.on_ground(now, &VI.into(), ground("10.5.0.2"), out)
    });
    lan.run(Mono(13 * S));
    assert_eq!(lan.masters(VI), [1]);
}

#[test]
fn promoting_in_fault_lifts_nothing() {
    let mut lan = pair(true);
    let now = lan.now;
    lan.nodes[1].with(now, |routers, now, out| {
        routers.on_ground(now, &VI.into(), down("10.5.0.2"), out)
    });
    let got = pin(&mut lan, 1, Some(Pin::Promoted));
    assert!(sends(&got).is_empty());
    assert_eq!(lan.nodes[1].state(VI), VrrpState::Fault);
}

#[test]
fn a_promoted_node_yields_to_an_owner_and_does_not_fight_it() {
    let mut lan = pair(true);
    pin(&mut lan, 1, Some(Pin::Promoted));
    for second in 11..40 {
        lan.nodes[1].run(Mono(second * S));
        lan.nodes[1].hear(Mono(second * S), &advert(&vi(51, 255), "10.5.0.9", 255));
    }
    assert_eq!(lan.nodes[1].state(VI), VrrpState::Backup);
    assert_eq!(lan.nodes[1].entered(What::BecameMaster).len(), 1);
}

#[test]
fn f061_two_promoted_nodes_settle_by_address() {
    let mut lan = pair(true);
    lan.cut = BTreeSet::from([(0, 1), (1, 0)]);
    pin(&mut lan, 0, Some(Pin::Promoted));
    pin(&mut lan, 1, Some(Pin::Promoted));
    lan.run(Mono(20 * S));
    assert_eq!(lan.masters(VI), [0, 1]);
    lan.cut.clear();
    lan.run(Mono(22 * S));
    assert_eq!(lan.masters(VI), [1]);
    lan.run(Mono(60 * S));
    assert_eq!(lan.masters(VI), [1]);
}

#[test]
fn a_demoted_master_says_farewell_and_the_other_follows_after_its_skew() {
    for kind in [Pin::Demoted, Pin::DemotedHard] {
        let mut lan = pair(true);
        let got = pin(&mut lan, 0, Some(kind));
        assert_eq!(priorities(&got), [0]);
        lan.run(Mono(10 * S + 610 * MS));
        assert_eq!(lan.masters(VI), [1]);
        lan.run(Mono(60 * S));
        assert_eq!(lan.masters(VI), [1]);
        // Released: the better one takes over again.
        pin(&mut lan, 0, None);
        lan.run(Mono(70 * S));
        assert_eq!(lan.masters(VI), [0]);
    }
}

#[test]
fn a_demoted_node_serves_if_nobody_else_does_unless_it_is_kept_down() {
    for (kind, want) in [(Pin::Demoted, vec![0]), (Pin::DemotedHard, vec![])] {
        let mut lan = pair(true);
        lan.kill(1);
        pin(&mut lan, 0, Some(kind));
        lan.run(Mono(13 * S + 900 * MS));
        assert!(
            lan.masters(VI).is_empty(),
            "not before the whole down interval at priority 1"
        );
        lan.run(Mono(100 * S));
        assert_eq!(lan.masters(VI), want, "{kind:?}");
        // Released after a long silence.
        pin(&mut lan, 0, None);
        lan.run(Mono(104 * S));
        assert_eq!(lan.masters(VI), [0]);
    }
}

#[test]
fn a_demoted_node_is_not_resumed() {
    let mut node = Node::start("10.5.0.1", &[vi(51, 100)], &[]);
    node.with(Mono::ZERO, |routers, now, out| {
        routers.on_pin(now, &VI.into(), Some(Pin::Demoted), out)
    });
    let got = node.with(Mono::ZERO, |routers, now, out| {
        routers.resume(now, &VI.into(), Duration::from_millis(1), out);
    });
    assert!(sends(&got).is_empty());
}

#[test]
fn a_demoted_owner_leaves_like_anybody_else() {
    let mut cfg = vi(51, 255);
    cfg.initial_master = true;
    let mut node = Node::start("10.5.0.1", &[cfg], &[]);
    node.with(Mono(S), |routers, now, out| {
        routers.on_pin(now, &VI.into(), Some(Pin::Demoted), out)
    });
    assert_eq!(node.view(VI).effective_priority, 1);
    assert_eq!(node.state(VI), VrrpState::Backup);
}
