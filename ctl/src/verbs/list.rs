//! Lists: instances, services, servers; of one agent, or collected from several.

use crate::args::{Global, Output};
use crate::columns::{self, Row};
use crate::connect;
use crate::look::{Look, Out};
use crate::table::{Column, Grid, Layout};
use crate::trouble::{Trouble, usage};
use lb_shared::duration;
use lb_shared::excerpt::{Excerpt, ExcerptAsk, OBJECTS_AT_ONCE, Scope};
use lb_shared::json;
use lb_shared::problems;
use lb_shared::state::{InstanceView, ServerView, ServiceView};
use lb_shared::text::width;
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

    fn scope(self) -> Scope {
        match self {
            Self::Vrrp => Scope::Instances,
            Self::Services => Scope::Services,
            Self::Servers => Scope::Servers,
        }
    }
}

/// The rows of one host, or some of them, in the form that was asked for.
#[derive(Default)]
pub(crate) struct Page {
    pub(crate) grid: Option<Grid>,
    pub(crate) values: Vec<Value>,
    pub(crate) names: Vec<String>,
    /// What they are sorted by; none when the order is the file's.
    keys: Vec<Key>,
}

/// What stands between the cells of a row that waits: no cell has it.
const JOINT: char = '\n';

/// What rows are sorted by; all of one list by the same.
#[derive(Clone, Eq, Ord, PartialEq, PartialOrd)]
enum Key {
    Number(u64),
    Text(String),
}

/// One agent's list, as it comes in.
pub(crate) fn run(
    global: &Global,
    look: &Look,
    out: &mut Out,
    kind: Kind,
    targets: &[String],
) -> Result<(), Trouble> {
    let mut client = connect::client(global)?;
    let ask = ask(global, look, kind, targets)?;
    again(global, look, out, |out| {
        let mut printer = Printer::new(global, look, kind);
        client.excerpts(&ask, |excerpt| -> Result<(), Trouble> {
            let short = short(&excerpt, targets);
            let page = rows(global, look, &View::excerpt(&excerpt), kind, short)?;
            printer.take(out, page, &excerpt, short)
        })?;
        printer.end(out)
    })
}

/// What a list is asked with.
pub(crate) fn ask(
    global: &Global,
    look: &Look,
    kind: Kind,
    targets: &[String],
) -> Result<ExcerptAsk, Trouble> {
    Ok(ExcerptAsk {
        scope: kind.scope(),
        targets: targets.to_vec(),
        filter: global.filter.clone().unwrap_or_default(),
        at_wall_ms: connect::at(global, look)?,
    })
}

/// Who asked for one service knows its name.
fn short(excerpt: &Excerpt, targets: &[String]) -> bool {
    !targets.is_empty() && excerpt.sums.one_service
}

/// One agent's whole list, to be put beside others.
pub(crate) fn page(
    global: &Global,
    look: &Look,
    excerpt: &Excerpt,
    kind: Kind,
    targets: &[String],
) -> Result<Page, Trouble> {
    let view = View::excerpt(excerpt);
    let mut page = rows(global, look, &view, kind, short(excerpt, targets))?;
    page.sort(global);
    Ok(page)
}

/// The rows of all there is.
fn rows(global: &Global, look: &Look, view: &View<'_>, kind: Kind, short: bool) -> Result<Page, Trouble> {
    match kind {
        Kind::Vrrp => {
            let rows = view.state.instances.values();
            let list = List {
                columns: columns::vrrp(true),
                shown: columns::vrrp(look.wide),
                mark: |it: &InstanceView| problems::instance_mark(it),
                form: json::instance,
                name: |it| format!("vrrp:{}", it.name),
            };
            list.page(global, look, view, rows.map(|it| &**it), short)
        }
        Kind::Services => {
            let rows = view.services().into_iter();
            let list = List {
                columns: columns::services(true),
                shown: columns::services(look.wide),
                mark: |it: &ServiceView| problems::service_mark(it.state),
                form: json::service,
                name: |it| it.key.to_string(),
            };
            list.page(global, look, view, rows, short)
        }
        Kind::Servers => {
            let list = List {
                columns: columns::servers(true),
                shown: columns::servers(look.wide),
                mark: |it: &ServerView| problems::server_mark(it),
                form: json::server,
                name: |it| it.id.to_string(),
            };
            list.page(global, look, view, view.servers(), short)
        }
    }
}

