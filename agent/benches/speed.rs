//! How fast the deciding parts are: `cargo bench -p lbagent`.
//!
//! Prints figures and judges nothing. Each is the best of several runs: other work on the machine only ever adds time.

use lb_shared::units::Mono;
use lbagent::config::{self, Alone, Facts};
use lbagent::engine::{Action, Boot, Engine, Input, IpvsNews, NetNews, NewModel, StoredIntent};
use lbagent::ipvs::table::IpvsTable;
use lbagent::model::Model;
use lbagent::net::{Address, AddressKey, Link, NetTable};
use lbagent::vrrp::{Advert, Datagram};
use lbagent::wire::LinkIndex;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

/// Runs of each measurement.
const RUNS: usize = 5;
const INSTANCES_PER_LINK: u32 = 250;

fn main() {
    // `cargo test --benches` runs this too, and only wants to know that it does.
    let quick = std::env::args().any(|argument| argument == "--test");
    let (instances, seconds, services) = if quick { (10, 2, 10) } else { (1_000, 60, 1_000) };
    report(&format!("{instances} backups hear adverts"), "events", || {
        hear(instances, seconds)
    });
    report(&format!("{instances} masters send adverts"), "adverts", || {
        send(instances, seconds)
    });
    let text = services_file(services);
    let lines = text.lines().count();
    report(
        &format!("read {services} services of 10 servers"),
        "lines",
        || {
            let began = Instant::now();
            let model = load(&text);
            (lines, began.elapsed(), model.services.len())
        },
    );
    let model = load(&text);
    report(
        &format!("plan {services} services of 10 servers"),
        "servers",
        || {
            let model = model.clone();
            let began = Instant::now();
            let node = Node::start(model);
            (services * 10, began.elapsed(), node.ipvs.services.len())
        },
    );
    report("copy that engine, as what-if does", "copies", || {
        let node = Node::start(model.clone());
        let began = Instant::now();
        let copy = node.engine.clone();
        (1, began.elapsed(), copy)
    });
    let changed = load(&text.replacen("weight 1", "weight 7", 1));
    report("one weight among them changes", "reloads", || {
        let mut node = Node::start(model.clone());
        let new = new_model(changed.clone());
        let began = Instant::now();
        node.feed(Input::Model(Box::new(new)));
        (1, began.elapsed(), node.ipvs.services.len())
    });
    if !quick {
        let text = services_file(7_000);
        let lines = text.lines().count();
        report("read 7000 services of 10 servers", "lines", || {
            let began = Instant::now();
            let model = load(&text);
            (lines, began.elapsed(), model.services.len())
        });
    }
}

/// One line: the best of some runs, each of which gives how many things took how long. What else it gives keeps its
/// work from being left out.
fn report<T>(what: &str, unit: &str, mut run: impl FnMut() -> (usize, Duration, T)) {
    let mut best: Option<(usize, Duration)> = None;
    for _ in 0..RUNS {
        let (count, took, result) = run();
        std::hint::black_box(result);
        if best.is_none_or(|(_, before)| took < before) {
            best = Some((count, took));
        }
    }
    let (count, took) = best.expect("RUNS is not 0");
    println!(
        "{what}: {count} {unit} in {:.2} ms, {:.0} per second",
        took.as_secs_f64() * 1e3,
        count as f64 / took.as_secs_f64()
    );
}

/// Every router hears its master once a second; what is counted are packets and ticks.
fn hear(instances: u32, seconds: u32) -> (usize, Duration, Engine) {
    let mut node = Node::start(load(&instances_file(instances, "BACKUP", 100)));
    // What a master of priority 200 would send.
    let mut master = Node::start(load(&instances_file(instances, "MASTER", 200)));
    master.run_for(Duration::from_secs(5));
    master.sent.clear();
    master.run_for(Duration::from_secs(1));
    let heard: Vec<Datagram> = master.sent.iter().map(as_heard).collect();
    let mut events = 0;
    let began = Instant::now();
    for _ in 0..seconds {
        for datagram in &heard {
            node.feed(Input::Datagram(datagram.clone()));
        }
        events += heard.len() + node.run_for(Duration::from_secs(1));
    }
    (events, began.elapsed(), node.engine)
}

fn send(instances: u32, seconds: u32) -> (usize, Duration, Engine) {
    let mut node = Node::start(load(&instances_file(instances, "MASTER", 255)));
    node.run_for(Duration::from_secs(5));
    node.sent.clear();
    let began = Instant::now();
    node.run_for(Duration::from_secs(seconds.into()));
    (node.sent.len(), began.elapsed(), node.engine)
}

fn as_heard(advert: &Advert) -> Datagram {
    Datagram {
        link: advert.link.expect("multicast goes out on a link"),
        source: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)),
        destination: advert.destination,
        ttl: Some(255),
        envelope: Default::default(),
        payload: advert.payload.clone(),
    }
}

