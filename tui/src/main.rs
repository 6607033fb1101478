//! `lbtui`: a live view of a load-balancer agent that says why.
//!
//! [`app`] holds all that is known and is changed by messages only; [`view`] draws it. The threads of [`link`], the
//! keyboard and the signals send the messages; this file passes them on and does what comes out.

mod act;
mod app;
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
mod once;
mod order;
mod page;
mod past;
mod ranking;
mod runs;
mod scope;
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
use board::Board;
use clap::Parser;
use crossterm::event::Event;
use data::Data;
use keys::Screen;
use lb_shared::config::Config;
use lb_shared::host::Host;
use lb_shared::site::Site;
use lb_shared::zone::Zone;
use log::LogFile;
use nix::sys::signal::Signal;
use once::Format;
use ratatui::style::Color;
use settings::Settings;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};
use tape::{Play, Player, Recorder};
use theme::Theme;

/// How long `--once` waits for the agent.
const ONCE_WITHIN: Duration = Duration::from_secs(5);
/// Pictures are at least this far apart.
const FRAME: Duration = Duration::from_millis(33);

/// Live dashboard of the load-balancer agent
#[derive(Debug, Parser)]
#[command(name = "lbtui", version, about)]
struct Args {
    /// Path of the agent's socket; also LBCTL_SOCKET
    #[arg(short, long, value_name = "PATH")]
    socket: Option<PathBuf>,
    #[arg(short = 'H', long, value_name = "URL", conflicts_with = "socket", value_parser = host_of,
        value_delimiter = ',', help = "An agent: ssh://[user@]host[:port] or unix:PATH; may be repeated")]
    host: Vec<Host>,
    /// All hosts of a cluster of lbctl's configuration file; without a name those of its default_cluster
    #[arg(short = 'C', long, value_name = "NAME", num_args = 0..=1, default_missing_value = "")]
    cluster: Option<String>,
    /// Colour of the title, so that production looks different; the configuration file has one for each host
    #[arg(long, value_name = "COLOUR", value_parser = accent_of)]
    accent: Option<Color>,
    /// Colours: terminal, okabe, light, high-contrast or mono; NO_COLOR chooses mono
    #[arg(long, value_name = "NAME", value_parser = theme_of)]
    theme: Option<Theme>,
    /// Draw with ASCII only; so do terminals whose locale is not UTF-8
    #[arg(long)]
    ascii: bool,
    /// Only look: no key changes anything
    #[arg(long)]
    read_only: bool,
    /// The screen to begin with: overview, services, servers, events, vrrp or hosts
    #[arg(long, value_name = "NAME", value_parser = screen_of)]
    screen: Option<Screen>,
    /// Narrow the first screen's list, as after `/`
    #[arg(long, value_name = "EXPR")]
    filter: Option<String>,
    /// Begin with the mouse on
    #[arg(long)]
    mouse: bool,
    /// Record the session into a new file, from 15 minutes before its start
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Play a recording
    #[arg(long, value_name = "FILE", conflicts_with_all = ["socket", "host", "cluster", "record"])]
    replay: Option<PathBuf>,
    /// Print one picture as text and end; needs no terminal
    #[arg(long)]
    once: bool,
    /// Form of that picture
    #[arg(
        long,
        value_enum,
        value_name = "FORM",
        default_value = "text",
        requires = "once"
    )]
    format: Format,
    /// Size of that picture
    #[arg(long, value_name = "WxH", default_value = "80x24", value_parser = size_of, requires = "once")]
    size: (u16, u16),
    /// Print the manual page as roff and end
    #[arg(long, exclusive = true)]
    man: bool,
    /// Write what the dashboard itself meets with into a file, at its end; `:log` shows it
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Leave nothing on the terminal at the end
    #[arg(short, long)]
    quiet: bool,
}

fn host_of(url: &str) -> Result<Host, String> {
    Host::parse(url).map_err(|refusal| format!("{}; {}", refusal.message, refusal.hint))
}

