//! Trackers: scripts, interfaces, processes, files and BFD sessions whose verdicts move priorities or put instances into
//! FAULT.
//!
//! Knows when a script is to run and what its results mean. Does not run anything (a script leaves as a [`Job`] and comes
//! back as a [`JobOutcome`]), does not watch interfaces (the engine tells), and does not know instances: [`Trackers::terms`]
//! answers what a list of `track_*` lines adds up to.

mod file;
mod process;
mod script;
mod session;
mod terms;

pub use terms::Sum;

use crate::model::{Job, JobOutcome, TrackFile, VrrpProcess, VrrpScript};
use file::File;
use lb_shared::event::What;
use lb_shared::names::TrackerName;
use lb_shared::state::TrackerView;
use lb_shared::units::Mono;
use process::Process;
use script::Script;
use session::Session;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One thing that follows from an input.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Effect {
    /// Run a script; its outcome comes back through [`Trackers::on_ran`].
    Run { script: String, job: Job },
    /// Its view is another one now, or gone for [`What::TrackerRemoved`].
    Changed {
        tracker: TrackerName,
        what: What,
        text: String,
        why: Option<String>,
    },
    /// Its view is another one, and that is not worth a word.
    Seen(TrackerName),
}

/// Everything that is watched.
#[derive(Clone, Debug, Default)]
pub struct Trackers {
    scripts: BTreeMap<String, Script>,
    interfaces: BTreeMap<String, Interface>,
    processes: BTreeMap<String, Process>,
    sessions: BTreeMap<String, Session>,
    files: BTreeMap<String, File>,
    agenda: BTreeSet<(Mono, String)>,
}

#[derive(Clone, Debug)]
struct Interface {
    up: bool,
    since: Mono,
}

impl Interface {
    fn word(&self) -> &'static str {
        if self.up { "up" } else { "down" }
    }
}

impl Trackers {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts definitions in force, at start and at a reload. A script whose command is the same keeps its verdict and its
    /// timer; one with another command keeps its verdict until the first result of the new one.
    pub fn apply(&mut self, now: Mono, scripts: &BTreeMap<String, Arc<VrrpScript>>, out: &mut Vec<Effect>) {
        let gone: Vec<_> = self
            .scripts
            .keys()
            .filter(|name| !scripts.contains_key(*name))
            .cloned()
            .collect();
        for name in gone {
            let script = self.scripts.remove(&name).expect("the name is one of its keys");
            if let Some(at) = script.scheduled {
                self.agenda.remove(&(at, name.clone()));
            }
            out.push(removed(TrackerName::Script(name)));
        }
        for (name, cfg) in scripts {
            match self.scripts.get_mut(name) {
                Some(script) => script.reconfigure(now, cfg, out),
                None => {
                    let script = Script::new(now, cfg.clone(), out);
                    self.scripts.insert(name.clone(), script);
                }
            }
            self.schedule(name);
        }
        self.on_tick(now, out);
    }

    /// Puts the processes in force that are looked for. One that is counted as before keeps its verdict.
    pub fn apply_processes(
        &mut self,
        now: Mono,
        processes: &BTreeMap<String, Arc<VrrpProcess>>,
        out: &mut Vec<Effect>,
    ) {
        self.processes.retain(|name, _| {
            let stays = processes.contains_key(name);
            if !stays {
                out.push(removed(TrackerName::Process(name.clone())));
            }
            stays
        });
        for (name, cfg) in processes {
            match self.processes.get_mut(name) {
                Some(process) => process.reconfigure(now, cfg, out),
                None => {
                    let process = Process::new(now, cfg.clone(), out);
                    self.processes.insert(name.clone(), process);
                }
            }
        }
    }

    /// So many processes of a name run now.
    pub fn on_processes(&mut self, now: Mono, name: &str, count: u32, out: &mut Vec<Effect>) {
        if let Some(process) = self.processes.get_mut(name) {
            process.on_count(now, count, out);
        }
    }

    /// Puts the files in force whose numbers are followed. `numbers`: what stood in them when the configuration was read.
    pub fn apply_files(
        &mut self,
        now: Mono,
        files: &BTreeMap<String, Arc<TrackFile>>,
        numbers: &BTreeMap<String, i32>,
        out: &mut Vec<Effect>,
    ) {
        self.files.retain(|name, _| {
            let stays = files.contains_key(name);
            if !stays {
                out.push(removed(TrackerName::File(name.clone())));
            }
            stays
        });
        for (name, cfg) in files {
            let number = numbers.get(name).copied();
            match self.files.get_mut(name) {
                Some(file) => file.reconfigure(now, cfg, number, out),
                None => {
                    let file = File::new(now, cfg.clone(), number, out);
                    self.files.insert(name.clone(), file);
                }
            }
        }
    }

    /// This number stands in a file now.
    pub fn on_number(&mut self, now: Mono, name: &str, number: i32, out: &mut Vec<Effect>) {
        if let Some(file) = self.files.get_mut(name) {
            file.on_number(now, number, out);
        }
    }

