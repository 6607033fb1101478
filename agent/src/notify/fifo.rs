//! Lines for `notify_fifo`, `vrrp_notify_fifo` and `lvs_notify_fifo`, as keepalived writes them.
//!
//! Each ends with a newline. keepalived puts a NUL behind those of services and servers; we do not.

use super::{kind_and_name, shown_priority, word};
use crate::model::{NotifyState, NotifyWho};
use lb_shared::names::{InstanceName, ServerId, ServerKey, ServiceKey, VirtualKey};
use std::net::IpAddr;

/// `INSTANCE "VI_1" MASTER 120` or `GROUP "G1" MASTER 0`.
pub fn state(who: &NotifyWho, state: NotifyState, priority: u8) -> String {
    let (kind, name) = kind_and_name(who);
    format!(
        "{kind} \"{name}\" {} {}\n",
        word(state),
        shown_priority(who, priority)
    )
}

/// `INSTANCE "VI_1" BACKUP_PRIORITY 100`.
pub fn priority(instance: &InstanceName, state: NotifyState, priority: u8) -> String {
    format!("INSTANCE \"{instance}\" {}_PRIORITY {priority}\n", word(state))
}

/// `INSTANCE "VI_1" MASTER_RX_LOWER_PRI 150`.
pub fn lower_priority(instance: &InstanceName, priority: u8) -> String {
    format!("INSTANCE \"{instance}\" MASTER_RX_LOWER_PRI {priority}\n")
}

/// `VS [192.0.2.1]:tcp:80 UP`.
pub fn service(key: &ServiceKey, up: bool) -> String {
    format!("VS {} {}\n", service_name(key), verdict(up))
}

/// `RS [198.51.100.1]:tcp:80 [192.0.2.1]:tcp:80 DOWN`.
pub fn server(id: &ServerId, up: bool) -> String {
    let service = service_name(&id.service);
    format!(
        "RS {} {service} {}\n",
        server_name(&id.service, &id.server),
        verdict(up)
    )
}

fn verdict(up: bool) -> &'static str {
    if up { "UP" } else { "DOWN" }
}

/// A service in keepalived's spelling: `[192.0.2.1]:tcp:80`, `FWM 8`, or the name of its group.
pub(super) fn service_name(key: &ServiceKey) -> String {
    match key {
        ServiceKey::Single(VirtualKey::Address {
            address,
            port,
            protocol,
        }) => place(*address, protocol.as_str(), *port),
        ServiceKey::Single(VirtualKey::Fwmark { mark, .. }) => format!("FWM {mark}"),
        ServiceKey::Group { group, .. } => group.clone(),
    }
}

/// A server in keepalived's spelling, with the protocol of its service.
pub(super) fn server_name(service: &ServiceKey, server: &ServerKey) -> String {
    let protocol = match service {
        ServiceKey::Single(VirtualKey::Address { protocol, .. }) | ServiceKey::Group { protocol, .. } => {
            protocol.as_str()
        }
        // A mark stands for any protocol; keepalived writes its default.
        ServiceKey::Single(VirtualKey::Fwmark { .. }) => "tcp",
    };
    place(server.address, protocol, server.port)
}

fn place(address: IpAddr, protocol: &str, port: u16) -> String {
    format!("[{address}]:{protocol}:{port}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_read_as_keepalived_writes_them() {
        let (vi, g1) = (NotifyWho::Instance("VI_1".into()), NotifyWho::Group("G1".into()));
        let id = |text: &str| text.parse::<ServerId>().unwrap();
        let cases = [
            (
                state(&vi, NotifyState::Master, 120),
                "INSTANCE \"VI_1\" MASTER 120\n",
            ),
            (state(&vi, NotifyState::Stop, 120), "INSTANCE \"VI_1\" STOP 120\n"),
            (state(&g1, NotifyState::Master, 120), "GROUP \"G1\" MASTER 0\n"),
            (
                priority(&"VI_1".into(), NotifyState::Backup, 100),
                "INSTANCE \"VI_1\" BACKUP_PRIORITY 100\n",
            ),
            (
                lower_priority(&"VI_1".into(), 150),
                "INSTANCE \"VI_1\" MASTER_RX_LOWER_PRI 150\n",
            ),
            (
                service(&"192.168.201.15:80/tcp".parse().unwrap(), true),
                "VS [192.168.201.15]:tcp:80 UP\n",
            ),
            (service(&"fwmark:8".parse().unwrap(), false), "VS FWM 8 DOWN\n"),
            (service(&"group:WEB/udp".parse().unwrap(), true), "VS WEB UP\n"),
            (
                server(&id("192.168.201.15:80/tcp/1.2.3.4:80"), false),
                "RS [1.2.3.4]:tcp:80 [192.168.201.15]:tcp:80 DOWN\n",
            ),
            (
                server(&id("[2001:db8::1]:53/udp/[2001:db8::2]:53"), true),
                "RS [2001:db8::2]:udp:53 [2001:db8::1]:udp:53 UP\n",
            ),
        ];
        for (got, want) in cases {
            assert_eq!(got, want);
        }
    }
}
