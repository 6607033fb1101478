//! Reads the configuration from disk, at the start and for every reload, away from the core thread.

use super::files::{DiskFiles, HostUsers, load_from_disk};
use super::numbers;
use super::post::{Message, Post, ReloadAsk, ShowAsk, Wish};
use crate::config::{self, Facts, Kept, Loaded, Subnets, Texts};
use crate::engine::{self, NewModel};
use crate::model::Model;
use lb_shared::diagnostic::{Diagnostic, Severity};
use lb_shared::request::{Refusal, RefusalCode, Reply};
use lb_shared::text::count;
use nix::sys::socket::{SockaddrIn, SockaddrIn6, SockaddrStorage};
use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

/// `-t`: errors that would keep it from running, errors it can run with, and trouble with scripts (as keepalived).
const TEST_CANNOT_RUN: u8 = 4;
const TEST_ERRORS: u8 = 5;
const TEST_SECURITY: u8 = 6;
/// Findings that keepalived answers with it: scripts others can change, and scripts without `enable_script_security`.
const SCRIPT_SECURITY: [&str; 2] = ["H-04", "H-05"];

/// Reads one configuration file again and again.
#[derive(Clone)]
pub struct Loader {
    file: PathBuf,
    config_id: Option<String>,
    vrrp_only: bool,
    checks_only: bool,
}

/// The way to the loader's thread.
pub struct Reloads {
    wishes: mpsc::Sender<Wish>,
}

impl Reloads {
    /// Does it when it is this one's turn.
    pub fn ask(&self, wish: Wish) {
        let _ = self.wishes.send(wish);
    }
}

impl Loader {
    /// A loader of this file; `-P` and `-C` leave one half out.
    pub fn new(file: PathBuf, config_id: Option<String>, vrrp_only: bool, checks_only: bool) -> Self {
        let (vrrp_only, checks_only) = if vrrp_only && checks_only {
            (false, false)
        } else {
            (vrrp_only, checks_only)
        };
        Self {
            file,
            config_id,
            vrrp_only,
            checks_only,
        }
    }

    /// The file read.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Reads it now. `held`: addresses on this host that are virtual ones, not its own.
    pub fn load(&self, held: &BTreeSet<IpAddr>) -> Loaded {
        self.halved(load(&self.file, self.config_id.clone(), Some(held), None))
    }

    /// Reads a configuration again as it was once read.
    pub fn load_kept(&self, file: &str, texts: &Texts, held: &BTreeSet<IpAddr>) -> Loaded {
        let disk = DiskFiles;
        let kept = Kept { texts, disk: &disk };
        let loaded = with_facts(self.config_id.clone(), Some(held), None, |facts| {
            config::load(&kept, file, facts)
        });
        self.halved(loaded)
    }

    /// Without the half that `-P` or `-C` leaves out.
    fn halved(&self, mut loaded: Loaded) -> Loaded {
        if let Some(model) = &mut loaded.model {
            if self.vrrp_only {
                model.services.clear();
            }
            if self.checks_only {
                model.instances.clear();
                model.groups.clear();
                model.scripts.clear();
                model.processes.clear();
            }
        }
        loaded
    }

    /// A thread that reads on demand and tells the core.
    pub fn start(self, post: Post) -> io::Result<Reloads> {
        let (wishes, inbox) = mpsc::channel::<Wish>();
        std::thread::Builder::new().name("loader".into()).spawn(move || {
            while let Ok(first) = inbox.recv() {
                let mut asks = Vec::new();
                for wish in std::iter::once(first).chain(inbox.try_iter()) {
                    match wish {
                        Wish::Reload(ask) => asks.push(ask),
                        Wish::Show(ask) => self.show(ask),
                    }
                }
                for ask in fewer(asks.into_iter()) {
                    self.reload(&post, ask);
                }
            }
        })?;
        Ok(Reloads { wishes })
    }

    fn show(&self, ask: ShowAsk) {
        if let Some(model) = &ask.model {
            let settings = engine::settings(model, ask.revision);
            return (ask.reply)(Reply::Settings(Box::new(settings)));
        }
        let disk = DiskFiles;
        let kept = Kept {
            texts: &ask.texts,
            disk: &disk,
        };
        let mut shown = with_facts(self.config_id.clone(), None, None, |facts| {
            config::show(&kept, &ask.file, facts)
        });
        shown.revision = ask.revision;
        (ask.reply)(Reply::Config(Box::new(shown)));
    }

