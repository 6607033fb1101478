//! A host: its clock, its kernel, its disk, and the agent on it while one runs.

use crate::cluster::{Cluster, Edits};
use crate::kernel::Kernel;
use crate::trials::{KeptFormer, Trials, Wish};
use crate::world::{Deferred, Packet};
use lb_shared::names::ServerId;
use lb_shared::state::{Override, State, VrrpState};
use lb_shared::units::Mono;
use lbagent::config::Texts;
use lbagent::engine::{BatchId, Engine, Ledger, PersistId, Ticket};
use lbagent::ipvs::IpvsOp;
use lbagent::net::NetOp;
use lbagent::vrrp::Ear;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Packets a socket holds for a process that does not read.
pub(crate) const SOCKET_MAX: usize = 64;

/// A monotonic clock that runs a little wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    world: u64,
    local: u64,
    ppm: i64,
}

impl Clock {
    pub(crate) fn new(world: u64, ppm: i64) -> Self {
        Self { world, local: 0, ppm }
    }

    pub(crate) fn local(&self, world: u64) -> Mono {
        let passed = i128::from(world.saturating_sub(self.world));
        let shown = passed * (1_000_000 + i128::from(self.ppm)) / 1_000_000;
        Mono(self.local + u64::try_from(shown).unwrap_or(0))
    }

    /// The first moment of the world at which the clock shows at least this.
    pub(crate) fn world(&self, local: Mono) -> u64 {
        let wait = i128::from(local.0.saturating_sub(self.local));
        let rate = 1_000_000 + i128::from(self.ppm);
        let passed = (wait * 1_000_000 + rate - 1) / rate;
        let mut world = self
            .world
            .saturating_add(u64::try_from(passed).unwrap_or(u64::MAX));
        while self.local(world) < local && world < u64::MAX {
            world += 1;
        }
        world
    }

    /// From now on it runs at another rate.
    pub(crate) fn set_rate(&mut self, world: u64, ppm: i64) {
        *self = Self {
            world,
            local: self.local(world).0,
            ppm,
        };
    }

    pub(crate) fn ppm(&self) -> i64 {
        self.ppm
    }
}

/// What a lane is to do.
#[derive(Clone, Debug)]
pub(crate) enum Job {
    Net(BatchId, Vec<NetOp>),
    Ipvs(BatchId, Vec<IpvsOp>),
    Dump,
}

/// A thread that carries out kernel operations in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lane {
    pub(crate) jobs: VecDeque<Job>,
    pub(crate) busy: bool,
}

/// What the disk thread is to do.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    Intent(PersistId, Vec<Override>),
    Ledger(Ledger),
    Former(PersistId, Option<Box<KeptFormer>>),
}

/// The state folder, and the run folder that a reboot empties.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    /// The newest generation of the overrides and the one before.
    pub(crate) intent: [Option<Vec<Override>>; 2],
    pub(crate) newest_unreadable: bool,
    pub(crate) both_unreadable: bool,
    pub(crate) ledger: Option<Ledger>,
    /// What `reload --confirm` goes back to.
    pub(crate) former: Option<KeptFormer>,
    /// World time of each instance's last advert.
    pub(crate) sent_at: BTreeMap<String, u64>,
    pub(crate) writes: VecDeque<Write>,
    pub(crate) busy: bool,
}

/// What a drain that was acknowledged promises.
#[derive(Clone, Debug, Default)]
pub(crate) struct Promises {
    pub(crate) drained: BTreeSet<ServerId>,
}

/// A host.
pub(crate) struct Node {
    pub(crate) engine: Option<Engine>,
    /// Counts the agents that ran here: what was meant for an earlier one is lost.
    pub(crate) epoch: u32,
    pub(crate) clock: Clock,
    pub(crate) kernel: Kernel,
    pub(crate) disk: Disk,
    /// The file as it lies on disk, and as it is in force.
    pub(crate) file: Edits,
    pub(crate) edits: Edits,
    /// What stands for the edits in force.
    pub(crate) in_force: Arc<Texts>,
    pub(crate) trials: Trials,
    pub(crate) promises: Promises,

