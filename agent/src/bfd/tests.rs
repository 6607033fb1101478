//! Two nodes over a wire that can be cut, and one node against single packets.

use super::{Effect, Heard, Sessions};
use crate::model::{BfdPath, BfdSession};
use crate::wire::bfd::{Diagnostic, Packet, State};
use lb_shared::units::Mono;
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

const A: &str = "192.0.2.1";
const B: &str = "192.0.2.2";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn session(neighbor: &str) -> BfdSession {
    BfdSession {
        name: "peer".into(),
        path: BfdPath {
            neighbor: ip(neighbor),
            source: None,
            ttl: 255,
            multihop: false,
        },
        min_rx: ms(50),
        min_tx: ms(50),
        idle_tx: ms(1000),
        multiplier: 3,
        passive: false,
        ttl_min: 255,
    }
}

fn set(session: BfdSession) -> BTreeMap<String, Arc<BfdSession>> {
    BTreeMap::from([(session.name.clone(), Arc::new(session))])
}

/// What a node last showed, and what it has said and when.
#[derive(Default)]
struct Seen {
    up: Option<bool>,
    detail: String,
    why: Option<String>,
    sent: Vec<(Mono, Packet)>,
}

/// Two nodes, each with one session to the other.
struct Pair {
    now: Mono,
    nodes: [Sessions; 2],
    seen: [Seen; 2],
    /// Whether what the node says arrives.
    carries: [bool; 2],
    wire: VecDeque<(usize, Vec<u8>)>,
}

impl Pair {
    fn new(a: BfdSession, b: BfdSession) -> Self {
        let mut pair = Self {
            now: Mono::ZERO,
            nodes: [Sessions::new(1), Sessions::new(2)],
            seen: Default::default(),
            carries: [true; 2],
            wire: VecDeque::new(),
        };
        pair.apply(0, a);
        pair.apply(1, b);
        pair
    }

    fn apply(&mut self, at: usize, cfg: BfdSession) {
        let mut out = Vec::new();
        self.nodes[at].leave(&set(cfg.clone()), &mut out);
        self.nodes[at].apply(self.now, &set(cfg), &mut out);
        self.carry_out(at, out);
    }

    fn carry_out(&mut self, at: usize, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send { packet, .. } => {
                    self.seen[at]
                        .sent
                        .push((self.now, Packet::decode(&packet).unwrap()));
                    if self.carries[at] {
                        self.wire.push_back((1 - at, packet.to_vec()));
                    }
                }
                Effect::Shows { up, detail, why, .. } => {
                    if self.seen[at].up != up {
                        self.seen[at].why = why;
                    }
                    self.seen[at].up = up;
                    self.seen[at].detail = detail;
                }
                Effect::Removed { .. } => self.seen[at].up = None,
            }
        }
    }

    fn settle(&mut self) {
        while let Some((to, payload)) = self.wire.pop_front() {
            let (source, destination) = if to == 0 { (B, A) } else { (A, B) };
            let heard = Heard {
                source: ip(source),
                destination: ip(destination),
                ttl: Some(255),
                multihop: false,
                payload,
            };
            let mut out = Vec::new();
            self.nodes[to].on_heard(self.now, &heard, &mut out);
            self.carry_out(to, out);
        }
    }

    fn run(&mut self, span: Duration) {
        let until = self.now + span;
        self.settle();
        while let Some(at) = self.nodes.iter().filter_map(Sessions::deadline).min()
            && at <= until
        {
            self.now = self.now.max(at);
            for node in 0..2 {
                let mut out = Vec::new();
                self.nodes[node].on_tick(self.now, &mut out);
                self.carry_out(node, out);
            }
            self.settle();
        }
        self.now = until;
    }

    fn up() -> Self {
        let mut pair = Self::new(session(B), session(A));
        pair.run(ms(3_000));
        assert_eq!((pair.seen[0].up, pair.seen[1].up), (Some(true), Some(true)));
        pair
    }
}