    fn reload(&self, post: &Post, ask: ReloadAsk) {
        let loaded = self.load(&ask.held);
        let refused = loaded.is_refused();
        match loaded.model {
            Some(mut model) if !refused => {
                model.keep_services_of(&ask.services);
                let new = NewModel {
                    numbers: numbers::of(&model, false),
                    since_boot: Duration::from_micros(super::clock::boot_us()),
                    model,
                    file: self.file.display().to_string(),
                    findings: loaded.findings,
                    asked: None,
                    dry_run: ask.dry_run,
                    force: ask.force,
                    wall_ms: super::clock::wall_ms(),
                    texts: Arc::new(Texts::of(loaded.sources)),
                    confirm: ask.confirm,
                };
                post.send(Message::Loaded {
                    new: Box::new(new),
                    asked: ask.asked,
                });
            }
            _ => {
                let reply = ask
                    .asked
                    .map(|(to, _)| (to, Reply::Refused(refusal(&loaded.findings))));
                post.send(Message::Refused {
                    reply,
                    findings: loaded.findings,
                    dry_run: ask.dry_run,
                });
            }
        }
    }
}

/// A storm of signals costs one reload, the last content being what counts; everybody who waits for an answer gets one.
fn fewer(asks: impl Iterator<Item = ReloadAsk>) -> Vec<ReloadAsk> {
    let mut kept: Vec<ReloadAsk> = Vec::new();
    for ask in asks {
        if ask.asked.is_none() {
            kept.retain(|earlier| earlier.asked.is_some());
        }
        kept.push(ask);
    }
    kept
}

fn refusal(findings: &[Diagnostic]) -> Refusal {
    let errors: Vec<&Diagnostic> = findings
        .iter()
        .filter(|it| it.severity == Severity::Error)
        .collect();
    let mut refusal = Refusal::new(
        RefusalCode::Config,
        format!(
            "{}: the running configuration was not touched",
            count(errors.len(), "error")
        ),
        errors.iter().map(|it| it.line()).collect::<Vec<_>>().join("\n"),
    );
    refusal.details = errors.iter().map(|it| (it.code.clone(), it.line())).collect();
    refusal
}

/// Reads a file with what this host knows.
///
/// `held`: judge it for this host's interfaces and addresses, but for these, which are virtual ones; `None`: for any
/// host. `judged`: with all advice, whether its addresses fit the interfaces of this host if it has them, and compared
/// with the other node's configuration if that is given.
pub fn load(
    file: &Path,
    config_id: Option<String>,
    held: Option<&BTreeSet<IpAddr>>,
    judged: Option<Option<&Model>>,
) -> Loaded {
    with_facts(config_id, held, judged, |facts| {
        load_from_disk(&file.display().to_string(), facts)
    })
}

fn with_facts<T>(
    config_id: Option<String>,
    held: Option<&BTreeSet<IpAddr>>,
    judged: Option<Option<&Model>>,
    read: impl FnOnce(&Facts<'_>) -> T,
) -> T {
    let hostname =
        nix::unistd::gethostname().map_or_else(|_| String::new(), |name| name.to_string_lossy().into_owned());
    let short = hostname.split('.').next().unwrap_or_default().to_owned();
    let (interfaces, mut addresses) = held.map_or((None, None), |_| interfaces());
    if let (Some(addresses), Some(held)) = (&mut addresses, held) {
        addresses.retain(|address| !held.contains(address));
    }
    let environment = |name: &str| std::env::var(name).ok();
    let facts = Facts {
        config_id: config_id.unwrap_or(short),
        hostname,
        interfaces,
        addresses,
        subnets: judged.map(|_| subnets()),
        advise: judged.is_some(),
        peer: judged.flatten(),
        users: &HostUsers,
        seed: super::clock::boot_us(),
        environment: &environment,
    };
    read(&facts)
}

fn interfaces() -> (Option<BTreeSet<String>>, Option<BTreeSet<IpAddr>>) {
    let Ok(found) = nix::ifaddrs::getifaddrs() else {
        return (None, None);
    };
    let (mut names, mut addresses) = (BTreeSet::new(), BTreeSet::new());
    for it in found {
        names.insert(it.interface_name);
        if let Some(address) = it.address {
            addresses.extend(address.as_sockaddr_in().map(|it| IpAddr::V4(it.ip())));
            addresses.extend(address.as_sockaddr_in6().map(|it| IpAddr::V6(it.ip())));
        }
    }
    (Some(names), Some(addresses))
}

/// The addresses of this host, with the lengths of their networks.
pub(super) fn subnets() -> Subnets {
    let mut subnets = Subnets::new();
    let Ok(found) = nix::ifaddrs::getifaddrs() else {
        return subnets;
    };
    let v4 = |it: &SockaddrStorage| it.as_sockaddr_in().map(SockaddrIn::ip);
    let v6 = |it: &SockaddrStorage| it.as_sockaddr_in6().map(SockaddrIn6::ip);
    for it in found {
        let Some(address) = it.address else { continue };
        let mask = it.netmask;
        let own = if let Some(ip) = v4(&address) {
            let length = mask
                .as_ref()
                .and_then(v4)
                .map_or(32, |it| u32::from(it).count_ones());
            (IpAddr::V4(ip), length as u8)
        } else if let Some(ip) = v6(&address) {
            let length = mask
                .as_ref()
                .and_then(v6)
                .map_or(128, |it| u128::from(it).count_ones());
            (IpAddr::V6(ip), length as u8)
        } else {
            continue;
        };
        subnets.entry(it.interface_name).or_default().push(own);
    }
    subnets
}

/// How `lbctl check-config` judges.
#[derive(Default)]
pub struct Judging<'a> {
    pub config_id: Option<String>,
    /// The other node's file, to compare with.
    pub peer: Option<&'a Path>,
    /// Warnings count as errors.
    pub strict: bool,
    pub json: bool,
}

