//! `status`: is anything wrong, and what did people change by hand?

use crate::args::{Global, Output};
use crate::connect;
use crate::look::{Look, Out};
use crate::trouble::Trouble;
use lb_shared::excerpt::{ExcerptAsk, Scope};
use lb_shared::json;
use lb_shared::names::ServerId;
use lb_shared::problems::{self, Problem};
use lb_shared::request::Role;
use lb_shared::state::{Admin, ObjectId, Override, OverrideKind, Target};
use lb_shared::text::{self, bytes_per_s, escape, span, thousands};
use lb_shared::view::View;
use std::time::Duration;

/// How many DOWN servers are listed.
const SERVERS_LISTED: usize = 10;

/// What of a status is shown.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Part {
    /// The head only.
    pub(crate) short: bool,
    /// Of some objects only: what they have none of is not told.
    pub(crate) some: bool,
}

pub(crate) fn run(
    global: &Global,
    look: &Look,
    out: &mut Out,
    targets: &[String],
    short: bool,
) -> Result<(), Trouble> {
    let mut client = connect::client(global)?;
    let ask = ExcerptAsk {
        targets: targets.to_vec(),
        at_wall_ms: connect::at(global, look)?,
        ..ExcerptAsk::all(Scope::Status)
    };
    let excerpt = client.excerpt(&ask)?;
    let view = View::excerpt(&excerpt);
    let snapshot = &excerpt.snapshot;
    match global.output {
        Output::Table | Output::Wide => {
            let some = !targets.is_empty();
            for line in lines(&view, snapshot.role, look, Part { short, some }) {
                out.line(&line)?;
            }
        }
        Output::Json => {
            let document = json::document(&snapshot.state.agent.host, json::status(&view));
            super::list::document(out, look, &document)?;
        }
        Output::Jsonl => out.line(&json::status(&view).to_string())?,
        Output::Name => {
            for problem in problems::problems(&view) {
                out.line(&problem.object.to_string())?;
            }
        }
    }
    Ok(())
}

/// The whole text.
pub(crate) fn lines(view: &View<'_>, role: Option<Role>, look: &Look, part: Part) -> Vec<String> {
    let mut lines = head(view, role, part.some);
    if part.short {
        return lines;
    }
    let found = problems::problems(view);
    let overrides: Vec<&Override> = view.state.overrides.values().collect();
    let rows = problem_rows(view, &found);
    let changes: Vec<Row> = overrides
        .iter()
        .map(|change| override_row(view, change))
        .collect();
    // Both tables share their columns, so that the eye finds names and times in one place.
    let widths = widths(rows.iter().chain(&changes));
    if !rows.is_empty() {
        lines.push(String::new());
        lines.push(heading(found.len(), "PROBLEM"));
        lines.extend(rows.iter().map(|row| row.line(&widths, look)));
    }
    if !changes.is_empty() {
        lines.push(String::new());
        lines.push(heading(overrides.len(), "OVERRIDE"));
        lines.extend(changes.iter().map(|row| row.line(&widths, look)));
    }
    lines
}

fn heading(count: usize, noun: &str) -> String {
    let s = if count == 1 { "" } else { "S" };
    format!("{} {noun}{s}", thousands(count as u64))
}

fn head(view: &View<'_>, role: Option<Role>, some: bool) -> Vec<String> {
    let agent = &view.state.agent;
    let config = &agent.config;
    let role = role.map_or_else(String::new, |role| format!(", role {}", role.word()));
    let stopping = if agent.stopping { ", stopping" } else { "" };
    let mut lines = vec![format!(
        "{:<8} agent {}, up {}, config r{} loaded {} ago{role}{stopping}",
        escape(&agent.host),
        escape(&agent.version),
        span(Duration::from_micros(view.now.0)),
        config.revision,
        span(view.age(config.loaded_at)),
    )];
    let instances = problems::instances(view.state);
    if !(some && instances.is_empty()) {
        lines.push(format!("VRRP     {}", problems::tally_text(&instances)));
    }
    let (services, servers) = (view.service_tally(), view.server_tally());
    if some && services.is_empty() {
        return lines;
    }
    let services = format!("SERVICE  {}", problems::tally_text(&services));
    let servers = problems::tally_text(&servers);
    let services = if services.len() < 28 {
        format!("{services:<29}")
    } else {
        format!("{services}  ")
    };
    lines.push(format!("{services}SERVER  {servers}"));
    lines.push(match view.totals() {
        Some(totals) => format!(
            "TRAFFIC  {} active, {} conn/s, {} in, {} out",
            thousands(totals.active),
            thousands(totals.connections_per_s),
            bytes_per_s(totals.bytes_in_per_s),
            bytes_per_s(totals.bytes_out_per_s)
        ),
        None => "TRAFFIC  not known: the agent gave no counters".into(),
    });
    if let (false, Some(it)) = (some, &agent.sync) {
        let follows = it
            .instance
            .as_ref()
            .map_or_else(String::new, |name| format!(", follows {}", escape(&name.0)));
        lines.push(format!(
            "SYNC     {} connections on {}, id {}{follows}",
            it.word(),
            escape(&it.interface),
            it.id
        ));
    }
    lines
}

