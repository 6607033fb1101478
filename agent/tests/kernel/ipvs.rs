//! Operations and dumps against a real IPVS, and what `ipvsadm` makes of it.

use super::lab::{Netns, expect, wanted};
use lb_shared::names::{ServerKey, VirtualKey};
use lbagent::engine::{BatchId, IpvsNews, OpError};
use lbagent::io::lane::IpvsLane;
use lbagent::ipvs::table::{
    Destination, DestinationCounters, DestinationSettings, IpvsService, IpvsTable, Method, ServiceSettings,
    flags,
};
use lbagent::ipvs::{IpvsOp, plan};
use std::collections::BTreeSet;
use std::sync::mpsc::{self, Receiver};

struct Host {
    lane: IpvsLane,
    news: Receiver<IpvsNews>,
}

impl Host {
    /// A lane in the namespace of this thread; `None`, said aloud, where there is no IPVS.
    fn start(name: &str) -> Option<Self> {
        let (sender, news) = mpsc::channel();
        let lane = IpvsLane::start(move |it| drop(sender.send(it)));
        let host = Self { lane, news };
        host.lane.dump();
        let missing = expect(&host.news, "a table, or that there is none", |it| match it {
            IpvsNews::Table(_) => Some(None),
            IpvsNews::Missing(why) => Some(Some(why)),
            IpvsNews::Done(..) => None,
        });
        match missing {
            None => Some(host),
            Some(why) => {
                eprintln!("{name}: skipped: {why}");
                None
            }
        }
    }

    fn table(&self) -> IpvsTable {
        self.lane.dump();
        expect(&self.news, "a table", |it| match it {
            IpvsNews::Table(table) => Some(table),
            _ => None,
        })
    }

    fn submit(&self, number: u64, ops: Vec<IpvsOp>) -> Vec<(usize, OpError)> {
        self.lane.submit(BatchId(number), ops);
        expect(&self.news, "the end of a batch", |it| match it {
            IpvsNews::Done(BatchId(done), failed) if done == number => Some(failed),
            _ => None,
        })
    }
}

/// A namespace where every address of 10.0.0.0/8 is on a link.
fn namespace() -> Netns {
    let namespace = Netns::new();
    namespace.sh(
        "ip link add eth0 type veth peer name eth1; ip link set eth0 up; ip link set eth1 up;
         ip addr add 10.255.255.1/8 dev eth0; ip addr add 2001:db8::1/64 dev eth0 nodad",
    );
    namespace
}

fn key(text: &str) -> VirtualKey {
    text.parse().unwrap()
}

fn settings(scheduler: &str) -> ServiceSettings {
    ServiceSettings {
        scheduler: scheduler.to_owned(),
        flags: 0,
        timeout_s: 0,
        prefix_len: 32,
        engine: None,
    }
}

fn to(method: Method, weight: u32) -> DestinationSettings {
    DestinationSettings {
        method,
        weight,
        upper_threshold: 0,
        lower_threshold: 0,
    }
}

fn service(
    settings: ServiceSettings,
    servers: impl IntoIterator<Item = (ServerKey, DestinationSettings)>,
) -> IpvsService {
    IpvsService {
        settings,
        destinations: servers
            .into_iter()
            .map(|(key, settings)| {
                let counters = DestinationCounters::default();
                (key, Destination { settings, counters })
            })
            .collect(),
    }
}

fn server(text: &str) -> ServerKey {
    text.parse().unwrap()
}

