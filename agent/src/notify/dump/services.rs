//! `keepalived_check.data`: virtual servers, their servers and checkers, as keepalived 2.2.7 writes them.

use super::{Source, enabled, script_line};
use crate::model::{
    Check, CheckKind, Forwarding, HttpGet, HttpVersion, Scheduler, Server, Service, SorryServer, TcpCheck,
    TunnelType,
};
use lb_shared::names::{Family, Protocol, ServerId, ServerKey, ServiceKey, VirtualKey};
use lb_shared::state::{Health, ServerView, ServiceState};
use std::fmt::{Display, Write as _};
use std::time::Duration;

/// A form that writing to a string gives: it cannot fail.
type Written = std::fmt::Result;

impl Source<'_> {
    pub(super) fn services(&self) -> String {
        let mut out = String::new();
        let _ = self.write_services(&mut out);
        out
    }

    /// In the order of the file.
    fn ordered(&self) -> Vec<&Service> {
        let order = &self.model.layout.services;
        let mut list: Vec<&Service> = self.model.services.values().map(|it| &**it).collect();
        list.sort_by_key(|it| order.get(&it.key).copied().unwrap_or(u32::MAX));
        list
    }

    fn server(&self, service: &Service, server: &Server) -> Option<&ServerView> {
        let id = ServerId {
            service: service.key.clone(),
            server: server.key,
        };
        self.state.servers.get(&id).map(|it| &**it)
    }

    fn write_services(&self, out: &mut String) -> Written {
        let services = self.ordered();
        writeln!(out, "------< LVS Topology >------")?;
        let groups = services
            .iter()
            .filter(|it| matches!(it.key, ServiceKey::Group { .. }));
        for (at, service) in groups.enumerate() {
            if at == 0 {
                writeln!(out, " ------< Virtual server group >------")?;
            }
            group(out, service)?;
        }
        for service in &services {
            writeln!(out, " ------< Virtual server >------")?;
            self.service(out, service)?;
            for server in service.servers.values() {
                writeln!(out, "   ------< Real server >------")?;
                self.write_server(out, service, server)?;
            }
        }
        let mut first = true;
        for service in &services {
            for server in service.servers.values() {
                let view = self.server(service, server);
                for (at, check) in server.checks.iter().enumerate() {
                    if std::mem::take(&mut first) {
                        writeln!(out, "------< Health checkers >------")?;
                    }
                    let from = place(&service.key);
                    let to = endpoint(&server.key, protocol(service));
                    writeln!(out, " {from} -> {to}")?;
                    checker(out, check, view, at)?;
                }
            }
        }
        Ok(())
    }

    fn service(&self, out: &mut String, it: &Service) -> Written {
        let view = self.state.services.get(&it.key);
        match &it.key {
            ServiceKey::Single(VirtualKey::Address { address, port, .. }) => {
                writeln!(out, " VS VIP = {address}, VPORT = {port}")?;
            }
            ServiceKey::Single(VirtualKey::Fwmark { mark, .. }) => writeln!(out, " VS FWMARK = {mark}")?,
            ServiceKey::Group { .. } => writeln!(out, " VS GROUP = {}", place(&it.key))?,
        }
        let family = match it.family {
            Family::Inet => "inet",
            Family::Inet6 => "inet6",
        };
        writeln!(out, "   Address family = {family}")?;
        writeln!(out, "   lvs_sched = {}", it.scheduler.name)?;
        flags(out, &it.scheduler)?;
        writeln!(out, "   One packet scheduling = {}", enabled(it.one_packet))?;
        if let Some(persistence) = &it.persistence {
            writeln!(out, "   persistence timeout = {}", persistence.timeout_s)?;
            let whole = if it.family == Family::Inet { 32 } else { 128 };
            if persistence.prefix_len != whole {
                writeln!(
                    out,
                    "   persistence granularity = {}",
                    granularity(it.family, persistence.prefix_len)
                )?;
            }
            if let Some(engine) = &persistence.engine {
                writeln!(out, "   persistence engine = {engine}")?;
            }
        }
        let protocol = protocol(it).map_or("none", |it| match it {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
            Protocol::Sctp => "SCTP",
        });
        writeln!(out, "   protocol = {protocol}")?;
        let alpha = it.servers.values().flat_map(|it| &it.checks).any(|it| it.alpha);
        writeln!(out, "   alpha is {}", on(alpha))?;
        writeln!(out, "   omega is {}", on(it.omega))?;
        writeln!(out, "   quorum = {}, hysteresis = {}", it.quorum, it.hysteresis)?;
        for (word, script) in [("up", &it.quorum_scripts.up), ("down", &it.quorum_scripts.down)] {
            if let Some(script) = script {
                writeln!(out, "   Quorum {word} notify script = {}", script_line(script))?;
            }
        }
        if it.ha_suspend {
            writeln!(out, "   Using HA suspend")?;
        }
        writeln!(
            out,
            "   Using smtp notification = {}",
            yes(it.quorum_scripts.mail)
        )?;
        writeln!(
            out,
            "   default forwarding method = {}",
            forwarding(it.forwarding)
        )?;
        if let Some(sorry) = &it.sorry {
            self.sorry(out, it, sorry)?;
        }
        let alive = view.is_some_and(|it| it.programmed == lb_shared::state::Programmed::Yes);
        writeln!(out, "   alive = {}", u8::from(alive))?;
        let up = view.is_some_and(|it| it.state == ServiceState::Up);
        writeln!(out, "   quorum_state_up = {}", u8::from(up))
    }

    fn sorry(&self, out: &mut String, service: &Service, it: &SorryServer) -> Written {
        writeln!(out, "   sorry server = {}", endpoint(&it.key, protocol(service)))?;
        writeln!(out, "     forwarding method = {}", forwarding(it.forwarding))?;
        writeln!(out, "     Inhibit on failure is {}", on(it.inhibit))
    }

    fn write_server(&self, out: &mut String, service: &Service, it: &Server) -> Written {
        let view = self.server(service, it);
        let effective = view.and_then(|it| it.effective).map_or(0, |it| it.get());
        let (address, port, weight) = (it.key.address, it.key.port, it.weight.get());
        writeln!(
            out,
            "   RIP = {address}, RPORT = {port}, WEIGHT = {weight} EFF WEIGHT = {effective}"
        )?;
        writeln!(out, "   forwarding method = {}", forwarding(it.forwarding))?;
        writeln!(out, "   Alpha is {}", on(it.checks.iter().any(|it| it.alpha)))?;
        writeln!(
            out,
            "   connection limit range = {} -> {}",
            it.lower_threshold, it.upper_threshold
        )?;
        if let Some(check) = it.checks.first() {
            writeln!(out, "   Delay loop = {}", seconds(check.delay_loop))?;
        }
        writeln!(out, "   Inhibit on failure is {}", on(it.inhibit_on_failure))?;
        for (word, script) in [("up", &it.scripts.up), ("down", &it.scripts.down)] {
            if let Some(script) = script {
                writeln!(out, "     RS {word} notify script = {}", script_line(script))?;
            }
        }
        writeln!(out, "   Using smtp notification = {}", yes(it.scripts.mail))?;
        writeln!(out, "   initial weight = {weight}")?;
        writeln!(out, "   effective weight = {effective}")?;
        let alive = view.is_some_and(|it| matches!(it.health, Health::Up | Health::None));
        writeln!(out, "   alive = {}", u8::from(alive))?;
        let failed = view.map_or(0, |it| it.checks.iter().filter(|it| it.ok == Some(false)).count());
        writeln!(out, "   num failed checkers = {failed}")?;
        let set = view.is_some_and(|it| it.effective.is_some());
        writeln!(out, "   RS set = {}", u8::from(set))
    }
}