/// `lbctl check-config`: prints the findings; 0 fine, 1 errors.
pub fn check(file: &Path, how: Judging<'_>) -> ExitCode {
    let peer = how.peer.map(|path| (path, load(path, None, None, None)));
    let peer_model = peer.as_ref().and_then(|(_, peer)| peer.model.as_ref());
    let mut loaded = load(file, how.config_id, None, Some(peer_model));
    if let Some((path, peer)) = &peer {
        unfit(path, peer, &mut loaded.findings);
    }
    let verdict = Verdict {
        good: "it can be loaded",
        bad: "a reload with it would be refused",
        strict: how.strict,
        json: how.json,
    };
    verdict.tell(&loaded.findings, &file.display().to_string(), loaded.is_refused())
}

/// How a judgement ends.
pub(crate) struct Verdict {
    pub good: &'static str,
    pub bad: &'static str,
    /// Warnings count as errors.
    pub strict: bool,
    pub json: bool,
}

/// A line for the standard output. Who reads it may have gone, as `head` does; the exit code tells all the same.
pub fn tell(line: &str) {
    let _gone = writeln!(io::stdout(), "{line}");
}

impl Verdict {
    /// Prints the findings and a last line about `what`; 0 fine, 1 errors.
    pub(crate) fn tell(&self, findings: &[Diagnostic], what: &str, refused: bool) -> ExitCode {
        let of = |severity| findings.iter().filter(|it| it.severity == severity).count();
        let (errors, warnings, hints) = (of(Severity::Error), of(Severity::Warning), of(Severity::Hint));
        let bad = refused || errors > 0;
        if self.json {
            tell(&findings_json(findings, [errors, warnings, hints]).to_string());
        } else {
            for finding in findings {
                tell(&finding.drawn());
            }
            let verdict = if bad { self.bad } else { self.good };
            let counts = [(errors, "error"), (warnings, "warning"), (hints, "hint")];
            let counts = counts.map(|(number, noun)| count(number, noun)).join(", ");
            tell(&format!("{counts}: {what}: {verdict}"));
        }
        ExitCode::from(u8::from(bad || self.strict && warnings > 0))
    }
}

/// Says when the other node's file is not what it will run: what was compared is then only a part of it.
fn unfit(path: &Path, peer: &Loaded, findings: &mut Vec<Diagnostic>) {
    let is_error = |it: &&Diagnostic| it.severity == Severity::Error;
    let errors = peer.findings.iter().filter(is_error).count();
    let what = match (&peer.model, errors) {
        (None, _) => format!(
            "the peer's file {} cannot be read: nothing was compared",
            path.display()
        ),
        (Some(_), 0) => return,
        (Some(_), _) => format!(
            "the peer's file {} has {errors} errors: compared is what can be used of it",
            path.display()
        ),
    };
    let severity = if peer.model.is_none() {
        Severity::Error
    } else {
        Severity::Warning
    };
    let advice = format!("see 'lbctl check-config {}'", path.display());
    findings.push(Diagnostic::new(severity, "V-90", what).note(advice));
}

fn findings_json(findings: &[Diagnostic], [errors, warnings, hints]: [usize; 3]) -> serde_json::Value {
    let findings: Vec<serde_json::Value> = findings
        .iter()
        .map(|it| {
            let place = it.place.clone().unwrap_or_default();
            serde_json::json!({
                "code": it.code, "severity": it.severity.as_str(), "file": place.file, "line": place.line,
                "column": place.column, "object": it.object, "message": it.message, "advice": it.notes.join("; "),
            })
        })
        .collect();
    serde_json::json!({
        "v": 1,
        "data": {"findings": findings, "errors": errors, "warnings": warnings, "hints": hints},
    })
}

