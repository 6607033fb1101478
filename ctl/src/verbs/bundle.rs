//! `bundle`: what somebody who helps from afar would ask for, in one archive. Nothing is sent anywhere.

use super::list::{self, Kind};
use super::redact::Redacted;
use super::{event, single, stats, status};
use crate::args::{Events, Global, Output};
use crate::connect;
use crate::look::{Look, Out};
use crate::trouble::{Trouble, usage};
use lb_shared::excerpt::{ExcerptAsk, Scope};
use lb_shared::host::Host;
use lb_shared::problems;
use lb_shared::text::count;
use lb_shared::view::View;
use lb_shared::zone::Zone;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What is asked of this machine, when the agent is on it: a file's name, and the command.
const COMMANDS: [(&str, &[&str]); 8] = [
    ("host/uname.txt", &["uname", "-a"]),
    ("host/links.txt", &["ip", "-d", "-s", "link"]),
    ("host/addresses.txt", &["ip", "address"]),
    ("host/routes.txt", &["ip", "route", "show", "table", "all"]),
    ("host/rules.txt", &["ip", "rule"]),
    ("host/ipvs.txt", &["ipvsadm", "-Ln"]),
    ("host/ipvs-stats.txt", &["ipvsadm", "-Ln", "--stats", "--exact"]),
    (
        "host/log.txt",
        &[
            "journalctl",
            "-u",
            "lbagent",
            "-n",
            "1000",
            "--no-pager",
            "-o",
            "short-iso-precise",
        ],
    ),
];

/// Collects the parts, names them, and writes the archive.
pub(crate) fn run(global: &Global, out: &mut Out, path: &Path, redact: bool) -> Result<(), Trouble> {
    if path.exists() {
        return Err(usage(
            format!("{} is there already", path.display()),
            "name another file with -w",
        ));
    }
    let mut parts = collect(global)?;
    let mut redacted = Redacted::default();
    if redact {
        for (_, text) in &mut parts {
            *text = redacted.text(text);
        }
    }
    for (name, text) in &parts {
        out.line(&format!("{name}  {}", count(text.lines().count(), "line")))?;
    }
    out.flush()?;
    let cannot = |what: &str, error: &io::Error| usage(format!("cannot {what}: {error}"), "");
    let folder = Folder::create().map_err(|error| cannot("make a folder for it", &error))?;
    for (name, text) in &parts {
        let to = folder.0.join("lbagent-bundle").join(name);
        let write = || -> io::Result<()> {
            fs::create_dir_all(to.parent().unwrap_or(&to))?;
            fs::write(&to, text)
        };
        write().map_err(|error| cannot("write its parts", &error))?;
    }
    let status = Command::new("tar")
        .arg("-czf")
        .arg(path)
        .arg("-C")
        .arg(&folder.0)
        .arg("lbagent-bundle")
        .status()
        .map_err(|error| cannot("run tar", &error))?;
    if !status.success() {
        return Err(usage(format!("tar could not write {}", path.display()), ""));
    }
    if !global.quiet {
        let (path, replaced) = (path.display(), redacted.len());
        let names = match redact {
            true => format!(
                "{} replaced; it names hosts and users",
                count(replaced, "public address")
            ),
            false => "it names hosts, addresses and users (--redact replaces public addresses)".to_owned(),
        };
        eprintln!("{path} written; {names}: look through it before it leaves your hands");
    }
    Ok(())
}

