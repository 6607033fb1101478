//! The core thread: waits, feeds the engine, carries its actions out. Decides nothing.
//!
//! Each turn takes packets first, then news from the other threads, then what is due, so that a late agent hears its
//! peers before it believes them silent. Nothing in here waits for anything but the next thing to do.

use super::background::Herald;
use super::bfd::BfdSockets;
use super::clock::{self, Clock};
use super::dial::Dialler;
use super::dump::Dumps;
use super::event_log;
use super::fifo::Fifos;
use super::lane::{IpvsLane, NetLane};
use super::mail::Mailer;
use super::nft_socket::NftWatch;
use super::numbers::Numbers;
use super::post::{Inbox, Message, ReloadAsk, ReplyTo, ShowAsk, Wish};
use super::processes::Processes;
use super::rtnl_socket::Monitor;
use super::runner::Runner;
use super::service_manager;
use super::stamps::Stamps;
use super::store::{self, Store};
use super::sys;
use super::sysctl;
use super::vrrp::Sockets;
use crate::engine::{Action, Boot, Command, DumpAsk, Engine, Input, IpvsNews, StopMode, Ticket, foresee};
use crate::model::DumpKind;
use anyhow::Context as _;
use lb_shared::event::{Event, What};
use lb_shared::request::{Refusal, RefusalCode, Reply};
use lb_shared::units::Mono;
use lb_shared::whatif::WhatIf;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How far the wall clock may drift before the engine is told.
const WALL_CLOCK_SLACK_US: u64 = 50_000;
/// Packets taken in one turn before timers get their say.
const PACKETS_PER_TURN: usize = 256;
/// Messages taken in one turn; the rest wakes the core again.
const MESSAGES_PER_TURN: usize = 1_024;
/// What the loop waits on.
const TOKEN_NEWS: u64 = 1;
const TOKEN_TIMER: u64 = 2;
const TOKEN_SIGNAL: u64 = 3;
const TOKEN_ADVERTS: u64 = 4;
const TOKEN_BFD: u64 = 5;
const TOKEN_WATCHDOG: u64 = 6;

/// What the core thread holds.
pub struct Shell {
    pub clock: Clock,
    pub net: NetLane,
    pub monitor: Monitor,
    pub nft_watch: NftWatch,
    pub ipvs: IpvsLane,
    pub dialler: Dialler,
    pub runner: Runner,
    pub mailer: Mailer,
    pub fifos: Fifos,
    pub processes: Processes,
    pub numbers: Numbers,
    pub dumps: Dumps,
    pub store: Store,
    pub stamps: Stamps,
    /// Tells the clients what happened; must not wait.
    pub tell: Box<dyn Fn(Event)>,
    pub signals: SignalFd,
    /// Asks the loader to read the configuration again, or to show it.
    pub reload: Box<dyn Fn(Wish)>,
    pub run_dir: PathBuf,
    pub stop_mode: StopMode,
    pub pid_file: Option<PathBuf>,
    /// Learns that the agent has started.
    pub herald: Herald,
}

struct Core {
    shell: Shell,
    engine: Engine,
    sockets: Sockets,
    bfd: BfdSockets,
    epoll: Epoll,
    timer: TimerFd,
    armed: Option<Mono>,
    /// Says when the service manager wants to hear that this loop turns.
    watchdog: Option<TimerFd>,
    answers: BTreeMap<Ticket, ReplyTo>,
    next_ticket: u64,
    finished: bool,
    handed_over: bool,
    ready: bool,
    /// What a drain changes has been read.
    settings_known: bool,
    /// A thread looks ahead.
    foreseeing: Arc<AtomicBool>,
    /// By how many microseconds the wall clock is ahead of the agent's own, as the engine knows it.
    wall_ahead: u64,
}

/// Lets the next question in, however this one ends.
struct OpenAtEnd(Arc<AtomicBool>);

impl Drop for OpenAtEnd {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// How the agent's life ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    Stopped,
    /// Everything stays in place for the next start.
    HandedOver,
}