fn accent_of(name: &str) -> Result<Color, String> {
    name.parse().map_err(|_| {
        "colours are the sixteen of the terminal by name, such as magenta, or #rrggbb".to_owned()
    })
}

fn screen_of(name: &str) -> Result<Screen, String> {
    Screen::named(name)
}

fn size_of(text: &str) -> Result<(u16, u16), String> {
    let bad = || "a size is written as columns x rows, such as 80x24, at most 500x500".to_owned();
    let (width, height) = text.split_once('x').ok_or_else(bad)?;
    match (width.parse(), height.parse()) {
        (Ok(width @ 1..=500), Ok(height @ 1..=500)) => Ok((width, height)),
        _ => Err(bad()),
    }
}

fn theme_of(name: &str) -> Result<Theme, String> {
    settings::theme_named(name)
}

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

/// A message, and the place of the host it is from; `None`: from the terminal.
type Letter = (Option<usize>, Msg);

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

/// Writes a file that was not there before; what came of it, in words.
fn write_new(path: &str, text: &str) -> String {
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    let shown = lb_shared::text::escape(path);
    match written {
        Ok(()) => format!("{shown} is written"),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            format!("{shown} is there already and was left as it is: name another file")
        }
        Err(error) => format!("{shown} could not be written: {error}"),
    }
}

fn read_keys(out: &Sender<Letter>) {
    loop {
        let msg = match crossterm::event::read() {
            Ok(Event::Key(key)) => Msg::Key(key),
            Ok(Event::Paste(text)) => Msg::Paste(text),
            Ok(Event::Resize(width, height)) => Msg::Resize(width, height),
            Ok(Event::FocusGained) => Msg::Focus(true),
            Ok(Event::FocusLost) => Msg::Focus(false),
            Ok(Event::Mouse(event)) => Msg::Mouse(event),
            // The terminal is gone.
            Err(_) => Msg::Terminate,
        };
        let last = matches!(msg, Msg::Terminate);
        if out.send((None, msg)).is_err() || last {
            return;
        }
    }
}

/// Takes messages and draws, until the end.
fn serve(
    board: &mut Board,
    screen: &mut term::Screen,
    messages: &Receiver<Letter>,
    links: &[link::Link],
    (recorder, log): (&mut Option<Recorder>, &mut Option<LogFile>),
    first: Msg,
) -> Result<()> {
    let began = Instant::now();
    let mut drawn: Option<Instant> = None;
    // What the last picture looked like, and whether it goes on looking so.
    let (mut look, mut quiet, mut known) = (0, false, false);
    let mut msg = (None, first);
    loop {
        let woken = Instant::now();
        let tick = matches!(msg, (None, Msg::Tick));
        let mut next = Some(msg);
        // All that waits is taken before one picture is drawn.
        while let Some((from, msg)) = next {
            if let (Some(seat), Msg::Link(news)) = (from, &msg) {
                record(board, recorder, began.elapsed(), seat, news);
            }
            let cmds = board::update(board, began.elapsed(), from, msg);
            if !carry_out(board, screen, links, began.elapsed(), cmds)? {
                return Ok(());
            }
            // A flood of messages may delay a picture, not keep it away.
            if woken.elapsed() > 3 * FRAME {
                break;
            }
            // The first picture with something in it waits for nothing.
            let due = match drawn.filter(|_| known || board.front().data.is_none()) {
                Some(drawn) if board.dirty() => FRAME.saturating_sub(drawn.elapsed()),
                Some(_) | None => Duration::ZERO,
            };
            next = if due.is_zero() {
                messages.try_recv().ok()
            } else {
                messages.recv_timeout(due).ok()
            };
        }
        if tick || board.dirty() {
            let same = tick && !board.dirty();
            let cmds = board::settle(board);
            carry_out(board, screen, links, began.elapsed(), cmds)?;
            let app = board.front();
            known = app.data.is_some();
            let picture = screen
                .draw(|frame| view::draw(app, frame))
                .context("the terminal cannot be drawn on")?;
            let seen = view::look(picture.buffer);
            quiet = same && seen == look;
            look = seen;
            drawn = Some(Instant::now());
            keep_log(board, log, began.elapsed());
        }
        let at = drawn.map_or(Duration::ZERO, |drawn| drawn.duration_since(began));
        let wait = board.front().wake_at(at, quiet).saturating_sub(began.elapsed());
        msg = match messages.recv_timeout(wait) {
            Ok(msg) => msg,
            Err(RecvTimeoutError::Timeout) => (None, Msg::Tick),
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        };
    }
}

