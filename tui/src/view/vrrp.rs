//! The instances: a table, why the selected one is as it is, and who else is heard.

use super::Scene;
use super::overview;
use super::paint::{Area, Paint, Pane, Row, row};
use super::table::{Column, Line, table};
use crate::mouse::{self, Spot};
use crate::past;
use crate::theme::{Role, of_mark};
use lb_shared::names::{Family, InstanceName};
use lb_shared::problems;
use lb_shared::state::{InstanceView, ObjectId, VrrpState};
use lb_shared::text::{self, escape, interval, short_span, thousands};
use lb_shared::why::{self, Why, wrap};

pub(crate) fn draw(scene: &Scene<'_>, paint: &mut Paint<'_>, area: Area) {
    let height = usize::from(area.height / 2).max(4);
    let (head, rows) = table_rows(scene, usize::from(area.width), height, true);
    let mut lines = vec![head];
    lines.extend(rows);
    if scene.app.instances.rows.is_empty() {
        lines.push(row("   no instance matches", Role::Plain));
    }
    lines.push(Row::default());
    let mut first = Pane::new("VRRP", counted(scene), lines);
    first.least = first.rows.len().min(height);
    let mut panes = vec![first, overview::why(scene, area.width)];
    if area.height > 26 {
        panes[1].rows.push(Row::default());
        let mut heard = masters(scene, area.width);
        heard.rows.push(Row::default());
        panes.push(heard);
        panes.push(trackers(scene));
    }
    paint.panes(area, &panes);
}

/// `51`, or `51/6` for IPv6.
fn vrid(it: &InstanceView) -> String {
    match it.family {
        Family::Inet => it.vrid.to_string(),
        Family::Inet6 => format!("{}/6", it.vrid),
    }
}

fn master(scene: &Scene<'_>, it: &InstanceView) -> String {
    match (it.state, &it.master) {
        (VrrpState::Master, Some(other)) if it.second_master => {
            format!("this, {}", scene.view.peer_text(other.address))
        }
        (VrrpState::Master, _) => "this node".into(),
        (VrrpState::Backup, Some(master)) => scene.view.peer_text(master.address),
        (VrrpState::Backup, None) => "none heard".into(),
        (VrrpState::Fault | VrrpState::Init, _) => "unknown".into(),
    }
}

/// How many instances there are, and how many of them are otherwise now than at the moment that is shown.
pub(crate) fn counted(scene: &Scene<'_>) -> String {
    let all = &scene.app.instances.rows;
    let other = |name: &&InstanceName| past::differs(scene.app, &ObjectId::Instance((*name).clone()));
    let count = text::count(all.len(), "instance");
    match all.iter().filter(other).count() {
        0 => count,
        1 => format!("{count}, 1 differs from now"),
        many => format!("{count}, {many} differ from now"),
    }
}

/// The header and the rows around the cursor.
pub(crate) fn table_rows(scene: &Scene<'_>, columns: usize, height: usize, focused: bool) -> (Row, Vec<Row>) {
    let list = &scene.app.instances;
    let top = list.top(height);
    let lines: Vec<Line> = list
        .rows
        .iter()
        .enumerate()
        .skip(top)
        .take(height)
        .filter_map(|(nth, name)| {
            let it = scene.view.state.instances.get(name)?;
            let mark = problems::instance_mark(it);
            let heard = scene
                .view
                .instance_counters(name)
                .and_then(|counters| counters.heard_at)
                .filter(|_| it.state != VrrpState::Master || it.second_master);
            Some(Line {
                mark,
                cursor: focused && nth == list.at(),
                marked: false,
                differs: past::differs(scene.app, &ObjectId::Instance(name.clone())),
                spot: Some(Spot::Row(mouse::Pane::Instances, nth)),
                cells: vec![
                    (problems::instance_word(it).to_owned(), of_mark(mark)),
                    (escape(&name.0), Role::Plain),
                    (
                        it.group.as_ref().map_or("-".to_owned(), |group| escape(&group.0)),
                        Role::Plain,
                    ),
                    (
                        it.interface
                            .as_ref()
                            .map_or("-".to_owned(), |interface| escape(interface)),
                        Role::Plain,
                    ),
                    (vrid(it), Role::Plain),
                    (
                        problems::priority(it),
                        if it.effective_priority == it.base_priority {
                            Role::Plain
                        } else {
                            Role::Warn
                        },
                    ),
                    (
                        it.pin.map_or("-".to_owned(), |pin| {
                            lb_shared::state::OverrideKind::Pin(pin).word().to_owned()
                        }),
                        if it.pin.is_some() {
                            Role::Override
                        } else {
                            Role::Plain
                        },
                    ),
                    (scene.age(it.since), Role::Plain),
                    (master(scene, it), Role::Plain),
                    (
                        heard.map_or("-".to_owned(), |at| short_span(scene.view.age(at))),
                        Role::Plain,
                    ),
                    (interval(it.advert_interval_us), Role::Plain),
                    (it.addresses.len().to_string(), Role::Plain),
                ],
            })
        })
        .collect();
    let mut layout = vec![
        Column::new("STATE", 7).gap(0),
        Column::new("INSTANCE", 10).max(24),
        Column::new("GROUP", 7).max(16).drop(4),
        Column::new("IF", 4).max(15),
        Column::new("VRID", 5).gap(2).max(6),
        Column::new("PRIO", 7).right(),
        Column::new("PINNED", 7).gap(2).drop(2),
        Column::new("SINCE", 7).gap(2).max(8),
        Column::new("MASTER", 17).gap(1).max(39),
        Column::new("HEARD", 5).right(),
        Column::new("EVERY", 5).gap(2).right().drop(5),
        Column::new("VIPS", 4).gap(1).right().drop(3),
    ];
    let nobody_is_pinned = scene.view.state.instances.values().all(|it| it.pin.is_none());
    if nobody_is_pinned {
        layout[6].drop = 9;
    }
    table(&layout, &lines, columns)
}

