//! Settings of what priorities follow: scripts, processes, files and BFD sessions.

use super::values::{Facts, Sayer, Settings, word};
use crate::model::{BfdPath, BfdSession, NumberFile, ProcessMatch, TrackFile, VrrpProcess, VrrpScript};

impl Settings for VrrpScript {
    fn facts(&self) -> Facts {
        let Self {
            name: _,
            script,
            interval,
            timeout,
            rise,
            fall,
            init_fail,
            broken,
        } = self;
        let mut say = Sayer::default();
        say.script("script", Some(script))
            .span("interval", *interval)
            .span("timeout", *timeout)
            .one("rise", rise)
            .one("fall", fall)
            .flag("init_fail", *init_fail)
            .maybe("cannot be run", broken.as_ref());
        say.0
    }
}

impl Settings for VrrpProcess {
    fn facts(&self) -> Facts {
        let Self {
            name: _,
            matching,
            quorum,
            quorum_max,
            fork_delay,
            terminate_delay,
        } = self;
        let ProcessMatch {
            command,
            parameters,
            compare,
            full_command,
        } = matching;
        let mut say = Sayer::default();
        say.one("process", command)
            .maybe("parameters", parameters.as_ref().map(|it| it.join(" ")))
            .one("param_match", word(compare))
            .flag("full_command", *full_command)
            .one("quorum", quorum)
            .maybe("quorum_max", *quorum_max)
            .span("fork_delay", *fork_delay)
            .span("terminate_delay", *terminate_delay);
        say.0
    }
}

impl Settings for BfdSession {
    fn facts(&self) -> Facts {
        let Self {
            name: _,
            path,
            min_rx,
            min_tx,
            idle_tx,
            multiplier,
            passive,
            ttl_min,
        } = self;
        let BfdPath {
            neighbor,
            source,
            ttl,
            multihop,
        } = path;
        let mut say = Sayer::default();
        say.one("neighbor_ip", neighbor)
            .maybe("source_ip", *source)
            .one("ttl", ttl)
            .flag("multihop", *multihop)
            .span("min_rx", *min_rx)
            .span("min_tx", *min_tx)
            .span("idle_tx", *idle_tx)
            .one("multiplier", multiplier)
            .flag("passive", *passive)
            .one("least ttl", ttl_min);
        say.0
    }
}

impl Settings for TrackFile {
    fn facts(&self) -> Facts {
        let Self {
            name: _,
            file: NumberFile { path, init },
            multiplier,
        } = self;
        let mut say = Sayer::default();
        say.one("file", path.display())
            .one("weight", multiplier.weight)
            .flag("reverse", multiplier.reverse)
            .maybe(
                "init_file",
                init.map(|it| format!("{}{}", it.value, if it.overwrite { " overwrite" } else { "" })),
            );
        say.0
    }
}