fn collect(global: &Global) -> Result<Vec<(String, String)>, Trouble> {
    let wide = Look {
        width: None,
        colour: false,
        wide: true,
        exact: true,
        headers: true,
        zone: Zone::utc(),
    };
    let as_form = |output: Output| Global {
        output,
        watch: None,
        filter: None,
        sort: None,
        columns: Vec::new(),
        ..global.clone()
    };
    let (text, rows) = (as_form(Output::Wide), as_form(Output::Json));
    let page = |verb: &dyn Fn(&mut Out) -> Result<(), Trouble>| -> Result<String, Trouble> {
        let mut page = Out::buffer();
        verb(&mut page)?;
        Ok(page.taken())
    };
    let troubled: Vec<String> = {
        let seen = connect::client(global)?.excerpt(&ExcerptAsk::all(Scope::Status))?;
        let found = problems::problems(&View::excerpt(&seen));
        found.iter().map(|problem| problem.object.to_string()).collect()
    };
    let events = Events {
        targets: Vec::new(),
        since: None,
        until: None,
        kind: Vec::new(),
        follow: false,
        limit: 10_000,
    };
    let mut parts = vec![
        ("version.txt", page(&|out| super::local::version(&text, out))?),
        (
            "status.txt",
            page(&|out| status::run(&text, &wide, out, &[], false))?,
        ),
        (
            "status.json",
            page(&|out| status::run(&rows, &wide, out, &[], false))?,
        ),
        (
            "vrrp.txt",
            page(&|out| list::run(&text, &wide, out, Kind::Vrrp, &[]))?,
        ),
        (
            "vrrp.json",
            page(&|out| list::run(&rows, &wide, out, Kind::Vrrp, &[]))?,
        ),
        (
            "services.txt",
            page(&|out| list::run(&text, &wide, out, Kind::Services, &[]))?,
        ),
        (
            "services.json",
            page(&|out| list::run(&rows, &wide, out, Kind::Services, &[]))?,
        ),
        (
            "servers.txt",
            page(&|out| list::run(&text, &wide, out, Kind::Servers, &[]))?,
        ),
        (
            "servers.json",
            page(&|out| list::run(&rows, &wide, out, Kind::Servers, &[]))?,
        ),
        (
            "stats.json",
            page(&|out| stats::run(&rows, &wide, out, &[], stats::Shown::default()))?,
        ),
        // Its secrets stay with the agent.
        (
            "config.txt",
            connect::client(global)?.config()?.lines().join("\n") + "\n",
        ),
        ("events.txt", page(&|out| event::run(&text, &wide, out, &events))?),
    ];
    if !troubled.is_empty() {
        let mut whys = String::new();
        for object in &troubled {
            // A problem that is over meanwhile, or has no explanation, does not keep the others out.
            if let Ok(why) = page(&|out| single::why(&text, &wide, out, std::slice::from_ref(object))) {
                whys.push_str(&why);
                whys.push('\n');
            }
        }
        parts.push(("why.txt", whys));
    }
    let mut parts: Vec<(String, String)> = parts
        .into_iter()
        .map(|(name, text)| (name.to_owned(), text))
        .collect();
    if let Host::Unix(_) = connect::host(global)? {
        parts.extend(
            COMMANDS
                .iter()
                .map(|(name, words)| ((*name).to_owned(), said(words))),
        );
        parts.push(("host/sysctl-ipvs.txt".into(), settings()));
    }
    Ok(parts)
}

/// What a command prints, or why it does not.
fn said(words: &[&str]) -> String {
    let Some((program, arguments)) = words.split_first() else {
        return String::new();
    };
    let ended = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output();
    match ended {
        Ok(output) => format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ),
        Err(error) if error.kind() == ErrorKind::NotFound => format!("{program} is not installed\n"),
        Err(error) => format!("{program}: {error}\n"),
    }
}

/// The kernel's IPVS settings.
fn settings() -> String {
    let Ok(folder) = fs::read_dir("/proc/sys/net/ipv4/vs") else {
        return "there are none: no IPVS in this kernel\n".into();
    };
    let mut lines: Vec<String> = folder
        .flatten()
        .map(|file| {
            let value = fs::read_to_string(file.path()).unwrap_or_default();
            format!(
                "net.ipv4.vs.{} = {}",
                file.file_name().to_string_lossy(),
                value.trim()
            )
        })
        .collect();
    lines.sort();
    lines.join("\n") + "\n"
}

/// A folder of ours that is gone at the end, and that nobody else can read.
struct Folder(PathBuf);

impl Folder {
    fn create() -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        let path = std::env::temp_dir().join(format!("lbctl-bundle-{}", std::process::id()));
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
