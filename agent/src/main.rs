//! The agent's program: arguments, the order in which things start, and the exit codes.

mod cli;
mod page;

use anyhow::{Context as _, bail};
use clap::Parser as _;
use cli::{Cli, Command, Run};
use lb_shared::diagnostic::{Diagnostic, Severity};
use lb_shared::paths;
use lbagent::config::{Loaded, Texts};
use lbagent::control;
use lbagent::engine::{Boot, FormerNote, Input, NewModel, Previous, StopMode};
use lbagent::io::background::Herald;
use lbagent::io::clock::{self, Clock};
use lbagent::io::core::{self, Shell};
use lbagent::io::dial::Dialler;
use lbagent::io::doctor;
use lbagent::io::dump::Dumps;
use lbagent::io::fifo::Fifos;
use lbagent::io::lane::{IpvsLane, NetLane};
use lbagent::io::loader::{self, Judging, Loader};
use lbagent::io::lock::Lock;
use lbagent::io::mail::Mailer;
use lbagent::io::nft_socket::{NftWatch, OwnPort};
use lbagent::io::numbers::{self, Numbers};
use lbagent::io::post::{Message, Post, ReloadAsk};
use lbagent::io::processes::Processes;
use lbagent::io::rtnl_socket::Monitor;
use lbagent::io::runner::{Runner, runner_fd_argument, runner_main};
use lbagent::io::stamps::{self, Stamps};
use lbagent::io::store::{self, Store, Written};
use lbagent::io::{
    background, cleanup, event_log, events, former, in_force, lock, log, once, privileges, scheduling,
    service_manager, sys, sysctl, take_over,
};
use lbagent::model::Model;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// keepalived's exit codes.
const EXIT_FATAL: u8 = 1;
const EXIT_CONFIG: u8 = 2;
/// Of `lbagent reference`, for lbctl.
const EXIT_NOT_FOUND: u8 = 3;
const EXIT_PERMISSION: u8 = 4;
const EXIT_NO_CONFIG: u8 = 6;

/// An error with the exit code it leads to.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
struct Exit {
    code: u8,
    text: String,
}

fn exit(code: u8, text: impl Into<String>) -> anyhow::Error {
    Exit {
        code,
        text: text.into(),
    }
    .into()
}

fn main() -> ExitCode {
    if let Some(fd) = runner_fd_argument(std::env::args_os()) {
        runner_main(fd);
    }
    sys::share_heaps();
    let cli = Cli::parse();
    match start(&cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{}: {error:#}", paths::AGENT);
            ExitCode::from(code_of(&error))
        }
    }
}

fn code_of(error: &anyhow::Error) -> u8 {
    error.downcast_ref::<Exit>().map_or(EXIT_FATAL, |exit| exit.code)
}