/// A table with something of everything.
fn everything() -> IpvsTable {
    let gue = Method::Tunnel {
        kind: 1,
        port: 6080,
        flags: 1,
    };
    let plain = Method::Tunnel {
        kind: 0,
        port: 0,
        flags: 0,
    };
    let web = service(
        ServiceSettings {
            flags: flags::PERSISTENT,
            timeout_s: 300,
            prefix_len: 24,
            ..settings("wrr")
        },
        [
            (server("10.0.0.1:8080"), to(Method::Masquerade, 5)),
            (
                server("10.0.0.2:8080"),
                DestinationSettings {
                    upper_threshold: 100,
                    lower_threshold: 50,
                    ..to(Method::Masquerade, 0)
                },
            ),
        ],
    );
    let dns = service(
        ServiceSettings {
            flags: flags::ONE_PACKET,
            prefix_len: 128,
            ..settings("rr")
        },
        [
            (server("[2001:db8::2]:53"), to(Method::Direct, 1)),
            // Another family, through a tunnel.
            (server("10.0.0.3:53"), to(plain, 1)),
        ],
    );
    let sip = service(
        ServiceSettings {
            flags: flags::PERSISTENT,
            timeout_s: 60,
            engine: Some("sip".to_owned()),
            ..settings("wlc")
        },
        [(server("10.0.0.4:5060"), to(Method::Direct, 1))],
    );
    let marked = service(
        ServiceSettings {
            flags: flags::SCHED_1 | flags::SCHED_2,
            ..settings("mh")
        },
        (1..=40).map(|host| (server(&format!("10.0.1.{host}:0")), to(gue, host))),
    );
    IpvsTable {
        daemons: Default::default(),
        services: [
            (key("192.0.2.1:80/tcp"), web),
            (key("[2001:db8::10]:53/udp"), dns),
            (key("192.0.2.1:5060/udp"), sip),
            (key("fwmark:8"), marked),
        ]
        .into(),
    }
}

#[test]
fn a_planned_table_is_the_one_read_back() {
    const NAME: &str = "a_planned_table_is_the_one_read_back";
    if !wanted(NAME) {
        return;
    }
    let namespace = namespace();
    namespace.run(|| {
        let Some(host) = Host::start(NAME) else { return };
        // Somebody else's.
        namespace.sh("ipvsadm -A -t 192.0.2.99:80 -s rr; ipvsadm -a -t 192.0.2.99:80 -r 10.0.9.9 -g");
        let (none, foreign) = (BTreeSet::new(), key("192.0.2.99:80/tcp"));
        let want = everything();
        assert_eq!(host.submit(1, plan(&want, &host.table(), &none)), []);
        let mut table = host.table();
        assert_eq!(plan(&want, &table, &none), []);
        assert!(table.services.remove(&foreign).is_some());
        assert_eq!(table, want);

        let shown = namespace.sh("ipvsadm -Ln");
        for line in [
            "TCP  192.0.2.1:80 wrr persistent 300 mask 255.255.255.0",
            "-> 10.0.0.1:8080                Masq    5      0          0",
            "UDP  192.0.2.1:5060 wlc persistent 60 pe sip",
            "FWM  8 mh (mh-fallback,mh-port)",
            "UDP  [2001:db8::10]:53 rr ops",
        ] {
            assert!(shown.contains(line), "no '{line}' in\n{shown}");
        }
        let thresholds = namespace.sh("ipvsadm -Ln --thresholds");
        assert!(
            thresholds.contains("10.0.0.2:8080                100        50"),
            "{thresholds}"
        );

        // Everything changes in place, and foreign services stay.
        let mut changed = want.clone();
        for service in changed.services.values_mut() {
            service.settings.scheduler = "sh".to_owned();
            for destination in service.destinations.values_mut() {
                destination.settings.weight += 1;
            }
        }
        let ops = plan(&changed, &host.table(), &none);
        let edits = |op: &IpvsOp| matches!(op, IpvsOp::EditService(..) | IpvsOp::EditServer(..));
        assert!(ops.iter().all(edits), "{ops:?}");
        assert_eq!(host.submit(2, ops), []);
        let owned: BTreeSet<_> = want.services.keys().copied().collect();
        assert_eq!(plan(&changed, &host.table(), &owned), []);
        assert_eq!(
            host.submit(3, plan(&IpvsTable::default(), &host.table(), &owned)),
            []
        );
        assert_eq!(host.table().services.into_keys().collect::<Vec<_>>(), [foreign]);
    });
}

