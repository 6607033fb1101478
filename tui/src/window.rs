//! Which servers' numbers are wanted: those of the rows that are seen or soon may be, and of what is asked about.

use crate::app::App;
use crate::compare::Right;
use crate::data::Data;
use crate::keys::Screen;
use crate::list::List;
use lb_shared::names::{ServerId, ServiceKey};
use lb_shared::state::{ObjectId, Target};
use lb_shared::window::{Rows, WindowAsk};
use std::collections::BTreeSet;

/// More than this are asked for as all.
const MANY: usize = 2_000;

/// What the agent is asked for; `None` while nothing on the screen shows numbers, or nothing is known yet.
pub(crate) fn ask(app: &App) -> Option<WindowAsk> {
    let data = app.live()?;
    app.shows_counters().then(|| WindowAsk {
        rows: rows(app, data),
        round: app.round,
    })
}

fn rows(app: &App, data: &Data) -> Rows {
    // Numbers that choose the rows or put them into order are wanted of all.
    let choosing = app.screen == Screen::Servers
        && (app.narrowed().filter.counts() || app.order.servers.0.number().is_some());
    if app.all_rows || choosing {
        return Rows::All;
    }
    let mut ids = BTreeSet::new();
    match app.screen {
        Screen::Servers => ids.extend(around(&app.servers, usize::from(app.size.1))),
        Screen::Services => ids.extend(app.members.rows.iter().cloned()),
        Screen::Overview | Screen::Events | Screen::Vrrp | Screen::Hosts => {}
    }
    ids.extend(app.beside.iter().flat_map(|key| of(data, key)));
    let details = app.detail.iter().map(|detail| detail.object.clone());
    let compared = app.compare.iter().flat_map(|it| match &it.right {
        Right::Object(right) => vec![it.left.clone(), right.clone()],
        Right::Open | Right::Host(..) => vec![it.left.clone()],
    });
    for object in details.chain(compared).chain(app.subject()) {
        match object {
            ObjectId::Server(id) => drop(ids.insert(id)),
            ObjectId::Service(key) => ids.extend(of(data, &key)),
            ObjectId::Agent
            | ObjectId::Instance(_)
            | ObjectId::Group(_)
            | ObjectId::Tracker(_)
            | ObjectId::Override(_) => {}
        }
    }
    ids.extend(app.servers.marks.iter().cloned());
    ids.extend(app.members.marks.iter().cloned());
    let asked = app.dialog.iter().flat_map(|dialog| &dialog.targets);
    for target in asked.chain(data.state.overrides.keys()) {
        if let Target::Server(id) = target {
            ids.insert(id.clone());
        }
    }
    if ids.len() > MANY {
        return Rows::All;
    }
    Rows::These(ids.into_iter().collect())
}

fn of<'a>(data: &'a Data, key: &'a ServiceKey) -> impl Iterator<Item = ServerId> + 'a {
    data.state.servers_of(key).map(|it| it.id.clone())
}

/// The page with the cursor and those beside it: the window does not change with every step.
fn around(list: &List<ServerId>, page: usize) -> impl Iterator<Item = ServerId> + '_ {
    let page = page.max(1);
    let first = (list.at() / page).saturating_sub(1) * page;
    list.rows.iter().skip(first).take(4 * page).cloned()
}
