//! All hosts: how each is, who is master of what, and what they do not agree on.

use super::Scene;
use super::paint::{Area, Paint, Pane, Row, row};
use super::table::{Column, Line, table};
use super::words::short;
use crate::fleet::{HostRow, Standing};
use crate::mouse::{self, Spot};
use crate::theme::{Role, of_mark};
use lb_shared::text::{cut, escape, span};
use lb_shared::why::wrap;

/// Columns of a host in the table of routers.
const CELL: usize = 17;

pub(crate) fn draw(scene: &Scene<'_>, paint: &mut Paint<'_>, area: Area) {
    let panes = [hosts(scene, area), routers(scene, area), differences(scene, area)];
    paint.panes(area, &panes);
}

fn hosts(scene: &Scene<'_>, area: Area) -> Pane {
    let app = scene.app;
    let all = &app.fleet.hosts;
    let room = usize::from(area.height / 2).max(4);
    let top = app.hosts.top(room);
    let lines: Vec<Line> = all
        .iter()
        .enumerate()
        .skip(top)
        .take(room)
        .map(|(nth, host)| line(host, nth, nth == app.hosts.at()))
        .collect();
    let layout = [
        Column::new("HOST", 5).gap(0).max(20).keep_end(),
        Column::new("STATE", 11),
        Column::new("AGENT", 7).max(10).drop(3),
        Column::new("UP", 5).max(8).drop(6),
        Column::new("CONFIG", 6),
        Column::new("ROLE", 8).drop(5),
        Column::new("MASTER OF", 18).max(40),
        Column::new("SERVICES", 8).max(14).drop(4),
        Column::new("SERVERS", 11).max(18),
        Column::new("CONNS", 7).right().drop(2),
        Column::new("CPS", 6).right().drop(7),
        Column::new("IN", 6).right().drop(8),
        Column::new("OUT", 6).right().drop(8),
        Column::new("PROBLEMS", 8).right().drop(1),
    ];
    let (head, rows) = table(&layout, &lines, usize::from(area.width));
    let mut shown = vec![head];
    for (row_of, host) in rows.into_iter().zip(all.iter().skip(top)) {
        shown.push(row_of);
        if let Some(trouble) = &host.trouble {
            let text = cut(trouble, usize::from(area.width).saturating_sub(6));
            shown.push(row(format!("     {text}"), Role::Bad));
        }
    }
    shown.push(Row::default());
    let live = all.iter().filter(|host| host.standing == Standing::Live).count();
    let mut pane = Pane::new("Hosts", format!("{live} of {} live", all.len()), shown);
    pane.least = pane.rows.len().min(room + 1);
    pane
}

fn line(host: &HostRow, nth: usize, cursor: bool) -> Line {
    let (mark, state) = match host.standing {
        Standing::Live => ('+', "LIVE".to_owned()),
        Standing::Stale(silent) => ('!', format!("STALE {}", span(silent))),
        Standing::Unreachable if host.trouble.is_none() => ('?', "CONNECTING".to_owned()),
        Standing::Unreachable => ('!', "UNREACHABLE".to_owned()),
    };
    let unsure = if host.standing == Standing::Live { "" } else { "?" };
    let known = |text: &dyn Fn(&crate::fleet::Known) -> String| {
        let text = host.known.as_ref().map(text).filter(|text| !text.is_empty());
        text.map_or("-".to_owned(), |text| {
            if text == "-" {
                text
            } else {
                format!("{text}{unsure}")
            }
        })
    };
    let number = |of: &dyn Fn(&lb_shared::view::Totals) -> u64| {
        known(&|it| it.totals.as_ref().map(|it| short(of(it))).unwrap_or_default())
    };
    let plain = |text: String| (text, Role::Plain);
    Line {
        mark,
        cursor,
        marked: false,
        spot: Some(Spot::Row(mouse::Pane::Hosts, nth)),
        cells: vec![
            plain(host.name.clone()),
            (state, of_mark(mark)),
            plain(known(&|it| it.version.clone())),
            plain(known(&|it| span(it.up))),
            plain(known(&|it| format!("r{}", it.revision))),
            plain(host.role.map_or("-", |role| role.word()).to_owned()),
            plain(known(&|it| it.master_of.join(" "))),
            plain(known(&|it| it.services.clone())),
            plain(known(&|it| it.servers.clone())),
            plain(number(&|it| it.active)),
            plain(number(&|it| it.connections_per_s)),
            plain(number(&|it| it.bytes_in_per_s)),
            plain(number(&|it| it.bytes_out_per_s)),
            plain(known(&|it| it.problems.to_string())),
        ],
    }
}

fn routers(scene: &Scene<'_>, area: Area) -> Pane {
    let fleet = &scene.app.fleet;
    let width = usize::from(area.width);
    let mut head = format!("   {:<10} {:<5} {:<6}", "INSTANCE", "VRID", "IF");
    for host in &fleet.hosts {
        head.push_str(&format!(" {:<CELL$}", cut(&host.name, CELL)));
    }
    let mut rows = vec![row(cut(&head, width), Role::Title)];
    for router in &fleet.routers {
        let mut line = row(format!(" {} ", router.mark), of_mark(router.mark));
        line.push(
            format!(
                "{} {:<5} {}",
                fitted(&router.name, 10),
                router.vrid,
                fitted(&router.interface, 6)
            ),
            Role::Plain,
        );
        for (mark, text) in &router.cells {
            line.push(format!(" {}", fitted(text, CELL)), of_mark(*mark));
        }
        rows.push(line);
    }
    if fleet.routers.is_empty() {
        rows.push(row("   no vrrp_instance is known", Role::Plain));
    }
    rows.push(Row::default());
    let mut pane = Pane::new("VRRP across hosts", "effective/base; ? from a stale host", rows);
    pane.least = pane.rows.len().min(6);
    pane
}

/// Cut or filled to this width on the screen.
fn fitted(text: &str, columns: usize) -> String {
    let text = cut(text, columns);
    let blanks = columns.saturating_sub(lb_shared::text::width(&text));
    format!("{text}{}", " ".repeat(blanks))
}

fn differences(scene: &Scene<'_>, area: Area) -> Pane {
    let found = &scene.app.fleet.differences;
    let mut rows = Vec::new();
    for it in found {
        let mut line = row(format!(" {} ", it.mark), of_mark(it.mark));
        line.push(format!("{:<8} ", it.kind), of_mark(it.mark));
        let text = format!("{}: {}", escape(&it.name), escape(&it.text));
        let mut parts = wrap(&text, usize::from(area.width).saturating_sub(13)).into_iter();
        line.push(parts.next().unwrap_or_default(), Role::Plain);
        rows.push(line);
        rows.extend(parts.map(|part| row(format!("            {part}"), Role::Plain)));
    }
    if rows.is_empty() {
        rows.push(row("   the hosts agree on everything", Role::Plain));
    }
    let mut pane = Pane::new("Differences", found.len().to_string(), rows);
    pane.least = pane.rows.len().min(3);
    pane
}
