//! Processes and files, which instances, groups and checks follow by name.

use super::watch;
use crate::config::findings::Cx;
use crate::config::keyword::shown;
use crate::config::keywords::{Raw, RawFile, RawProcess, TrackLine};
use crate::config::lexer::Span;
use crate::model::{CheckKind, FileTrack, Model, Multiplier, NumberFile, ProcessTrack, TrackFile, Tracking};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// What instances and groups follow by name.
pub(super) struct Followed<'a> {
    pub processes: Kind<'a>,
    pub files: Kind<'a>,
}

impl<'a> Followed<'a> {
    /// The definitions. Of two with one name the first counts.
    pub(super) fn of(raw: &'a Raw, cx: &mut Cx<'_>) -> Self {
        let mut processes = Kind::new("vrrp_track_process", "process");
        for it in &raw.processes {
            processes.define(&it.name, it.at, (it.weight, it.reverse), cx);
        }
        let mut files = Kind::new("track_file", "file");
        for it in &raw.files {
            if it.path.is_some() {
                files.define(&it.name, it.at, it.weight.unwrap_or((1, false)), cx);
            } else {
                let text = format!("track_file '{}' has no file", it.name);
                let notes: &[&str] = &[
                    "it is left out, as in keepalived",
                    "write 'file \"/path/to/number\"'",
                ];
                cx.error("V-27", it.at, text, notes);
            }
        }
        Self { processes, files }
    }

    /// The lines of `track_process` and `track_file` of an instance or a group.
    pub(super) fn track(
        &self,
        processes: &[TrackLine],
        files: &[TrackLine],
        tracking: &mut Tracking,
        cx: &mut Cx<'_>,
    ) {
        let processes = self.processes.lines(processes, cx).into_iter();
        tracking.processes = processes
            .map(|(process, weight, reverse)| ProcessTrack {
                process,
                weight,
                reverse,
            })
            .collect();
        let files = self.files.lines(files, cx).into_iter();
        tracking.files = files
            .map(|(file, weight, reverse)| FileTrack {
                file,
                multiplier: Multiplier { weight, reverse },
            })
            .collect();
    }
}

/// What can be followed by name beside scripts and interfaces: the keyword of its definition, and where each one stands
/// with its weight.
pub(super) struct Kind<'a> {
    what: &'static str,
    word: &'static str,
    known: BTreeMap<&'a str, (Span, (i32, bool))>,
}

impl<'a> Kind<'a> {
    pub(super) fn new(what: &'static str, word: &'static str) -> Self {
        Self {
            what,
            word,
            known: BTreeMap::new(),
        }
    }

    pub(super) fn define(&mut self, name: &'a str, at: Span, weight: (i32, bool), cx: &mut Cx<'_>) {
        match self.known.entry(name) {
            Entry::Occupied(_) => {
                let text = format!("{} '{name}' is defined twice", self.what);
                cx.error("V-03", at, text, &["the first one counts"]);
            }
            Entry::Vacant(place) => {
                place.insert((at, weight));
            }
        }
    }

    /// The lines of `track_process` and `track_file`: names, each with the weight in force.
    fn lines(&self, lines: &[TrackLine], cx: &mut Cx<'_>) -> Vec<(String, i32, bool)> {
        let mut tracks: Vec<(String, i32, bool)> = Vec::new();
        for line in lines {
            let otherwise = "nothing is tracked by this line, as in keepalived";
            let Some(own) = self.find(&line.name, line.at, otherwise, cx) else {
                continue;
            };
            if tracks.iter().any(|(name, ..)| *name == line.name) {
                let text = format!("{} '{}' is tracked twice", self.word, line.name);
                cx.warn("V-26", line.at, text, &["the first line counts"]);
                continue;
            }
            let (weight, reverse) = line.weight.unwrap_or(own);
            tracks.push((line.name.clone(), weight, reverse));
        }
        tracks
    }