/// How objects of one kind are listed.
struct List<'a, T> {
    /// All that may be chosen and sorted by.
    columns: Vec<Column<Row<'a, T>>>,
    /// Those shown when nothing is chosen.
    shown: Vec<Column<Row<'a, T>>>,
    mark: fn(&T) -> char,
    form: fn(&View<'_>, &T) -> Value,
    name: fn(&T) -> String,
}

impl<'a, T: 'a> List<'a, T> {
    fn page(
        self,
        global: &Global,
        look: &'a Look,
        view: &'a View<'a>,
        rows: impl Iterator<Item = &'a T>,
        short: bool,
    ) -> Result<Page, Trouble> {
        let row = |it| Row {
            it,
            view,
            look,
            short,
        };
        let rows: Vec<(char, Row<'a, T>)> = rows.map(|it| ((self.mark)(it), row(it))).collect();
        let mut page = Page::default();
        if let Some(by) = &global.sort {
            let column = sorting(&self.columns, by)?;
            page.keys = rows
                .iter()
                .map(|(_, row)| match column.key {
                    Some(key) => Key::Number(key(row)),
                    None => Key::Text((column.cell)(row)),
                })
                .collect();
        }
        match global.output {
            Output::Table | Output::Wide => {
                let columns = pick(self.columns, self.shown, &global.columns)?;
                page.grid = Some(Grid::new(&columns, &rows));
            }
            Output::Json | Output::Jsonl => {
                page.values = rows.iter().map(|(_, row)| (self.form)(view, row.it)).collect();
            }
            Output::Name => page.names = rows.iter().map(|(_, row)| (self.name)(row.it)).collect(),
        }
        Ok(page)
    }
}

impl Page {
    fn is_empty(&self) -> bool {
        let rows = self.grid.as_ref().is_none_or(|grid| grid.rows.is_empty());
        rows && self.values.is_empty() && self.names.is_empty()
    }

    /// Adds rows that wait; a row is one text then, since many thousand wait.
    fn append(&mut self, mut later: Self) {
        if let Some(later) = later.grid {
            let head = later.head();
            let grid = self.grid.get_or_insert(head);
            let packed = later.rows.into_iter().map(|(mark, cells)| {
                let mut row = cells.join(&JOINT.to_string());
                row.shrink_to_fit();
                (mark, vec![row])
            });
            grid.rows.extend(packed);
        }
        self.values.append(&mut later.values);
        self.names.append(&mut later.names);
        self.keys.append(&mut later.keys);
    }

    fn sort(&mut self, global: &Global) {
        let mut order: Vec<usize> = (0..self.keys.len()).collect();
        order.sort_by(|a, b| self.keys[*a].cmp(&self.keys[*b]));
        if global.sort.as_ref().is_some_and(|by| by.starts_with('-')) {
            order.reverse();
        }
        if order.is_empty() {
            return;
        }
        if let Some(grid) = &mut self.grid {
            reorder(&mut grid.rows, &order);
        }
        reorder(&mut self.values, &order);
        reorder(&mut self.names, &order);
        self.keys.clear();
    }
}

fn reorder<T: Default>(items: &mut Vec<T>, order: &[usize]) {
    if !items.is_empty() {
        *items = order.iter().map(|at| std::mem::take(&mut items[*at])).collect();
    }
}

/// Prints pages as they come; only a list that is sorted by a column waits for its end.
struct Printer<'a> {
    global: &'a Global,
    look: &'a Look,
    kind: Kind,
    layout: Option<Layout>,
    kept: Page,
    host: String,
    any: bool,
}

impl<'a> Printer<'a> {
    fn new(global: &'a Global, look: &'a Look, kind: Kind) -> Self {
        Self {
            global,
            look,
            kind,
            layout: None,
            kept: Page::default(),
            host: String::new(),
            any: false,
        }
    }

    fn take(&mut self, out: &mut Out, page: Page, excerpt: &Excerpt, short: bool) -> Result<(), Trouble> {
        self.host.clone_from(&excerpt.snapshot.state.agent.host);
        if self.global.sort.is_some() {
            self.kept.append(page);
            return Ok(());
        }
        // What follows may need more room than what is here.
        let name = ("SERVER", excerpt.sums.longest as usize);
        let numbers = [("WEIGHT", 7), ("ACTIVE", 9), ("INACT", 9), ("CPS", 7), ("FOR", 6)];
        let floors = match (excerpt.more, short) {
            (false, _) => Vec::new(),
            (true, true) => numbers.to_vec(),
            (true, false) => numbers.into_iter().chain([name]).collect(),
        };
        self.print(out, &page, &floors)?;
        if excerpt.more {
            out.flush()?;
        }
        Ok(())
    }