/// `-t`: findings to standard error or a file, keepalived's exit codes; a missing file is 4, not 0.
pub fn config_test(file: &Path, config_id: Option<String>, to: Option<&str>) -> ExitCode {
    let loaded = load(file, config_id, Some(&BTreeSet::new()), None);
    let shown: Vec<String> = loaded
        .findings
        .iter()
        .filter(|it| it.severity >= Severity::Warning)
        .map(Diagnostic::drawn)
        .collect();
    let text = shown.iter().map(|it| format!("{it}\n")).collect::<String>();
    match to {
        Some(path) if path != "-" => {
            if let Err(e) = std::fs::write(path, text) {
                eprintln!("{path}: {e}");
            }
        }
        Some(_) | None => eprint!("{text}"),
    }
    let has = |code: &str| loaded.findings.iter().any(|it| it.code == code);
    let errors = loaded.findings.iter().any(|it| it.severity == Severity::Error);
    // Of several troubles the one with the highest number shows, as in keepalived.
    let scripts = SCRIPT_SECURITY.into_iter().any(has);
    ExitCode::from(match &loaded.model {
        None => TEST_CANNOT_RUN,
        Some(_) if scripts => TEST_SECURITY,
        Some(_) if errors => TEST_ERRORS,
        Some(_) => 0,
    })
}

/// A page of the reference, generated from the tables of the language.
pub fn reference(page: &str) -> Result<String, String> {
    let text = match page {
        "configuration" => Some(config::configuration_page()),
        "compatibility" => Some(config::compatibility_page()),
        keyword => config::explain(keyword),
    };
    text.ok_or_else(|| config::unknown(page))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_shared::event::Actor;
    use std::collections::BTreeMap;

    #[test]
    fn f122_a_storm_of_signals_is_one_reload_and_nobodys_question_replaces_it() {
        let signal = || ReloadAsk {
            dry_run: false,
            force: true,
            confirm: None,
            held: BTreeSet::new(),
            services: BTreeMap::new(),
            asked: None,
        };
        let question = || ReloadAsk {
            dry_run: true,
            force: false,
            confirm: None,
            held: BTreeSet::new(),
            services: BTreeMap::new(),
            asked: Some((Box::new(drop), Actor::default())),
        };
        let asks = [signal(), signal(), question(), signal(), question(), question()];
        let kept: Vec<bool> = fewer(asks.into_iter()).iter().map(|ask| ask.dry_run).collect();
        assert_eq!(kept, [true, false, true, true]);
    }

    #[test]
    fn a_peer_s_file_and_strictness_decide_how_the_judgement_ends() {
        let folder = std::env::temp_dir().join(format!("lbagent-judged-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let write = |name: &str, priority: u8, more: &str| {
            let path = folder.join(name);
            let text = format!(
                "vrrp_instance a {{\n interface lo\n virtual_router_id 9\n priority {priority}\n \
                 virtual_ipaddress {{\n  192.0.2.1/24\n }}\n{more}}}\n"
            );
            std::fs::write(&path, text).unwrap();
            path
        };
        let tracks = " track_interface {\n  dummy0 weight -20\n }\n";
        let (own, peer) = (write("own", 100, tracks), write("peer", 50, ""));
        let judged = |file: &Path, peer: Option<&Path>, strict| {
            let how = Judging {
                peer,
                strict,
                ..Judging::default()
            };
            check(file, how)
        };
        let (good, bad) = (ExitCode::SUCCESS, ExitCode::from(1));
        assert_eq!(judged(&own, None, true), good);
        assert_eq!(judged(&own, Some(&peer), false), good);
        assert_eq!(judged(&own, Some(&peer), true), bad);
        assert_eq!(
            judged(&own, Some(&folder.join("nothing")), false),
            bad,
            "nothing was compared"
        );
        let mut found = Vec::new();
        let nothing = folder.join("nothing");
        unfit(&nothing, &load(&nothing, None, None, None), &mut found);
        let broken = write("broken", 50, " advert_int x\n");
        unfit(&broken, &load(&broken, None, None, None), &mut found);
        let told: Vec<_> = found.iter().map(|it| (it.code.as_str(), it.severity)).collect();
        assert_eq!(told, [("V-90", Severity::Error), ("V-90", Severity::Warning)]);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