/// What there is to say about the state of an object.
pub(crate) fn why_pane(scene: &Scene<'_>, object: &ObjectId, columns: u16, full: bool) -> Pane {
    if *object == ObjectId::Agent {
        return agent_pane(scene, columns);
    }
    let Some(why) = why::why(&scene.view, object) else {
        let name = scene.view.object_name(object);
        return Pane::new(
            format!("Why {}", escape(&name)),
            "",
            vec![row("   it is no longer there", Role::Plain)],
        );
    };
    let instance = match object {
        ObjectId::Instance(name) => scene.view.state.instances.get(name).map(|it| &**it),
        _ => None,
    };
    let name = escape(&why.name);
    let title = match instance {
        Some(it) if it.second_master => format!("Why {name} has two masters"),
        Some(it) if it.state == VrrpState::Backup => format!("Why {name} is not MASTER"),
        _ => format!("Why {name} is {}", why.state),
    };
    let columns = usize::from(columns).saturating_sub(4);
    let mut rows = if full {
        why.lines(columns)
            .into_iter()
            .map(|line| row(format!("   {line}"), Role::Plain))
            .collect()
    } else {
        brief(&why, instance, columns, scene.app.size.1 > 30)
    };
    if let Some(it) = instance.filter(|it| it.second_master) {
        rows.extend(look_at(it));
    }
    let mut pane = Pane::new(title, if full { "" } else { "Enter: all" }, rows);
    pane.least = pane.rows.len().min(if full { 7 } else { 4 });
    pane
}

/// What is wrong with the agent itself, in full.
fn agent_pane(scene: &Scene<'_>, columns: u16) -> Pane {
    let columns = usize::from(columns).saturating_sub(6);
    let own = scene
        .data
        .problems
        .iter()
        .filter(|it| it.object == ObjectId::Agent);
    let mut rows = Vec::new();
    for problem in own {
        for (nth, line) in wrap(&problem.text, columns).into_iter().enumerate() {
            let mark = if nth == 0 { problem.mark } else { ' ' };
            let mut told = row(format!(" {mark} "), of_mark(mark));
            told.push(line, Role::Plain);
            rows.push(told);
        }
    }
    if rows.is_empty() {
        rows.push(row("   nothing is wrong with it", Role::Plain));
    }
    let mut pane = Pane::new("The agent", "Enter: all", rows);
    pane.least = pane.rows.len().min(4);
    pane
}

/// The terms that count and what brings the state back.
fn brief(why: &Why, instance: Option<&InstanceView>, columns: usize, tall: bool) -> Vec<Row> {
    let mut rows = Vec::new();
    let beaten = instance.is_some_and(|it| it.state == VrrpState::Backup && it.master.is_some());
    if !beaten {
        rows.extend(
            wrap(&why.sentence, columns)
                .into_iter()
                .map(|line| row(format!("   {line}"), Role::Plain)),
        );
    }
    for term in &why.terms {
        let telling = match term.kind {
            "base" => beaten,
            "effective" => beaten,
            "override" => term.value != "-",
            _ => term.ok == Some(false),
        };
        if !telling {
            continue;
        }
        let text = match (term.kind, instance.and_then(|it| it.master.as_ref())) {
            ("effective", Some(master)) => {
                format!("{} advertises {}", master.address, master.priority)
            }
            _ if tall => term.text.clone(),
            // What is in brackets is in the detail, too.
            _ => term.text.split(" (").next().unwrap_or_default().to_owned(),
        };
        let role = if term.ok == Some(false) {
            Role::Warn
        } else {
            Role::Plain
        };
        rows.push(row(
            format!("   {:<28}{:>5}   {text}", term.label, term.value),
            role,
        ));
    }
    // The first is the one that happens without anybody; a low terminal shows no more.
    let two = instance.is_some_and(|it| it.second_master);
    let ways = match (two, tall) {
        (true, _) => &[],
        (false, true) => why.returns.as_slice(),
        (false, false) => &why.returns[..why.returns.len().min(1)],
    };
    let label = ways.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
    rows.extend(
        ways.iter()
            .map(|(name, what)| row(format!("   {name:<label$}  {what}"), Role::Plain)),
    );
    rows
}