/// Runs the agent until it has said goodbye.
pub fn run(shell: Shell, boot: Boot, seed: u64, inbox: &Inbox) -> anyhow::Result<End> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).context("epoll")?;
    let timer = TimerFd::new(
        ClockId::CLOCK_MONOTONIC,
        TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK,
    )
    .context("timerfd")?;
    let readable = |token| EpollEvent::new(EpollFlags::EPOLLIN, token);
    epoll
        .add(inbox.wake.as_fd(), readable(TOKEN_NEWS))
        .context("epoll")?;
    epoll.add(timer.as_fd(), readable(TOKEN_TIMER)).context("epoll")?;
    epoll
        .add(shell.signals.as_fd(), readable(TOKEN_SIGNAL))
        .context("epoll")?;
    let sockets = Sockets::new().context("epoll")?;
    epoll
        .add(sockets.as_fd(), readable(TOKEN_ADVERTS))
        .context("epoll")?;
    let bfd = BfdSockets::new().context("epoll")?;
    epoll.add(bfd.as_fd(), readable(TOKEN_BFD)).context("epoll")?;
    let watchdog = service_manager::watchdog();
    if let Some(it) = &watchdog {
        epoll.add(it.as_fd(), readable(TOKEN_WATCHDOG)).context("epoll")?;
    }
    let engine = Engine::new(boot, seed, shell.clock.now());
    let mut core = Core {
        shell,
        engine,
        sockets,
        bfd,
        epoll,
        timer,
        armed: None,
        watchdog,
        answers: BTreeMap::new(),
        next_ticket: 0,
        finished: false,
        handed_over: false,
        ready: false,
        settings_known: false,
        foreseeing: Arc::default(),
        wall_ahead: 0,
    };
    core.carry_out();
    while !core.finished {
        core.turn(inbox)?;
    }
    let handed_over = core.handed_over;
    core.end();
    Ok(if handed_over {
        End::HandedOver
    } else {
        End::Stopped
    })
}