#[test]
fn two_nodes_come_up_and_then_send_fast() {
    let mut pair = Pair::up();
    let from = pair.now;
    pair.run(ms(10_000));
    for seen in &pair.seen {
        let times: Vec<Mono> = seen.sent.iter().map(|it| it.0).filter(|at| *at > from).collect();
        for gap in times.windows(2).map(|it| it[1].since(it[0])) {
            assert!(gap >= ms(37) && gap <= ms(50), "{gap:?}: a quarter less at most");
        }
        let gaps: std::collections::BTreeSet<_> = times.windows(2).map(|it| it[1].since(it[0])).collect();
        assert!(gaps.len() > 50, "no two nodes fall into step");
        assert!(seen.detail.contains("silent for 150 ms"), "{}", seen.detail);
        assert!(
            seen.sent.iter().any(|it| it.1.poll),
            "the new interval was agreed upon"
        );
        assert!(!seen.sent.last().unwrap().1.poll, "and confirmed");
    }
}

#[test]
fn silence_is_noticed_after_the_detection_time_and_not_before() {
    let mut pair = Pair::up();
    pair.carries[1] = false;
    let cut = pair.now;
    pair.run(ms(99));
    assert_eq!(pair.seen[0].up, Some(true));
    pair.run(ms(51));
    assert_eq!(pair.seen[0].up, Some(false));
    assert_eq!(pair.seen[0].why.as_deref(), Some("nothing heard for 150 ms"));
    assert_eq!(pair.seen[1].up, Some(false), "the other side is told at once");
    let (at, told) = pair.seen[0]
        .sent
        .iter()
        .find(|it| it.1.state == State::Down && it.0 > cut)
        .unwrap();
    assert_eq!(
        (told.diagnostic, told.desired_min_tx),
        (Diagnostic::TIME_EXPIRED, ms(1000))
    );
    assert!(at.since(cut) <= ms(150));
    pair.carries[1] = true;
    pair.run(ms(3_000));
    assert_eq!((pair.seen[0].up, pair.seen[1].up), (Some(true), Some(true)));
}

#[test]
fn an_operators_down_is_no_verdict_on_the_path() {
    let mut pair = Pair::up();
    let heard = Heard {
        payload: Packet {
            state: State::AdminDown,
            ..pair.seen[1].sent.last().unwrap().1
        }
        .encode()
        .to_vec(),
        ..heard(packet(State::Up, 1, 1))
    };
    pair.carries = [false; 2];
    let mut out = Vec::new();
    pair.nodes[0].on_heard(pair.now, &heard, &mut out);
    pair.carry_out(0, out);
    pair.run(ms(10_000));
    assert_eq!(
        (pair.seen[0].up, pair.seen[0].sent.last().unwrap().1.state),
        (Some(true), State::Down)
    );
    assert!(
        pair.seen[0].detail.contains("not watched"),
        "{}",
        pair.seen[0].detail
    );
    pair.carries = [true; 2];
    pair.run(ms(3_000));
    pair.carries = [false; 2];
    pair.run(ms(200));
    assert_eq!(pair.seen[0].up, Some(false), "up again, and then silent");
}

#[test]
fn at_the_end_the_other_side_hears_nothing_more() {
    let mut pair = Pair::up();
    pair.nodes[0].rest();
    assert_eq!(pair.nodes[0].deadline(), None);
    pair.run(ms(150));
    assert_eq!(pair.seen[1].up, Some(false));
    assert_eq!(pair.seen[1].why.as_deref(), Some("nothing heard for 150 ms"));
}

#[test]
fn a_session_without_a_neighbor_is_down_only_after_a_while() {
    let mut pair = Pair::new(session(B), session(A));
    pair.carries = [false; 2];
    pair.wire.clear();
    pair.run(ms(2_999));
    assert_eq!(pair.seen[0].up, None);
    pair.run(ms(1));
    assert_eq!(pair.seen[0].up, Some(false));
    assert_eq!(pair.seen[0].detail, "nothing heard from 192.0.2.2");
    let count = pair.seen[0].sent.len();
    assert!((3..=5).contains(&count), "{count} packets in three seconds");
}