    pub(crate) started_at: u64,
    /// When the runs before this one last sent.
    pub(crate) sent_before: BTreeMap<String, u64>,
    pub(crate) paused: bool,
    /// Set by a short hiccup of a slow node, so that only its own end ends it.
    pub(crate) hiccup: bool,
    pub(crate) stopping: bool,
    /// A stop that leaves everything in place.
    pub(crate) handing_over: bool,
    pub(crate) finished: bool,
    pub(crate) socket: VecDeque<Packet>,
    pub(crate) deferred: Vec<Deferred>,

    pub(crate) listening: BTreeSet<Ear>,
    /// The agent's next deadline.
    pub(crate) deadline: Option<Mono>,
    /// The moment a tick comes, and the deadline it is for.
    pub(crate) wake: Option<(u64, Mono)>,
    pub(crate) net_lane: Lane,
    pub(crate) ipvs_lane: Lane,
    /// Notifications keep their order.
    pub(crate) told_at: u64,
    pub(crate) overrun: bool,

    /// What the events add up to.
    pub(crate) view: State,
    /// By virtual router.
    pub(crate) roles: Vec<VrrpState>,
    pub(crate) begun: bool,
    pub(crate) steps: u64,

    pub(crate) tickets: BTreeMap<Ticket, Asked>,
    pub(crate) next_ticket: u64,

    // When something last happened that excuses the agent from a promise for a while (world time).
    pub(crate) ground_moved_at: u64,
    pub(crate) net_trouble_at: u64,
    pub(crate) ipvs_trouble_at: u64,
    pub(crate) woke_at: u64,
    pub(crate) reloaded_at: u64,
}

/// A question under way.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) at: u64,
    pub(crate) drains: Vec<ServerId>,
    pub(crate) is_act: bool,
    /// A reload.
    pub(crate) wish: Option<Wish>,
}

impl Node {
    pub(crate) fn new(cluster: &Cluster, node: usize) -> Self {
        Self {
            engine: None,
            epoch: 0,
            clock: Clock::new(0, cluster.clock_ppm[node]),
            kernel: Kernel::new(cluster, node),
            disk: Disk::default(),
            file: Edits::default(),
            edits: Edits::default(),
            in_force: Arc::default(),
            trials: Trials::default(),
            promises: Promises::default(),
            started_at: 0,
            sent_before: BTreeMap::new(),
            paused: false,
            hiccup: false,
            stopping: false,
            handing_over: false,
            finished: false,
            socket: VecDeque::new(),
            deferred: Vec::new(),
            listening: BTreeSet::new(),
            deadline: None,
            wake: None,
            net_lane: Lane::default(),
            ipvs_lane: Lane::default(),
            told_at: 0,
            overrun: false,
            view: State::default(),
            roles: vec![VrrpState::Init; cluster.routers.len()],
            begun: false,
            steps: 0,
            tickets: BTreeMap::new(),
            next_ticket: 0,
            ground_moved_at: 0,
            net_trouble_at: 0,
            ipvs_trouble_at: 0,
            woke_at: 0,
            reloaded_at: 0,
        }
    }

    /// An agent runs here, reads its sockets and keeps its time.
    pub(crate) fn is_awake(&self) -> bool {
        self.engine.is_some() && !self.paused && !self.finished
    }

    /// An agent runs here that takes part in elections.
    pub(crate) fn takes_part(&self) -> bool {
        self.is_awake() && self.begun && !self.stopping
    }

    /// The agent is gone, and with it all it had in memory.
    pub(crate) fn lose_agent(&mut self) {
        self.engine = None;
        self.epoch += 1;
        self.paused = false;
        self.hiccup = false;
        self.stopping = false;
        self.handing_over = false;
        self.finished = false;
        self.socket.clear();
        self.deferred.clear();
        self.listening.clear();
        self.deadline = None;
        self.wake = None;
        self.net_lane = Lane::default();
        self.ipvs_lane = Lane::default();
        self.disk.writes.clear();
        self.disk.busy = false;
        self.overrun = false;
        self.view = State::default();
        self.roles.fill(VrrpState::Init);
        self.begun = false;
        self.tickets.clear();
    }
}