    /// Prints rows that waited, some at a time.
    fn unpack(&mut self, out: &mut Out, grid: &Grid) -> Result<(), Trouble> {
        let mut widths = vec![0; grid.names.len()];
        for (_, row) in &grid.rows {
            for (widest, cell) in widths.iter_mut().zip(row[0].split(JOINT)) {
                *widest = width(cell).max(*widest);
            }
        }
        let floors: Vec<(&str, usize)> = grid.names.iter().copied().zip(widths).collect();
        for rows in grid.rows.chunks(OBJECTS_AT_ONCE) {
            let rows = rows.iter().map(|(mark, row)| {
                let cells = row[0].split(JOINT).map(ToOwned::to_owned);
                (*mark, cells.collect())
            });
            let page = Page {
                grid: Some(Grid {
                    rows: rows.collect(),
                    ..grid.head()
                }),
                ..Page::default()
            };
            self.print(out, &page, &floors)?;
        }
        Ok(())
    }

    fn print(&mut self, out: &mut Out, page: &Page, floors: &[(&str, usize)]) -> Result<(), Trouble> {
        if page.is_empty() {
            return Ok(());
        }
        let first = !std::mem::replace(&mut self.any, true);
        if let Some(grid) = &page.grid {
            if first {
                let layout = Layout::of(grid, floors, self.look);
                if let Some(head) = layout.head(self.look) {
                    out.line(&head)?;
                }
                self.layout = Some(layout);
            }
            if let Some(layout) = &self.layout {
                for line in layout.lines(grid, self.look) {
                    out.line(&line)?;
                }
            }
        }
        match (self.global.output, self.look.terminal()) {
            (Output::Json, pretty) => {
                if first {
                    out.text(if pretty { "{\n  \"data\": [" } else { "{\"data\":[" })?;
                }
                for (nth, value) in page.values.iter().enumerate() {
                    if !(first && nth == 0) {
                        out.text(",")?;
                    }
                    if pretty {
                        out.text("\n    ")?;
                        out.text(&format!("{value:#}").replace('\n', "\n    "))?;
                    } else {
                        out.text(&value.to_string())?;
                    }
                }
            }
            (Output::Jsonl | Output::Name | Output::Table | Output::Wide, _) => {
                for value in &page.values {
                    out.line(&value.to_string())?;
                }
                for name in &page.names {
                    out.line(name)?;
                }
            }
        }
        Ok(())
    }

    fn end(mut self, out: &mut Out) -> Result<(), Trouble> {
        let mut kept = std::mem::take(&mut self.kept);
        kept.sort(self.global);
        match kept.grid.take() {
            Some(grid) => self.unpack(out, &grid)?,
            None => self.print(out, &kept, &[])?,
        }
        let json = self.global.output == Output::Json;
        if !self.any && !json {
            if !self.global.quiet {
                eprintln!("no {} match", self.kind.noun());
            }
            return Ok(());
        }
        if json {
            let empty = json::document(&self.host, Value::Array(Vec::new()));
            if !self.any {
                return document(out, self.look, &empty);
            }
            // What follows the rows is what follows them in a document without any.
            let (text, end) = if self.look.terminal() {
                (format!("{empty:#}"), "\n  ]")
            } else {
                (empty.to_string(), "]")
            };
            let rest = text.split_once("[]").map_or("}", |(_, rest)| rest);
            out.line(&format!("{end}{rest}"))?;
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

fn sorting<'c, R>(columns: &'c [Column<R>], by: &str) -> Result<&'c Column<R>, Trouble> {
    let name = by.strip_prefix('-').unwrap_or(by);
    columns
        .iter()
        .find(|column| column.name.eq_ignore_ascii_case(name))
        .ok_or_else(|| {
            let known: Vec<&str> = columns.iter().map(|column| column.name).collect();
            no_column(name, &known)
        })
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
        let chosen: BTreeSet<_> = lb_shared::select::servers(view, targets, true)
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
