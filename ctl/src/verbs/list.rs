//! Lists: instances, services, servers; of one agent, or collected from several.

use crate::args::{Global, Output};
use crate::columns::{self, Row};
use crate::connect;
use crate::look::{Look, Out};
use crate::table::{Column, Grid};
use crate::trouble::{Trouble, usage};
use lb_shared::duration;
use lb_shared::filter::{Filter, Item};
use lb_shared::json;
use lb_shared::problems;
use lb_shared::request::Refusal;
use lb_shared::select;
use lb_shared::state::{InstanceView, ServerView, ServiceView};
use lb_shared::view::View;
use serde_json::Value;
use std::collections::BTreeSet;

/// What is listed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Vrrp,
    Services,
    Servers,
}

impl Kind {
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Vrrp => "instances",
            Self::Services => "services",
            Self::Servers => "servers",
        }
    }

    fn show(
        self,
        global: &Global,
        look: &Look,
        view: &View<'_>,
        targets: &[String],
        sink: &mut Sink<'_>,
    ) -> Result<(), Trouble> {
        match self {
            Self::Vrrp => vrrp(global, look, view, targets, sink),
            Self::Services => services(global, look, view, targets, sink),
            Self::Servers => servers(global, look, view, targets, sink),
        }
    }
}

/// Where the rows go.
enum Sink<'a> {
    /// To be read now.
    Out(&'a mut Out),
    /// To be put beside those of other hosts.
    Page(&'a mut Page),
}

/// The rows of one host, in the form that was asked for.
#[derive(Default)]
pub(crate) struct Page {
    pub(crate) grid: Option<Grid>,
    pub(crate) values: Vec<Value>,
    pub(crate) names: Vec<String>,
}

/// One agent's list.
pub(crate) fn run(
    global: &Global,
    look: &Look,
    out: &mut Out,
    kind: Kind,
    targets: &[String],
) -> Result<(), Trouble> {
    let mut client = connect::client(global)?;
    again(global, look, out, |out| {
        let (snapshot, counters) = connect::look(&mut client)?;
        let view = View::of(&snapshot).with_counters(counters.as_ref());
        kind.show(global, look, &view, targets, &mut Sink::Out(out))
    })
}

/// One agent's list, to be put beside others.
pub(crate) fn page(
    global: &Global,
    look: &Look,
    view: &View<'_>,
    kind: Kind,
    targets: &[String],
) -> Result<Page, Trouble> {
    let mut page = Page::default();
    kind.show(global, look, view, targets, &mut Sink::Page(&mut page))?;
    Ok(page)
}

fn vrrp(
    global: &Global,
    look: &Look,
    view: &View<'_>,
    targets: &[String],
    sink: &mut Sink<'_>,
) -> Result<(), Trouble> {
    let chosen = chosen(targets, || select::instances(view, targets))?;
    let filter = filter(global)?;
    let rows: Vec<_> = view
        .state
        .instances
        .values()
        .map(|it| &**it)
        .filter(|it| chosen.as_ref().is_none_or(|chosen| chosen.contains(&it.name)))
        .filter(|it| filter.passes(view, Item::Instance(it)))
        .collect();
    let list = List {
        kind: Kind::Vrrp,
        columns: columns::vrrp(true),
        shown: columns::vrrp(look.wide),
        mark: |it: &InstanceView| problems::instance_mark(it),
        form: json::instance,
        name: |it| format!("vrrp:{}", it.name),
    };
    list.print(global, look, sink, view, rows, false)
}

fn services(
    global: &Global,
    look: &Look,
    view: &View<'_>,
    targets: &[String],
    sink: &mut Sink<'_>,
) -> Result<(), Trouble> {
    let chosen = chosen(targets, || select::services(view, targets))?;
    let filter = filter(global)?;
    let rows: Vec<_> = view
        .services()
        .into_iter()
        .filter(|it| chosen.as_ref().is_none_or(|chosen| chosen.contains(&it.key)))
        .filter(|it| filter.passes(view, Item::Service(it)))
        .collect();
    let list = List {
        kind: Kind::Services,
        columns: columns::services(true),
        shown: columns::services(look.wide),
        mark: |it: &ServiceView| problems::service_mark(it.state),
        form: json::service,
        name: |it| it.key.to_string(),
    };
    list.print(global, look, sink, view, rows, false)
}

fn servers(
    global: &Global,
    look: &Look,
    view: &View<'_>,
    targets: &[String],
    sink: &mut Sink<'_>,
) -> Result<(), Trouble> {
    let chosen = chosen(targets, || select::servers(view, targets, true))?;
    let filter = filter(global)?;
    let rows: Vec<_> = view
        .servers()
        .filter(|it| chosen.as_ref().is_none_or(|chosen| chosen.contains(&it.id)))
        .filter(|it| filter.passes(view, Item::Server(it)))
        .collect();
    // Who asked for one service knows its name.
    let one = rows
        .windows(2)
        .all(|pair| pair[0].id.service == pair[1].id.service);
    let short = one && !targets.is_empty();
    let list = List {
        kind: Kind::Servers,
        columns: columns::servers(true),
        shown: columns::servers(look.wide),
        mark: |it: &ServerView| problems::server_mark(it),
        form: json::server,
        name: |it| it.id.to_string(),
    };
    list.print(global, look, sink, view, rows, short)
}

/// How objects of one kind are listed.
struct List<'a, T> {
    kind: Kind,
    /// All that may be chosen and sorted by.
    columns: Vec<Column<Row<'a, T>>>,
    /// Those shown when nothing is chosen.
    shown: Vec<Column<Row<'a, T>>>,
    mark: fn(&T) -> char,
    form: fn(&View<'_>, &T) -> Value,
    name: fn(&T) -> String,
}

impl<'a, T> List<'a, T> {
    fn print(
        self,
        global: &Global,
        look: &'a Look,
        sink: &mut Sink<'_>,
        view: &'a View<'a>,
        rows: Vec<&'a T>,
        short: bool,
    ) -> Result<(), Trouble> {
        let mut rows: Vec<(char, Row<'a, T>)> = rows
            .into_iter()
            .map(|it| {
                let row = Row {
                    it,
                    view,
                    look,
                    short,
                };
                ((self.mark)(it), row)
            })
            .collect();
        if let Some(by) = &global.sort {
            sort(&mut rows, &self.columns, by)?;
        }
        let out = match sink {
            Sink::Page(page) => return self.collect(global, page, view, &rows),
            Sink::Out(out) => out,
        };
        if rows.is_empty() && !matches!(global.output, Output::Json) {
            if !global.quiet {
                eprintln!("no {} match", self.kind.noun());
            }
            return Ok(());
        }
        match global.output {
            Output::Table | Output::Wide => {
                let columns = pick(self.columns, self.shown, &global.columns)?;
                for line in Grid::new(&columns, &rows).lines(look) {
                    out.line(&line)?;
                }
            }
            Output::Json => {
                let data = json::list(&rows, |(_, row)| (self.form)(view, row.it));
                document(out, look, &json::document(&view.state.agent.host, data))?;
            }
            // Line by line: fifty thousand at once would need much memory.
            Output::Jsonl => {
                for (_, row) in &rows {
                    out.line(&(self.form)(view, row.it).to_string())?;
                }
            }
            Output::Name => {
                for (_, row) in &rows {
                    out.line(&(self.name)(row.it))?;
                }
            }
        }
        Ok(())
    }

    fn collect(
        self,
        global: &Global,
        page: &mut Page,
        view: &View<'_>,
        rows: &[(char, Row<'a, T>)],
    ) -> Result<(), Trouble> {
        match global.output {
            Output::Table | Output::Wide => {
                let columns = pick(self.columns, self.shown, &global.columns)?;
                page.grid = Some(Grid::new(&columns, rows));
            }
            Output::Json | Output::Jsonl => {
                page.values = rows.iter().map(|(_, row)| (self.form)(view, row.it)).collect();
            }
            Output::Name => page.names = rows.iter().map(|(_, row)| (self.name)(row.it)).collect(),
        }
        Ok(())
    }
}

/// A document: indented where somebody looks, one line for programs.
pub(crate) fn document(out: &mut Out, look: &Look, document: &Value) -> Result<(), Trouble> {
    if look.terminal() {
        out.line(&format!("{document:#}"))?;
    } else {
        out.line(&document.to_string())?;
    }
    Ok(())
}

fn filter(global: &Global) -> Result<Filter, Refusal> {
    Filter::parse(global.filter.as_deref().unwrap_or_default())
}

fn chosen<T: Ord>(
    targets: &[String],
    find: impl FnOnce() -> Result<Vec<T>, Refusal>,
) -> Result<Option<BTreeSet<T>>, Refusal> {
    if targets.is_empty() {
        return Ok(None);
    }
    find().map(|found| Some(found.into_iter().collect()))
}

fn no_column(name: &str, known: &[&str]) -> Trouble {
    usage(
        format!("there is no column {}", lb_shared::text::escape(name)),
        format!("columns here are {}", known.join(" ")),
    )
}

fn pick<R>(
    mut all: Vec<Column<R>>,
    shown: Vec<Column<R>>,
    wanted: &[String],
) -> Result<Vec<Column<R>>, Trouble> {
    if wanted.is_empty() {
        return Ok(shown);
    }
    let known: Vec<&str> = all.iter().map(|column| column.name).collect();
    wanted
        .iter()
        .map(|name| {
            let at = all
                .iter()
                .position(|column| column.name.eq_ignore_ascii_case(name))
                .ok_or_else(|| no_column(name, &known))?;
            Ok(all.swap_remove(at))
        })
        .collect()
}

fn sort<R>(rows: &mut [(char, R)], columns: &[Column<R>], by: &str) -> Result<(), Trouble> {
    let (name, down) = match by.strip_prefix('-') {
        Some(name) => (name, true),
        None => (by, false),
    };
    let Some(column) = columns
        .iter()
        .find(|column| column.name.eq_ignore_ascii_case(name))
    else {
        let known: Vec<&str> = columns.iter().map(|column| column.name).collect();
        return Err(no_column(name, &known));
    };
    match column.key {
        Some(key) => rows.sort_by_key(|(_, row)| key(row)),
        None => rows.sort_by_cached_key(|(_, row)| (column.cell)(row)),
    }
    if down {
        rows.reverse();
    }
    Ok(())
}

/// Once, or with `--watch` again and again: redrawn on a terminal, else changed lines only.
pub(crate) fn again(
    global: &Global,
    look: &Look,
    out: &mut Out,
    mut show: impl FnMut(&mut Out) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    let Some(every) = &global.watch else {
        return show(out);
    };
    let every = duration::parse(every)?;
    let mut seen: BTreeSet<String> = BTreeSet::new();
    loop {
        let mut page = Out::buffer();
        show(&mut page)?;
        let text = page.taken();
        if look.terminal() {
            // Home, then what is left of the old page below the new one.
            out.text("\u{1b}[H\u{1b}[2J")?;
            out.text(&text)?;
        } else {
            for line in text.lines().filter(|line| !seen.contains(*line)) {
                out.line(line)?;
            }
            seen = text.lines().map(ToOwned::to_owned).collect();
        }
        out.flush()?;
        std::thread::sleep(every);
    }
}

#[cfg(test)]
pub(crate) mod text {
    //! Lists as text, for golden tests.

    use super::*;

    fn grid<'a, T>(
        columns: &[Column<Row<'a, T>>],
        rows: Vec<&'a T>,
        mark: fn(&T) -> char,
        view: &'a View<'a>,
        look: &'a Look,
        short: bool,
    ) -> String {
        let rows: Vec<_> = rows
            .into_iter()
            .map(|it| {
                let row = Row {
                    it,
                    view,
                    look,
                    short,
                };
                (mark(it), row)
            })
            .collect();
        let lines = Grid::new(columns, &rows).lines(look);
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    pub(crate) fn vrrp(view: &View<'_>, look: &Look) -> String {
        let rows = view.state.instances.values().map(|it| &**it).collect();
        grid(
            &columns::vrrp(look.wide),
            rows,
            problems::instance_mark,
            view,
            look,
            false,
        )
    }

    pub(crate) fn services(view: &View<'_>, look: &Look) -> String {
        let mark = |it: &ServiceView| problems::service_mark(it.state);
        grid(
            &columns::services(look.wide),
            view.services(),
            mark,
            view,
            look,
            false,
        )
    }

    pub(crate) fn servers(view: &View<'_>, look: &Look, targets: &[String]) -> String {
        let chosen: BTreeSet<_> = select::servers(view, targets, true)
            .unwrap()
            .into_iter()
            .collect();
        let rows = view.servers().filter(|it| chosen.contains(&it.id)).collect();
        grid(
            &columns::servers(look.wide),
            rows,
            problems::server_mark,
            view,
            look,
            true,
        )
    }
}