fn start(cli: &Cli) -> anyhow::Result<ExitCode> {
    match &cli.command {
        Some(Command::Cleanup) => {
            cleanup::run(&cli.run.run_dir)?;
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::TakeOver { dry_run }) => {
            take_over(&cli.run, *dry_run)?;
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::CheckConfig {
            file,
            peer,
            strict,
            output,
        }) => {
            let file = file.clone().unwrap_or_else(|| cli.run.config());
            let how = Judging {
                config_id: cli.run.config_id.clone(),
                peer: peer.as_deref(),
                strict: *strict,
                json: output == "json",
            };
            Ok(loader::check(&file, how))
        }
        Some(Command::Doctor {
            file,
            real_server,
            strict,
            output,
        }) => {
            let file = file.clone().unwrap_or_else(|| cli.run.config());
            let asked = doctor::Asked {
                config_id: cli.run.config_id.clone(),
                real_server: *real_server,
                strict: *strict,
                json: output == "json",
            };
            Ok(doctor::run(&file, asked))
        }
        Some(Command::Man) => {
            std::io::stdout().write_all(&page::page())?;
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Reference { page }) => {
            match loader::reference(page) {
                Ok(text) => loader::tell(text.trim_end()),
                Err(why) => return Err(exit(EXIT_NOT_FOUND, why)),
            }
            Ok(ExitCode::SUCCESS)
        }
        None if let Some(word) = &cli.run.signum => {
            loader::tell(&signal_number(word)?.to_string());
            Ok(ExitCode::SUCCESS)
        }
        None if cli.run.config_test.is_some() => Ok(loader::config_test(
            &cli.run.config(),
            cli.run.config_id.clone(),
            cli.run.config_test.as_deref(),
        )),
        None => {
            agent(&cli.run)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn take_over(run: &Run, dry_run: bool) -> anyhow::Result<()> {
    if !nix::unistd::geteuid().is_root() {
        return Err(exit(
            EXIT_PERMISSION,
            "must be started as root: it ends keepalived",
        ));
    }
    prepare_folder(&run.run_dir, 0o755)?;
    let config = run.config();
    let Loaded { model, findings, .. } = loader::load(&config, run.config_id.clone(), None, None);
    let Some(model) = model else {
        return Err(exit(EXIT_CONFIG, unusable(&findings, &config)));
    };
    take_over::run(&run.run_dir, &model, dry_run)
}

fn agent(run: &Run) -> anyhow::Result<()> {
    if !nix::unistd::geteuid().is_root() {
        return Err(exit(
            EXIT_PERMISSION,
            "must be started as root: it sets addresses (CAP_NET_ADMIN) and sends VRRP (CAP_NET_RAW)\n  \
             to look at a running agent use lbctl; to check a file use lbagent -t -f FILE",
        ));
    }
    if let Some(text) = privileges::missing() {
        return Err(exit(EXIT_PERMISSION, text));
    }
    privileges::take_all_descriptors();
    prepare_folder(&run.run_dir, 0o755)?;
    prepare_folder(&run.state_dir, 0o700)?;
    let config = fs::canonicalize(run.config()).map_err(|e| {
        exit(
            EXIT_NO_CONFIG,
            format!(
                "configuration file {}: {e}\n  name one with -f FILE; looked for {} and {}",
                run.config().display(),
                paths::CONFIG,
                paths::CONFIG_KEEPALIVED
            ),
        )
    })?;
    if let (Some(it), false) = (lock::running_keepalived(), run.beside_keepalived) {
        let (pid, place) = if it.surely_here {
            (it.pid, "in this network namespace")
        } else {
            (it.pid, "perhaps in this network namespace: we may not look")
        };
        bail!(
            "a keepalived (pid {pid}) runs {place}; nothing was touched\n  \
             stop it first: systemctl disable --now keepalived; \
             or, if it runs elsewhere: lbagent --beside-keepalived"
        );
    }
    let lock = lock::take(&run.run_dir)?;
    store::take_hand_over(&run.run_dir);
    let loader = Loader::new(config, run.config_id.clone(), run.vrrp_only, run.checks_only);
    let (previous, stamps) = store::load_ledger(&run.run_dir);
    let left = previous
        .iter()
        .flat_map(|it| it.ledger.masters.values())
        .flat_map(|it| &it.addresses);
    let held = left.map(|(_, address, _)| *address).collect();
    let mut loaded = loader.load(&held);
    let written = || loaded.model.as_ref().and_then(|it| it.host.net_namespace.clone());
    if let Some(name) = run.namespace.clone().or_else(written) {
        scheduling::enter_namespace(&name).map_err(|e| {
            let text = format!(
                "net_namespace {name}: {e}; nothing was touched\n  make it first: ip netns add {name}; under systemd: NetworkNamespacePath=/run/netns/{name}"
            );
            exit(EXIT_CONFIG, text)
        })?;
        // Its interfaces and addresses are others.
        loaded = loader.load(&held);
    }
    let Loaded {
        model,
        findings,
        sources,
    } = loaded;
    let texts = Arc::new(Texts::of(sources));
    let mut troubles = Vec::new();
    let kept = former::load(&run.state_dir).unwrap_or_else(|trouble| {
        troubles.push(trouble);
        None
    });
    let former = kept.and_then(|kept| former_of(&loader, kept, &held, &mut troubles));
    let instead = former.as_ref().map(|(new, _)| new.model.clone());
    if let (None, Some(_)) = (&model, &instead) {
        let text = unusable(&findings, loader.file());
        troubles.push(format!(
            "{text}\nthe configuration before the unconfirmed one is used"
        ));
    }
    let before = match (&previous, &former) {
        (Some(_), None) if has_errors(&findings) => in_force_before(&loader, &run.run_dir, &held),
        _ => None,
    };
    let mut refused = Vec::new();
    let (model, findings, texts) = match before {
        Some((before, warnings, its_texts)) => {
            refused = findings;
            (before, warnings, its_texts)
        }
        None => match model.or(instead) {
            Some(model) => (model, findings, texts),
            None => return Err(exit(EXIT_CONFIG, unusable(&findings, loader.file()))),
        },
    };
    let ready = Ready {
        lock,
        loader,
        previous,
        stamps,
        model,
        findings,
        texts,
        refused,
        former,
        troubles,
    };
    if run.foreground {
        return serve(run, ready, Herald::default());
    }
    let herald = background::detach().context("cannot go to the background")?;
    serve(run, ready, herald.clone()).inspect_err(|error| {
        if !herald.failed(code_of(error), &format!("{error:#}")) {
            tracing::error!("{error:#}");
        }
    })
}

fn has_errors(findings: &[Diagnostic]) -> bool {
    findings.iter().any(|it| it.severity == Severity::Error)
}

/// What an earlier run that did not stop in order had in force, if it read the same file.
fn in_force_before(
    loader: &Loader,
    run_dir: &Path,
    held: &BTreeSet<IpAddr>,
) -> Option<(Model, Vec<Diagnostic>, Arc<Texts>)> {
    let before = in_force::load(run_dir).filter(|it| Path::new(&it.file) == loader.file())?;
    let loaded = loader.load_kept(&before.file, &before.texts, held);
    Some((
        loaded.model?,
        loaded.findings,
        Arc::new(Texts::of(loaded.sources)),
    ))
}

/// The configuration that an earlier run kept to go back to.
fn former_of(
    loader: &Loader,
    kept: former::Kept,
    held: &BTreeSet<IpAddr>,
    troubles: &mut Vec<String>,
) -> Option<(NewModel, FormerNote)> {
    let Loaded {
        model,
        findings,
        sources,
    } = loader.load_kept(&kept.file, &kept.texts, held);
    let Some(model) = model else {
        let text = "the configuration to go back to cannot be read any more; the file is used as it is";
        troubles.push(text.to_owned());
        return None;
    };
    let new = NewModel {
        numbers: numbers::of(&model, true),
        since_boot: Duration::from_micros(clock::boot_us()),
        model,
        file: kept.file,
        findings,
        asked: None,
        dry_run: false,
        force: true,
        wall_ms: clock::wall_ms(),
        texts: Arc::new(Texts::of(sources)),
        confirm: None,
    };
    Some((new, kept.note))
}

/// What is found out before anything begins.
struct Ready {
    lock: Lock,
    loader: Loader,
    previous: Option<Previous>,
    stamps: Stamps,
    model: Model,
    findings: Vec<Diagnostic>,
    texts: Arc<Texts>,
    /// What is wrong with the file on disk, when what was in force before goes on in its place.
    refused: Vec<Diagnostic>,
    former: Option<(NewModel, FormerNote)>,
    /// To be told once there is a log.
    troubles: Vec<String>,
}

/// The agent's life.
fn serve(run: &Run, ready: Ready, herald: Herald) -> anyhow::Result<()> {
    let Ready {
        mut lock,
        loader,
        previous,
        stamps,
        model,
        findings,
        texts,
        refused,
        former,
        troubles,
    } = ready;
    lock.sign();
    let signals = catch_signals()?;
    log::start(log_target(run), run.log_detail)?;
    for trouble in troubles {
        tracing::error!("{trouble}");
    }
    if let Some(path) = &run.pid_file {
        fs::write(path, format!("{}\n", std::process::id())).with_context(|| path.display().to_string())?;
    }
    let ignored = run.ignored.given();
    if !ignored.is_empty() {
        tracing::info!("flags without effect here: {}", ignored.join(" "));
    }

    let (host, scripts) = (model.host.clone(), model.global.scripts);
    if let Some(it) = &host.startup {
        once::run("startup_script", it, scripts);
    }
    let (post, inbox) = Post::new()?;
    let results = post.clone();
    let runner = Runner::start(model.runs_scripts(), move |id, outcome| {
        results.input(Input::Ran(id, outcome));
    })?;
    runner.set_rules(scripts);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("worker")
        .enable_all()
        .build()
        .context("cannot start the worker threads")?;
    let clock = Clock::start();
    let results = post.clone();
    let dialler = Dialler::start(runtime.handle().clone(), move |id, outcome| {
        results.input(Input::Checked(id, outcome))
    });
    let results = post.clone();
    let mailer = Mailer::start(runtime.handle().clone(), move |why| {
        results.input(Input::NotTold(why));
    });
    let results = post.clone();
    let processes = Processes::new(move |name, count| results.input(Input::Processes(name, count)))
        .context("cannot make an eventfd")?;
    let results = post.clone();
    let numbers = Numbers::new(move |name, number| results.input(Input::Number(name, number)))
        .context("cannot make an eventfd")?;
    let results = post.clone();
    let dumps = Dumps::start(move |why| results.input(Input::NotTold(why)));
    let results = post.clone();
    let nft_port = OwnPort::default();
    let net = NetLane::start(nft_port.clone(), move |news| results.input(Input::Net(news)));
    let results = post.clone();
    let nft_watch = NftWatch::new(nft_port, move |news| results.input(Input::Net(news)));
    let results = post.clone();
    let ipvs = IpvsLane::start(move |news| results.input(Input::Ipvs(news)));
    let results = post.clone();
    let store = Store::start(
        run.state_dir.clone(),
        run.run_dir.clone(),
        move |what, id, result| {
            results.input(match what {
                Written::Intent => Input::Persisted(id, result),
                Written::Former => Input::FormerKept(id, result),
            });
        },
    )?;
    let asks = post.clone();
    let mut control = control::start(
        &control::Setup {
            socket: run.socket(),
            read_only: None,
            epoch: clock.epoch(),
            peer_groups: sys::peer_groups,
            give_memory_back: sys::give_memory_back,
            metrics: control::MetricsSetup {
                port: run.metrics,
                servers: run.metrics_servers,
                compat: run.metrics_compat.is_some(),
            },
            keeper: Some(control::Keeper::new(events::load(&run.state_dir), store.events())),
            log: control::LogSetup {
                current: log::level,
                set: log::set_level,
                choose: event_log::choose,
            },
        },
        control::ToEngine::new(move |ask| asks.send(message(ask))),
        runtime.handle(),
    )?;
    let last_events = control.last_events();
    let boot = Boot {
        signed: stamps::last_signed(&run.run_dir),
        model: NewModel {
            numbers: numbers::of(&model, true),
            since_boot: Duration::from_micros(clock::boot_us()),
            model,
            file: loader.file().display().to_string(),
            findings,
            asked: None,
            dry_run: false,
            force: true,
            wall_ms: clock::wall_ms(),
            texts,
            confirm: None,
        },
        former,
        refused,
        intent: store::load_intent(&run.state_dir),
        previous,
        wall_ms: clock::wall_ms(),
        host: nix::unistd::gethostname()
            .map_or_else(|_| "?".into(), |name| name.to_string_lossy().into_owned()),
        pid: std::process::id(),
        ipvs_sysctls: sysctl::of_drains(),
    };
    let results = post.clone();
    let monitor = Monitor::start(move |news| results.input(Input::Net(news)))?;
    let reload = loader.start(post)?;
    let shell = Shell {
        clock,
        net,
        monitor,
        nft_watch,
        ipvs,
        dialler,
        runner,
        mailer,
        fifos: Fifos::default(),
        processes,
        numbers,
        dumps,
        store,
        stamps,
        tell: Box::new(move |event| control.emit(event)),
        signals,
        reload: Box::new(move |wish| reload.ask(wish)),
        run_dir: run.run_dir.clone(),
        stop_mode: StopMode {
            keep_addresses: run.keep_addresses,
            keep_ipvs: run.keep_ipvs,
            hand_over: false,
        },
        pid_file: run.pid_file.clone(),
        herald,
    };
    let seed = clock::boot_us() ^ u64::from(std::process::id()) << 32;
    for trouble in scheduling::apply(&host) {
        tracing::error!("{trouble}");
    }
    let result = core::run(shell, boot, seed, &inbox);
    service_manager::notify("STOPPING=1");
    if let Some(last) = last_events {
        events::save(&run.state_dir, &last.take());
    }
    runtime.shutdown_background();
    if let Some(it) = host.shutdown.filter(|_| matches!(result, Ok(core::End::Stopped))) {
        once::run("shutdown_script", &it, scripts);
    }
    result.map(drop)
}

/// A question of a client, as the core takes it.
fn message(ask: control::Ask) -> Message {
    match ask {
        control::Ask::Act {
            actor,
            role,
            act,
            expect,
            reply,
        } => Message::Act {
            role,
            actor,
            act,
            expect,
            reply: back(reply),
        },
        control::Ask::Config { settings, reply } => Message::Config {
            settings,
            reply: back(reply),
        },
        control::Ask::Confirm { actor, reply } => Message::Confirm {
            actor,
            reply: back(reply),
        },
        control::Ask::Counters { reply } => Message::Counters { reply: back(reply) },
        control::Ask::ServerCounters { after, reply } => Message::ServerCounters {
            after,
            reply: back(reply),
        },
        control::Ask::Runs { servers, reply } => Message::Runs {
            servers,
            reply: back(reply),
        },
        control::Ask::Test { asked, reply } => Message::Test {
            asked,
            reply: back(reply),
        },
        control::Ask::Foresee { asked, reply } => Message::Foresee {
            asked,
            reply: back(reply),
        },
        control::Ask::Reload {
            actor,
            dry_run,
            force,
            confirm,
            reply,
        } => Message::Reload(ReloadAsk {
            dry_run,
            force,
            confirm,
            held: BTreeSet::new(),
            services: BTreeMap::new(),
            asked: Some((back(reply), actor)),
        }),
    }
}

/// Takes the answer to whoever asked, unless it is gone by then.
fn back<T: Send + 'static>(reply: oneshot::Sender<T>) -> Box<dyn FnOnce(T) + Send> {
    Box::new(move |answer| drop(reply.send(answer)))
}

fn prepare_folder(path: &Path, mode: u32) -> anyhow::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .with_context(|| format!("cannot make the folder {}", path.display()))?;
    let found = fs::symlink_metadata(path)?;
    if !found.is_dir() || found.permissions().mode() & 0o022 != 0 {
        bail!(
            "{} is not a folder that only its owner may write to\n  chmod go-w {}",
            path.display(),
            path.display()
        );
    }
    Ok(())
}

fn log_target(run: &Run) -> log::Target {
    match &run.log_file {
        Some(path) => log::Target::File(path.clone()),
        None if run.log_console || run.no_syslog => log::Target::console(),
        None => log::Target::Syslog(run.log_facility),
    }
}

fn unusable(findings: &[Diagnostic], file: &Path) -> String {
    let errors: Vec<String> = findings
        .iter()
        .filter(|it| it.severity == Severity::Error)
        .map(Diagnostic::drawn)
        .collect();
    format!("{} cannot be run:\n{}", file.display(), errors.join("\n"))
}

/// The number of a signal by keepalived's word for it.
fn signal_number(word: &str) -> anyhow::Result<i32> {
    Ok(match word {
        "RELOAD" => Signal::SIGHUP as i32,
        "STOP" => Signal::SIGTERM as i32,
        "DATA" => Signal::SIGUSR1 as i32,
        "STATS" => Signal::SIGUSR2 as i32,
        "STATS_CLEAR" => sys::signal_stats_clear(),
        "JSON" => sys::signal_json(),
        other => bail!("no signal '{other}': RELOAD, STOP, DATA, STATS, STATS_CLEAR or JSON"),
    })
}

/// Signals arrive on a descriptor, in their turn. Blocked before the first thread, so that no thread takes one.
fn catch_signals() -> anyhow::Result<SignalFd> {
    let mut set = SigSet::empty();
    for signal in [
        Signal::SIGHUP,
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGQUIT,
    ] {
        set.add(signal);
    }
    let set = sys::with_dump_signals(&set).context("signals")?;
    set.thread_block().context("cannot block signals")?;
    SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC).context("signalfd")
}
