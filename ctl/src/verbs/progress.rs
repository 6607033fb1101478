//! Following drains to their end.

use crate::args::{Global, Output};
use crate::connect;
use crate::detach::{self, Detach};
use crate::look::{Look, Out};
use crate::trouble::Trouble;
use lb_shared::client::{Client, ClientError, Heard, Listener};
use lb_shared::counters::Counters;
use lb_shared::drain;
use lb_shared::event::What;
use lb_shared::names::ServerId;
use lb_shared::request::{Refusal, RefusalCode, Snapshot};
use lb_shared::state::{Admin, ObjectId};
use lb_shared::text::{count, span, thousands, width};
use lb_shared::units::Mono;
use lb_shared::view::{View, rfc3339};
use std::collections::VecDeque;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// IPVS refreshes its counters every two seconds.
const COUNTER_AGE: Duration = Duration::from_millis(2_500);
/// How long a broken connection is tried again.
const PATIENCE: Duration = Duration::from_secs(60);
/// So long after a deadline the agent has done what was chosen for it.
const LATE: Duration = Duration::from_secs(2);
/// How often the connections are counted while somebody looks.
const LOOK: Duration = Duration::from_secs(1);

/// Follows drains until all are over: drained, ended otherwise, or past their deadline.
pub(crate) fn drain(
    global: &Global,
    look: &Look,
    out: &mut Out,
    ids: &[ServerId],
    every: Duration,
) -> Result<(), Trouble> {
    let mut attached = attach(global)?;
    let first = attached.client.servers(ids)?;
    let mut follow = Follow::new(&first.snapshot, ids.to_vec());
    let mut seen = Some(first);
    let mut again = false;
    let redraw = io::stderr().is_terminal() && global.output == Output::Table && !global.quiet;
    let mut told: Option<Instant> = None;
    let mut goes_on = follow.goes_on(None);
    let detach = Detach::armed();
    loop {
        detach.check(&goes_on)?;
        let now = match seen.take().map_or_else(|| attached.client.servers(ids), Ok) {
            Ok(now) => now,
            // A connection that broke is made again; the drain itself is the agent's and goes on.
            Err(error) => {
                attached = attach_again(global, error, || detach.check(&goes_on))?;
                again = true;
                continue;
            }
        };
        if std::mem::take(&mut again) {
            follow.again(&now.snapshot);
        }
        let view = View::excerpt(&now);
        goes_on = follow.goes_on(Some(&view));
        follow.look(&view);
        let ended = follow.ended(&view);
        let due = told.is_none_or(|told| told.elapsed() >= if redraw { LOOK / 2 } else { every });
        if due || ended {
            tell(global, look, out, &follow, &view, redraw, told.is_none())?;
            told = Some(Instant::now());
        }
        if ended {
            return follow.end(&view, out);
        }
        let until = Instant::now() + LOOK;
        while let Some(left) = until
            .checked_duration_since(Instant::now())
            .filter(|left| !left.is_zero())
        {
            detach.check(&goes_on)?;
            match attached.news.next_within(left.min(detach::EVERY)) {
                Ok(None | Some(Heard::Gap)) => {}
                Ok(Some(Heard::Event(event))) => {
                    if follow.heard(event.event.what, &event.event.object) {
                        break;
                    }
                }
                // The next look tells what to do about it.
                Err(ClientError::Closed) => break,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The connections a drain is followed by.
struct Attached {
    news: Listener,
    client: Client,
}

fn attach(global: &Global) -> Result<Attached, Trouble> {
    Ok(Attached {
        news: connect::client(global)?.listen()?,
        client: connect::client(global)?,
    })
}

/// Tries to attach again for a while after `error`, and says so once.
fn attach_again(
    global: &Global,
    error: ClientError,
    mut going_on: impl FnMut() -> Result<(), Trouble>,
) -> Result<Attached, Trouble> {
    if let ClientError::Refused(_) = error {
        return Err(error.into());
    }
    eprintln!(
        "lbctl: the connection broke ({error}); trying again for {} s",
        PATIENCE.as_secs()
    );
    let until = Instant::now() + PATIENCE;
    loop {
        going_on()?;
        std::thread::sleep(detach::EVERY);
        match attach(global) {
            Err(Trouble::Agent(_)) if Instant::now() < until => {}
            ended => return ended,
        }
    }
}

/// What is known about the drains that are followed.
pub(crate) struct Follow {
    ids: Vec<ServerId>,
    began: Mono,
    /// The same in Unix time in milliseconds, which another run of the agent goes by, too.
    began_wall_ms: u64,
    at_start: u64,
    deadline: Option<Mono>,
    samples: VecDeque<(Mono, u64)>,
    /// Those of which inactive connections are waited for, too.
    inactive: Vec<ServerId>,
    /// Active and inactive connections at the last look.
    last: (u64, u64),
    /// Connections ever made, when this began and now.
    made: Option<(u64, u64)>,
    overdue: bool,
}

impl Follow {
    pub(crate) fn new(snapshot: &Snapshot, ids: Vec<ServerId>) -> Self {
        let drains = || {
            ids.iter()
                .filter_map(|id| snapshot.state.servers.get(id)?.drain.as_ref())
        };
        let began = drains().map(|drain| drain.since).min().unwrap_or(snapshot.now);
        let ago = u64::try_from(snapshot.now.since(began).as_millis()).unwrap_or(u64::MAX);
        Self {
            began,
            began_wall_ms: snapshot.wall_ms.saturating_sub(ago),
            at_start: drains().map(|drain| drain.active_at_start).sum(),
            deadline: drains().filter_map(|drain| drain.deadline).max(),
            inactive: {
                let drain = |id: &ServerId| snapshot.state.servers.get(id)?.drain.clone();
                let all = ids.iter().filter(|id| drain(id).is_some_and(|it| it.inactive));
                all.cloned().collect()
            },
            samples: VecDeque::new(),
            last: (0, 0),
            made: None,
            overdue: false,
            ids,
        }
    }

    /// Another run of the agent has another clock.
    fn again(&mut self, snapshot: &Snapshot) {
        let new = Self::new(snapshot, self.ids.clone());
        self.began = new.began;
        self.deadline = new.deadline;
        self.samples.clear();
    }

    /// Takes in how it is now. Without counters the last ones stand.
    fn look(&mut self, view: &View<'_>) {
        if let Some(counters) = view.counters {
            self.sample(counters, view.now);
        }
        // A drain that is past its deadline, with nobody there to hear of it, is over as well.
        let late = |deadline: Mono| view.now >= deadline && view.now.since(deadline) > LATE;
        self.overdue |= self.deadline.is_some_and(late) && self.draining(view);
    }

    pub(crate) fn sample(&mut self, counters: &Counters, now: Mono) {
        let of = |pick: fn(&lb_shared::counters::ServerCounters) -> u64| -> u64 {
            self.ids
                .iter()
                .filter_map(|id| counters.servers.get(id))
                .map(pick)
                .sum()
        };
        let made = of(|it| it.connections);
        let idle = self.inactive.iter().filter_map(|id| counters.servers.get(id));
        self.last = (of(|it| it.active), of(|it| it.inactive));
        let left = self.last.0 + idle.map(|it| it.inactive).sum::<u64>();
        // What the kernel shows of this counter is up to two seconds old: until then it still grows by connections
        // made before the drain.
        if now.since(self.began) >= COUNTER_AGE {
            self.made = Some((self.made.map_or(made, |(first, _)| first), made));
        }
        drain::remember(&mut self.samples, now, left);
        self.at_start = self.at_start.max(left);
    }

    /// Whether it is about what is followed.
    fn heard(&mut self, what: What, object: &ObjectId) -> bool {
        let ours = matches!(object, ObjectId::Server(id) if self.ids.contains(id));
        self.overdue |= what == What::DrainDeadline && ours;
        // After a new configuration any of them may be gone.
        ours || what == What::Applied
    }

    fn draining(&self, view: &View<'_>) -> bool {
        let servers = self.ids.iter().filter_map(|id| view.state.servers.get(id));
        servers.into_iter().any(|it| it.admin == Admin::Draining)
    }

    fn ended(&self, view: &View<'_>) -> bool {
        // An agent that is just starting has no configuration yet, and so no servers.
        let starting = view.state.agent.config.revision == 0;
        self.overdue || !starting && !self.draining(view)
    }

    /// For whoever goes away: the last view tells by which name it can be followed again.
    fn goes_on(&self, view: Option<&View<'_>>) -> String {
        let name = match (self.ids.as_slice(), view) {
            ([one], None) => format!(" {one}"),
            ([one], Some(view)) => format!(" {}", view.server_name(one)),
            _ => String::new(),
        };
        format!("the drain goes on (lbctl drain --follow{name})")
    }

    fn left(&self) -> u64 {
        self.samples.back().map_or(self.at_start, |(_, left)| *left)
    }

    fn name(&self, view: &View<'_>) -> String {
        match self.ids.as_slice() {
            [one] => view.server_name(one),
            many => count(many.len(), "server"),
        }
    }

    fn rate(&self) -> Option<f64> {
        let samples: Vec<_> = self.samples.iter().copied().collect();
        drain::rate(&samples)
    }

    fn eta(&self) -> Option<Duration> {
        let samples: Vec<_> = self.samples.iter().copied().collect();
        drain::eta(&samples)
    }

    /// `09:17:42  1,310 left     55/s           ETA 3m05s   deadline 9m30s`
    pub(crate) fn line(&self, view: &View<'_>, look: &Look) -> String {
        let left = self.left();
        let head = format!("{}  {:>5} left", look.zone.clock(view.wall_ms), thousands(left));
        if left == 0 {
            return head;
        }
        let deadline = self
            .deadline
            .map(|at| format!("deadline {}", span(at.since(view.now))));
        let line = match self.rate() {
            None => format!("{head}{:20}{}", "", deadline.unwrap_or_default()),
            Some(rate) => {
                // The points of all rates stand below each other.
                let text = if rate < 9.95 {
                    format!("{rate:>9.1}/s")
                } else {
                    format!("{rate:>7.0}/s")
                };
                let deadline = deadline.map_or(String::new(), |deadline| format!("   {deadline}"));
                format!("{head}{text:<20}{}{deadline}", eta_text(self.eta()))
            }
        };
        line.trim_end().to_owned()
    }

    /// Two lines with a bar, redrawn in place.
    pub(crate) fn block(&self, view: &View<'_>, columns: usize) -> [String; 2] {
        let left = self.left();
        let gone = self.at_start.saturating_sub(left);
        let name = self.name(view);
        let cells = columns.saturating_sub(width(&name) + 20).clamp(8, 60);
        let full = usize::try_from(u128::from(gone) * cells as u128 / u128::from(self.at_start.max(1)))
            .unwrap_or(cells);
        let bar = format!("{}{}", "#".repeat(full), ".".repeat(cells - full));
        let mut facts = vec![format!(
            "{} of {} gone",
            thousands(gone),
            thousands(self.at_start)
        )];
        if let Some(rate) = self.rate() {
            facts.push(if rate < 9.95 {
                format!("{rate:.1}/s")
            } else {
                format!("{rate:.0}/s")
            });
        }
        facts.push(eta_text(self.eta()));
        if let Some(deadline) = self.deadline {
            facts.push(format!("deadline {}", span(deadline.since(view.now))));
        }
        facts.push("Ctrl-C detaches".into());
        [
            format!("{name}  [{bar}]{:>7} left", thousands(left)),
            facts.join("   "),
        ]
    }

    /// One object for programs.
    fn json(&self, view: &View<'_>) -> serde_json::Value {
        serde_json::json!({
            "t": rfc3339(view.wall_ms),
            "server": self.name(view),
            "active": self.last.0,
            "inactive": self.last.1,
            "left": self.left(),
            "rate": self.rate().map(|rate| -(rate * 10.0).round() / 10.0),
            "eta_s": self.eta().map(|eta| eta.as_secs()),
            "deadline_s": self.deadline.map(|at| at.since(view.now).as_secs()),
        })
    }

    /// The last words, and the exit code.
    fn end(&self, view: &View<'_>, out: &mut Out) -> Result<(), Trouble> {
        let name = self.name(view);
        let took = span(Duration::from_millis(
            view.wall_ms.saturating_sub(self.began_wall_ms),
        ));
        if self.overdue {
            return Err(Refusal::new(
                RefusalCode::TimedOut,
                format!(
                    "{name}: deadline reached, {} connections left",
                    thousands(self.left())
                ),
                format!("what was chosen with --then is done; see lbctl why {name}"),
            )
            .into());
        }
        let admins: Vec<Option<Admin>> = self
            .ids
            .iter()
            .map(|id| view.state.servers.get(id).map(|server| server.admin))
            .collect();
        if admins.iter().all(|admin| *admin == Some(Admin::Drained)) {
            let made = self.made.map(|(first, now)| now.saturating_sub(first));
            let made = made.map_or(String::new(), |made| {
                let s = if made == 1 { "" } else { "s" };
                format!(" {} new connection{s},", thousands(made))
            });
            out.line(&format!("{name}: drained in {took},{made} 0 cut"))?;
            return Ok(());
        }
        let how = if admins.contains(&None) {
            "it is not in the configuration any more"
        } else if admins.contains(&Some(Admin::Disabled)) {
            "it was disabled"
        } else {
            "it was undrained"
        };
        Err(Refusal::new(
            RefusalCode::Conflict,
            format!("{name}: the drain ended after {took}: {how}"),
            "lbctl events shows who did it",
        )
        .into())
    }
}

fn eta_text(eta: Option<Duration>) -> String {
    match eta {
        Some(eta) => format!("ETA {}", span(eta)),
        None => "ETA unknown".into(),
    }
}

fn tell(
    global: &Global,
    look: &Look,
    out: &mut Out,
    follow: &Follow,
    view: &View<'_>,
    redraw: bool,
    first: bool,
) -> Result<(), Trouble> {
    if matches!(global.output, Output::Json | Output::Jsonl) {
        out.line(&follow.json(view).to_string())?;
        out.flush()?;
        return Ok(());
    }
    if global.quiet {
        return Ok(());
    }
    let mut stderr = io::stderr();
    if redraw {
        let columns = crossterm::terminal::size().map_or(80, |(columns, _)| usize::from(columns));
        let up = if first { "" } else { "\u{1b}[2A" };
        let [bar, facts] = follow.block(view, columns);
        write!(stderr, "{up}\r\u{1b}[J{bar}\n{facts}\n")?;
    } else {
        writeln!(stderr, "{}", follow.line(view, look))?;
    }
    stderr.flush()?;
    Ok(())
}