    /// The numbers that are known.
    pub fn numbers(&self) -> impl Iterator<Item = (&String, i32)> {
        self.files
            .iter()
            .filter_map(|(name, file)| Some((name, file.number?)))
    }

    /// A run of a script is over.
    pub fn on_ran(&mut self, now: Mono, script: &str, outcome: &JobOutcome, out: &mut Vec<Effect>) {
        if let Some(machine) = self.scripts.get_mut(script) {
            machine.on_ran(now, outcome, out);
            self.schedule(script);
            self.on_tick(now, out);
        }
    }

    /// What the engine says about an interface: up and running, or not. `None`: nobody tracks it any more.
    pub fn on_interface(&mut self, now: Mono, name: &str, up: Option<bool>, out: &mut Vec<Effect>) {
        let tracker = TrackerName::Interface(name.to_owned());
        let before = self.interfaces.get(name).map(|interface| interface.up);
        if before == up {
            return;
        }
        let Some(up) = up else {
            self.interfaces.remove(name);
            out.push(removed(tracker));
            return;
        };
        self.interfaces
            .insert(name.to_owned(), Interface { up, since: now });
        out.push(Effect::Changed {
            tracker,
            what: if up { What::TrackerOk } else { What::TrackerFailed },
            text: if up { "up" } else { "down" }.to_owned(),
            why: None,
        });
    }

    /// What is seen of a BFD session: up or not (`None`: too early to say), in words, and what it turned by.
    pub fn on_session(
        &mut self,
        now: Mono,
        name: &str,
        up: Option<bool>,
        detail: &str,
        why: Option<String>,
        out: &mut Vec<Effect>,
    ) {
        match self.sessions.get_mut(name) {
            Some(session) => session.on_shows(now, name, up, detail, why, out),
            None => {
                let session = Session::new(now, name, up, detail, out);
                self.sessions.insert(name.to_owned(), session);
            }
        }
    }

    /// A BFD session is configured no more.
    pub fn on_session_gone(&mut self, name: &str, out: &mut Vec<Effect>) {
        if self.sessions.remove(name).is_some() {
            out.push(removed(TrackerName::Bfd(name.to_owned())));
        }
    }

    /// Begins the runs that are due.
    pub fn on_tick(&mut self, now: Mono, out: &mut Vec<Effect>) {
        for process in self.processes.values_mut() {
            process.on_tick(now, out);
        }
        while let Some((at, name)) = self.agenda.first() {
            if *at > now {
                break;
            }
            let name = name.clone();
            if let Some(script) = self.scripts.get_mut(&name) {
                script.on_tick(now, out);
            }
            self.schedule(&name);
        }
    }

    /// When something is due next.
    pub fn deadline(&self) -> Option<Mono> {
        let processes = self.processes.values().filter_map(Process::deadline);
        processes.chain(self.agenda.first().map(|(at, _)| *at)).min()
    }

    /// A tracker as clients see it.
    pub fn view(&self, name: &TrackerName) -> Option<TrackerView> {
        match name {
            TrackerName::Script(script) => self.scripts.get(script).map(Script::view),
            TrackerName::Interface(interface) => {
                let found = self.interfaces.get(interface)?;
                Some(TrackerView {
                    name: name.clone(),
                    ok: Some(found.up),
                    since: found.since,
                    detail: found.word().to_owned(),
                })
            }
            TrackerName::Process(process) => self.processes.get(process).map(Process::view),
            TrackerName::Bfd(session) => Some(self.sessions.get(session)?.view(session)),
            TrackerName::File(file) => self.files.get(file).map(File::view),
        }
    }

    /// Successes and failures in a row that a script's verdict takes; zero for one that is not there.
    fn counts(&self, script: &str) -> (u32, u32) {
        self.scripts.get(script).map_or((0, 0), Script::counts)
    }

    /// Every tracker.
    pub fn views(&self) -> Vec<TrackerView> {
        let scripts = self.scripts.values().map(Script::view);
        let interfaces = self
            .interfaces
            .keys()
            .filter_map(|name| self.view(&TrackerName::Interface(name.clone())));
        let processes = self.processes.values().map(Process::view);
        let sessions = self.sessions.iter().map(|(name, it)| it.view(name));
        let files = self.files.values().map(File::view);
        scripts
            .chain(interfaces)
            .chain(processes)
            .chain(files)
            .chain(sessions)
            .collect()
    }

    fn schedule(&mut self, name: &str) {
        let Some(script) = self.scripts.get_mut(name) else {
            return;
        };
        let deadline = script.deadline();
        if script.scheduled == deadline {
            return;
        }
        if let Some(old) = std::mem::replace(&mut script.scheduled, deadline) {
            self.agenda.remove(&(old, name.to_owned()));
        }
        if let Some(new) = deadline {
            self.agenda.insert((new, name.to_owned()));
        }
    }
}

fn removed(tracker: TrackerName) -> Effect {
    Effect::Changed {
        tracker,
        what: What::TrackerRemoved,
        text: "removed".to_owned(),
        why: None,
    }
}

#[cfg(test)]
mod tests;