/// Adds to the log file; one that cannot be written ends, and that is said.
fn keep_log(board: &mut Board, log: &mut Option<LogFile>, at: Duration) {
    let Some(to) = log else { return };
    let seats = board.seats().iter();
    if let Err(error) = to.take(seats.map(|seat| (seat.name(), &seat.log))) {
        *log = None;
        let told = format!("the log file ended: {error}");
        drop(board::update(board, at, None, Msg::Told(told)));
    }
}

/// Adds to the recording; one that cannot go on ends, and that is said.
fn record(board: &mut Board, recorder: &mut Option<Recorder>, at: Duration, seat: usize, news: &News) {
    let Some(to) = recorder else { return };
    if let Err(error) = to.take(at, seat, news) {
        *recorder = None;
        let told = format!("the recording ended, what is in it can be played: {error}");
        drop(board::update(board, at, None, Msg::Told(told)));
    }
}

/// Plays a recording until it is quit.
fn play(
    board: &mut Board,
    player: &mut Player,
    screen: &mut term::Screen,
    messages: &Receiver<Letter>,
    first: Msg,
) -> Result<()> {
    const STEP: Duration = Duration::from_millis(100);
    const LONG: Duration = Duration::from_secs(3_600);
    let mut cmds = board::update(board, player.at, None, first);
    player.begin(board);
    let mut before = Instant::now();
    loop {
        for (_, cmd) in &cmds {
            if let Cmd::Play(play) = cmd {
                player.key(board, *play);
            }
        }
        if !carry_out(board, screen, &[], player.at, cmds)? {
            return Ok(());
        }
        // There is no agent to ask for numbers.
        drop(board::settle(board));
        let app = board.front();
        screen
            .draw(|frame| view::draw(app, frame))
            .context("the terminal cannot be drawn on")?;
        let got = messages.recv_timeout(if player.playing { STEP } else { LONG });
        player.pass(board, before.elapsed());
        before = Instant::now();
        cmds = match got {
            Ok((from, msg)) => board::update(board, player.at, from, msg),
            Err(RecvTimeoutError::Timeout) => Vec::new(),
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        };
    }
}

/// Does what a message led to outside; `false` at the end.
fn carry_out(
    board: &mut Board,
    screen: &mut term::Screen,
    links: &[link::Link],
    at: Duration,
    cmds: Vec<(usize, Cmd)>,
) -> Result<bool> {
    for (seat, cmd) in cmds {
        // In a recording there is no way to the agents.
        let link = links.get(seat);
        match cmd {
            Cmd::Ask(ticket, request) => {
                if let Some(link) = link {
                    link.ask(ticket, request);
                }
            }
            Cmd::Sample(wanted) => {
                if let Some(link) = link {
                    link.sample(wanted);
                }
            }
            Cmd::Hurry(wanted) => {
                if let Some(link) = link {
                    link.hurry(wanted);
                }
            }
            Cmd::Reconnect => {
                if let Some(link) = link {
                    link.reconnect();
                }
            }
            Cmd::Copy(text) => term::copy(&text),
            Cmd::Mouse(wanted) => term::mouse(wanted)?,
            Cmd::Write(path, text) => {
                let told = write_new(&path, &text);
                drop(board::update(board, at, None, Msg::Told(told)));
            }
            // The board or the player has seen to them.
            Cmd::Host(_) | Cmd::AskOf(..) | Cmd::Gather | Cmd::Play(_) => {}
            Cmd::Redraw => term::clear(screen)?,
            Cmd::Suspend => {
                term::suspend()?;
                term::clear(screen)?;
            }
            Cmd::Quit => return Ok(false),
        }
    }
    Ok(true)
}
