//! Settings of virtual servers and their real servers.

use super::values::{Facts, Sayer, Settings};
use crate::model::{
    Forwarding, Persistence, QuorumScripts, Scheduler, Server, ServerScripts, Service, SorryServer,
    TunnelType,
};

impl Settings for Service {
    fn facts(&self) -> Facts {
        let Self {
            key: _,
            name,
            entries,
            family: _,
            scheduler,
            forwarding,
            persistence,
            one_packet,
            quorum,
            hysteresis,
            omega,
            quorum_scripts,
            sorry,
            ha_suspend,
            servers: _,
        } = self;
        let Scheduler {
            name: algorithm,
            flag_1,
            flag_2,
            flag_3,
        } = scheduler;
        let QuorumScripts { up, down, mail } = quorum_scripts;
        let mut say = Sayer::default();
        say.maybe("name", name.as_ref())
            .many("virtual_server_group", entries.iter().map(ToString::to_string))
            .one("lb_algo", algorithm)
            .flag("flag-1", *flag_1)
            .flag("flag-2", *flag_2)
            .flag("flag-3", *flag_3)
            .one("lb_kind", kind(*forwarding))
            .maybe(
                "persistence_timeout",
                persistence.as_ref().map(
                    |Persistence {
                         timeout_s,
                         prefix_len,
                         engine,
                     }| {
                        let engine = engine.as_ref().map(|it| format!(" by {it}")).unwrap_or_default();
                        format!("{timeout_s}s for each /{prefix_len}{engine}")
                    },
                ),
            )
            .flag("ops", *one_packet)
            .one("quorum", quorum)
            .one("hysteresis", hysteresis)
            .flag("omega", *omega)
            .script("quorum_up", up.as_ref())
            .script("quorum_down", down.as_ref())
            .flag("smtp_alert", *mail)
            .maybe(
                "sorry_server",
                sorry.as_ref().map(
                    |SorryServer {
                         key,
                         forwarding,
                         inhibit,
                     }| {
                        format!(
                            "{key} {}{}",
                            kind(*forwarding),
                            if *inhibit { " inhibit" } else { "" }
                        )
                    },
                ),
            )
            .flag("ha_suspend", *ha_suspend);
        say.0
    }
}

impl Settings for Server {
    fn facts(&self) -> Facts {
        let Self {
            key: _,
            forwarding,
            weight,
            upper_threshold,
            lower_threshold,
            inhibit_on_failure,
            checks,
            scripts:
                ServerScripts {
                    first,
                    up,
                    down,
                    mail,
                },
        } = self;
        let mut say = Sayer::default();
        say.one("weight", weight)
            .one("lb_kind", kind(*forwarding))
            .one("uthreshold", upper_threshold)
            .one("lthreshold", lower_threshold)
            .flag("inhibit_on_failure", *inhibit_on_failure)
            .flag("rs_init_notifies", *first)
            .script("notify_up", up.as_ref())
            .script("notify_down", down.as_ref())
            .flag("smtp_alert", *mail);
        say.0.extend(super::checks::facts(checks));
        say.0
    }
}

fn kind(forwarding: Forwarding) -> String {
    match forwarding {
        Forwarding::Nat | Forwarding::Direct => forwarding.word().to_owned(),
        Forwarding::Tunnel(TunnelType::Ipip) => "TUN".to_owned(),
        Forwarding::Tunnel(TunnelType::Gue { port, checksum }) => {
            format!("TUN gue port {port} checksum {checksum}")
        }
        Forwarding::Tunnel(TunnelType::Gre { checksum }) => format!("TUN gre checksum {checksum}"),
    }
}