fn group(out: &mut String, service: &Service) -> Written {
    let ServiceKey::Group { group, .. } = &service.key else {
        return Ok(());
    };
    let has = |family| yes(service.family == family);
    writeln!(
        out,
        " Virtual Server Group = {group}, IPv4 = {}, IPv6 = {}",
        has(Family::Inet),
        has(Family::Inet6)
    )?;
    for entry in &service.entries {
        match entry {
            VirtualKey::Address { address, port, .. } => writeln!(out, "   VIP = {address}, VPORT = {port}")?,
            VirtualKey::Fwmark { mark, .. } => writeln!(out, "   FWMARK = {mark}")?,
        }
    }
    Ok(())
}

fn checker(out: &mut String, it: &Check, view: Option<&ServerView>, at: usize) -> Written {
    let ok = view.and_then(|it| it.checks.get(at)).and_then(|it| it.ok);
    writeln!(out, "   Up = {}", yes(ok.unwrap_or(!it.alpha)))?;
    writeln!(out, "   Has run = {}", yes(ok.is_some()))?;
    writeln!(out, "   Alpha = {}", yes(it.alpha))?;
    writeln!(out, "   Delay loop = {} us", it.delay_loop.as_micros())?;
    writeln!(out, "   Warmup = {} us", it.warmup.as_micros())?;
    writeln!(out, "   Retries = {}", it.retry)?;
    if it.retry > 0 {
        writeln!(
            out,
            "   Delay before retry = {} us",
            it.delay_before_retry.as_micros()
        )?;
    }
    writeln!(out, "   Log all failures = {}", yes(it.log_all_failures))?;
    match &it.kind {
        CheckKind::Tcp(tcp) => connection(out, tcp)?,
        CheckKind::Http(http) => connection(out, &http.connect)?,
        CheckKind::Smtp(smtp) => connection(out, &smtp.connect)?,
        CheckKind::Dns(dns) => connection(out, &dns.connect)?,
        CheckKind::Udp(udp) => connection(out, &udp.connect)?,
        CheckKind::Ping(ping) => {
            writeln!(out, "   Connection\n     Dest = [{}]", ping.to)?;
            writeln!(out, "     Timeout = {}", seconds(ping.timeout))?;
        }
        CheckKind::Misc(_) | CheckKind::Bfd(_) | CheckKind::File(_) => {}
    }
    match &it.kind {
        CheckKind::Http(http) => http_check(out, http),
        CheckKind::Misc(misc) => {
            writeln!(out, "   Keepalive method = MISC_CHECK")?;
            writeln!(out, "   script = {}", script_line(&misc.script))?;
            writeln!(out, "   timeout = {}", misc.timeout.as_secs())?;
            writeln!(out, "   dynamic = {}", if misc.dynamic { "YES" } else { "NO" })
        }
        CheckKind::Smtp(smtp) => {
            writeln!(out, "   Keepalive method = SMTP_CHECK\n   helo = {}", smtp.helo)
        }
        CheckKind::Dns(dns) => {
            writeln!(
                out,
                "   Keepalive method = DNS_CHECK\n   Type = {}\n   Name = {}",
                dns.kind, dns.name
            )
        }
        CheckKind::Udp(udp) => {
            writeln!(out, "   Keepalive method = UDP_CHECK")?;
            writeln!(out, "   Payload specified = {}", yes(!udp.payload.is_empty()))?;
            writeln!(out, "   Require reply = {}", yes(udp.reply.is_some()))
        }
        CheckKind::Tcp(_) | CheckKind::Ping(_) | CheckKind::Bfd(_) | CheckKind::File(_) => {
            writeln!(out, "   Keepalive method = {}", it.kind.keyword())
        }
    }
}

