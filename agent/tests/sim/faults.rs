//! What may go wrong, as values: drawn from the seed, and left out one by one when a failing run is shrunk.

use crate::cluster::Cluster;
use crate::random::Random;

/// One thing that goes wrong, or one thing somebody does.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fault {
    /// Microseconds of world time.
    pub(crate) at: u64,
    /// How long it lasts, where it lasts.
    pub(crate) span: u64,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    // ---- The network; links are directed.
    Drop {
        from: usize,
        to: usize,
        permille: u64,
    },
    Delay {
        from: usize,
        to: usize,
        most_us: u64,
    },
    Duplicate {
        from: usize,
        to: usize,
        permille: u64,
    },
    Corrupt {
        from: usize,
        to: usize,
        permille: u64,
        bits: u64,
    },
    Cut {
        from: usize,
        to: usize,
    },
    /// Nodes whose bit is set hear only each other.
    Split {
        mask: u32,
    },
    Forge {
        vr: usize,
        shape: Forgery,
        count: u64,
        gap_us: u64,
    },

    // ---- Nodes.
    Crash {
        node: usize,
        disk: DiskLoss,
        reboot: bool,
    },
    Pause {
        node: usize,
    },
    Slow {
        node: usize,
        most_us: u64,
    },
    ClockRate {
        node: usize,
        ppm: i64,
    },
    Stop {
        node: usize,
        hand_over: bool,
    },

    // ---- Links and addresses.
    LinkDown {
        node: usize,
        segment: usize,
    },
    /// Deleted, and made anew under the same name with another number.
    LinkAnew {
        node: usize,
        segment: usize,
    },
    OwnAddressGone {
        node: usize,
        segment: usize,
    },
    SendRefused {
        node: usize,
    },

    // ---- The kernel.
    AddressStolen {
        node: usize,
        vr: usize,
    },
    AddressPlanted {
        node: usize,
        vr: usize,
    },
    NetRefused {
        node: usize,
        permille: u64,
    },
    IpvsRefused {
        node: usize,
        permille: u64,
    },
    IpvsGone {
        node: usize,
    },
    IpvsFlushed {
        node: usize,
    },
    IpvsWeight {
        node: usize,
        server: usize,
    },
    LaneSlow {
        node: usize,
        most_us: u64,
    },
    /// Notifications are lost; then the whole table is read.
    Overrun {
        node: usize,
    },

    // ---- Servers, scripts, disk.
    ServerDown {
        server: usize,
        silent: bool,
    },
    AllServersDown,
    Inconclusive {
        node: usize,
    },
    ScriptFails {
        node: usize,
    },
    DiskFull {
        node: usize,
    },

    // ---- People.
    Operator {
        node: usize,
        act: Operator,
    },
    /// `None`: on every node.
    Reload {
        node: Option<usize>,
        edit: Edit,
    },
    /// A reload that waits to be confirmed.
    Try {
        node: usize,
        edit: Edit,
        within_us: u64,
    },
    Confirmed {
        node: usize,
    },
}

/// A forged advert.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Forgery {
    /// Right in everything; from a host that is none of ours.
    Valid {
        priority: u8,
    },
    WrongTtl {
        priority: u8,
    },
    WrongVersion,
    WrongChecksum,
    NoAddresses,
    WrongPassword,
    /// An old advert of a node, again.
    Replay,
    Short,
}

/// What a crash costs on disk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum DiskLoss {
    Nothing,
    /// The newest generation cannot be read.
    Newest,
    /// Nor can the one before it.
    Both,
}

/// What an operator asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Operator {
    Drain {
        server: usize,
        for_us: Option<u64>,
        force: bool,
    },
    Undrain {
        server: usize,
    },
    Disable {
        server: usize,
    },
    Weight {
        server: usize,
        weight: u32,
    },
    WeightBack {
        server: usize,
    },
    Promote {
        vr: usize,
    },
    Demote {
        vr: usize,
        hard: bool,
    },
    Release {
        vr: usize,
    },
    Counters,
}

