//! What the other threads tell the core, and the way there.

use crate::config::Texts;
use crate::engine::{Input, NewModel};
use crate::model::{Model, Service};
use anyhow::Context as _;
use lb_shared::counters::ServerCounters;
use lb_shared::diagnostic::Diagnostic;
use lb_shared::event::Actor;
use lb_shared::expect::Expected;
use lb_shared::history::ServerRuns;
use lb_shared::names::{ServerId, ServiceKey};
use lb_shared::request::{Act, Reply, Role};
use lb_shared::trial::TestAsk;
use lb_shared::whatif::WhatIf;
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// Where an answer goes; whoever asked may be gone by then.
pub type ReplyTo = Box<dyn FnOnce(Reply) + Send>;

/// Where a slice of servers with their counters goes.
pub type ServersTo = Box<dyn FnOnce(Vec<(ServerId, ServerCounters)>) + Send>;

/// What other threads tell the core.
pub enum Message {
    Input(Input),
    /// An operator's change.
    Act {
        actor: Actor,
        role: Role,
        act: Act,
        /// What was seen of its targets.
        expect: Vec<Expected>,
        reply: ReplyTo,
    },
    /// Somebody wants all counters but those of servers, once the kernel's are read.
    Counters {
        reply: ReplyTo,
    },
    /// And those of the servers that follow this one, as they were counted by then.
    ServerCounters {
        after: Option<ServerId>,
        reply: ServersTo,
    },
    /// Somebody wants to know how the last checks of these servers ended.
    Runs {
        servers: Vec<ServerId>,
        reply: Box<dyn FnOnce(Vec<ServerRuns>) + Send>,
    },
    /// Somebody wants checks run once.
    Test {
        asked: TestAsk,
        reply: ReplyTo,
    },
    /// Somebody wants to know what would happen.
    Foresee {
        asked: WhatIf,
        reply: ReplyTo,
    },
    /// Somebody wants the configuration read again.
    Reload(ReloadAsk),
    /// Somebody wants the configuration in force shown.
    Config {
        settings: bool,
        reply: ReplyTo,
    },
    /// Somebody confirms the configuration in force.
    Confirm {
        actor: Actor,
        reply: ReplyTo,
    },
    /// A reload was refused before it came to the engine: for whoever asked, and for everybody unless it was only
    /// tried.
    Refused {
        reply: Option<(ReplyTo, Reply)>,
        findings: Vec<Diagnostic>,
        dry_run: bool,
    },
    /// A file was loaded: for whoever asked.
    Loaded {
        new: Box<NewModel>,
        asked: Option<(ReplyTo, Actor)>,
    },
}

/// The way to the core thread; may be cloned and never waits.
#[derive(Clone)]
pub struct Post {
    messages: mpsc::Sender<Message>,
    wake: Arc<EventFd>,
}

impl Post {
    /// A way to the core, and the core's end of it.
    pub fn new() -> anyhow::Result<(Self, Inbox)> {
        let (messages, inbox) = mpsc::channel();
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let wake = Arc::new(EventFd::from_value_and_flags(0, flags).context("eventfd")?);
        Ok((
            Self {
                messages,
                wake: Arc::clone(&wake),
            },
            Inbox {
                messages: inbox,
                wake,
            },
        ))
    }

    /// False when the core is gone.
    pub fn send(&self, message: Message) -> bool {
        let sent = self.messages.send(message).is_ok();
        // A full counter wakes the core as well.
        let _ = self.wake.write(1);
        sent
    }

    /// Tells the engine something.
    pub fn input(&self, input: Input) {
        self.send(Message::Input(input));
    }
}

/// The core's end of [`Post`].
pub struct Inbox {
    pub(super) messages: mpsc::Receiver<Message>,
    pub(super) wake: Arc<EventFd>,
}

/// What the loader is asked for.
pub enum Wish {
    Reload(ReloadAsk),
    Show(ShowAsk),
}

/// A wish for the configuration in force to be shown.
pub struct ShowAsk {
    /// The name of its first file.
    pub file: String,
    pub revision: u64,
    pub texts: Arc<Texts>,
    /// Every setting of it is wanted, not what the files say.
    pub model: Option<Box<Model>>,
    pub reply: ReplyTo,
}

/// A wish for the configuration to be read again.
pub struct ReloadAsk {
    pub dry_run: bool,
    pub force: bool,
    /// It is taken back after so long unless it is confirmed.
    pub confirm: Option<Duration>,
    /// Addresses that are on the host as virtual ones: the core says which.
    pub held: BTreeSet<IpAddr>,
    /// Those in force, as the core says: what is the same is found, and let go of, before the core has to look at it.
    pub services: BTreeMap<ServiceKey, Arc<Service>>,
    /// `None`: SIGHUP.
    pub asked: Option<(ReplyTo, Actor)>,
}
