//! `lbtui`: a live view of a load-balancer agent that says why.
//!
//! [`app`] holds all that is known and is changed by messages only; [`view`] draws it. The threads of [`link`], the
//! keyboard and the signals send the messages; this file passes them on and does what comes out.

mod act;
mod app;
mod columns;
mod command;
mod data;
mod dialog;
mod input;
mod keys;
mod link;
mod list;
mod mouse;
mod order;
mod past;
mod term;
#[cfg(test)]
mod tests;
mod theme;
mod view;

use anyhow::{Context as _, Result, bail};
use app::{App, Cmd, Msg, News};
use clap::Parser;
use crossterm::event::Event;
use data::Data;
use keys::Screen;
use lb_shared::host::Host;
use nix::sys::signal::Signal;
use ratatui::style::Color;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};
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
        help = "The agent: ssh://[user@]host[:port] or unix:PATH")]
    host: Option<Host>,
    /// Colour of the title, so that production looks different
    #[arg(long, value_name = "COLOUR", value_parser = accent_of)]
    accent: Option<Color>,
    /// Colours: terminal, okabe or mono; NO_COLOR chooses mono
    #[arg(long, value_name = "NAME", value_parser = theme_of)]
    theme: Option<Theme>,
    /// Draw with ASCII only; so do terminals whose locale is not UTF-8
    #[arg(long)]
    ascii: bool,
    /// Only look: no key changes anything
    #[arg(long)]
    read_only: bool,
    /// The screen to begin with: overview, services, servers, events or vrrp
    #[arg(long, value_name = "NAME", value_parser = screen_of)]
    screen: Option<Screen>,
    /// Narrow the first screen's list, as after `/`
    #[arg(long, value_name = "EXPR")]
    filter: Option<String>,
    /// Begin with the mouse on
    #[arg(long)]
    mouse: bool,
    /// Print one picture as text and end; needs no terminal
    #[arg(long)]
    once: bool,
    /// Size of that picture
    #[arg(long, value_name = "WxH", default_value = "80x24", value_parser = size_of, requires = "once")]
    size: (u16, u16),
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
    Screen::ALL
        .into_iter()
        .find(|screen| screen.name().eq_ignore_ascii_case(name))
        .ok_or_else(|| "screens are overview, services, servers, events and vrrp".to_owned())
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
    Theme::ALL
        .into_iter()
        .find(|(known, _)| *known == name)
        .map(|(_, theme)| theme)
        .ok_or_else(|| "themes are terminal, okabe and mono".to_owned())
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
    match run(args) {
        Ok(code) => code,
        Err(error) => {
            term::restore();
            eprintln!("lbtui: {error:#}");
            ExitCode::from(1)
        }
    }
}

fn run(args: Args) -> Result<ExitCode> {
    let named = args.socket.or_else(|| var("LBCTL_SOCKET").map(PathBuf::from));
    let host = args.host.or_else(|| named.map(Host::Unix)).unwrap_or_default();
    let colourless = var("NO_COLOR").is_some() || var("TERM").as_deref() == Some("dumb");
    let theme = match args.theme {
        Some(theme) => theme,
        None if colourless => Theme::Mono,
        None => Theme::Terminal,
    };
    let mut app = App::new(
        theme,
        args.ascii || !utf8(),
        args.read_only,
        match &host {
            Host::Unix(path) => path.display().to_string(),
            Host::Ssh { .. } => host.to_string(),
        },
        args.size,
    );
    app.accent = args.accent.filter(|_| theme != Theme::Mono);
    app.screen = args.screen.unwrap_or_default();
    if let Some(filter) = &args.filter {
        let narrowed = &mut app.filters[app.screen as usize];
        narrowed.set(app.screen, filter);
        if let Some(error) = &narrowed.error {
            bail!("--filter: {error}");
        }
    }
    if args.once {
        return once(app, host);
    }
    app.mouse.on = args.mouse;
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
            if to.send(msg).is_err() {
                return;
            }
        }
    });
    let to = out.clone();
    thread::spawn(move || read_keys(&to));
    let link = link::Link::start(host, out);
    app.size = (size.width, size.height);
    if args.mouse {
        term::mouse(true)?;
    }
    let ended = serve(&mut app, &mut screen, &messages, &link);
    term::restore();
    ended?;
    if !args.quiet {
        print!("{}", view::farewell(&app));
    }
    Ok(ExitCode::SUCCESS)
}

