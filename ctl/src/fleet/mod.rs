//! Several hosts at once: asked side by side, answered in the order of the configuration.

pub(crate) mod act;
pub(crate) mod elsewhere;
pub(crate) mod events;
pub(crate) mod handover;
pub(crate) mod hosts;
pub(crate) mod list;
pub(crate) mod status;

use crate::args::{Global, Output};
use crate::connect;
use crate::look::{Look, Out};
use crate::trouble::{self, Trouble, told_of};
use lb_shared::differences::{self, Difference};
use lb_shared::excerpt::{Chosen, Excerpt, ExcerptAsk, Sums};
use lb_shared::host::Host;
use lb_shared::json;
use lb_shared::request::Snapshot;
use lb_shared::site::Site;
use lb_shared::view::View;
use serde_json::{Value, json};

/// What came of one host.
#[derive(Debug)]
pub(crate) struct Answer<T> {
    pub(crate) host: Host,
    /// What it is called in tables.
    pub(crate) name: String,
    pub(crate) got: Result<T, Trouble>,
}

/// Asks all hosts at the same time.
pub(crate) fn each<T: Send>(
    hosts: &[Host],
    ask: impl Fn(&Host) -> Result<T, Trouble> + Sync,
) -> Vec<Answer<T>> {
    let ask = &ask;
    std::thread::scope(|scope| {
        let asked: Vec<_> = hosts
            .iter()
            .map(|host| (host, scope.spawn(move || ask(host))))
            .collect();
        asked
            .into_iter()
            .map(|(host, thread)| Answer {
                host: host.clone(),
                name: host.label(),
                // A thread that panicked has said so on stderr.
                got: thread.join().unwrap_or(Err(Trouble::Exit(1))),
            })
            .collect()
    })
}

/// One host's state, and the sums over what it counted.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) snapshot: Snapshot,
    pub(crate) sums: Sums,
    /// How far its clock is ahead of ours, in milliseconds, as far as the way there lets us see it.
    pub(crate) skew_ms: i64,
}

impl Seen {
    pub(crate) fn view(&self) -> View<'_> {
        View::of(&self.snapshot).with_sums(Some(&self.sums))
    }
}

/// Looks at what the targets stand for on all hosts; without targets at everything. What hosts do not agree on can be
/// anything they have, so the whole state is fetched; of the counters their sums are enough.
pub(crate) fn look(hosts: &[Host], global: &Global, ask: &ExcerptAsk) -> Vec<Answer<Seen>> {
    let mut seen = each(hosts, |host| {
        let mut client = connect::client(&connect::for_host(global, host))?;
        let sums = client.excerpt(ask)?.sums;
        let asked = wall_ms();
        let mut snapshot = match ask.at_wall_ms {
            None => client.snapshot()?,
            Some(at) => client.past(at)?.snapshot,
        };
        let skew_ms = match ask.at_wall_ms {
            None => skew(asked, wall_ms(), snapshot.wall_ms),
            Some(_) => 0,
        };
        if let Some(chosen) = Chosen::new(&View::of(&snapshot), &ask.targets)? {
            chosen.keep(&mut snapshot.state);
        }
        Ok(Seen {
            snapshot,
            sums,
            skew_ms,
        })
    });
    for answer in &mut seen {
        let got = answer.got.as_ref().ok();
        let name = got.map(|seen| seen.snapshot.state.agent.host.clone());
        answer.call(name);
    }
    seen
}

/// A part of the state of all hosts.
pub(crate) fn excerpts(hosts: &[Host], global: &Global, ask: &ExcerptAsk) -> Vec<Answer<Excerpt>> {
    let mut seen = each(hosts, |host| {
        let mut client = connect::client(&connect::for_host(global, host))?;
        Ok(client.excerpt(ask)?)
    });
    for answer in &mut seen {
        let got = answer.got.as_ref().ok();
        let name = got.map(|seen| seen.snapshot.state.agent.host.clone());
        answer.call(name);
    }
    seen
}

impl<T> Answer<T> {
    /// An agent on this machine has a better name than its socket's path.
    pub(crate) fn call(&mut self, name: Option<String>) {
        if let (Host::Unix(_), Some(name)) = (&self.host, name) {
            self.name = lb_shared::text::escape(&name);
        }
    }
}

/// What the hosts that answered do not agree on, and those that did not.
pub(crate) fn differences(answers: &[Answer<Seen>], cluster: Option<&str>) -> Vec<Difference> {
    let mut seen = Vec::new();
    let mut missing = Vec::new();
    for Answer { name, got, .. } in answers {
        match got {
            Ok(host) => seen.push(differences::Seen {
                name,
                view: host.view(),
                skew_ms: host.skew_ms,
            }),
            Err(_) => missing.push(name.as_str()),
        }
    }
    differences::differences(&seen, &missing, cluster)
}

fn wall_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Zero while the other clock may have stood between the two moments of ours.
fn skew(asked: u64, answered: u64, theirs: u64) -> i64 {
    let ahead = theirs.saturating_sub(answered);
    let behind = asked.saturating_sub(theirs);
    i64::try_from(ahead).unwrap_or(i64::MAX) - i64::try_from(behind).unwrap_or(i64::MAX)
}

