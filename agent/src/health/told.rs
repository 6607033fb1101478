//! What the room is told without asking: BFD sessions, and numbers in files.

use super::probe::Judged;
use super::server::ServerState;
use super::settle::Notes;
use super::{Effect, Health};
use lb_shared::event::What;
use lb_shared::names::ServiceKey;
use lb_shared::units::Mono;
use std::collections::BTreeMap;

impl Health {
    /// A BFD session is up or down. Until it is known to be either, `alpha` says what its servers count as.
    pub fn on_session(&mut self, now: Mono, name: &str, up: bool, why: &str, out: &mut Vec<Effect>) {
        if self.sessions.get(name).is_some_and(|(known, _)| *known == up) {
            return;
        }
        self.sessions.insert(name.to_owned(), (up, why.to_owned()));
        let follows = |server: &ServerState| server.probes.iter().any(|probe| probe.follows() == Some(name));
        let followers = self.servers.iter().filter(|(_, server)| follows(server));
        for number in followers.map(|(number, _)| *number).collect::<Vec<_>>() {
            let Some(server) = self.servers.get_mut(&number) else {
                continue;
            };
            let before = server.health();
            let probes = server.probes.iter_mut();
            let judged = probes
                .filter(|probe| probe.follows() == Some(name))
                .map(|probe| probe.on_session(up, why))
                .fold(
                    Judged::Same,
                    |so_far, judged| if judged == Judged::Same { so_far } else { judged },
                );
            if judged == Judged::Same {
                continue;
            }
            let note = server.on_verdict(now, "BFD_CHECK", before, &judged, out);
            let service = server.id.service.clone();
            self.settle(now, &service, Notes::from([(number, note)]), out);
        }
    }

    /// A BFD session is configured no more.
    pub fn on_session_gone(&mut self, name: &str) {
        self.sessions.remove(name);
    }

    /// This number stands in a `track_file` now: what that makes of the servers with a `FILE_CHECK` of it.
    pub fn on_number(&mut self, now: Mono, file: &str, number: i32, out: &mut Vec<Effect>) {
        self.numbers.insert(file.to_owned(), number);
        let mut changed: BTreeMap<ServiceKey, Notes> = BTreeMap::new();
        for (id, server) in &mut self.servers {
            let before = server.health();
            for at in 0..server.probes.len() {
                let probe = &mut server.probes[at];
                let was = (probe.weight, probe.ok);
                let judged = probe.on_number(file, number);
                let note = match judged {
                    Judged::Good | Judged::Bad(_) => {
                        server.on_verdict(now, "FILE_CHECK", before, &judged, out)
                    }
                    _ if was != (probe.weight, probe.ok) => {
                        let text = format!("number {number} in the file {file}");
                        (What::WeightChanged, text, None)
                    }
                    _ => continue,
                };
                changed
                    .entry(server.id.service.clone())
                    .or_default()
                    .insert(*id, note);
            }
        }
        for (service, notes) in changed {
            self.settle(now, &service, notes, out);
        }
    }

    /// The numbers in the files of a configuration that is about to be applied: its new servers begin with them. Gives
    /// those that are others than before, to be told with [`Health::on_number`] once it is.
    pub fn know_numbers(&mut self, numbers: BTreeMap<String, i32>) -> Vec<(String, i32)> {
        let before = std::mem::replace(&mut self.numbers, numbers);
        let others = self
            .numbers
            .iter()
            .filter(|(name, number)| before.get(*name) != Some(*number));
        others.map(|(name, number)| (name.clone(), *number)).collect()
    }
}
