//! From the addresses there are to the addresses there should be.

use super::{Address, AddressKey, NetOp, NetTable};
use crate::wire::LinkIndex;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// The operations that make `want` of `have`: additions, then replacements, then removals.
///
/// Of what is not wanted only what is in `owned` is removed. An address that somebody else put there satisfies us as it
/// is; one of ours with another label, scope, broadcast address or the like is replaced, since the kernel can edit none of them.
pub fn plan(
    want: &BTreeMap<AddressKey, Address>,
    have: &NetTable,
    owned: &BTreeSet<AddressKey>,
) -> Vec<NetOp> {
    let is_ours = |key: &AddressKey, address: &Address| owned.contains(key) || address.ours;
    let (mut added, mut replaced, mut removed) = (Vec::new(), Vec::new(), Vec::new());
    let mut going = BTreeSet::new();
    for (key, address) in want {
        match have.addresses.get(key) {
            Some(now) if same(key, address, now, have) || !is_ours(key, now) => {}
            Some(now) => {
                going.insert(*key);
                replaced.push(remove(key, now));
                replaced.push(add(key, address));
            }
            None => match other_length(key, have) {
                None => added.push(add(key, address)),
                // IPv6 holds an address once, whatever its prefix length.
                Some((other, now)) if is_ours(other, now) => {
                    going.insert(*other);
                    replaced.push(remove(other, now));
                    replaced.push(add(key, address));
                }
                Some(_) => {}
            },
        }
    }
    for key in owned {
        if let Some(now) = have.addresses.get(key)
            && !want.contains_key(key)
            && going.insert(*key)
        {
            removed.push(remove(key, now));
        }
    }
    let mut ops = keep_secondaries(want, have, &going);
    ops.append(&mut added);
    ops.append(&mut replaced);
    ops.append(&mut removed);
    ops
}

fn add(key: &AddressKey, address: &Address) -> NetOp {
    NetOp::AddAddress {
        key: *key,
        address: address.clone(),
    }
}

fn remove(key: &AddressKey, now: &Address) -> NetOp {
    NetOp::RemoveAddress {
        key: *key,
        peer: now.extras.peer,
    }
}

/// Whether the kernel's address needs no change.
fn same(key: &AddressKey, want: &Address, have: &Address, table: &NetTable) -> bool {
    if !want.extras.are_met_by(&have.extras) {
        return false;
    }
    // The kernel derives an IPv6 scope from the address; label and broadcast do not exist.
    if key.address.is_ipv6() {
        return true;
    }
    // An address without a label of its own has the link's name.
    let link = table.links.get(&key.link).map(|link| link.name.as_str());
    let own_label = |address: &Address| address.label.clone().filter(|label| Some(label.as_str()) != link);
    own_label(want) == own_label(have) && want.scope == have.scope && want.broadcast == have.broadcast
}

/// The same IPv6 address on the same link with another prefix length.
fn other_length<'a>(key: &AddressKey, have: &'a NetTable) -> Option<(&'a AddressKey, &'a Address)> {
    let same_address = |prefix_len| AddressKey { prefix_len, ..*key };
    let mut found = have.addresses.range(same_address(0)..=same_address(u8::MAX));
    if key.address.is_ipv6() { found.next() } else { None }
}

/// Makes the kernel keep the other addresses of a subnet when the first of them goes.
///
/// Without `promote_secondaries` they all go with it.
fn keep_secondaries(
    want: &BTreeMap<AddressKey, Address>,
    have: &NetTable,
    going: &BTreeSet<AddressKey>,
) -> Vec<NetOp> {
    let staying = |key: &&AddressKey| !going.contains(key) || want.contains_key(key);
    let mut links: BTreeSet<LinkIndex> = BTreeSet::new();
    for gone in going {
        let mut others = have.addresses.keys().chain(want.keys()).filter(staying);
        if others.any(|other| other != gone && same_subnet(gone, other)) {
            links.insert(gone.link);
        }
    }
    links
        .iter()
        .filter_map(|link| have.links.get(link))
        .map(|link| NetOp::Sysctl {
            path: format!("net/ipv4/conf/{}/promote_secondaries", link.name),
            value: "1".to_owned(),
        })
        .collect()
}

