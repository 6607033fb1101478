//! Services above, the servers of the selected one below.

use super::Scene;
use super::overview;
use super::paint::{Area, Paint, Pane, Row, row};
use super::servers;
use super::table::{Column, Line, table};
use super::words::{bar, spark};
use crate::keys::Screen;
use crate::mouse::{self, Spot};
use crate::order::By;
use crate::past;
use crate::theme::{Role, of_mark};
use lb_shared::names::ServiceKey;
use lb_shared::problems;
use lb_shared::state::{Admin, Health, ObjectId, ServiceState, ServiceView, Target};
use lb_shared::text::{escape, short_span, si, span, thousands};
use std::collections::VecDeque;
use std::time::Duration;

pub(crate) fn draw(scene: &Scene<'_>, paint: &mut Paint<'_>, area: Area) {
    let app = scene.app;
    let all = app.services.rows.len();
    let current = app
        .services
        .current()
        .and_then(|key| scene.view.state.services.get(key));
    let half = (usize::from(area.height) / 2).saturating_sub(3).max(4);
    let alone = usize::from(area.height).saturating_sub(3).max(4);
    if let Some(service) = current.filter(|_| app.zoom && app.second_pane) {
        return paint.panes(area, &[members(scene, service, area, alone)]);
    }
    let height = if app.zoom { alone } else { half };
    let (head, rows) = service_rows(scene, usize::from(area.width), height);
    let mut lines = vec![head];
    lines.extend(rows);
    if all == 0 {
        lines.push(row("   no service matches", Role::Plain));
    }
    lines.push(Row::default());
    let mut first = Pane::new("", "", lines);
    first.least = first.rows.len().min(height + 2);
    let mut panes = vec![first];
    if let Some(service) = current.filter(|_| !app.zoom) {
        panes.push(members(scene, service, area, half));
        if scene.wide && area.height > 26 {
            panes.extend(closer(scene, service));
        }
    }
    paint.panes(area, &panes);
}

fn service_rows(scene: &Scene<'_>, columns: usize, height: usize) -> (Row, Vec<Row>) {
    let list = &scene.app.services;
    let top = list.top(height);
    let trend = if scene.wide { 9 } else { 5 };
    let lines: Vec<Line> = list
        .rows
        .iter()
        .enumerate()
        .skip(top)
        .take(height)
        .filter_map(|(nth, key)| {
            let it = scene.view.state.services.get(key)?;
            Some(Line {
                mark: problems::service_mark(it.state),
                cursor: nth == list.at() && !scene.app.second_pane,
                marked: false,
                differs: past::differs(scene.app, &ObjectId::Service(key.clone())),
                spot: Some(Spot::Row(mouse::Pane::Services, nth)),
                cells: cells(scene, it, trend),
            })
        })
        .collect();
    // Where nothing has a name, each address would be there twice.
    let nameless = scene.view.state.services.values().all(|it| nameless(it));
    let layout = [
        Column::new("STATE", 5).gap(0).by(By::State),
        Column::new("SERVICE", 10)
            .max(28)
            .keep_end()
            .by(By::Name)
            .hidden(nameless),
        Column::new("ADDRESS", 22).max(46).keep_end(),
        Column::new("SCHED", 5).gap(2).max(8).drop(2),
        Column::new("FWD", 3).gap(2).drop(6),
        Column::new("UP/ALL", 6).gap(2).max(11).right(),
        Column::new("QUORUM", 8).max(15).right().drop(7),
        Column::new("ACTIVE", 8).max(11).right().by(By::Active),
        Column::new("INACT", 8).max(11).right().drop(8),
        Column::new("CPS", 6).max(12).right().by(By::PerSecond),
        Column::new("IN", 6).gap(2).right().drop(9),
        Column::new("OUT", 6).right().drop(9),
        Column::new("VRRP", 8).gap(2).max(16).drop(10),
        Column::new("PERSIST", 7).gap(2).max(9).drop(12),
        Column::new("FOR", 6).gap(2).max(8).drop(11).by(By::Age),
        Column::new("TREND", trend).gap(2).drop(1),
    ];
    let shows = |it: &Column| scene.app.columns.shows(Screen::Services, it.title);
    let mut layout = layout.map(|it| it.hidden(it.hidden || !shows(&it)));
    for column in &mut layout {
        column.title = servers::counted(scene, column.title);
    }
    table(&layout, &lines, columns)
}

