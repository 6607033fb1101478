//! All hosts: how each is, who is master of what, and what they do not agree on.

use super::Scene;
use super::paint::{Area, Paint, Pane, Row, row};
use super::table::{Column, Line, table};
use super::words::short;
use crate::fleet::{HostRow, Standing};
use crate::mouse::{self, Spot};
use crate::theme::{Role, of_mark};
use lb_shared::text::{count, cut, escape, span};
use lb_shared::why::wrap;

/// Columns of a host in tables with a column for each.
const CELL: usize = 17;
const CELL_WIDE: usize = 24;
/// The most servers that are compared.
const SERVERS_MAX: usize = 12;

pub(crate) fn draw(scene: &Scene<'_>, paint: &mut Paint<'_>, area: Area) {
    let mut panes = vec![
        hosts(scene, area),
        routers(scene, area),
        next(scene, area),
        differences(scene, area),
        health(scene, area),
        links(scene),
    ];
    panes.retain(|pane| !pane.rows.is_empty());
    // A low terminal has no room for air.
    if area.height < 26 {
        for pane in &mut panes {
            if pane.rows.pop_if(|row| row.is_empty()).is_some() {
                pane.least = pane.least.min(pane.rows.len());
            }
        }
    }
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
        Column::new("PROBLEMS", 8).right().drop(4),
        Column::new("RTT", 6).right().drop(1),
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
        differs: false,
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
            plain(host.way.trip.clone().unwrap_or_else(|| "-".to_owned())),
        ],
    }
}

fn routers(scene: &Scene<'_>, area: Area) -> Pane {
    let fleet = &scene.app.fleet;
    let width = usize::from(area.width);
    let cell = if scene.wide { CELL_WIDE } else { CELL };
    let mut head = format!("   {:<10} {:<5} {:<6}", "INSTANCE", "VRID", "IF");
    if scene.wide {
        head.push_str(" VIPS ");
    }
    for host in &fleet.hosts {
        head.push_str(&format!(" {}", fitted(&host.name, cell)));
    }
    if scene.wide {
        head.push_str(" MASTERS  CONN SYNC");
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
        if scene.wide {
            line.push(format!(" {:>4} ", router.addresses), Role::Plain);
        }
        for it in &router.cells {
            let text = match (&it.age, scene.wide) {
                (Some(age), true) => format!("{} {age:>6}", fitted(&it.text, 15)),
                _ => it.text.clone(),
            };
            line.push(format!(" {}", fitted(&text, cell)), of_mark(it.mark));
        }
        if scene.wide {
            let look = if router.masters == 1 {
                Role::Plain
            } else {
                Role::Bad
            };
            line.push(format!(" {:>7}", router.masters), look);
            line.push(format!("  {}", router.sync), Role::Plain);
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

/// Who would be master if the master were lost.
fn next(scene: &Scene<'_>, area: Area) -> Pane {
    let fleet = &scene.app.fleet;
    let mut rows = Vec::new();
    for it in &fleet.next {
        let mut line = row(format!(" {} ", it.mark), of_mark(it.mark));
        let notes: String = it.notes.iter().map(|note| format!("; {note}")).collect();
        let text = format!("{}{notes}", it.text);
        line.push(format!("{} ", fitted(&it.name, 10)), Role::Plain);
        let room = usize::from(area.width).saturating_sub(15);
        let parts = if scene.wide {
            wrap(&text, room)
        } else {
            vec![cut(&text, room)]
        };
        let mut parts = parts.into_iter();
        line.push(parts.next().unwrap_or_default(), Role::Plain);
        rows.push(line);
        rows.extend(parts.map(|part| row(format!("              {part}"), Role::Plain)));
    }
    if !rows.is_empty() {
        rows.push(Row::default());
    }
    let mut pane = Pane::new("If the master is lost", "from the hosts that answer", rows);
    pane.least = pane.rows.len().min(5);
    pane
}

/// How the servers of the service under the cursor of screen 2 are on each host.
fn health(scene: &Scene<'_>, area: Area) -> Pane {
    let fleet = &scene.app.fleet;
    let health = &fleet.health;
    if health.rows.is_empty() {
        return Pane::default();
    }
    let cell = if scene.wide { CELL_WIDE } else { CELL };
    let mut head = format!("   {:<24}", "SERVER");
    for host in &fleet.hosts {
        head.push_str(&format!(" {}", fitted(&host.name, cell)));
    }
    let mut rows = vec![row(cut(&head, usize::from(area.width)), Role::Title)];
    for it in health.rows.iter().take(SERVERS_MAX) {
        let mut line = row(format!(" {} ", it.mark), of_mark(it.mark));
        line.push(fitted(&it.server, 24), Role::Plain);
        for (mark, text) in &it.cells {
            line.push(format!(" {}", fitted(text, cell)), of_mark(*mark));
        }
        rows.push(line);
    }
    if health.rows.len() > SERVERS_MAX {
        rows.push(row(
            format!("   and {} more", health.rows.len() - SERVERS_MAX),
            Role::Plain,
        ));
    }
    rows.push(Row::default());
    Pane::new("Health as seen from each host", health.service.clone(), rows)
}

/// How each host is reached.
fn links(scene: &Scene<'_>) -> Pane {
    let rows = scene
        .app
        .fleet
        .hosts
        .iter()
        .map(|host| {
            let way = &host.way;
            let (standing, look) = match way.up {
                None => ("connecting".to_owned(), Role::Plain),
                Some((true, since)) => (format!("up {}", span(since)), Role::Plain),
                Some((false, since)) => (format!("down {}", span(since)), Role::Bad),
            };
            let mut line = row(
                format!(
                    "   {} {} ",
                    fitted(&host.name, 12),
                    fitted(&escape(&way.path), 32)
                ),
                Role::Plain,
            );
            line.push(format!("{standing:<12}"), look);
            line.push(
                format!(" {:<14}", count(way.reconnects as usize, "reconnect")),
                Role::Plain,
            );
            if let Some(failure) = &way.last_failure {
                line.push(format!(" last error: {failure}"), Role::Plain);
            }
            line
        })
        .collect();
    Pane::new("Links", "", rows)
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
    rows.push(Row::default());
    let mut pane = Pane::new("Differences", found.len().to_string(), rows);
    pane.least = pane.rows.len().min(3);
    pane
}