/// An engine on a kernel that does at once what it is told.
struct Node {
    engine: Engine,
    now: Mono,
    net: NetTable,
    ipvs: IpvsTable,
    sent: Vec<Advert>,
}

impl Node {
    fn start(model: Model) -> Self {
        let boot = Boot {
            model: new_model(model),
            former: None,
            refused: Vec::new(),
            intent: StoredIntent::default(),
            previous: None,
            signed: None,
            wall_ms: 0,
            host: "node".to_owned(),
            pid: 1,
            ipvs_sysctls: BTreeMap::new(),
        };
        let mut node = Self {
            engine: Engine::new(boot, 1, Mono::ZERO),
            now: Mono::ZERO,
            net: links(),
            ipvs: IpvsTable::default(),
            sent: Vec::new(),
        };
        node.drain();
        node.feed(Input::Net(NetNews::Table(node.net.clone())));
        node
    }

    fn feed(&mut self, input: Input) {
        self.engine.handle(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        let mut answers = VecDeque::new();
        loop {
            while let Some(action) = self.engine.poll_action() {
                match action {
                    Action::Send(_, advert) => self.sent.push(advert),
                    Action::Net(id, ops) => {
                        for op in &ops {
                            let _ = self.net.apply(op);
                        }
                        answers.push_back(Input::Net(NetNews::Done(id, Vec::new())));
                    }
                    Action::Ipvs(id, ops) => {
                        for op in &ops {
                            let _ = self.ipvs.apply(op);
                        }
                        answers.push_back(Input::Ipvs(IpvsNews::Done(id, Vec::new())));
                    }
                    Action::DumpIpvs => answers.push_back(Input::Ipvs(IpvsNews::Table(self.ipvs.clone()))),
                    _ => {}
                }
            }
            match answers.pop_front() {
                Some(input) => self.engine.handle(self.now, input),
                None => return,
            }
        }
    }

    /// Lets time pass; gives the number of ticks.
    fn run_for(&mut self, span: Duration) -> usize {
        let end = self.now + span;
        let mut ticks = 0;
        while let Some(at) = self.engine.next_deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.feed(Input::Tick);
            ticks += 1;
        }
        self.now = end;
        ticks
    }
}

fn new_model(model: Model) -> NewModel {
    NewModel {
        model,
        file: "bench.conf".to_owned(),
        findings: Vec::new(),
        numbers: BTreeMap::new(),
        since_boot: Duration::ZERO,
        asked: None,
        dry_run: false,
        force: true,
        wall_ms: 1_000_000,
        texts: Default::default(),
        confirm: None,
    }
}

/// Four links with an address each.
fn links() -> NetTable {
    let mut net = NetTable::default();
    for number in 0..4 {
        let index = LinkIndex(number + 1);
        let link = Link {
            index,
            name: format!("eth{number}"),
            running: true,
            arp: true,
            multicast: true,
            mtu: 1_500,
            mac: vec![2, 0, 0, 0, 0, 1],
            ..Link::default()
        };
        net.links.insert(index, link);
        let key = AddressKey {
            link: index,
            address: IpAddr::from([10, 0, number as u8, 1]),
            prefix_len: 24,
        };
        let address = Address {
            usable: true,
            ..Address::default()
        };
        net.addresses.insert(key, address);
    }
    net
}

fn instances_file(count: u32, state: &str, priority: u8) -> String {
    let mut text = String::new();
    for i in 0..count {
        let (link, vrid) = (i / INSTANCES_PER_LINK, i % INSTANCES_PER_LINK + 1);
        let _ = write!(
            text,
            "vrrp_instance VI_{i} {{\n    state {state}\n    interface eth{link}\n    virtual_router_id {vrid}\n    \
             priority {priority}\n    advert_int 1\n    virtual_ipaddress {{\n        10.7{link}.1.{vrid}/32\n    }}\n}}\n"
        );
    }
    text
}

fn services_file(count: usize) -> String {
    let mut text = String::new();
    for s in 0..count {
        let _ = write!(
            text,
            "virtual_server 10.50.{}.{} 80 {{\n    lb_algo wrr\n    lb_kind NAT\n    protocol TCP\n",
            s / 250,
            s % 250 + 1
        );
        for r in 1..=10 {
            let _ = write!(
                text,
                "    real_server 10.60.{}.{r} {} {{\n        weight 1\n    }}\n",
                s / 250,
                1_000 + s % 250
            );
        }
        text.push_str("}\n");
    }
    text
}

/// Reads a text as the agent would read a file.
fn load(text: &str) -> Model {
    let facts = Facts {
        interfaces: Some((0..4).map(|number| format!("eth{number}")).collect()),
        addresses: Some(BTreeSet::new()),
        ..Facts::default()
    };
    config::load(&Alone(text), "bench.conf", &facts)
        .model
        .expect("a good file")
}
