//! All servers of all services, flat; the screen for very many.

use super::Scene;
use super::paint::{Area, Paint, Row, row};
use super::table::{Column, Line, table};
use super::words::check;
use crate::keys::Screen;
use crate::list::List;
use crate::mouse::{Pane, Spot};
use crate::order::By;
use crate::past;
use crate::theme::{Role, of_mark};
use lb_shared::names::{ServerId, ServiceKey};
use lb_shared::problems;
use lb_shared::state::{ObjectId, ServerView};
use lb_shared::text::{escape, short_span, si, thousands};
use lb_shared::view::View;

pub(crate) fn draw(scene: &Scene<'_>, paint: &mut Paint<'_>, area: Area) {
    let list = &scene.app.servers;
    paint.rule(area.x, area.y, area.width, "", "");
    // Rule, header, and the two lines below the rows.
    let height = usize::from(area.height).saturating_sub(4);
    let top = list.top(height);
    let seen = list.rows.iter().enumerate().skip(top).take(height);
    let lines = lines(scene, seen, list, Pane::Servers, true);
    let (head, rows) = all_table(scene, &lines, usize::from(area.width).saturating_sub(2));
    paint.row(area.x, area.y + 1, area.width, &head);
    let bar = scrollbar(list.rows.len(), top, height);
    for (nth, line) in rows.iter().enumerate() {
        let y = area.y + 2 + u16::try_from(nth).unwrap_or(u16::MAX);
        paint.row(
            area.x,
            y,
            area.width - 1,
            &line.clone().padded(usize::from(area.width) - 1),
        );
        if let Some(sign) = bar.get(nth) {
            paint.row(area.width - 1, y, 1, &row(sign.to_string(), Role::Rule));
        }
    }
    if list.rows.is_empty() {
        paint.row(
            area.x,
            area.y + 2,
            area.width,
            &row("   no server matches", Role::Plain),
        );
    }
    let y = area.y + area.height - 2;
    let shown = format!(
        " rows {}-{} of {}",
        thousands((top + 1).min(list.rows.len()) as u64),
        thousands((top + height).min(list.rows.len()) as u64),
        thousands(list.rows.len() as u64)
    );
    let marked = match list.marks.len() {
        0 => Row::default(),
        count => {
            let active: u64 = list
                .marks
                .iter()
                .filter_map(|id| scene.view.server_counters(id))
                .fold(0, |sum, counters| counters.active.saturating_add(sum));
            row(
                format!(
                    "{} marked, {} active connections; d drains them, Esc clears marks",
                    thousands(count as u64),
                    thousands(active)
                ),
                Role::Override,
            )
        }
    };
    paint.both(area.x, y, area.width, row(shown, Role::Plain), marked);
}

/// `^` above, `v` below, `#` where the window is.
fn scrollbar(all: usize, top: usize, height: usize) -> Vec<char> {
    if all <= height || height < 3 {
        return Vec::new();
    }
    let mut bar = vec![':'; height];
    let track = height - 2;
    let at = (top * track).checked_div(all - height).unwrap_or(0);
    bar[0] = '^';
    bar[height - 1] = 'v';
    bar[1 + at.min(track - 1)] = '#';
    bar
}

/// What the rows of servers show.
pub(crate) fn lines<'a>(
    scene: &Scene<'_>,
    seen: impl Iterator<Item = (usize, &'a ServerId)>,
    list: &List<ServerId>,
    pane: Pane,
    focused: bool,
) -> Vec<Line> {
    seen.filter_map(|(nth, id)| {
        let it = scene.view.state.servers.get(id)?;
        Some(Line {
            mark: problems::server_mark(it),
            cursor: focused && nth == list.at(),
            marked: list.marks.contains(id),
            differs: past::differs(scene.app, &ObjectId::Server(id.clone())),
            spot: Some(Spot::Row(pane, nth)),
            cells: cells(scene, it),
        })
    })
    .collect()
}