/// Where two masters usually come from.
fn look_at(it: &InstanceView) -> Vec<Row> {
    let other = it
        .master
        .as_ref()
        .map_or("the other node".to_owned(), |master| master.address.to_string());
    let interface = it.interface.as_deref().map(escape).unwrap_or_default();
    let mut places = vec![format!(
        "a firewall on {other} that drops IP protocol 112 from this node"
    )];
    places.push(if it.unicast {
        format!("unicast_peer on {other} must list this node's address")
    } else {
        format!("a switch that does not forward the multicast of {interface}")
    });
    places.push("authentication, version, interval or addresses that differ: rejected adverts tell".into());
    let mut rows = vec![Row::default(), row("   Look at", Role::Title)];
    rows.extend(
        places
            .iter()
            .enumerate()
            .map(|(nth, place)| row(format!("   {}  {place}", nth + 1), Role::Plain)),
    );
    rows.push(row(
        "   D makes this node give the addresses up; then mend what the other one receives.",
        Role::Plain,
    ));
    rows
}

/// Who else advertises our VRIDs, and what was refused.
pub(crate) fn masters(scene: &Scene<'_>, columns: u16) -> Pane {
    let lines: Vec<Line> = scene
        .app
        .instances
        .rows
        .iter()
        .take(8)
        .filter_map(|name| scene.view.state.instances.get(name))
        .map(|it| {
            let counters = scene.view.instance_counters(&it.name);
            let rejected: u64 = counters.map_or(0, |counters| {
                let refused = counters.rejected.values();
                refused.fold(0, |sum, count| count.saturating_add(sum))
            });
            let worst = counters
                .and_then(|counters| counters.rejected.iter().max_by_key(|(_, count)| **count))
                .filter(|(_, count)| **count > 0)
                .map(|(reason, _)| format!("rejected: {}", escape(reason)));
            let heard = counters.and_then(|counters| counters.heard_at);
            let note = match (it.state, &it.master) {
                _ if it.second_master => "a second master".to_owned(),
                (_, Some(_)) => "current master".into(),
                (VrrpState::Master, None) => "no second master: ok".into(),
                (VrrpState::Fault, None) => problems::fault(it),
                (VrrpState::Backup | VrrpState::Init, None) => "nobody is master".into(),
            };
            Line {
                mark: ' ',
                cursor: false,
                marked: false,
                differs: false,
                spot: None,
                cells: vec![
                    (escape(&it.name.0), Role::Plain),
                    (
                        it.master
                            .as_ref()
                            .map_or("none".to_owned(), |master| master.address.to_string()),
                        Role::Plain,
                    ),
                    (
                        it.master
                            .as_ref()
                            .map_or(String::new(), |master| master.priority.to_string()),
                        Role::Plain,
                    ),
                    (
                        heard
                            .filter(|_| it.master.is_some())
                            .map_or(String::new(), |at| short_span(scene.view.age(at))),
                        Role::Plain,
                    ),
                    (
                        thousands(rejected),
                        if rejected > 0 { Role::Warn } else { Role::Plain },
                    ),
                    (
                        worst.unwrap_or(note),
                        if it.second_master { Role::Bad } else { Role::Plain },
                    ),
                ],
            }
        })
        .collect();
    let layout = [
        Column::new("INSTANCE", 10).gap(0).max(24),
        Column::new("ADDRESS", 14).max(39),
        Column::new("PRIO", 4).right(),
        Column::new("LAST", 6).gap(2).right(),
        Column::new("REFUSED", 7).gap(2).right().drop(1),
        Column::new("NOTE", 10).gap(2).max(40),
    ];
    let (head, rows) = table(&layout, &lines, usize::from(columns));
    let mut all = vec![head];
    all.extend(rows);
    Pane::new("Masters heard", "backups are silent: absence is no failure", all)
}

fn trackers(scene: &Scene<'_>) -> Pane {
    let rows = scene
        .view
        .state
        .trackers
        .values()
        .map(|tracker| {
            let (mark, word) = match tracker.ok {
                Some(true) => ('+', "ok"),
                Some(false) => ('!', "failed"),
                None => ('?', "no result yet"),
            };
            let mut line = row(format!(" {mark} "), of_mark(mark));
            line.push(
                format!(
                    "{:<24} {word:<8} {:<8} {}",
                    escape(&tracker.name.to_string()),
                    scene.age(tracker.since),
                    escape(&tracker.detail)
                ),
                Role::Plain,
            );
            line
        })
        .collect();
    Pane::new(
        "Trackers",
        thousands(scene.view.state.trackers.len() as u64),
        rows,
    )
}