/// Whether it is called by its address alone.
fn nameless(it: &ServiceView) -> bool {
    it.name.is_none() && matches!(it.key, ServiceKey::Single(_))
}

fn cells(scene: &Scene<'_>, it: &ServiceView, trend: usize) -> Vec<(String, Role)> {
    let view = &scene.view;
    let mark = problems::service_mark(it.state);
    let (up, all) = view.up_of(&it.key);
    let totals = scene.data.services.get(&it.key);
    let number = |value: Option<u64>| value.map_or("-".to_owned(), thousands);
    let rate = |value: Option<u64>| value.map_or("-".to_owned(), si);
    // Replies of DR and TUN do not pass this host.
    let replies_pass = it.method == "NAT";
    let plain = |text: String| (text, Role::Plain);
    let sums = scene.app.sums;
    vec![
        (it.state.word().to_owned(), of_mark(mark)),
        plain(if nameless(it) {
            "-".into()
        } else {
            view.service_name(&it.key)
        }),
        plain(escape(&it.key.to_string())),
        plain(escape(&it.scheduler)),
        plain(escape(&it.method)),
        plain(format!("{up}/{all}")),
        plain(format!("{}/{}", it.live_weight, it.quorum)),
        plain(number(totals.map(|it| it.active))),
        plain(number(totals.map(|it| it.inactive))),
        plain(number(totals.map(|it| {
            if sums {
                it.connections
            } else {
                it.connections_per_s
            }
        }))),
        plain(rate(
            totals.map(|it| if sums { it.bytes_in } else { it.bytes_in_per_s }),
        )),
        plain(if replies_pass {
            rate(totals.map(|it| if sums { it.bytes_out } else { it.bytes_out_per_s }))
        } else {
            "-".into()
        }),
        plain(
            it.instance
                .as_ref()
                .map_or("-".to_owned(), |name| escape(&name.0)),
        ),
        plain(
            it.persistence_s
                .map_or("-".to_owned(), |s| short_span(Duration::from_secs(s.into()))),
        ),
        plain(scene.age(it.since)),
        plain(
            scene
                .data
                .history
                .services
                .get(&it.key)
                .map(|samples| spark(samples, trend))
                .unwrap_or_default(),
        ),
    ]
}

fn members(scene: &Scene<'_>, service: &ServiceView, area: Area, height: usize) -> Pane {
    let app = scene.app;
    let list = &app.members;
    let name = escape(&scene.view.service_name(&service.key));
    let title = if scene.wide {
        format!(
            "{name}   {}   {} {}   {}",
            escape(&service.key.to_string()),
            escape(&service.scheduler),
            escape(&service.method),
            persistence(service)
        )
    } else {
        name.clone()
    };
    let (up, all) = scene.view.up_of(&service.key);
    let note = format!(
        "{}, {up} up, quorum {}/{}",
        lb_shared::text::count(all, "server"),
        service.live_weight,
        service.quorum
    );
    let top = list.top(height);
    let seen = list.rows.iter().enumerate().skip(top).take(height);
    let lines = servers::lines(scene, seen, list, mouse::Pane::Members, app.second_pane);
    let (head, rows) = servers::member_table(scene, &lines, usize::from(area.width));
    let mut all = vec![head];
    all.extend(rows);
    if lines.is_empty() {
        all.push(row("   it has no real_server", Role::Plain));
    }
    if let Some(sorry) = service.sorry {
        let used = if service.state == ServiceState::Sorry {
            "in use"
        } else {
            "standing by"
        };
        all.push(row(format!("   sorry server {sorry}: {used}"), Role::Plain));
    }
    if let lb_shared::state::Programmed::Failed(reason) = &service.programmed {
        all.push(row(
            format!(" ! the kernel refuses it: {}", escape(reason)),
            Role::Bad,
        ));
    }
    all.push(Row::default());
    if !scene.wide
        && let Some(totals) = scene.data.services.get(&service.key)
    {
        let weight: u64 = scene
            .view
            .state
            .servers_of(&service.key)
            .map(|server| u64::from(server.configured.get()))
            .sum();
        all.push(row(
            format!(
                " Totals for {name}: in {}  out {}   weight {} of {weight}   {}",
                si(totals.bytes_in_per_s),
                si(totals.bytes_out_per_s),
                service.live_weight,
                persistence(service)
            ),
            Role::Plain,
        ));
    }
    let mut pane = Pane::new(title, note, all);
    pane.least = pane.rows.len().min(height);
    pane
}