/// F073: what is there is edited, what is not there is gone already.
#[test]
fn operations_against_a_changed_table_settle() {
    const NAME: &str = "operations_against_a_changed_table_settle";
    if !wanted(NAME) {
        return;
    }
    let namespace = namespace();
    namespace.run(|| {
        let Some(host) = Host::start(NAME) else { return };
        namespace.sh("ipvsadm -A -t 192.0.2.1:80 -s rr; ipvsadm -a -t 192.0.2.1:80 -r 10.0.0.1:80 -g -w 7");
        let web = key("192.0.2.1:80/tcp");
        let (one, two, three) = (
            server("10.0.0.1:80"),
            server("10.0.0.2:80"),
            server("10.0.0.3:80"),
        );
        let failed = host.submit(
            1,
            vec![
                IpvsOp::AddService(web, settings("wlc")),
                IpvsOp::AddServer(web, one, to(Method::Direct, 1)),
                IpvsOp::EditServer(web, two, to(Method::Direct, 2)),
                IpvsOp::RemoveServer(web, three),
                IpvsOp::RemoveService(key("192.0.2.2:80/tcp")),
            ],
        );
        assert_eq!(failed, []);
        let table = host.table();
        let wanted = service(
            settings("wlc"),
            [(one, to(Method::Direct, 1)), (two, to(Method::Direct, 2))],
        );
        assert_eq!(table.services[&web], wanted);
    });
}

#[test]
fn one_refusal_does_not_stop_the_others_and_says_why() {
    const NAME: &str = "one_refusal_does_not_stop_the_others_and_says_why";
    if !wanted(NAME) {
        return;
    }
    let namespace = namespace();
    namespace.run(|| {
        let Some(host) = Host::start(NAME) else { return };
        let (web, odd) = (key("192.0.2.1:80/tcp"), key("192.0.2.2:80/tcp"));
        let mut ops = vec![
            IpvsOp::AddService(odd, settings("nosuch")),
            IpvsOp::AddServer(odd, server("10.0.0.1:80"), to(Method::Direct, 1)),
            IpvsOp::Sysctl {
                name: "expire_nodest_conn",
                value: "1".to_owned(),
            },
            IpvsOp::Sysctl {
                name: "no_such_switch",
                value: "1".to_owned(),
            },
            IpvsOp::Timeouts([0, 0, 17]),
            IpvsOp::AddService(web, settings("rr")),
        ];
        // Several batches' worth.
        for number in 0..600u32 {
            let host = std::net::Ipv4Addr::from(0x0a01_0000 + number + 1);
            ops.push(IpvsOp::AddServer(
                web,
                server(&format!("{host}:80")),
                to(Method::Direct, 1),
            ));
        }
        ops.push(IpvsOp::AddServer(
            web,
            server("224.0.0.1:80"),
            to(Method::Direct, 1),
        ));
        let mut table = IpvsTable::default();
        let expected: Vec<_> = ops
            .iter()
            .enumerate()
            .filter_map(|(place, op)| Some((place, table.apply(op).err()?.errno())))
            .collect();
        let failed = host.submit(1, ops);
        let errnos: Vec<_> = failed
            .iter()
            .map(|(place, error)| (*place, error.errno))
            .collect();
        assert_eq!(errnos, expected, "{failed:?}");
        assert!(failed[0].1.text.contains("no scheduler 'nosuch'"), "{failed:?}");
        assert_eq!(host.table(), table);
        let value = namespace.sh("cat /proc/sys/net/ipv4/vs/expire_nodest_conn; ipvsadm -L --timeout");
        assert!(value.starts_with('1') && value.contains("900 120 17"), "{value}");
        assert_eq!(host.submit(2, vec![IpvsOp::Flush]), []);
        assert_eq!(host.table(), IpvsTable::default());
    });
}

/// F071, F072: the number of the family has changed.
#[test]
fn a_module_loaded_anew_is_found_again() {
    const NAME: &str = "a_module_loaded_anew_is_found_again";
    if !wanted(NAME) {
        return;
    }
    // Modules are the whole machine's: only where nobody else is.
    if std::env::var_os("LB_LAB_MODULES").is_none() {
        eprintln!("{NAME}: skipped: unloads ip_vs (LB_LAB_MODULES=1)");
        return;
    }
    let namespace = namespace();
    namespace.run(|| {
        let Some(host) = Host::start(NAME) else { return };
        let web = key("192.0.2.1:80/tcp");
        let reload = "rmmod $(lsmod | grep -o '^ip_vs_[a-z_]*') ip_vs && modprobe ip_vs";
        let done = std::process::Command::new("sh")
            .args(["-c", reload])
            .output()
            .unwrap();
        if !done.status.success() {
            eprintln!("{NAME}: skipped: ip_vs cannot be unloaded here");
            return;
        }
        // All at once: the first batch on the old number.
        assert_eq!(host.submit(1, vec![IpvsOp::AddService(web, settings("rr"))]), []);
        assert_eq!(host.table().services.len(), 1);
    });
}