fn connection(out: &mut String, it: &TcpCheck) -> Written {
    writeln!(
        out,
        "   Connection\n     Dest = [{}]:{}",
        it.to.ip(),
        it.to.port()
    )?;
    if let Some(from) = it.from {
        writeln!(out, "     Bind to = [{}]:{}", from.ip(), from.port())?;
    }
    if let Some(device) = &it.device {
        writeln!(out, "     Bind i/f = {device}")?;
    }
    if it.mark != 0 {
        writeln!(out, "     Mark = {}", it.mark)?;
    }
    writeln!(out, "     Timeout = {}", seconds(it.timeout))
}

fn http_check(out: &mut String, it: &HttpGet) -> Written {
    let version = match it.version {
        HttpVersion::V1_0 => "1.0",
        HttpVersion::V1_0Close => "1.0C",
        HttpVersion::V1_1 => "1.1",
    };
    let method = if it.tls { "SSL_GET" } else { "HTTP_GET" };
    writeln!(out, "   Keepalive method = {method}, http protocol {version}")?;
    writeln!(out, "   Enable SNI {}", set(it.sni.is_some()))?;
    writeln!(out, "   Fast recovery {}", set(it.fast_recovery))?;
    for url in &it.urls {
        writeln!(out, "   Checked url = {}", url.path)?;
        if let Some(digest) = url.digest {
            let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            writeln!(out, "     digest = {digest}")?;
        }
        writeln!(out, "     HTTP Status Code(s)")?;
        for codes in &url.status {
            match (codes.low, codes.high) {
                (low, high) if low == high => writeln!(out, "       {low}")?,
                (low, high) => writeln!(out, "       {low}-{high}")?,
            }
        }
        if let Some((regex, wanted)) = &url.regex {
            writeln!(out, "     Regex = \"{regex}\"")?;
            if !wanted {
                writeln!(out, "     Regex no match")?;
            }
        }
    }
    Ok(())
}

