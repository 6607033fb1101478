//! `lbtui`: a live view of a load-balancer agent that says why.
//!
//! [`app`] holds all that is known and is changed by messages only; [`view`] draws it. The threads of [`link`], the
//! keyboard and the signals send the messages; this file passes them on and does what comes out.

mod act;
mod app;
mod args;
mod board;
mod cause;
mod columns;
mod command;
mod compare;
mod data;
mod dialog;
mod fleet;
mod input;
mod keys;
mod link;
mod list;
mod log;
mod mouse;
mod msg;
mod news;
mod once;
mod order;
mod page;
mod past;
mod prompt;
mod ranking;
mod reel;
mod runs;
mod scope;
mod serve;
mod settings;
mod story;
mod strip;
mod succession;
mod survey;
mod tape;
mod term;
#[cfg(test)]
mod tests;
mod theme;
mod trial;
mod view;
mod window;

use anyhow::{Context as _, Result, bail};
use app::{App, Cmd, Msg, News};
use args::{Args, accent_of};
use board::Board;
use clap::Parser;
use data::Data;
use keys::Screen;
use lb_shared::config::Config;
use lb_shared::host::Host;
use lb_shared::site::Site;
use lb_shared::zone::Zone;
use log::LogFile;
use nix::sys::signal::Signal;
use once::Format;
use serve::{Letter, play, read_keys, serve};
use settings::Settings;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};
use tape::{Play, Player, Recorder};
use theme::Theme;

/// How long `--once` waits for the agent.
const ONCE_WITHIN: Duration = Duration::from_secs(5);

/// A variable of the environment that is set and not empty.
fn var(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn utf8() -> bool {
    let locale = var("LC_ALL").or_else(|| var("LC_CTYPE")).or_else(|| var("LANG"));
    let named = locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    });
    named && var("TERM").as_deref() != Some("linux")
}

fn main() -> ExitCode {
    let args = Args::parse();
    if args.man {
        // Who closes the pipe has read enough.
        let _ = std::io::stdout().write_all(&page::page());
        return ExitCode::SUCCESS;
    }
    match run(args) {
        Ok(code) => code,
        Err(error) => {
            term::restore();
            eprintln!("lbtui: {error:#}");
            ExitCode::from(1)
        }
    }
}

/// The hosts to look at: named, of a cluster, or the agent of this machine.
fn site(args: &Args) -> Result<Site> {
    let named = args
        .socket
        .clone()
        .or_else(|| var("LBCTL_SOCKET").map(PathBuf::from));
    let (config, warnings) = Config::find();
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
    let chosen = Site::choose(
        args.host.clone(),
        args.cluster.as_deref(),
        named.as_deref(),
        config,
    );
    chosen.map_err(told)
}

fn told(refusal: lb_shared::request::Refusal) -> anyhow::Error {
    match refusal.hint.as_str() {
        "" => anyhow::anyhow!("{}", refusal.message),
        hint => anyhow::anyhow!("{}; {hint}", refusal.message),
    }
}

/// The dashboard of one host.
fn seat(args: &Args, settings: &Settings, theme: Theme, site: &Site, host: &Host) -> Result<App> {
    let mut app = App::new(
        theme,
        args.ascii || settings.ascii.unwrap_or(!utf8()),
        args.read_only || site.read_only(host),
        match host {
            Host::Unix(path) => path.display().to_string(),
            Host::Ssh { .. } => host.to_string(),
        },
        args.size,
    );
    app.label = host.label();
    let accent = match (args.accent, site.accent(host)) {
        (Some(colour), _) => Some(colour),
        (None, Some(name)) => {
            Some(accent_of(name).map_err(|why| anyhow::anyhow!("accent of {host}: {why}"))?)
        }
        (None, None) => None,
    };
    app.accent = accent.filter(|_| theme != Theme::Mono);
    app.mouse.on = (args.mouse || settings.mouse) && !args.once;
    app.columns = settings.columns.clone();
    app.order = settings.order;
    app.keymap = Rc::new(settings.keymap.clone());
    app.all_rows = args.once;
    app.local = settings.local;
    app.zone = Rc::new(Zone::local());
    app.screen = args.screen.or(settings.screen).unwrap_or_default();
    if args.screen.is_none() && app.screen == Screen::Hosts && site.hosts.len() < 2 {
        app.screen = Screen::default();
    }
    if app.screen == Screen::Hosts && site.hosts.len() < 2 {
        bail!("--screen hosts: there is one host; --host or --cluster names several");
    }
    if let Some(filter) = &args.filter {
        let narrowed = &mut app.filters[app.screen as usize];
        narrowed.set(app.screen, filter);
        if let Some(error) = &narrowed.error {
            bail!("--filter: {error}");
        }
    }
    Ok(app)
}

