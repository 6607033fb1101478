//! The command line of the program.

use crate::keys::Screen;
use crate::once::Format;
use crate::settings;
use crate::theme::Theme;
use clap::Parser;
use lb_shared::host::Host;
use ratatui::style::Color;
use std::path::PathBuf;

/// Live dashboard of the load-balancer agent
#[derive(Debug, Parser)]
#[command(name = "lbtui", version, about)]
pub(crate) struct Args {
    /// Path of the agent's socket; also LBCTL_SOCKET
    #[arg(short, long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    #[arg(short = 'H', long, value_name = "URL", conflicts_with = "socket", value_parser = host_of,
        value_delimiter = ',', help = "An agent: ssh://[user@]host[:port] or unix:PATH; may be repeated")]
    pub(crate) host: Vec<Host>,
    /// All hosts of a cluster of lbctl's configuration file; without a name those of its default_cluster
    #[arg(short = 'C', long, value_name = "NAME", num_args = 0..=1, default_missing_value = "")]
    pub(crate) cluster: Option<String>,
    /// Colour of the title, so that production looks different; the configuration file has one for each host
    #[arg(long, value_name = "COLOUR", value_parser = accent_of)]
    pub(crate) accent: Option<Color>,
    /// Colours: terminal, okabe, light, high-contrast or mono; NO_COLOR chooses mono
    #[arg(long, value_name = "NAME", value_parser = theme_of)]
    pub(crate) theme: Option<Theme>,
    /// Draw with ASCII only; so do terminals whose locale is not UTF-8
    #[arg(long)]
    pub(crate) ascii: bool,
    /// Only look: no key changes anything
    #[arg(long)]
    pub(crate) read_only: bool,
    /// The screen to begin with: overview, services, servers, events, vrrp or hosts
    #[arg(long, value_name = "NAME", value_parser = screen_of)]
    pub(crate) screen: Option<Screen>,
    /// Narrow the first screen's list, as after `/`
    #[arg(long, value_name = "EXPR")]
    pub(crate) filter: Option<String>,
    /// Begin with the mouse on
    #[arg(long)]
    pub(crate) mouse: bool,
    /// Record the session into a new file, from 15 minutes before its start
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// Play a recording
    #[arg(long, value_name = "FILE", conflicts_with_all = ["socket", "host", "cluster", "record"])]
    pub(crate) replay: Option<PathBuf>,
    /// Print one picture as text and end; needs no terminal
    #[arg(long)]
    pub(crate) once: bool,
    /// Form of that picture
    #[arg(
        long,
        value_enum,
        value_name = "FORM",
        default_value = "text",
        requires = "once"
    )]
    pub(crate) format: Format,
    /// Size of that picture
    #[arg(long, value_name = "WxH", default_value = "80x24", value_parser = size_of, requires = "once")]
    pub(crate) size: (u16, u16),
    /// Print the manual page as roff and end
    #[arg(long, exclusive = true)]
    pub(crate) man: bool,
    /// Write what the dashboard itself meets with into a file, at its end; `:log` shows it
    #[arg(long, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,
    /// Leave nothing on the terminal at the end
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

fn host_of(url: &str) -> Result<Host, String> {
    Host::parse(url).map_err(|refusal| format!("{}; {}", refusal.message, refusal.hint))
}

pub(crate) fn accent_of(name: &str) -> Result<Color, String> {
    name.parse().map_err(|_| {
        "colours are the sixteen of the terminal by name, such as magenta, or #rrggbb".to_owned()
    })
}

fn screen_of(name: &str) -> Result<Screen, String> {
    Screen::named(name)
}

pub(crate) fn size_of(text: &str) -> Result<(u16, u16), String> {
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