#[test]
fn a_passive_side_is_silent_until_it_is_spoken_to() {
    let passive = |neighbor| BfdSession {
        passive: true,
        ..session(neighbor)
    };
    let mut both = Pair::new(passive(B), passive(A));
    both.run(ms(10_000));
    assert!(both.seen.iter().all(|it| it.sent.is_empty()));
    let mut one = Pair::new(passive(B), session(A));
    one.run(ms(3_000));
    assert_eq!((one.seen[0].up, one.seen[1].up), (Some(true), Some(true)));
}

#[test]
fn other_timers_are_agreed_upon_while_the_session_stays_up() {
    let mut pair = Pair::up();
    let slower = BfdSession {
        min_tx: ms(400),
        ..session(B)
    };
    pair.apply(0, slower);
    pair.run(ms(5_000));
    assert_eq!((pair.seen[0].up, pair.seen[1].up), (Some(true), Some(true)));
    assert!(
        pair.seen[1].detail.contains("silent for 1200 ms"),
        "{}",
        pair.seen[1].detail
    );
    assert_eq!(pair.seen[0].why, None);
    let before = pair.seen[0].sent.len();
    pair.apply(
        0,
        BfdSession {
            min_tx: ms(400),
            ..session(B)
        },
    );
    pair.run(Duration::ZERO);
    assert_eq!(
        pair.seen[0].sent.len(),
        before,
        "the same file again sends nothing"
    );
}

#[test]
fn an_interval_is_kept_until_the_neighbor_knows_the_longer_one() {
    let mut pair = Pair::up();
    pair.carries[1] = false;
    pair.apply(
        0,
        BfdSession {
            min_tx: ms(1_000),
            multiplier: 3,
            ..session(B)
        },
    );
    let from = pair.seen[0].sent.len();
    pair.run(ms(99));
    let sent = &pair.seen[0].sent[from..];
    let next = pair.nodes[0].deadline().unwrap();
    assert!(
        !sent.is_empty() && next <= pair.now + ms(50),
        "still fast: the neighbour waits 150 ms only"
    );
    assert!(
        sent.iter()
            .all(|it| it.1.poll && it.1.desired_min_tx == ms(1_000))
    );
}

#[test]
fn what_came_over_a_router_is_not_taken() {
    let mut sessions = Sessions::new(1);
    let mut out = Vec::new();
    sessions.apply(Mono::ZERO, &set(session(B)), &mut out);
    for (ttl, source, multihop, taken) in [
        (Some(254), B, false, false),
        (None, B, false, false),
        (Some(255), "192.0.2.3", false, false),
        (Some(255), B, true, false),
        (Some(255), B, false, true),
    ] {
        let mut copy = sessions.clone();
        out.clear();
        let heard = Heard {
            source: ip(source),
            destination: ip(A),
            ttl,
            multihop,
            payload: packet(State::Down, 7, 0).encode().to_vec(),
        };
        copy.on_heard(Mono(1), &heard, &mut out);
        let answered = out.iter().any(|it| matches!(it, Effect::Send { .. }));
        assert_eq!(answered, taken, "{ttl:?} {source} {multihop}");
        if ttl == Some(254) {
            let Some(Effect::Shows { detail, .. }) = out.last() else {
                panic!("{out:?}")
            };
            assert!(
                detail.ends_with("its TTL is 254, must be at least 255"),
                "{detail}"
            );
        }
    }
}

