//! Verbs that need no agent, or only its name.

use super::list::document;
use crate::args::{Global, Output};
use crate::complete;
use crate::connect;
use crate::help;
use crate::look::{Look, Out};
use crate::trouble::{Trouble, usage};
use lb_shared::frame;
use lb_shared::paths;
use lb_shared::site::Site;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Has the agent's program check a file: there is one parser, and it is the agent's.
pub(crate) fn check_config(
    global: &Global,
    out: &mut Out,
    file: Option<&Path>,
    peer: Option<&Path>,
    strict: bool,
) -> Result<(), Trouble> {
    let mut command = Command::new(beside_us(paths::AGENT));
    command.arg("check-config");
    if let Some(file) = file {
        command.arg(file);
    }
    if let Some(peer) = peer {
        command.arg("--peer").arg(peer);
    }
    if strict {
        command.arg("--strict");
    }
    if matches!(global.output, Output::Json | Output::Jsonl) {
        command.args(["-o", "json"]);
    }
    ran(&mut command, out).map_err(|trouble| match trouble {
        // One code for "the file is not good", whatever keepalived's own flags give.
        Trouble::Exit(code) if code != 2 => Trouble::Exit(1),
        other => other,
    })
}

/// Has the agent's program look at this host.
pub(crate) fn doctor(
    global: &Global,
    out: &mut Out,
    file: Option<&Path>,
    real_server: Option<IpAddr>,
    strict: bool,
) -> Result<(), Trouble> {
    let mut command = Command::new(beside_us(paths::AGENT));
    command.arg("doctor");
    if let Some(file) = file {
        command.arg(file);
    }
    if let Some(address) = real_server {
        command.arg("--real-server").arg(address.to_string());
    }
    if strict {
        command.arg("--strict");
    }
    if matches!(global.output, Output::Json | Output::Jsonl) {
        command.args(["-o", "json"]);
    }
    ran(&mut command, out)
}

/// Has the agent's program explain a keyword: the tables are its own.
pub(crate) fn explain(out: &mut Out, keyword: &str) -> Result<(), Trouble> {
    let mut command = Command::new(beside_us(paths::AGENT));
    command.arg("reference").arg("--").arg(keyword);
    ran(&mut command, out)
}

/// Runs the agent's program; its exit code is ours.
fn ran(command: &mut Command, out: &mut Out) -> Result<(), Trouble> {
    out.flush()?;
    let status = command.status().map_err(|error| {
        usage(
            format!("cannot run {}: {error}", paths::AGENT),
            "it is installed beside lbctl and holds the parser",
        )
    })?;
    match status.code() {
        Some(0) => Ok(()),
        Some(code) => Err(Trouble::Exit(u8::try_from(code).unwrap_or(1))),
        None => Err(Trouble::Exit(1)),
    }
}

/// Becomes the dashboard.
pub(crate) fn top(site: &Site, arguments: &[String]) -> Result<(), Trouble> {
    let mut command = Command::new(beside_us("lbtui"));
    for host in &site.hosts {
        command.arg("--host").arg(host.to_string());
    }
    if let Some(cluster) = &site.cluster {
        command.arg("--cluster").arg(cluster);
    }
    command.args(arguments);
    dashboard(&mut command)
}

/// Has the dashboard play what it recorded.
pub(super) fn play(path: &Path) -> Result<(), Trouble> {
    dashboard(Command::new(beside_us("lbtui")).arg("--replay").arg(path))
}

fn dashboard(command: &mut Command) -> Result<(), Trouble> {
    let status = command.status().map_err(|error| {
        usage(
            format!("cannot run lbtui: {error}"),
            "it is installed beside lbctl",
        )
    })?;
    match status.code() {
        Some(0) => Ok(()),
        Some(code) => Err(Trouble::Exit(u8::try_from(code).unwrap_or(1))),
        None => Err(Trouble::Exit(1)),
    }
}

/// A program of ours: the one in our own folder if it is there, else the one in the path.
fn beside_us(name: &str) -> PathBuf {
    std::env::current_exe()
        .ok()
        .and_then(|own| Some(own.parent()?.join(name)))
        .filter(|path| path.is_file())
        .unwrap_or_else(|| name.into())
}

/// The JSON Schema of the socket's lines, as this program knows it.
pub(crate) fn schema(look: &Look, out: &mut Out) -> Result<(), Trouble> {
    document(out, look, &lb_shared::schema::document())
}

pub(crate) fn completion(shell: clap_complete::Shell, out: &mut Out) -> Result<(), Trouble> {
    if let Some(stub) = complete::stub(shell) {
        out.text(stub)?;
        return Ok(());
    }
    // Other shells complete the words of the command line, not the names in the agent.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut help::command(), "lbctl", &mut script);
    script.flush()?;
    out.text(&String::from_utf8_lossy(&script))?;
    Ok(())
}

pub(crate) fn version(global: &Global, out: &mut Out) -> Result<(), Trouble> {
    let own = env!("CARGO_PKG_VERSION");
    out.line(&format!("lbctl    {own}, protocol {}", frame::VERSION))?;
    let hello = connect::client(global)?.hello(&format!("lbctl {own}"))?;
    out.line(&format!(
        "lbagent  {}, protocol {}, on {}",
        lb_shared::text::escape(&hello.agent),
        frame::VERSION,
        lb_shared::text::escape(&hello.host)
    ))?;
    Ok(())
}