/// A change of the file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Edit {
    None,
    Priority(i32),
    Interval(u64),
    Preempt(bool),
    FewerAddresses(bool),
    ServerWeight { server: usize, weight: u32 },
    Without { server: usize, out: bool },
    FewerInstances(bool),
}

/// A seed's whole run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) cluster: Cluster,
    /// In the order of their time.
    pub(crate) faults: Vec<Fault>,
    /// Until then things go wrong.
    pub(crate) quiet_at: u64,
    pub(crate) end_at: u64,
}

/// What a run may enable, chosen as a whole: a run with everything on at once hides what only one thing shows.
const GROUPS: usize = 8;
const SECOND: u64 = 1_000_000;

impl Plan {
    pub(crate) fn new(seed: u64) -> Self {
        let cluster = Cluster::new(seed);
        let mut random = Random::new(seed, "faults");
        let quiet_at = random.pick(&[10, 20, 30, 45]) * SECOND;
        let mut enabled: Vec<usize> = (0..GROUPS).filter(|_| random.chance(300)).collect();
        if enabled.is_empty() {
            enabled.push(random.index(GROUPS));
        }
        let count = random.pick(&[1, 2, 4, 8, 16, 32]);
        let mut faults: Vec<Fault> = (0..count)
            .map(|_| {
                let group = random.pick(&enabled);
                draw(&mut random, &cluster, group, quiet_at)
            })
            .collect();
        let mut companions = Vec::new();
        for fault in &faults {
            let near = |random: &mut Random| fault.at + random.below(15_000);
            match fault.kind {
                // Between two writes of one change.
                Kind::Operator { node, .. } if random.chance(150) => {
                    let disk = random.pick(&[DiskLoss::Nothing, DiskLoss::Nothing, DiskLoss::Newest]);
                    let kind = Kind::Crash {
                        node,
                        disk,
                        reboot: false,
                    };
                    companions.push(Fault {
                        at: near(&mut random),
                        span: 20_000,
                        kind,
                    });
                }
                Kind::DiskFull { node } if cluster.servers().count() > 0 => {
                    let act = Operator::Drain {
                        server: 0,
                        for_us: None,
                        force: true,
                    };
                    companions.push(Fault {
                        at: fault.at + 1,
                        span: 0,
                        kind: Kind::Operator { node, act },
                    });
                }
                _ => {}
            }
        }
        faults.extend(companions);
        if random.chance(60) {
            // Nothing but an orderly stop: what follows a farewell can be timed.
            let node = random.index(cluster.hosts.len());
            let kind = Kind::Stop {
                node,
                hand_over: false,
            };
            faults = vec![Fault {
                at: quiet_at - SECOND,
                span: SECOND,
                kind,
            }];
        }
        for node in 0..cluster.hosts.len() {
            // A kernel that gets its IPVS only later.
            if random.chance(40) {
                let span = random.between(SECOND, quiet_at - SECOND);
                faults.push(Fault {
                    at: 0,
                    span,
                    kind: Kind::IpvsGone { node },
                });
            }
        }
        // From a source of their own: the other faults of a seed are what they would be without.
        let mut trials = Random::new(seed, "trials");
        faults.extend(crate::trials::draw(&mut trials, cluster.hosts.len(), quiet_at));
        faults.sort_by_key(|fault| fault.at);
        let fights = faults
            .iter()
            .filter(|fault| matches!(fault.kind, Kind::IpvsFlushed { .. } | Kind::IpvsWeight { .. }))
            .count();
        let refused: u64 = faults
            .iter()
            .filter(|fault| matches!(fault.kind, Kind::IpvsRefused { .. } | Kind::IpvsGone { .. }))
            .map(|fault| fault.span)
            .sum();
        // A service that somebody kept changing is put right only once a minute, and what was refused for long is
        // tried again after long pauses.
        let patience = if fights > 3 || refused > 4 * SECOND {
            100
        } else {
            40
        };
        Self {
            seed,
            cluster,
            faults,
            quiet_at,
            end_at: quiet_at + patience * SECOND,
        }
    }
}

