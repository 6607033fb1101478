//! An interface whose MTU changes while the agent runs.

use crate::node::{Did, Start, model, service};
use lb_shared::event::What;
use lb_shared::names::InstanceName;
use lbagent::engine::{Input, NetNews};
use lbagent::wire::LinkIndex;
use std::sync::Arc;

#[test]
fn adverts_follow_the_mtu_of_a_running_interface_and_nothing_is_given_up() {
    let mut model = model(100, service("rr", 1));
    let instance = model
        .instances
        .get_mut(&InstanceName::from("VI_1"))
        .expect("VI_1");
    let first = instance.addresses[0].clone();
    let mut more = first.clone();
    more.address = [10, 9, 9, 9].into();
    Arc::make_mut(instance).addresses = vec![first, more];
    let mut node = Start::with(model).go().mastered();
    let mut link = node.net.links[&LinkIndex(2)].clone();
    for (mtu, text) in [
        (
            56,
            "adverts carry 1 of 2 addresses: the last 1 are held and not advertised",
        ),
        (1_500, "adverts carry all 2 addresses again"),
    ] {
        node.did.clear();
        link.mtu = mtu;
        node.net.links.insert(link.index, link.clone());
        node.feed(Input::Net(NetNews::Link(link.clone())));
        let said: Vec<_> = (node.did.iter())
            .filter_map(|did| match did {
                Did::Said(it) => Some((it.what, it.text.as_str())),
                _ => None,
            })
            .collect();
        assert_eq!(said, [(What::InstanceChanged, text)]);
        assert!(node.has_vip());
    }
}