/// The flags of a scheduler have names of their own for some.
fn flags(out: &mut String, it: &Scheduler) -> Written {
    match it.name.as_str() {
        name @ ("sh" | "mh") => {
            writeln!(out, "   {name}-port = {}", enabled(it.flag_2))?;
            writeln!(out, "   {name}-fallback = {}", enabled(it.flag_1))
        }
        _ => {
            for (at, flag) in [it.flag_1, it.flag_2, it.flag_3].into_iter().enumerate() {
                writeln!(out, "   flag-{} = {}", at + 1, enabled(flag))?;
            }
            Ok(())
        }
    }
}

fn forwarding(it: Forwarding) -> String {
    match it {
        Forwarding::Nat | Forwarding::Direct => it.word().to_owned(),
        Forwarding::Tunnel(TunnelType::Ipip) => "TUN, type = IPIP".to_owned(),
        Forwarding::Tunnel(TunnelType::Gue { port, .. }) => format!("TUN, type = GUE, port = {port}"),
        Forwarding::Tunnel(TunnelType::Gre { .. }) => "TUN, type = GRE".to_owned(),
    }
}

/// The mask of IPv4, the length of IPv6.
fn granularity(family: Family, length: u8) -> String {
    match family {
        Family::Inet => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            std::net::Ipv4Addr::from(mask).to_string()
        }
        Family::Inet6 => length.to_string(),
    }
}

/// `None`: by a firewall mark.
fn protocol(it: &Service) -> Option<Protocol> {
    match &it.key {
        ServiceKey::Single(VirtualKey::Address { protocol, .. }) | ServiceKey::Group { protocol, .. } => {
            Some(*protocol)
        }
        ServiceKey::Single(VirtualKey::Fwmark { .. }) => None,
    }
}

fn place(key: &ServiceKey) -> String {
    match key {
        ServiceKey::Single(VirtualKey::Address {
            address,
            port,
            protocol,
        }) => format!("[{address}]:{}:{port}", small(*protocol)),
        ServiceKey::Single(VirtualKey::Fwmark { mark, .. }) => format!("FWM {mark}"),
        ServiceKey::Group { group, .. } => format!("[{group}]:0"),
    }
}

fn endpoint(key: &ServerKey, protocol: Option<Protocol>) -> String {
    let word = protocol.map_or("none", small);
    format!("[{}]:{word}:{}", key.address, key.port)
}

fn small(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Sctp => "sctp",
    }
}

fn seconds(span: Duration) -> impl Display {
    format!("{:.6}", span.as_secs_f64())
}

fn on(on: bool) -> &'static str {
    if on { "ON" } else { "OFF" }
}

fn yes(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

fn set(set: bool) -> &'static str {
    if set { "set" } else { "unset" }
}
