//! Instances made without any text.

use lb_shared::names::Family;
use lb_shared::units::{Priority, Vrid};
use lbagent::model::{
    AddressExtras, Authentication, Garp, Instance, NotifyScripts, Tracking, VirtualAddress, VrrpVersion,
};
use std::net::IpAddr;
use std::time::Duration;

/// Version 2 over IPv4 on eth0, holding 192.0.2.100.
pub(crate) fn v2(name: &str, vrid: u8, priority: u8) -> Instance {
    Instance {
        name: name.into(),
        family: Family::Inet,
        version: VrrpVersion::V2,
        vrid: Vrid::new(vrid).expect("1 to 255"),
        vrf: None,
        vmac: None,
        ipvlan: None,
        address_vmacs: Vec::new(),
        interface: Some("eth0".into()),
        initial_master: priority == 255,
        priority: Priority::new(priority).expect("1 to 255"),
        advert_interval: Duration::from_secs(1),
        down_timer_adverts: 3,
        authentication: Authentication::None,
        preempt: true,
        preempt_delay: Duration::ZERO,
        source: None,
        track_source: false,
        unicast_peers: Vec::new(),
        unicast_ttl: 255,
        old_unicast_checksum: Default::default(),
        late_backup: None,
        multicast_group: IpAddr::from([224, 0, 0, 18]),
        check_unicast_source: false,
        fault_without_peer: false,
        addresses: vec![address(IpAddr::from([192, 0, 2, 100]))],
        excluded_addresses: Vec::new(),
        routes: Vec::new(),
        rules: Vec::new(),
        garp: Garp::default(),
        elsewhere: None,
        tracking: Tracking::default(),
        ignore_own_interface: false,
        promote_secondaries: false,
        accept: true,
        strict: false,
        lower_priority_no_advert: false,
        higher_priority_send_advert: false,
        skip_check_adv_addr: false,
        checksum_without_pseudo_header: false,
        owner_ignore_adverts: false,
        notify: NotifyScripts::default(),
        notify_priority_changes: false,
        debug: 0,
    }
}

/// A whole address on eth0.
pub(crate) fn address(address: IpAddr) -> VirtualAddress {
    VirtualAddress {
        address,
        prefix_len: Family::of(address).bits(),
        device: "eth0".into(),
        label: None,
        scope: 0,
        broadcast: None,
        track: true,
        extras: AddressExtras::default(),
    }
}

/// Version 3 over IPv4.
pub(crate) fn v3(name: &str, vrid: u8, priority: u8) -> Instance {
    Instance {
        version: VrrpVersion::V3,
        ..v2(name, vrid, priority)
    }
}

/// Version 3 over IPv6, holding fe80::100.
pub(crate) fn v3_inet6(name: &str, vrid: u8, priority: u8) -> Instance {
    Instance {
        family: Family::Inet6,
        multicast_group: IpAddr::from([0xff02, 0, 0, 0, 0, 0, 0, 0x12]),
        addresses: vec![address(IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, 0x100]))],
        ..v3(name, vrid, priority)
    }
}
