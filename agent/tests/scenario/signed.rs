//! `auth_hmac` on a whole node: what its clock does to it, what outlasts it, and what a copy of it foretells.

use crate::node::{Node, Start, instance_of, ip, model, service};
use lb_shared::event::What;
use lb_shared::state::{ObjectId, VrrpState};
use lb_shared::whatif::{Suppose, WhatIf};
use lbagent::engine::{Input, foresee};
use lbagent::model::{Authentication, Model, Signing, SigningKey, SigningMode};
use lbagent::vrrp::Datagram;
use lbagent::wire::LinkIndex;
use lbagent::wire::trailer::{self, Bound};
use std::collections::BTreeMap;
use std::time::Duration;

const KEY: [u8; 32] = [7; 32];

fn signed(window: Option<u64>) -> Model {
    let mut model = model(100, service("rr", 1));
    let instance = instance_of(&mut model);
    instance.authentication = Authentication::Signed(Signing {
        keys: BTreeMap::from([(1, SigningKey(KEY.to_vec()))]),
        active: 1,
        mode: SigningMode::Enforce,
        window: window.map(Duration::from_secs),
    });
    model
}

/// The other router's advert, made at a moment of its clock.
fn advert(unix_us: u64) -> Input {
    let mut payload = vec![0x21, 51, 150, 1, 0, 1, 0, 0];
    payload.extend_from_slice(&[192, 0, 2, 100, 0, 0, 0, 0, 0, 0, 0, 0]);
    let sum = lbagent::wire::checksum::internet(&payload);
    payload[6..8].copy_from_slice(&sum.to_be_bytes());
    let bound = Bound {
        source: ip("192.0.2.2"),
        version: 2,
        vrid: 51,
    };
    let number = (unix_us / 1_000_000) << 32 | (unix_us % 1_000_000 * 65_536 / 1_000_000) << 16;
    payload.extend_from_slice(&trailer::sign(&KEY, 1, number, bound, &payload.clone()));
    Input::Datagram(Datagram {
        link: LinkIndex(2),
        source: ip("192.0.2.2"),
        destination: ip("224.0.0.18"),
        ttl: Some(255),
        envelope: Default::default(),
        payload,
    })
}

/// A backup that hears its master for a while; `unix_us` is what both clocks said at the start.
fn backup(window: Option<u64>, unix_us: u64) -> Node {
    let mut start = Start::with(signed(window));
    start.wall_ms = unix_us / 1_000;
    let mut node = start.go();
    for second in 1..6 {
        node.run_for(Duration::from_secs(1), &[]);
        node.feed(advert(unix_us + second * 1_000_000));
    }
    assert_eq!(node.state(), VrrpState::Backup);
    assert_eq!(node.said(What::AdvertRejected), 0);
    node
}

const UNIX_US: u64 = 1_780_000_000_000_000;

#[test]
fn f053_a_stepped_clock_moves_no_mastership_without_a_window_and_with_one_it_is_told() {
    let year_us = 365 * 24 * 3_600_000_000;
    for step in [1_000_000, 3_600_000_000, 20 * year_us] {
        for window in [None, Some(5)] {
            let mut node = backup(window, UNIX_US);
            node.feed(Input::WallClock(UNIX_US + 5_000_000 + step));
            for second in 6..16 {
                node.run_for(Duration::from_secs(1), &[]);
                node.feed(advert(UNIX_US + second * 1_000_000));
            }
            let refuses = window.is_some_and(|window| step > window * 1_000_000);
            assert_eq!(node.state() == VrrpState::Master, refuses, "{step} {window:?}");
            assert_eq!(node.said(What::AdvertRejected) > 0, refuses);
            if refuses {
                let refused = node.view().refused;
                assert!(refused.expect("it is shown").why.contains("clocks of both nodes"));
            }
        }
    }
}

#[test]
fn what_if_sees_a_signed_master_go_on_and_fall_silent() {
    for window in [None, Some(5)] {
        let node = backup(window, UNIX_US);
        let ask = |events| {
            let asked = WhatIf {
                events,
                for_ms: 30_000,
            };
            foresee(node.engine.clone(), node.now, UNIX_US / 1_000 + 5_000, &asked).expect("it makes sense")
        };
        let changes = |events| {
            let foreseen = ask(events);
            let of = |it: &&lb_shared::whatif::Foretold| it.object == ObjectId::Instance("VI_1".into());
            foreseen.changes.iter().filter(of).count()
        };
        assert_eq!(changes(Vec::new()), 0, "its master is heard all along");
        let silent = Suppose::PeerSilent {
            address: "192.0.2.2".parse().unwrap(),
        };
        assert_eq!(changes(vec![silent]), 1, "it takes over");
    }
}