#[test]
fn a_neighbor_that_asks_for_quiet_gets_it() {
    for (quiet, speaks) in [
        (
            Packet {
                demand: true,
                ..packet(State::Up, 7, 0)
            },
            false,
        ),
        (
            Packet {
                required_min_rx: Duration::ZERO,
                ..packet(State::Up, 7, 0)
            },
            false,
        ),
        (packet(State::Up, 7, 0), true),
    ] {
        let mut sessions = Sessions::new(1);
        let mut out = Vec::new();
        sessions.apply(Mono::ZERO, &set(session(B)), &mut out);
        let ours = *sessions.sessions.keys().next().unwrap();
        let mut hear = |at: u64, it: Packet| {
            out.clear();
            sessions.on_heard(Mono(at), &heard(Packet { yours: ours, ..it }), &mut out);
        };
        hear(1_000, packet(State::Init, 7, ours));
        hear(2_000, Packet { fin: true, ..quiet });
        out.clear();
        sessions.on_tick(Mono(149_000), &mut out);
        assert_eq!(!out.is_empty(), speaks, "{quiet:?}");
    }
}

#[test]
fn a_session_that_left_the_file_is_gone() {
    let mut pair = Pair::up();
    let mut out = Vec::new();
    pair.nodes[0].leave(&BTreeMap::new(), &mut out);
    assert!(matches!(&out[..], [Effect::Removed { .. }]), "{out:?}");
    assert_eq!(pair.nodes[0].deadline(), None);
}

fn packet(state: State, mine: u32, yours: u32) -> Packet {
    Packet {
        diagnostic: Diagnostic::NONE,
        state,
        poll: false,
        fin: false,
        demand: false,
        multiplier: 3,
        mine,
        yours,
        desired_min_tx: ms(50),
        required_min_rx: ms(50),
    }
}

fn heard(packet: Packet) -> Heard {
    Heard {
        source: ip(B),
        destination: ip(A),
        ttl: Some(255),
        multihop: false,
        payload: packet.encode().to_vec(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is lost, both come up again once nothing is, and neither believes in a path that carries nothing.
    #[test]
    fn nodes_agree_again_after_any_loss(
        cuts in proptest::collection::vec((any::<bool>(), any::<bool>(), 1_u64..4_000), 0..12)
    ) {
        let mut pair = Pair::new(session(B), session(A));
        for (a, b, span) in cuts {
            pair.carries = [a, b];
            pair.run(ms(span));
            if !(a && b) && span >= 3_150 {
                prop_assert_ne!(pair.seen[0].up, Some(true));
                prop_assert_ne!(pair.seen[1].up, Some(true));
            }
        }
        pair.carries = [true; 2];
        pair.run(ms(6_200));
        prop_assert_eq!((pair.seen[0].up, pair.seen[1].up), (Some(true), Some(true)));
    }

    /// No packet makes us send faster than we meant to, or forget when to act next.
    #[test]
    fn no_packet_speeds_us_up(
        packets in proptest::collection::vec((any::<[u8; 24]>(), any::<bool>(), 0_u64..2_000_000), 0..40)
    ) {
        let mut sessions = Sessions::new(1);
        let mut out = Vec::new();
        sessions.apply(Mono::ZERO, &set(session(B)), &mut out);
        let ours = *sessions.sessions.keys().next().unwrap();
        let mut now = Mono::ZERO;
        for (mut bytes, knows, wait) in packets {
            bytes[0] = 0x20;
            bytes[1] &= 0xf2;
            bytes[3] = 24;
            bytes[8..12].copy_from_slice(&(if knows { ours } else { 0 }).to_be_bytes());
            let until = now + Duration::from_micros(wait);
            out.clear();
            let mut turns = 0;
            while let Some(at) = sessions.deadline() && at <= until {
                now = now.max(at);
                sessions.on_tick(now, &mut out);
                turns += 1;
                prop_assert!(turns <= 100, "37 ms is the shortest interval");
            }
            now = until;
            out.clear();
            let datagram = Heard { payload: bytes.to_vec(), ..heard(packet(State::Down, 1, 0)) };
            sessions.on_heard(now, &datagram, &mut out);
            let sent = out.iter().filter(|it| matches!(it, Effect::Send { .. })).count();
            prop_assert!(sent <= 2, "an answer to a poll and news of a change, no more");
        }
    }
}