    /// The weight of the one of this name, which has to stand above its use.
    pub(super) fn find(&self, name: &str, at: Span, otherwise: &str, cx: &mut Cx<'_>) -> Option<(i32, bool)> {
        let found = self.known.get(name).copied();
        if let Some((_, weight)) = found.filter(|(defined, _)| defined.line <= at.line) {
            return Some(weight);
        }
        let near = cx.nearest(name, self.known.keys().copied());
        let advice = match (found.is_some(), near) {
            (true, _) => "move the definition above this line".to_owned(),
            (false, Some(near)) => format!("did you mean '{near}'?"),
            (false, None) => format!("define it above with '{} {} {{ … }}'", self.what, shown(name)),
        };
        let text = format!("there is no {} '{}' above this line", self.what, shown(name));
        cx.error("V-09", at, text, &[&advice, otherwise]);
        None
    }
}

/// Puts what somebody follows into the model.
pub(super) fn objects(raw: &Raw, model: &mut Model, cx: &mut Cx<'_>) {
    processes(raw, model, cx);
    files(raw, model, cx);
    cx.object.clear();
}

/// Processes; one that cannot be told from others is no tracker.
fn processes(raw: &Raw, model: &mut Model, cx: &mut Cx<'_>) {
    let groups = model.groups.values().flat_map(|it| &it.tracking.processes);
    let instances = model.instances.values().flat_map(|it| &it.tracking.processes);
    let used: BTreeSet<String> = instances.chain(groups).map(|it| it.process.clone()).collect();
    let mut first: BTreeMap<&str, &RawProcess> = BTreeMap::new();
    for it in &raw.processes {
        first.entry(&it.name).or_insert(it);
    }
    for (name, process) in first {
        cx.object = format!("process {name}");
        if !used.contains(name) {
            let text = format!("no instance tracks the process '{name}'");
            let notes: &[&str] = &["it is not looked for", "name it in track_process of an instance"];
            cx.warn("V-16", process.at, text, notes);
        } else if let Some(process) = watch::vrrp_process(process, cx) {
            model.processes.insert(name.to_owned(), Arc::new(process));
        }
    }
    let known: BTreeSet<String> = model.processes.keys().cloned().collect();
    let lost = |tracking: &Tracking| tracking.processes.iter().any(|it| !known.contains(&it.process));
    for instance in model.instances.values_mut().filter(|it| lost(&it.tracking)) {
        let tracking = &mut Arc::make_mut(instance).tracking;
        tracking.processes.retain(|it| known.contains(&it.process));
    }
    for group in model.groups.values_mut().filter(|it| lost(&it.tracking)) {
        let tracking = &mut Arc::make_mut(group).tracking;
        tracking.processes.retain(|it| known.contains(&it.process));
    }
}

fn files(raw: &Raw, model: &mut Model, cx: &mut Cx<'_>) {
    if raw.files.is_empty() {
        return;
    }
    let groups = model.groups.values().map(|it| &it.tracking);
    let instances = model.instances.values().map(|it| &it.tracking);
    let tracked = instances.chain(groups).flat_map(|it| &it.files);
    let servers = model.services.values().flat_map(|it| it.servers.values());
    let checks = servers.flat_map(|it| &it.checks).filter_map(|it| match &it.kind {
        CheckKind::File(check) => Some(&check.file),
        _ => None,
    });
    let used: BTreeSet<String> = tracked.map(|it| &it.file).chain(checks).cloned().collect();
    let mut first: BTreeMap<&str, (&RawFile, &str)> = BTreeMap::new();
    for it in &raw.files {
        if let Some((path, _)) = &it.path {
            first.entry(&it.name).or_insert((it, path));
        }
    }
    for (name, (it, path)) in first {
        cx.object = format!("file {name}");
        if !used.contains(name) {
            let text = format!("nothing follows the file '{name}'");
            let notes: &[&str] = &[
                "it is not watched",
                "name it in track_file of an instance, or in a FILE_CHECK",
            ];
            cx.warn("V-16", it.at, text, notes);
            continue;
        }
        let (weight, reverse) = it.weight.unwrap_or((1, false));
        let file = TrackFile {
            name: name.to_owned(),
            file: NumberFile {
                // The daemon's folder is the root.
                path: Path::new("/").join(path),
                init: it.init,
            },
            multiplier: Multiplier { weight, reverse },
        };
        model.files.insert(name.to_owned(), Arc::new(file));
    }
}