struct Row {
    mark: char,
    word: String,
    name: String,
    age: String,
    text: String,
}

fn widths<'a>(rows: impl Iterator<Item = &'a Row>) -> [usize; 3] {
    rows.fold([0; 3], |widths, row| {
        [
            widths[0].max(text::width(&row.word)),
            widths[1].max(text::width(&row.name)),
            widths[2].max(text::width(&row.age)),
        ]
    })
}

impl Row {
    fn line(&self, widths: &[usize; 3], look: &Look) -> String {
        let pad = |text: &str, width: usize| " ".repeat(width.saturating_sub(text::width(text)));
        let plain = format!(
            "{} {}{}  {}{}  {}{}  {}",
            self.mark,
            self.word,
            pad(&self.word, widths[0]),
            self.name,
            pad(&self.name, widths[1]),
            self.age,
            pad(&self.age, widths[2]),
            self.text
        );
        let plain = plain.trim_end();
        let cut = match look.width {
            Some(columns) => text::cut(plain, columns),
            None => plain.to_owned(),
        };
        let state = format!("{} {}", self.mark, self.word);
        match cut.strip_prefix(&state) {
            Some(rest) => format!("{}{rest}", look.paint(self.mark, &state)),
            None => cut,
        }
    }
}

fn problem_rows(view: &View<'_>, found: &[Problem]) -> Vec<Row> {
    let row = |problem: &Problem| Row {
        mark: problem.mark,
        word: problem.state.to_owned(),
        name: problem.name.clone(),
        age: problem
            .since
            .map_or_else(String::new, |since| span(view.age(since))),
        text: problem.text.clone(),
    };
    let is_server = |problem: &&Problem| matches!(problem.object, ObjectId::Server(_));
    let servers = found.iter().filter(is_server).count();
    let mut rows: Vec<Row> = found
        .iter()
        .filter(|problem| !is_server(problem))
        .map(row)
        .collect();
    rows.extend(found.iter().filter(is_server).take(SERVERS_LISTED).map(row));
    if servers > SERVERS_LISTED {
        rows.push(Row {
            mark: '!',
            word: "DOWN".into(),
            name: format!("and {} more", thousands((servers - SERVERS_LISTED) as u64)),
            age: String::new(),
            text: "lbctl servers --filter st:down".into(),
        });
    }
    rows
}

fn override_row(view: &View<'_>, change: &Override) -> Row {
    let mark = match change.kind {
        OverrideKind::Disable => '-',
        OverrideKind::Drain { .. }
        | OverrideKind::Weight(_)
        | OverrideKind::Pin(_)
        | OverrideKind::Ramp { .. } => '~',
    };
    let who = if change.message.is_empty() {
        format!("({})", escape(&change.actor.user))
    } else {
        format!("({}: {})", escape(&change.actor.user), escape(&change.message))
    };
    let mut facts = Vec::new();
    match (change.kind, &change.target) {
        (OverrideKind::Drain { .. }, Target::Server(id)) => facts.extend(drain_facts(view, id)),
        (OverrideKind::Weight(weight), Target::Server(id)) => {
            let configured = view.state.servers.get(id).map(|it| it.configured);
            facts.push(match configured {
                Some(configured) => format!("weight {weight}/{configured}"),
                None => format!("weight {weight}"),
            });
        }
        (OverrideKind::Ramp { .. }, Target::Server(id)) => {
            let server = view.state.servers.get(id);
            facts.extend(server.and_then(|it| Some(format!("weight {}/{}", it.effective?, it.configured))));
        }
        _ => {}
    }
    match change.until_wall_ms {
        Some(until) if !matches!(change.kind, OverrideKind::Drain { .. }) => {
            let left = span(Duration::from_millis(until.saturating_sub(view.wall_ms)));
            facts.push(format!("{left} left"));
        }
        Some(_) | None => {}
    }
    if change.dormant.is_some() {
        facts.push("not in the configuration".into());
    }
    let facts = match facts.is_empty() {
        true => String::new(),
        false => format!("{} ", facts.join(", ")),
    };
    Row {
        mark,
        word: change.kind.word().into(),
        name: view.target_name(&change.target),
        age: span(Duration::from_millis(
            view.wall_ms.saturating_sub(change.at_wall_ms),
        )),
        text: format!("{facts}{who}"),
    }
}

/// `37 left, ETA 2m40s`, or that it is drained.
fn drain_facts(view: &View<'_>, id: &ServerId) -> Vec<String> {
    let Some(server) = view.state.servers.get(id) else {
        return Vec::new();
    };
    let drain = server.drain.as_ref().filter(|_| server.admin != Admin::Drained);
    let Some(drain) = drain else {
        return vec!["drained".into()];
    };
    let Some(counters) = view.server_counters(id) else {
        return Vec::new();
    };
    let left = drain.left(counters);
    if left == 0 {
        return vec!["0 left".into()];
    }
    let left = format!("{} left", thousands(left));
    let eta = match counters.drain_eta_s {
        Some(eta) => format!("ETA {}", span(Duration::from_secs(eta))),
        None => "ETA unknown".into(),
    };
    vec![left, eta]
}