fn same_subnet(a: &AddressKey, b: &AddressKey) -> bool {
    let (IpAddr::V4(first), IpAddr::V4(second)) = (a.address, b.address) else {
        return false;
    };
    let shift = 32u32.saturating_sub(u32::from(a.prefix_len));
    let subnet = |address: u32| address.checked_shr(shift).unwrap_or(0);
    a.link == b.link && a.prefix_len == b.prefix_len && subnet(first.into()) == subnet(second.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::AddressExtras;
    use crate::net::Link;
    use proptest::collection::btree_set;
    use proptest::prelude::*;

    fn link(index: u32) -> Link {
        Link {
            index: LinkIndex(index),
            name: format!("eth{index}"),
            running: true,
            arp: true,
            multicast: true,
            mtu: 1500,
            mac: vec![2, 0, 0, 0, 0, 1],
            ..Link::default()
        }
    }

    fn key(text: &str) -> AddressKey {
        let (address, length) = text.split_once('/').unwrap();
        AddressKey {
            link: LinkIndex(1),
            address: address.parse().unwrap(),
            prefix_len: length.parse().unwrap(),
        }
    }

    fn table(addresses: impl IntoIterator<Item = (AddressKey, Address)>) -> NetTable {
        NetTable {
            links: [1, 2].map(|index| (LinkIndex(index), link(index))).into(),
            addresses: addresses.into_iter().collect(),
            ..NetTable::default()
        }
    }

    fn any_key() -> impl Strategy<Value = AddressKey> {
        let v4 = (0u8..6, prop_oneof![Just(24u8), Just(32)])
            .prop_map(|(host, length)| (IpAddr::from([10, 0, 0, host]), length));
        let v6 = (0u16..4, prop_oneof![Just(64u8), Just(128)])
            .prop_map(|(host, length)| (IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, host]), length));
        (1u32..3, prop_oneof![v4, v6]).prop_map(|(link, (address, prefix_len))| AddressKey {
            link: LinkIndex(link),
            address,
            prefix_len,
        })
    }

    /// An address as the configuration can ask for it, or as it can be found.
    fn any_address(key: AddressKey, found: bool) -> impl Strategy<Value = Address> {
        let labels = prop_oneof![Just(None), Just(Some(format!("eth{}:1", key.link.0)))];
        let scopes = prop_oneof![Just(0u8), Just(253)];
        let rest = (any::<bool>(), any::<bool>());
        (labels, scopes, rest).prop_map(move |(label, scope, (ours, noprefixroute))| {
            let v4 = key.address.is_ipv4();
            Address {
                label: label.filter(|_| v4),
                scope: if v4 { scope } else { 0 },
                broadcast: None,
                extras: AddressExtras {
                    noprefixroute,
                    ..AddressExtras::default()
                },
                ours: found && ours,
                usable: true,
            }
        })
    }

    fn any_addresses(found: bool) -> impl Strategy<Value = BTreeMap<AddressKey, Address>> {
        btree_set(any_key(), 0..8).prop_flat_map(move |keys| {
            // An IPv6 address is on a link once.
            let mut seen = BTreeSet::new();
            let keys: Vec<_> = keys
                .into_iter()
                .filter(|key| key.address.is_ipv4() || seen.insert((key.link, key.address)))
                .collect();
            keys.into_iter()
                .map(|key| (Just(key), any_address(key, found)))
                .collect::<Vec<_>>()
                .prop_map(|pairs| pairs.into_iter().collect())
        })
    }

    proptest! {
        #[test]
        fn applying_a_plan_gives_what_is_wanted_and_leaves_the_rest(
            want in any_addresses(false), have in any_addresses(true), owned in btree_set(any_key(), 0..6),
        ) {
            let before = table(have);
            let mut after = before.clone();
            for op in plan(&want, &before, &owned) {
                prop_assert_eq!(after.apply(&op), Ok(()), "{}", op);
            }
            for (key, address) in &want {
                let now = after.addresses.get(key);
                let was = before.addresses.get(key);
                match was {
                    Some(foreign) if !foreign.ours && !owned.contains(key) => prop_assert_eq!(now, was),
                    _ => {
                        let blocked = other_length(key, &before)
                            .is_some_and(|(other, it)| other != key && !it.ours && !owned.contains(other));
                        prop_assert!(blocked || same(key, address, now.unwrap(), &after), "{}", key);
                    }
                }
            }
            for (key, address) in &before.addresses {
                if !owned.contains(key) && !address.ours {
                    prop_assert_eq!(after.addresses.get(key), Some(address), "{}", key);
                }
            }
            prop_assert_eq!(plan(&want, &after, &owned), []);
        }

        #[test]
        fn nothing_is_removed_before_all_that_is_new_is_there(
            want in any_addresses(false), have in any_addresses(true), owned in btree_set(any_key(), 0..6),
        ) {
            let have = table(have);
            let ops = plan(&want, &have, &owned);
            let gone = |op: &NetOp| matches!(op, NetOp::RemoveAddress { key, .. } if !want.contains_key(key));
            if let Some(first) = ops.iter().position(gone) {
                for op in &ops[first..] {
                    if let NetOp::AddAddress { key, .. } = op {
                        let blocked = other_length(key, &have).is_some();
                        prop_assert!(have.addresses.contains_key(key) || blocked, "{}", op);
                    }
                }
            }
        }
    }

    #[test]
    fn an_address_of_ours_with_other_extras_is_replaced_and_removed_with_its_peer() {
        let it = key("10.0.0.9/32");
        let with = |change: fn(&mut AddressExtras)| {
            let mut address = Address::default();
            change(&mut address.extras);
            address
        };
        let peer = with(|it| it.peer = Some([10, 0, 0, 10].into()));
        let cases = [
            (peer.clone(), true),
            (with(|it| it.noprefixroute = true), true),
            (with(|it| it.preferred_s = Some(0)), true),
            // It runs down by itself.
            (with(|it| it.preferred_s = Some(100)), false),
            (with(|it| it.dad = true), false),
        ];
        for (now, replaced) in cases {
            let want = BTreeMap::from([(it, Address::default())]);
            let removal = NetOp::RemoveAddress {
                key: it,
                peer: now.extras.peer,
            };
            let ops = plan(&want, &table([(it, now.clone())]), &BTreeSet::from([it]));
            assert_eq!(ops.first(), replaced.then_some(&removal), "{now:?}");
        }
    }

    #[test]
    fn the_first_address_of_a_subnet_does_not_take_the_others_along() {
        let promote = NetOp::Sysctl {
            path: "net/ipv4/conf/eth1/promote_secondaries".to_owned(),
            value: "1".to_owned(),
        };
        let gone = BTreeSet::from([key("10.0.0.1/24")]);
        let cases = [
            ("a foreign one stays", vec!["10.0.0.2/24"], vec![], true),
            ("a wanted one comes", vec![], vec!["10.0.0.3/24"], true),
            ("another subnet", vec!["10.0.1.2/24"], vec![], false),
            ("another length", vec!["10.0.0.2/32"], vec![], false),
            ("nobody", vec![], vec![], false),
        ];
        for (name, others, wanted, promotes) in cases {
            let present = gone.iter().copied().chain(others.into_iter().map(key));
            let have = table(present.map(|key| (key, Address::default())));
            let want = wanted
                .into_iter()
                .map(|it| (key(it), Address::default()))
                .collect();
            let ops = plan(&want, &have, &gone);
            assert_eq!(ops.first() == Some(&promote), promotes, "{name}: {ops:?}");
            assert_eq!(
                ops.last(),
                Some(&NetOp::RemoveAddress {
                    key: key("10.0.0.1/24"),
                    peer: None,
                }),
                "{name}"
            );
        }
    }

    #[test]
    fn the_links_name_is_no_label_of_its_own() {
        let it = key("10.0.0.9/32");
        let named = Address {
            label: Some("eth1".to_owned()),
            ..Address::default()
        };
        let want = BTreeMap::from([(it, Address::default())]);
        assert_eq!(plan(&want, &table([(it, named)]), &BTreeSet::from([it])), []);
    }
}