/// Waits for the agent's state and one sample of its counters, and prints the picture.
fn once(mut app: App, host: Host) -> Result<ExitCode> {
    let (out, messages) = channel();
    let link = link::Link::start(host, out);
    link.sample(true);
    let began = Instant::now();
    loop {
        let left = ONCE_WITHIN.saturating_sub(began.elapsed());
        let Ok(msg) = messages.recv_timeout(left) else {
            bail!(
                "the agent did not say within {} seconds how things are",
                ONCE_WITHIN.as_secs()
            );
        };
        if let Msg::Link(News::Down { failure, .. }) = &msg {
            bail!("{}; {}", failure.message, failure.hint);
        }
        // What else would be done outside is for a terminal.
        drop(app::update(&mut app, began.elapsed(), msg));
        // An agent that has just begun knows nothing yet.
        let ready = |data: &Data| data.counters.is_some() && data.state.agent.config.revision > 0;
        if app.live().is_some_and(ready) {
            break;
        }
    }
    app::settle(&mut app);
    print!("{}", view::text(&app));
    Ok(ExitCode::SUCCESS)
}

fn read_keys(out: &Sender<Msg>) {
    loop {
        let msg = match crossterm::event::read() {
            Ok(Event::Key(key)) => Msg::Key(key),
            Ok(Event::Paste(text)) => Msg::Paste(text),
            Ok(Event::Resize(width, height)) => Msg::Resize(width, height),
            Ok(Event::FocusGained | Event::FocusLost) => continue,
            Ok(Event::Mouse(event)) => Msg::Mouse(event),
            // The terminal is gone.
            Err(_) => Msg::Terminate,
        };
        let last = matches!(msg, Msg::Terminate);
        if out.send(msg).is_err() || last {
            return;
        }
    }
}

/// Takes messages and draws, until the end.
fn serve(
    app: &mut App,
    screen: &mut term::Screen,
    messages: &Receiver<Msg>,
    link: &link::Link,
) -> Result<()> {
    let began = Instant::now();
    let mut drawn: Option<Instant> = None;
    let mut msg = Msg::Tick;
    loop {
        let woken = Instant::now();
        let mut next = Some(msg);
        // All that waits is taken before one picture is drawn.
        while let Some(msg) = next {
            for cmd in app::update(app, began.elapsed(), msg) {
                match cmd {
                    Cmd::Ask(ticket, request) => link.ask(ticket, request),
                    Cmd::Sample(wanted) => link.sample(wanted),
                    Cmd::Reconnect => link.reconnect(),
                    Cmd::Copy(text) => term::copy(&text),
                    Cmd::Mouse(wanted) => term::mouse(wanted)?,
                    Cmd::Redraw => term::clear(screen)?,
                    Cmd::Suspend => {
                        term::suspend()?;
                        term::clear(screen)?;
                    }
                    Cmd::Quit => return Ok(()),
                }
            }
            // A flood of messages may delay a picture, not keep it away.
            if woken.elapsed() > 3 * FRAME {
                break;
            }
            let due = drawn.map_or(Duration::ZERO, |drawn| FRAME.saturating_sub(drawn.elapsed()));
            next = if due.is_zero() {
                messages.try_recv().ok()
            } else {
                messages.recv_timeout(due).ok()
            };
        }
        app::settle(app);
        screen
            .draw(|frame| view::draw(app, frame))
            .context("the terminal cannot be drawn on")?;
        drawn = Some(Instant::now());
        let wait = app.wake_at().saturating_sub(began.elapsed());
        msg = match messages.recv_timeout(wait) {
            Ok(msg) => msg,
            Err(RecvTimeoutError::Timeout) => Msg::Tick,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        };
    }
}
