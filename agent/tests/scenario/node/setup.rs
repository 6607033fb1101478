//! What a node is set up with: a host, and the parts of a configuration.

use crate::instance as support;
use lb_shared::names::{Family, Protocol, ServerKey, ServiceKey, VirtualKey};
use lb_shared::units::Weight;
use lbagent::engine::NewModel;
use lbagent::model::{
    Check, CheckKind, Forwarding, Instance, Model, QuorumScripts, Scheduler, Script, ScriptTrack, Server,
    ServerScripts, Service, TcpCheck, Tracking, VrrpScript,
};
use lbagent::net::{Address, AddressKey, Link, NetTable};
use lbagent::wire::LinkIndex;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

pub(crate) const VIP: &str = "192.0.2.100";

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// A host with eth0 at 192.0.2.1.
pub(crate) fn host() -> NetTable {
    let mut net = NetTable::default();
    let link = Link {
        index: LinkIndex(2),
        name: "eth0".into(),
        running: true,
        arp: true,
        multicast: true,
        mtu: 1500,
        mac: vec![2, 0, 0, 0, 0, 1],
        ..Link::default()
    };
    net.links.insert(link.index, link);
    let key = AddressKey {
        link: LinkIndex(2),
        address: ip("192.0.2.1"),
        prefix_len: 24,
    };
    net.addresses.insert(
        key,
        Address {
            usable: true,
            ..Address::default()
        },
    );
    net
}

pub(crate) fn instance(priority: u8) -> Instance {
    support::v2("VI_1", 51, priority)
}

pub(crate) fn service_key() -> ServiceKey {
    ServiceKey::Single(VirtualKey::Address {
        address: ip(VIP),
        port: 80,
        protocol: Protocol::Tcp,
    })
}

pub(crate) fn entry() -> VirtualKey {
    VirtualKey::Address {
        address: ip(VIP),
        port: 80,
        protocol: Protocol::Tcp,
    }
}

pub(crate) fn server_key(last: u8) -> ServerKey {
    ServerKey {
        address: IpAddr::from([198, 51, 100, last]),
        port: 80,
    }
}

/// A service with servers 198.51.100.1 to `count`, each with a TCP check.
pub(crate) fn service(scheduler: &str, count: u8) -> Service {
    let servers = (1..=count)
        .map(|last| {
            let key = server_key(last);
            let check = Check {
                kind: CheckKind::Tcp(TcpCheck {
                    to: (key.address, key.port).into(),
                    from: None,
                    device: None,
                    mark: 0,
                    timeout: Duration::from_secs(1),
                }),
                delay_loop: Duration::from_secs(3),
                retry: 0,
                delay_before_retry: Duration::from_secs(1),
                warmup: Duration::from_secs(1),
                alpha: false,
                log_all_failures: false,
            };
            let server = Server {
                key,
                forwarding: Forwarding::Direct,
                weight: Weight::clamped(1),
                upper_threshold: 0,
                lower_threshold: 0,
                inhibit_on_failure: false,
                checks: vec![check],
                scripts: ServerScripts::default(),
            };
            (key, Arc::new(server))
        })
        .collect();
    Service {
        key: service_key(),
        name: Some("web".into()),
        entries: vec![entry()],
        family: Family::Inet,
        scheduler: Scheduler {
            name: scheduler.into(),
            flag_1: false,
            flag_2: false,
            flag_3: false,
        },
        forwarding: Forwarding::Direct,
        persistence: None,
        one_packet: false,
        quorum: 1,
        hysteresis: 0,
        omega: false,
        quorum_scripts: QuorumScripts::default(),
        sorry: None,
        ha_suspend: false,
        servers,
    }
}

pub(crate) fn model(priority: u8, service: Service) -> Model {
    let mut model = Model::default();
    model
        .instances
        .insert("VI_1".into(), Arc::new(instance(priority)));
    model.services.insert(service.key.clone(), Arc::new(service));
    model
}

/// The instance of a [`model`], to be changed.
pub(crate) fn instance_of(model: &mut Model) -> &mut Instance {
    let instance = model.instances.get_mut(&"VI_1".into());
    Arc::make_mut(instance.expect("every model has it"))
}

pub(crate) fn new_model(model: Model) -> NewModel {
    NewModel {
        model,
        file: "test.conf".into(),
        findings: Vec::new(),
        numbers: BTreeMap::new(),
        since_boot: Duration::ZERO,
        asked: None,
        dry_run: false,
        force: true,
        wall_ms: 1_000_000,
        texts: Arc::default(),
        confirm: None,
    }
}

pub(crate) fn settings(value: &str) -> BTreeMap<&'static str, String> {
    ["expire_nodest_conn", "expire_quiescent_template"]
        .map(|name| (name, value.to_owned()))
        .into()
}

/// `vrrp_script chk`, run every two seconds.
pub(crate) fn script_chk() -> VrrpScript {
    VrrpScript {
        name: "chk".into(),
        script: Script {
            argv: vec!["/bin/chk".into()],
            user: None,
        },
        interval: Duration::from_secs(2),
        timeout: Duration::from_secs(2),
        rise: 2,
        fall: 3,
        init_fail: false,
        broken: None,
    }
}

/// `track_script` with `chk` alone.
pub(crate) fn by_script(weight: i32) -> Tracking {
    Tracking {
        scripts: vec![ScriptTrack {
            script: "chk".into(),
            weight,
            reverse: false,
        }],
        ..Tracking::default()
    }
}