fn cells(scene: &Scene<'_>, it: &ServerView) -> Vec<(String, Role)> {
    let view = &scene.view;
    let counters = view.server_counters(&it.id);
    let mark = of_mark(problems::server_mark(it));
    let number = |value: Option<u64>| value.map_or("-".to_owned(), thousands);
    let rate = |value: Option<u64>| value.map_or("-".to_owned(), si);
    let replies_pass = view
        .state
        .services
        .get(&it.id.service)
        .is_none_or(|service| service.method == "NAT");
    let plain = |text: String| (text, Role::Plain);
    let sums = scene.app.sums;
    let touched = view.server_override(&it.id).is_some();
    vec![
        (it.word().to_owned(), mark),
        plain(service(view, it)),
        plain(it.id.server.to_string()),
        (
            problems::weight(it),
            if touched { Role::Override } else { Role::Plain },
        ),
        plain(number(counters.map(|it| it.active))),
        plain(number(counters.map(|it| it.inactive))),
        plain(number(counters.map(|it| {
            if sums {
                it.connections
            } else {
                it.connections_per_s
            }
        }))),
        plain(rate(
            counters.map(|it| if sums { it.bytes_in } else { it.bytes_in_per_s }),
        )),
        plain(if replies_pass {
            rate(counters.map(|it| if sums { it.bytes_out } else { it.bytes_out_per_s }))
        } else {
            "-".into()
        }),
        plain(match it.word() {
            "DOWN" if !scene.wide => escape(&it.reason),
            _ => check(view, it, 6),
        }),
        plain(
            counters
                .and_then(|it| it.checked_at)
                .map_or("-".to_owned(), |at| short_span(view.age(at))),
        ),
        plain(scene.age(it.since)),
    ]
}

/// The service's name, or its address; most are TCP, and that is not said.
fn service(view: &View<'_>, it: &ServerView) -> String {
    let name = view.service_name(&it.id.service);
    match name.strip_suffix("/tcp") {
        Some(address) if matches!(it.id.service, ServiceKey::Single(_)) => address.to_owned(),
        Some(_) | None => name,
    }
}

const STATE: Column = Column::new("STATE", 5).gap(0).max(7).by(By::State);
const SERVICE: Column = Column::new("SERVICE", 10).max(28).keep_end().by(By::Name);
const SERVER: Column = Column::new("SERVER", 20)
    .floor(17)
    .gap(2)
    .max(46)
    .marked()
    .keep_end()
    .by(By::Name);
const WEIGHT: Column = Column::new("WEIGHT", 7).max(13).right().by(By::Weight);
const ACTIVE: Column = Column::new("ACTIVE", 8).max(11).right().by(By::Active);
const INACT: Column = Column::new("INACT", 7).max(11).right();
const CPS: Column = Column::new("CPS", 6).max(12).right().by(By::PerSecond);
const IN: Column = Column::new("IN", 6).gap(2).right();
const OUT: Column = Column::new("OUT", 6).right();
const CHECK: Column = Column::new("CHECK", 18).gap(2).max(48);
const LAST: Column = Column::new("LAST", 5).gap(2).right();
const FOR: Column = Column::new("FOR", 6).gap(2).max(8).by(By::Age);

fn all_table(scene: &Scene<'_>, lines: &[Line], columns: usize) -> (Row, Vec<Row>) {
    let mut layout = [
        STATE,
        SERVICE,
        SERVER,
        WEIGHT,
        ACTIVE,
        INACT.drop(6),
        CPS,
        IN.drop(8),
        OUT.drop(8),
        CHECK.drop(5),
        LAST.drop(7),
        FOR,
    ];
    if !scene.wide {
        layout[0] = layout[0].min(7);
    }
    let layout = layout.map(|it| {
        let hidden = !scene.app.columns.shows(Screen::Servers, it.title);
        let title = counted(scene, it.title);
        Column { title, ..it }.hidden(hidden)
    });
    table(&layout, lines, columns)
}

/// The title of a column: what is counted per second may be shown as a sum.
pub(crate) fn counted(scene: &Scene<'_>, title: &'static str) -> &'static str {
    match title {
        "CPS" if scene.app.sums => "CONNS",
        title => title,
    }
}

/// The servers of one service: its name is in the title already.
pub(crate) fn member_table(scene: &Scene<'_>, lines: &[Line], columns: usize) -> (Row, Vec<Row>) {
    let lines: Vec<Line> = lines
        .iter()
        .cloned()
        .map(|mut line| {
            line.cells.remove(1);
            line
        })
        .collect();
    let mut layout = [
        STATE,
        SERVER.gap(1).min(19),
        WEIGHT,
        ACTIVE,
        INACT,
        CPS,
        IN.drop(8),
        OUT.drop(8),
        CHECK,
        LAST.drop(9),
        FOR.drop(5),
    ];
    if !scene.wide {
        for column in [6, 7, 9, 10] {
            layout[column].drop += 10;
        }
    }
    // The servers below a service stand in the order of their addresses.
    let layout = layout.map(|it| {
        let hidden = !scene.app.columns.shows(Screen::Servers, it.title);
        let title = counted(scene, it.title);
        let by = None;
        Column { by, title, ..it }.hidden(hidden)
    });
    table(&layout, &lines, columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scrollbar_is_at_its_ends_when_the_window_is() {
        let at = |top| scrollbar(100, top, 10).iter().position(|sign| *sign == '#');
        assert_eq!((at(0), at(90)), (Some(1), Some(8)));
        assert!(scrollbar(5, 0, 10).is_empty());
    }
}
