//! How long it takes to fill and read IPVS: as root, in a network namespace of its own, with ip_vs.
//!
//! `cargo run --release --example ipvs_fill [SERVICES] [SERVERS_PER_SERVICE] [SCHEDULER]`
//!
//! The lane, plan included, is compared with the least there could be: the same messages, encoded beforehand, sent in
//! batches and nothing else.

use anyhow::{Context, bail};
use lb_shared::names::{Protocol, ServerKey, VirtualKey};
use lbagent::engine::{BatchId, IpvsNews};
use lbagent::io::lane::IpvsLane;
use lbagent::io::netlink::{BATCH_COUNT_MAX, Connection};
use lbagent::ipvs::genl::{self, FamilyId};
use lbagent::ipvs::table::{
    Destination, DestinationCounters, DestinationSettings, IpvsService, IpvsTable, Method, ServiceSettings,
};
use lbagent::ipvs::{IpvsOp, plan};
use netlink_sys::protocols::NETLINK_GENERIC;
use nix::sched::{CloneFlags, unshare};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

const ROUNDS: u32 = 5;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: u32| -> anyhow::Result<u32> {
        arguments.next().map_or(Ok(default), |text| Ok(text.parse()?))
    };
    let (services, servers) = (number(1000)?, number(10)?);
    let scheduler = arguments.next().unwrap_or_else(|| "rr".to_owned());

    let want = table(services, servers, &scheduler);
    let count = services * servers;
    println!("{count} servers in {services} services, {scheduler}; best of {ROUNDS}");
    let mut times = Times::default();
    for _ in 0..ROUNDS {
        fill_raw(&want, &mut times)?;
        fill_by_lane(&want, &mut times)?;
    }
    for (what, times) in &times.0 {
        let best = times.iter().min().copied().unwrap_or_default().as_secs_f64();
        println!(
            "{what:34} {:8.2} ms  {:6.2} us per server",
            best * 1e3,
            best * 1e6 / f64::from(count)
        );
    }
    Ok(())
}

/// Times by what was timed.
#[derive(Default)]
struct Times(BTreeMap<&'static str, Vec<Duration>>);

impl Times {
    fn take<T>(&mut self, what: &'static str, it: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let done = it();
        self.0.entry(what).or_default().push(start.elapsed());
        done
    }
}

/// A new namespace for each round: servers removed in the last minutes slow every addition down.
fn enter_namespace() -> anyhow::Result<()> {
    unshare(CloneFlags::CLONE_NEWNET).context("a network namespace needs root")?;
    // Without a local routing table the kernel refuses every server.
    Command::new("ip").args(["link", "set", "lo", "up"]).status()?;
    Ok(())
}

fn fill_by_lane(want: &IpvsTable, times: &mut Times) -> anyhow::Result<()> {
    enter_namespace()?;
    let (sender, news) = mpsc::channel();
    let lane = IpvsLane::start(move |it| drop(sender.send(it)));
    let (owned, none) = (want.services.keys().copied().collect(), IpvsTable::default());
    dump(&lane, &news)?;
    times.take("2 plan and lane: fill", || {
        submit(&lane, &news, plan(want, &none, &owned))
    })?;
    let have = times.take("3 lane: read everything", || dump(&lane, &news))?;
    if !times
        .take("4 plan: nothing to do", || plan(want, &have, &owned))
        .is_empty()
    {
        bail!("what was read is not what was written");
    }
    times.take("5 plan and lane: remove", || {
        submit(&lane, &news, plan(&none, &have, &owned))
    })
}

fn table(services: u32, servers: u32, scheduler: &str) -> IpvsTable {
    let destination = |number: u32| {
        let key = ServerKey {
            address: Ipv4Addr::from(0x0a00_0001 + number).into(),
            port: 80,
        };
        let settings = DestinationSettings {
            method: Method::Direct,
            weight: 1,
            upper_threshold: 0,
            lower_threshold: 0,
        };
        let counters = DestinationCounters::default();
        (key, Destination { settings, counters })
    };
    let service = |number: u32| {
        let key = VirtualKey::Address {
            address: Ipv4Addr::from(0xc612_0000 + number).into(),
            port: 80,
            protocol: Protocol::Tcp,
        };
        let settings = ServiceSettings {
            scheduler: scheduler.to_owned(),
            flags: 0,
            timeout_s: 0,
            prefix_len: 32,
            engine: None,
        };
        let destinations = (0..servers)
            .map(|it| destination(number * servers + it))
            .collect();
        (
            key,
            IpvsService {
                settings,
                destinations,
            },
        )
    };
    IpvsTable {
        services: (0..services).map(service).collect(),
    }
}

/// The time that cannot be undercut with this kernel interface.
fn fill_raw(want: &IpvsTable, times: &mut Times) -> anyhow::Result<()> {
    enter_namespace()?;
    let mut connection = Connection::open(NETLINK_GENERIC, 1 << 20)?;
    let family = genl::decode_resolve(&connection.ask(genl::encode_resolve).context("no ip_vs")?)?;
    let ops = plan(want, &IpvsTable::default(), &BTreeSet::new());
    let fill = batches(&ops, family);
    times.take("1 encoded beforehand, batches only", || {
        send(&mut connection, &fill)
    })
}

/// Each message as bytes; only its sequence number and ACK flag are filled in later.
fn batches(ops: &[IpvsOp], family: FamilyId) -> Vec<Vec<Vec<u8>>> {
    let encode = |op: &IpvsOp| {
        let mut bytes = Vec::new();
        genl::encode_op(&mut bytes, family, 0, false, op);
        bytes
    };
    ops.chunks(BATCH_COUNT_MAX)
        .map(|chunk| chunk.iter().map(encode).collect())
        .collect()
}

fn send(connection: &mut Connection, batches: &[Vec<Vec<u8>>]) -> anyhow::Result<()> {
    const ACK: u8 = 4;
    for batch in batches {
        let refused = connection.batch(batch.len(), |out, index, seq, ack| {
            let at = out.len();
            out.extend_from_slice(&batch[index]);
            out[at + 8..at + 12].copy_from_slice(&seq.to_ne_bytes());
            if ack {
                out[at + 6] |= ACK;
            }
        })?;
        if !refused.is_empty() {
            bail!("refused: {refused:?}");
        }
    }
    Ok(())
}

fn submit(lane: &IpvsLane, news: &Receiver<IpvsNews>, ops: Vec<IpvsOp>) -> anyhow::Result<()> {
    lane.submit(BatchId(0), ops);
    match news.recv()? {
        IpvsNews::Done(_, failed) if failed.is_empty() => Ok(()),
        other => bail!("{other:?}"),
    }
}

fn dump(lane: &IpvsLane, news: &Receiver<IpvsNews>) -> anyhow::Result<IpvsTable> {
    lane.dump();
    match news.recv()? {
        IpvsNews::Table(table) => Ok(table),
        other => bail!("{other:?}"),
    }
}