/// Tells about the hosts that gave nothing, and the exit code of all.
pub(crate) fn told<T>(answers: &[Answer<T>]) -> u8 {
    for answer in answers {
        if let Err(trouble) = &answer.got
            && let Some(refusal) = trouble.refusal()
        {
            eprint!("{}", told_of(&answer.name, &refusal));
        }
    }
    worst(answers)
}

/// The exit code of all.
pub(crate) fn worst<T>(answers: &[Answer<T>]) -> u8 {
    trouble::worst(answers.iter().map(|answer| match &answer.got {
        Ok(_) => 0,
        Err(trouble) => trouble.exit(),
    }))
}

/// An end with this exit code, after everything was said.
pub(crate) fn ended(code: u8) -> Result<(), Trouble> {
    match code {
        0 => Ok(()),
        code => Err(Trouble::Exit(code)),
    }
}

/// One host's part of a document.
pub(crate) fn part<T>(answer: &Answer<T>, form: impl FnOnce(&T) -> Value) -> Value {
    match &answer.got {
        Ok(got) => json!({"host": answer.name, "ok": true, "data": form(got)}),
        Err(trouble) => {
            let mut part = json!({"host": answer.name, "ok": false, "exit": trouble.exit()});
            if trouble.is_unreachable() {
                part["state"] = "unreachable".into();
            }
            if let Some(refusal) = trouble.refusal() {
                part["error"] = json::refusal(&refusal);
                part["error"]["exit"] = trouble.exit().into();
            }
            part
        }
    }
}

/// The document of several hosts.
pub(crate) fn document(
    out: &mut Out,
    look: &Look,
    parts: Vec<Value>,
    more: Option<(&str, Value)>,
) -> Result<(), Trouble> {
    let mut document = json!({"v": json::VERSION, "hosts": parts});
    if let Some((name, value)) = more {
        document[name] = value;
    }
    crate::verbs::list::document(out, look, &document)
}

/// A verb carried out on every host at the same time, its texts below each other.
pub(crate) fn sections(
    site: &Site,
    global: &Global,
    look: &Look,
    out: &mut Out,
    verb: impl Fn(&Global, &Look, &mut Out) -> Result<(), Trouble> + Sync,
) -> Result<(), Trouble> {
    let mut texts: Vec<Answer<(String, u8)>> = each(&site.hosts, |host| {
        let mut page = Out::buffer();
        match verb(&connect::for_host(global, host), look, &mut page) {
            Ok(()) => Ok((page.taken(), 0)),
            // An answer, and its exit code.
            Err(Trouble::Exit(code)) => Ok((page.taken(), code)),
            Err(trouble) => Err(trouble),
        }
    });
    match global.output {
        Output::Json => {
            let parts = texts.iter().map(|answer| {
                part(answer, |(text, _)| {
                    let document: Value = serde_json::from_str(text).unwrap_or(Value::Null);
                    document.get("data").cloned().unwrap_or(document)
                })
            });
            document(out, look, parts.collect(), None)?;
        }
        Output::Jsonl => {
            for answer in &texts {
                let Ok((text, _)) = &answer.got else { continue };
                for line in text.lines() {
                    let mut value: Value = serde_json::from_str(line).unwrap_or(Value::Null);
                    value["host"] = answer.name.clone().into();
                    out.line(&value.to_string())?;
                }
            }
        }
        Output::Table | Output::Wide | Output::Name => {
            let one_line = texts.iter().all(|answer| match &answer.got {
                Ok((text, _)) => text.lines().count() <= 1,
                Err(_) => true,
            });
            let width = texts.iter().map(|answer| answer.name.len()).max().unwrap_or(0);
            let mut first = true;
            for answer in &texts {
                let Ok((text, _)) = &answer.got else { continue };
                if one_line {
                    for line in text.lines() {
                        out.line(&format!("{:<width$}  {line}", answer.name))?;
                    }
                    continue;
                }
                if !first {
                    out.line("")?;
                }
                first = false;
                out.line(&format!("== {}", answer.name))?;
                out.text(text)?;
            }
        }
    }
    out.flush()?;
    let code = told(&texts);
    let codes = texts
        .drain(..)
        .map(|answer| answer.got.map_or(0, |(_, code)| code));
    ended(trouble::worst(codes.chain([code])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_off_by_what_the_way_there_cannot_explain() {
        assert_eq!(skew(1_000, 1_200, 1_100), 0);
        assert_eq!(skew(1_000, 1_200, 5_200), 4_000);
        assert_eq!(skew(5_000, 5_200, 1_000), -4_000);
    }

    #[test]
    fn answers_keep_the_order_of_the_hosts() {
        let hosts: Vec<Host> = ["ssh://a", "ssh://b", "ssh://c"]
            .iter()
            .map(|url| Host::parse(url).unwrap())
            .collect();
        let answers = each(&hosts, |host| match host.label().as_str() {
            "b" => Err(Trouble::Exit(3)),
            label => Ok(label.to_owned()),
        });
        let names: Vec<&str> = answers.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!(worst(&answers), 3);
    }
}