impl Core {
    fn turn(&mut self, inbox: &Inbox) -> anyhow::Result<()> {
        self.arm();
        let mut events = [EpollEvent::empty(); 64];
        let count = match self.epoll.wait(&mut events, EpollTimeout::NONE) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(e) => return Err(e).context("epoll_wait"),
        };
        let (mut heard, mut heard_bfd, mut asked_for_life) = (false, false, false);
        for event in &events[..count] {
            match event.data() {
                TOKEN_NEWS => {
                    let _ = inbox.wake.read();
                }
                TOKEN_TIMER => {
                    self.armed = None;
                    let _ = self.timer.wait();
                }
                TOKEN_SIGNAL => {}
                TOKEN_BFD => heard_bfd = true,
                TOKEN_WATCHDOG => {
                    let _ = self.watchdog.as_ref().map(TimerFd::wait);
                    asked_for_life = true;
                }
                _ => heard = true,
            }
        }
        self.tell_wall_clock();
        if heard {
            self.hear();
        }
        if heard_bfd {
            self.hear_bfd();
        }
        let mut taken = 0;
        while taken < MESSAGES_PER_TURN
            && let Ok(message) = inbox.messages.try_recv()
        {
            taken += 1;
            self.on_message(message);
        }
        if taken == MESSAGES_PER_TURN {
            let _ = inbox.wake.write(1);
        }
        self.signals();
        if let Some(at) = self.engine.next_deadline()
            && at <= self.shell.clock.now()
        {
            self.feed(Input::Tick);
        }
        // Last: it stands for everything above.
        if asked_for_life {
            service_manager::notify("WATCHDOG=1");
        }
        Ok(())
    }

    /// Tells the engine when the wall clock was set, or has drifted away from the other one.
    fn tell_wall_clock(&mut self) {
        let unix_us = clock::wall_us();
        let ahead = unix_us.wrapping_sub(self.shell.clock.now().0);
        let moved = ahead.wrapping_sub(self.wall_ahead).cast_signed();
        if moved.unsigned_abs() > WALL_CLOCK_SLACK_US {
            self.wall_ahead = ahead;
            self.feed(Input::WallClock(unix_us));
        }
    }

    fn hear(&mut self) {
        // More may wait than one turn takes: the descriptor then stays readable.
        for _ in 0..PACKETS_PER_TURN {
            match self.sockets.receive() {
                Ok(Some(datagram)) => self.feed(Input::Datagram(datagram)),
                Ok(None) => return,
                Err(e) => return tracing::error!("hearing adverts: {e}"),
            }
        }
    }

    fn hear_bfd(&mut self) {
        for _ in 0..PACKETS_PER_TURN {
            match self.bfd.receive() {
                Ok(Some(heard)) => self.feed(Input::Bfd(heard)),
                Ok(None) => return,
                Err(e) => return tracing::error!("hearing BFD packets: {e}"),
            }
        }
    }

    fn on_message(&mut self, message: Message) {
        match message {
            Message::Input(input) => {
                // The module may be loaded by the first question for the table, or by hand much later.
                if !self.settings_known && matches!(&input, Input::Ipvs(IpvsNews::Table(_))) {
                    let found = sysctl::of_drains();
                    self.settings_known = !found.is_empty();
                    self.feed(Input::IpvsSettings(found));
                }
                self.feed(input);
            }
            Message::Act {
                actor,
                role,
                act,
                expect,
                reply,
            } => {
                let ticket = self.ticket(reply);
                self.feed(Input::Command(
                    ticket,
                    Command {
                        actor,
                        wall_ms: clock::wall_ms(),
                        role,
                        act,
                        expect,
                    },
                ));
            }
            Message::Counters { reply } => {
                let ticket = self.ticket(reply);
                self.feed(Input::Sample(ticket));
            }
            Message::ServerCounters { after, reply } => {
                reply(self.engine.counters_of_servers(after.as_ref()));
            }
            Message::Runs { servers, reply } => reply(self.engine.check_runs(&servers)),
            Message::Test { asked, reply } => {
                let ticket = self.ticket(reply);
                self.feed(Input::Test(ticket, asked));
            }
            Message::Foresee { asked, reply } => self.foresee(asked, reply),
            Message::Reload(ask) => self.reload(ask),
            Message::Config { settings, reply } => {
                let (file, revision, texts) = self.engine.in_force();
                let asked = ShowAsk {
                    file: file.to_owned(),
                    revision,
                    texts,
                    model: settings.then(|| Box::new(self.engine.model().clone())),
                    reply,
                };
                (self.shell.reload)(Wish::Show(asked));
            }
            Message::Confirm { actor, reply } => {
                let ticket = self.ticket(reply);
                self.feed(Input::Confirm(ticket, actor));
            }
            Message::Refused {
                reply,
                findings,
                dry_run,
            } => {
                if let Some((to, reply)) = reply {
                    to(reply);
                }
                if !dry_run {
                    self.feed(Input::ReloadRefused(findings));
                }
            }
            Message::Loaded { mut new, asked } => {
                new.asked = asked.map(|(reply, actor)| (self.ticket(reply), actor));
                self.feed(Input::Model(new));
            }
        }
    }

    /// Hands a copy of the engine to a thread of its own: a long look ahead must not keep an advert.
    fn foresee(&self, asked: WhatIf, reply: ReplyTo) {
        if self.foreseeing.swap(true, Ordering::Acquire) {
            return reply(Reply::Refused(Refusal::new(
                RefusalCode::Busy,
                "another such question is being answered",
                "ask again in a moment",
            )));
        }
        let (engine, now) = (self.engine.clone(), self.shell.clock.now());
        let wall_ms = clock::wall_ms();
        let busy = Arc::clone(&self.foreseeing);
        let answer = move || {
            // A panic in there must not leave the door shut.
            let _open = OpenAtEnd(busy);
            reply(match foresee(engine, now, wall_ms, &asked) {
                Ok(foreseen) => Reply::Foreseen(Box::new(foreseen)),
                Err(refusal) => Reply::Refused(refusal),
            });
        };
        let thread = std::thread::Builder::new().name("foresee".into());
        if let Err(error) = thread.spawn(answer) {
            self.foreseeing.store(false, Ordering::Release);
            tracing::error!("no thread to look ahead: {error}");
        }
    }

    fn reload(&self, mut ask: ReloadAsk) {
        ask.held = self.engine.virtual_addresses();
        ask.services = self.engine.services().clone();
        (self.shell.reload)(Wish::Reload(ask));
    }

    fn ticket(&mut self, reply: ReplyTo) -> Ticket {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        self.answers.insert(ticket, reply);
        ticket
    }

    fn signals(&mut self) {
        while let Ok(Some(info)) = self.shell.signals.read_signal() {
            let number = info.ssi_signo as i32;
            match Signal::try_from(number) {
                Ok(Signal::SIGHUP) => {
                    service_manager::notify("RELOADING=1");
                    tracing::info!("Reloading ...");
                    self.reload(ReloadAsk {
                        dry_run: false,
                        force: true,
                        confirm: None,
                        held: BTreeSet::new(),
                        services: BTreeMap::new(),
                        asked: None,
                    });
                }
                Ok(Signal::SIGTERM | Signal::SIGINT) => {
                    service_manager::notify("STOPPING=1");
                    self.feed(Input::Stop(self.shell.stop_mode));
                }
                Ok(Signal::SIGUSR1) => self.dump(DumpKind::Data, false),
                Ok(Signal::SIGUSR2) => self.dump(DumpKind::Stats, false),
                Ok(Signal::SIGQUIT) => {
                    // For a restart or an upgrade: leave everything in place for the next one to adopt.
                    service_manager::notify("STOPPING=1");
                    self.handed_over = true;
                    self.feed(Input::Stop(StopMode {
                        hand_over: true,
                        ..self.shell.stop_mode
                    }));
                }
                Err(_) if number == sys::signal_json() => self.dump(DumpKind::Json, false),
                Err(_) if number == sys::signal_stats_clear() => self.dump(DumpKind::Stats, true),
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// What keepalived writes to a file, for programs that read it.
    fn dump(&mut self, kind: DumpKind, clear: bool) {
        let wall_ms = clock::wall_ms();
        self.feed(Input::Dump(DumpAsk { kind, clear, wall_ms }));
    }

    fn feed(&mut self, input: Input) {
        if self.finished {
            return;
        }
        self.engine.handle(self.shell.clock.now(), input);
        self.carry_out();
    }

    fn carry_out(&mut self) {
        let mut failed = Vec::new();
        while let Some(action) = self.engine.poll_action() {
            match action {
                Action::Send(instance, advert) => {
                    if let Some(number) = advert.number {
                        self.shell.stamps.signed(number);
                    }
                    match self.sockets.send(&advert) {
                        Ok(()) => self.shell.stamps.sent(&instance.0),
                        Err(e) => {
                            tracing::debug!("advert of {instance} not sent: {e}");
                            failed.push(Input::SendFailed(instance));
                        }
                    }
                }
                Action::Listen(ears) => {
                    for (endpoint, e) in self.sockets.set(&ears) {
                        tracing::warn!("cannot hear adverts on {endpoint:?}: {e}");
                    }
                }
                Action::Net(id, ops) => self.shell.net.submit(id, ops),
                Action::Ipvs(id, ops) => self.shell.ipvs.submit(id, ops),
                Action::WatchRouting(on) => self.shell.monitor.watch_routing(on),
                Action::WatchFirewall(on) => self.shell.nft_watch.set(on),
                Action::ReadSysctls(paths) => {
                    let read = |path: String| sysctl::read(&path).ok().map(|value| (path, value));
                    failed.push(Input::Sysctls(paths.into_iter().filter_map(read).collect()));
                }
                Action::DumpIpvs => self.shell.ipvs.dump(),
                Action::Check(id, job) => self.shell.dialler.begin(id, *job),
                Action::CancelCheck(id) => self.shell.dialler.cancel(id),
                Action::Run(id, job) => self.shell.runner.run(id, job),
                Action::Persist(id, overrides) => self.shell.store.persist(id, overrides),
                Action::KeepFormer(id, former) => self.shell.store.former(id, former),
                Action::ScriptRules(rules) => self.shell.runner.set_rules(rules),
                Action::Ledger(ledger) => {
                    let slots = self.shell.stamps.slots_for(ledger.masters.keys());
                    self.shell.store.ledger(ledger, slots);
                }
                Action::Processes(wanted) => {
                    if let Err(e) = self.shell.processes.set(wanted) {
                        tracing::error!("cannot count processes: {e}");
                    }
                }
                Action::BfdPaths(paths) => self.bfd.set(paths),
                Action::BfdSend(session, packet) => {
                    if let Err(e) = self.bfd.send(&session, &packet) {
                        failed.push(Input::BfdSendFailed(session, e.to_string()));
                    }
                }
                Action::Numbers(wanted) => {
                    if let Err(e) = self.shell.numbers.set(wanted) {
                        failed.push(Input::NotTold(format!(
                            "files of track_file are not watched, their numbers stay as they are: {e}; reload to try again"
                        )));
                    }
                }
                Action::Fifos(fifos) => {
                    let troubles = self.shell.fifos.set(&fifos);
                    failed.extend(troubles.into_iter().map(Input::NotTold));
                }
                Action::Fifo(kind, line) => {
                    failed.extend(self.shell.fifos.write(kind, &line).map(Input::NotTold));
                }
                Action::Mail(route, mail) => self.shell.mailer.send(*route, mail),
                Action::Dump(path, text) => self.shell.dumps.write(path, text),
                Action::Emit(event) => self.emit(event),
                Action::Answer(ticket, reply) => {
                    if let Some(to) = self.answers.remove(&ticket) {
                        to(reply);
                    }
                }
                Action::Finished => self.finished = true,
            }
        }
        for input in failed {
            self.feed(input);
        }
    }

    fn emit(&mut self, event: Event) {
        event_log::log(&event);
        if event.what == What::Started && !self.ready {
            self.ready = true;
            self.shell.herald.started();
            service_manager::notify("READY=1");
        }
        if event.what == What::Applied {
            let (file, _, texts) = self.engine.in_force();
            self.shell.store.in_force(file, texts);
        }
        if matches!(event.what, What::Applied | What::ReloadRefused) {
            service_manager::notify("READY=1");
        }
        (self.shell.tell)(event);
    }

    /// Sets the timer to the engine's next deadline.
    fn arm(&mut self) {
        let next = self.engine.next_deadline();
        if next == self.armed {
            return;
        }
        self.armed = next;
        let result = match next {
            None => self.timer.unset(),
            Some(at) => {
                let wait = self.shell.clock.until(at).max(Duration::from_micros(1));
                self.timer.set(
                    Expiration::OneShot(TimeSpec::from(wait)),
                    TimerSetTimeFlags::empty(),
                )
            }
        };
        if let Err(e) = result {
            tracing::error!("timerfd: {e}");
        }
    }

    fn end(self) {
        let Shell {
            tell,
            store,
            run_dir,
            pid_file,
            ..
        } = self.shell;
        drop(tell);
        store.finish();
        if self.engine.left_in_order() {
            store::clear_ledger(&run_dir);
        }
        if self.handed_over
            && let Err(e) = store::hand_over(&run_dir)
        {
            tracing::error!("the clean-up does not learn that another agent follows: {e}");
        }
        if let Some(path) = pid_file {
            let _ = std::fs::remove_file(path);
        }
        tracing::info!("Stopped");
    }
}