fn run(args: Args) -> Result<ExitCode> {
    let player = match &args.replay {
        Some(path) => Some(Player::load(path).map_err(|why| anyhow::anyhow!("{why}"))?),
        None => None,
    };
    let site = match &player {
        Some(player) => recorded(player),
        None => site(&args)?,
    };
    let (settings, warnings) = Settings::find().map_err(|why| anyhow::anyhow!("{why}"))?;
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
    let colourless = var("NO_COLOR").is_some() || var("TERM").as_deref() == Some("dumb");
    let theme = match args.theme {
        Some(theme) => theme,
        None if colourless => Theme::Mono,
        None => settings.theme.unwrap_or_default(),
    };
    let seats: Vec<App> = site
        .hosts
        .iter()
        .map(|host| seat(&args, &settings, theme, &site, host))
        .collect::<Result<_>>()?;
    let mut board = Board::new(seats, site.cluster.clone());
    match (args.once, player) {
        (true, None) => once(board, &site.hosts, args.format),
        (true, Some(mut player)) => {
            player.key(&mut board, Play::End);
            drop(board::settle(&mut board));
            print!("{}", once::picture(board.front(), args.format));
            Ok(ExitCode::SUCCESS)
        }
        (false, player) => screen(args, &settings, board, &site, player),
    }
}

/// The hosts of a recording, by the names they had; there is no way to them.
fn recorded(player: &Player) -> Site {
    let host = |name: &String| Host::Unix(PathBuf::from(name));
    let mut site = Site::default();
    site.hosts = player.hosts.iter().map(host).collect();
    site.cluster = player.cluster.clone();
    site
}

/// The dashboard on a terminal, until it is quit.
fn screen(
    args: Args,
    settings: &Settings,
    mut board: Board,
    site: &Site,
    player: Option<Player>,
) -> Result<ExitCode> {
    let mut recorder = match &args.record {
        Some(path) => {
            let hosts = board.seats().iter().map(|seat| seat.socket.clone()).collect();
            let made = Recorder::create(path, hosts, site.cluster.clone());
            Some(made.with_context(|| format!("--record {}", path.display()))?)
        }
        None => None,
    };
    // Under NO_COLOR the library would send empty colour changes, and those also end bold and reverse; the theme
    // decides alone which colours there are.
    crossterm::style::force_color_output(true);
    // Before the first thread, so that every thread leaves these signals to the one that waits for them.
    let handled = term::handled();
    handled.thread_block().context("signals cannot be blocked")?;
    term::restore_on_panic();
    let mut screen = term::take()?;
    let size = screen.size().context("the terminal has no size")?;
    let (out, messages) = channel();
    let to = out.clone();
    thread::spawn(move || {
        while let Ok(signal) = handled.wait() {
            let msg = match signal {
                Signal::SIGTSTP => Msg::Suspend,
                _ => Msg::Terminate,
            };
            if to.send((None, msg)).is_err() {
                return;
            }
        }
    });
    let to = out.clone();
    thread::spawn(move || read_keys(&to));
    let every = settings.refresh.unwrap_or(link::SAMPLE_EVERY);
    let links = match &player {
        Some(_) => Vec::new(),
        None => links(&site.hosts, &out, every),
    };
    if recorder.is_some() {
        for (seat, host) in site.hosts.iter().enumerate() {
            link::before(
                host.clone(),
                link::Out {
                    seat,
                    to: out.clone(),
                },
            );
        }
    }
    if board.front().mouse.on {
        term::mouse(true)?;
    }
    let first = Msg::Resize(size.width, size.height);
    let mut log = match &args.log {
        Some(path) => Some(LogFile::open(path).with_context(|| format!("--log {}", path.display()))?),
        None => None,
    };
    let ended = match player {
        Some(mut player) => play(&mut board, &mut player, &mut screen, &messages, first),
        None => serve(
            &mut board,
            &mut screen,
            &messages,
            &links,
            (&mut recorder, &mut log),
            first,
        ),
    };
    term::restore();
    ended?;
    if let Some(recorder) = recorder {
        recorder.end().context("the recording could not be ended")?;
    }
    if !args.quiet {
        for seat in board.seats() {
            print!("{}", view::farewell(seat));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn links(hosts: &[Host], to: &Sender<Letter>, every: Duration) -> Vec<link::Link> {
    let start = |(seat, host): (usize, &Host)| {
        let to = to.clone();
        link::Link::start(host.clone(), link::Out { seat, to }, every)
    };
    hosts.iter().enumerate().map(start).collect()
}

/// Waits for each agent's state and one sample of its counters, and prints the picture.
fn once(mut board: Board, hosts: &[Host], format: Format) -> Result<ExitCode> {
    let (out, messages) = channel();
    let links = links(hosts, &out, link::SAMPLE_EVERY);
    let began = Instant::now();
    // An agent that has just begun knows nothing yet.
    let ready =
        |data: &Data| data.counters.is_some() && !data.is_early() && data.state.agent.config.revision > 0;
    let told = |app: &App| app.live().is_some_and(ready) || matches!(app.link, app::Link::Down { .. });
    while !board.seats().iter().all(told) {
        let left = ONCE_WITHIN.saturating_sub(began.elapsed());
        let Ok((seat, msg)) = messages.recv_timeout(left) else {
            bail!(
                "the agent did not say within {} seconds how things are",
                ONCE_WITHIN.as_secs()
            );
        };
        match &msg {
            Msg::Link(News::Down { failure, .. }) if hosts.len() == 1 => {
                bail!("{}; {}", failure.message, failure.hint);
            }
            _ => {}
        }
        // What else would be done outside is for a terminal.
        drop(board::update(&mut board, began.elapsed(), seat, msg));
        for (seat, cmd) in board::settle(&mut board) {
            if let Cmd::Sample(wanted) = cmd {
                links[seat].sample(wanted);
            }
        }
    }
    drop(board::settle(&mut board));
    print!("{}", once::picture(board.front(), format));
    Ok(ExitCode::SUCCESS)
}