fn persistence(service: &ServiceView) -> String {
    match service.persistence_s {
        None => "persistence off".into(),
        Some(s) => format!("persistence {}", span(Duration::from_secs(s.into()))),
    }
}

/// One number of a service over the last minutes.
fn traffic(title: &str, samples: &VecDeque<u64>, written: impl Fn(u64) -> String) -> Row {
    let written = |sample: Option<&u64>| written(sample.copied().unwrap_or(0));
    row(
        format!(
            "   {title:<9} {} {:>8}    min {:<8} max {}",
            spark(samples, 64),
            written(samples.back()),
            written(samples.iter().min()),
            written(samples.iter().max())
        ),
        Role::Plain,
    )
}

/// What drains, what is down, and the traffic: panes of large terminals.
fn closer(scene: &Scene<'_>, service: &ServiceView) -> Vec<Pane> {
    let view = &scene.view;
    let mut panes = Vec::new();
    let mut draining = Vec::new();
    let mut down = Vec::new();
    for server in view.state.servers_of(&service.key) {
        if let Some(drain) = server.drain.as_ref().filter(|_| server.admin == Admin::Draining) {
            let left = view.server_counters(&server.id).map_or(0, |it| drain.left(it));
            let gone = drain.active_at_start.saturating_sub(left);
            let eta = view
                .server_counters(&server.id)
                .and_then(|it| it.drain_eta_s)
                .map_or(String::new(), |s| {
                    format!("   ETA {}", span(Duration::from_secs(s)))
                });
            let deadline = drain.deadline.map_or("   no deadline".to_owned(), |deadline| {
                format!("   deadline {}", span(deadline.since(view.now)))
            });
            draining.push(row(
                format!(
                    "   {:<19} {}  {} of {} gone   {} left{eta}{deadline}",
                    server.id.server.to_string(),
                    bar(drain.active_at_start, left, 50),
                    thousands(gone),
                    thousands(drain.active_at_start),
                    thousands(left)
                ),
                Role::Plain,
            ));
            if let Some(change) = view.state.overrides.get(&Target::Server(server.id.clone())) {
                draining.push(row(format!("   {}", overview::by(scene, change)), Role::Plain));
            }
        }
        if server.health == Health::Down {
            down.push(row(
                format!(
                    "   {:<19} {}   down {}",
                    server.id.server.to_string(),
                    problems::server_reason(server),
                    scene.age(server.since)
                ),
                Role::Plain,
            ));
        }
    }
    for (title, mut rows) in [("Draining", draining), ("Down", down)] {
        if !rows.is_empty() {
            rows.push(Row::default());
            panes.push(Pane::new(title, "", rows));
        }
    }
    let history = &scene.data.history;
    if let Some(samples) = history.services.get(&service.key) {
        let mut rows = vec![traffic("conns/s", samples, thousands)];
        if let Some([active, bytes_in, bytes_out]) = history.carried.get(&service.key) {
            rows.push(traffic("active", active, thousands));
            rows.push(traffic("in B/s", bytes_in, si));
            // Replies of DR and TUN do not pass this host.
            if service.method == "NAT" {
                rows.push(traffic("out B/s", bytes_out, si));
            }
        }
        rows.push(Row::default());
        panes.push(Pane::new(
            format!("{}: traffic", escape(&view.service_name(&service.key))),
            "1 cell = 5 s",
            rows,
        ));
    }
    let events: Vec<Row> = scene
        .data
        .events
        .iter()
        .rev()
        .filter(|event| match &event.event.object {
            ObjectId::Service(key) => *key == service.key,
            ObjectId::Server(id) => id.service == service.key,
            _ => false,
        })
        .take(6)
        .map(|event| {
            row(
                format!(
                    "   {:<8}  {:<7} {:<24} {}",
                    scene.moment(event.wall_ms, view.wall_ms),
                    event.event.what.topic(),
                    super::events::name(scene, &event.event.object),
                    super::words::what(event)
                ),
                Role::Plain,
            )
        })
        .collect();
    if !events.is_empty() {
        panes.push(Pane::new("Last events", "", events));
    }
    panes
}