fn draw(random: &mut Random, cluster: &Cluster, group: usize, quiet_at: u64) -> Fault {
    let nodes = cluster.hosts.len();
    let node = random.index(nodes);
    let other = (node + 1 + random.index(nodes - 1)) % nodes;
    let vr = random.index(cluster.routers.len());
    let segment = cluster.routers[vr].segment;
    let slowest = cluster.routers[vr]
        .intervals_us
        .iter()
        .copied()
        .max()
        .unwrap_or(SECOND);
    let servers = cluster.servers().count();
    let server = if servers > 0 {
        Some(random.index(servers))
    } else {
        None
    };
    // From a millisecond to a dozen intervals, short ones as likely as long ones.
    let most = (12 * slowest).max(2 * SECOND);
    let doublings = random.below(u64::from((most / 1000).ilog2()) + 1);
    let span = (1000 << doublings) + random.below(1000 << doublings);
    let (from, to) = (node, other);
    let rate = |random: &mut Random| random.pick(&[50, 200, 500, 900, 1000]);
    let kind = match group {
        0 => match random.below(5) {
            0 => Kind::Drop {
                from,
                to,
                permille: rate(random),
            },
            1 => Kind::Delay {
                from,
                to,
                most_us: random.pick(&[1, 2, 5]) * slowest,
            },
            2 => Kind::Duplicate {
                from,
                to,
                permille: rate(random),
            },
            3 => Kind::Corrupt {
                from,
                to,
                permille: rate(random),
                bits: random.between(1, 8),
            },
            _ => Kind::Delay {
                from,
                to,
                most_us: 30 * SECOND,
            },
        },
        1 => match random.below(3) {
            0 => Kind::Cut { from, to },
            _ => Kind::Split {
                mask: u32::try_from(random.between(1, (1 << nodes) - 2)).expect("few nodes"),
            },
        },
        2 => {
            let priority = random.pick(&[0, 1, 100, 150, 254, 255]);
            let shape = match random.below(10) {
                0..4 => Forgery::Valid { priority },
                4 => Forgery::WrongTtl { priority },
                5 => Forgery::WrongVersion,
                6 => Forgery::WrongChecksum,
                7 => Forgery::NoAddresses,
                8 => random.pick(&[Forgery::WrongPassword, Forgery::Short]),
                _ => Forgery::Replay,
            };
            let gap_us = random.pick(&[slowest / 10, slowest, 2 * slowest]);
            Kind::Forge {
                vr,
                shape,
                count: random.between(1, 20),
                gap_us,
            }
        }
        3 => match random.below(8) {
            0..3 => Kind::Crash {
                node,
                disk: random.pick(&[
                    DiskLoss::Nothing,
                    DiskLoss::Nothing,
                    DiskLoss::Nothing,
                    DiskLoss::Newest,
                    DiskLoss::Both,
                ]),
                reboot: random.chance(200),
            },
            3 | 4 => Kind::Pause { node },
            5 => Kind::Slow {
                node,
                most_us: random.pick(&[5_000, slowest / 2, 3 * slowest]),
            },
            6 => Kind::ClockRate {
                node,
                ppm: random.pick(&[-100_000, -10_000, 10_000, 100_000]),
            },
            _ => Kind::Stop {
                node,
                hand_over: random.chance(250),
            },
        },
        4 => match random.below(4) {
            0 => Kind::LinkDown {
                node,
                segment: random.pick(&[segment, segment, 1 - segment]),
            },
            1 => Kind::LinkAnew { node, segment },
            2 => Kind::OwnAddressGone { node, segment },
            _ => Kind::SendRefused { node },
        },
        5 => match (random.below(9), server) {
            (0, _) => Kind::AddressStolen { node, vr },
            (1, _) => Kind::AddressPlanted { node, vr },
            (2, _) => Kind::NetRefused {
                node,
                permille: rate(random),
            },
            (3, _) => Kind::IpvsRefused {
                node,
                permille: rate(random),
            },
            (4, _) => Kind::IpvsGone { node },
            (5, _) => Kind::IpvsFlushed { node },
            (6, Some(server)) => Kind::IpvsWeight { node, server },
            (7, _) => Kind::LaneSlow {
                node,
                most_us: random.pick(&[20_000, 300_000]),
            },
            _ => Kind::Overrun { node },
        },
        6 => match (random.below(6), server) {
            (0..3, Some(server)) => Kind::ServerDown {
                server,
                silent: random.chance(500),
            },
            (3, _) => Kind::AllServersDown,
            (4, _) => Kind::Inconclusive { node },
            _ => Kind::ScriptFails { node },
        },
        _ => match (random.below(14), server) {
            (0..3, Some(server)) => {
                let for_us = random.chance(200).then(|| random.between(1, 5) * SECOND);
                Kind::Operator {
                    node,
                    act: Operator::Drain {
                        server,
                        for_us,
                        force: random.chance(800),
                    },
                }
            }
            (3, Some(server)) => Kind::Operator {
                node,
                act: Operator::Undrain { server },
            },
            (4, Some(server)) => {
                let act = random.pick(&[
                    Operator::Disable { server },
                    Operator::Weight { server, weight: 7 },
                    Operator::WeightBack { server },
                ]);
                Kind::Operator { node, act }
            }
            (5, _) => Kind::Operator {
                node,
                act: Operator::Promote { vr },
            },
            (6, _) => Kind::Operator {
                node,
                act: Operator::Demote {
                    vr,
                    hard: random.chance(300),
                },
            },
            (7, _) => Kind::Operator {
                node,
                act: Operator::Release { vr },
            },
            (8, _) => Kind::Reload {
                node: Some(node),
                edit: Edit::None,
            },
            (9, _) => Kind::DiskFull { node },
            (10, _) => Kind::Operator {
                node,
                act: Operator::Counters,
            },
            (_, server) => {
                let mut edits = vec![
                    Edit::Priority(random.pick(&[-50, -7, 0, 20])),
                    Edit::Interval(random.pick(&[50, 100, 200])),
                    Edit::Preempt(random.chance(500)),
                    Edit::FewerAddresses(random.chance(500)),
                    Edit::FewerInstances(random.chance(500)),
                    Edit::None,
                ];
                if let Some(server) = server {
                    edits.push(Edit::ServerWeight {
                        server,
                        weight: random.pick(&[1, 5, 20]),
                    });
                    edits.push(Edit::Without {
                        server,
                        out: random.chance(500),
                    });
                }
                let edit = random.pick(&edits);
                Kind::Reload {
                    node: random.chance(500).then_some(node),
                    edit,
                }
            }
        },
    };
    Fault {
        at: random.between(SECOND / 2, quiet_at - SECOND),
        span,
        kind,
    }
}

impl Kind {
    /// Whether it ends by itself at once, so that its span says nothing.
    pub(crate) fn is_momentary(&self) -> bool {
        matches!(
            self,
            Self::Forge { .. }
                | Self::AddressStolen { .. }
                | Self::IpvsFlushed { .. }
                | Self::IpvsWeight { .. }
                | Self::Operator { .. }
                | Self::Reload { .. }
                | Self::Try { .. }
                | Self::Confirmed { .. }
        )
    }

    /// Whether a cluster in which it happens is no longer one in which packets and nodes are as they should be.
    pub(crate) fn disturbs_election(&self) -> bool {
        !matches!(
            self,
            Self::ServerDown { .. }
                | Self::AllServersDown
                | Self::Inconclusive { .. }
                | Self::DiskFull { .. }
                | Self::IpvsFlushed { .. }
                | Self::IpvsWeight { .. }
                | Self::Stop { .. }
        )
    }
}
