//! Which rows the lists have, and in which order.

use crate::app::App;
use crate::data::Data;
use crate::keys::Screen;
use crate::story::Key;
use crate::survey::Touched;
use lb_shared::filter::{Item, Load};
use lb_shared::problems;
use lb_shared::state::{ObjectId, ServiceView};
use lb_shared::view::View;
use std::cmp::Reverse;
use std::time::Duration;

/// Rows stay in place for this long after the cursor moved.
const STILL: Duration = Duration::from_secs(2);
/// Lists longer than this are put into order once a second, not at every change.
const LONG: usize = 2_000;

/// Columns to sort by.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum By {
    /// The worst first, then the busiest.
    #[default]
    State,
    Name,
    Weight,
    Active,
    PerSecond,
    /// The last that changed first.
    Age,
}

impl By {
    pub(crate) const ALL: [Self; 6] = [
        Self::State,
        Self::Name,
        Self::Weight,
        Self::Active,
        Self::PerSecond,
        Self::Age,
    ];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Name => "name",
            Self::Weight => "weight",
            Self::Active => "active",
            Self::PerSecond => "cps",
            Self::Age => "age",
        }
    }

    /// The number of a server it stands for, if that is one that changes every second.
    pub(crate) fn number(self) -> Option<fn(Load) -> u64> {
        match self {
            Self::Active => Some(|it| it.active),
            Self::PerSecond => Some(|it| it.connections_per_s),
            Self::State | Self::Name | Self::Weight | Self::Age => None,
        }
    }
}

const SERVICE_COLUMNS: [By; 5] = [By::State, By::Name, By::Active, By::PerSecond, By::Age];
const SERVER_COLUMNS: [By; 6] = By::ALL;

/// The chosen orders.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Order {
    pub(crate) services: (By, bool),
    pub(crate) servers: (By, bool),
}

impl Order {
    /// The order of a screen's list: its column, and whether it is reversed.
    pub(crate) fn of(&self, screen: Screen) -> Option<(By, bool)> {
        match screen {
            Screen::Services => Some(self.services),
            Screen::Servers => Some(self.servers),
            Screen::Overview | Screen::Events | Screen::Vrrp | Screen::Hosts => None,
        }
    }

    /// Sorts by the next column.
    pub(crate) fn next(&mut self, screen: Screen) {
        let (columns, order): (&[By], &mut (By, bool)) = match screen {
            Screen::Services => (&SERVICE_COLUMNS, &mut self.services),
            Screen::Servers => (&SERVER_COLUMNS, &mut self.servers),
            Screen::Overview | Screen::Events | Screen::Vrrp | Screen::Hosts => return,
        };
        let at = columns.iter().position(|by| *by == order.0).unwrap_or(0);
        *order = (columns[(at + 1) % columns.len()], false);
    }

    /// Sorts by a column; by the one in force, the other way round.
    pub(crate) fn choose(&mut self, screen: Screen, by: By) {
        let order = match screen {
            Screen::Services => &mut self.services,
            Screen::Servers => &mut self.servers,
            Screen::Overview | Screen::Events | Screen::Vrrp | Screen::Hosts => return,
        };
        *order = (by, order.0 == by && !order.1);
    }

    /// Sorts by a column, this way round.
    pub(crate) fn set(&mut self, screen: Screen, by: By, reversed: bool) {
        match screen {
            Screen::Services => self.services = (by, reversed),
            Screen::Servers => self.servers = (by, reversed),
            Screen::Overview | Screen::Events | Screen::Vrrp | Screen::Hosts => {}
        }
    }

    pub(crate) fn reverse(&mut self, screen: Screen) {
        match screen {
            Screen::Services => self.services.1 = !self.services.1,
            Screen::Servers => self.servers.1 = !self.servers.1,
            Screen::Overview | Screen::Events | Screen::Vrrp | Screen::Hosts => {}
        }
    }
}

/// Fills the lists of what is shown. The cursor follows its object; rows do not move under a hand that acts.
pub(crate) fn arrange(app: &mut App) {
    let Some(mut data) = app.data.take() else {
        return;
    };
    let long = data.state.servers.len() > LONG;
    let early = long && app.now.saturating_sub(app.ordered_at) < Duration::from_secs(1);
    let held = app.dialog.is_some()
        || !app.servers.marks.is_empty()
        || !app.members.marks.is_empty()
        || (app.now.saturating_sub(app.moved_at) < STILL && !app.moved_at.is_zero());
    let ordered = Some((data.version(), data.samples()));
    // Ages choose rows by themselves, and what other hosts tell is not counted here.
    let moved = app.ordered != ordered || app.narrowed().filter.drifts() || app.fleet.several();
    let anew = app.stir || moved && !(early || held);
    let lists = anew && app.screen == Screen::Servers && !data.is_early();
    let touched = lists.then(|| {
        data.weigh();
        std::mem::take(&mut data.touched)
    });
    let view = data.view(app.shown_at());
    if anew {
        app.stir = false;
        app.ordered_at = app.now;
        app.ordered = ordered;
        instances(app, &view);
        app.problems.set(problems_of(&data));
        // A cursor that found its object among a few would follow it among all.
        if !data.is_early() {
            services(app, &data, &view);
        }
        if let Some(touched) = touched {
            servers(app, &data, &view, touched);
        }
        if app.screen == Screen::Events {
            events(app, &data, &view);
        }
    }
    app.hosts.set((0..app.fleet.hosts.len()).collect());
    members(app, &view);
    app.servers.keep_marks(|id| data.state.servers.contains_key(id));
    app.members.keep_marks(|id| data.state.servers.contains_key(id));
    drop(view);
    app.data = Some(data);
}

fn instances(app: &mut App, view: &View<'_>) {
    let filter = &app.filters[Screen::Vrrp as usize].filter;
    let narrowed = app.screen == Screen::Vrrp;
    let rows = view
        .state
        .instances
        .values()
        .filter(|it| !narrowed || filter.passes(view, Item::Instance(it)))
        .map(|it| it.name.clone())
        .collect();
    app.instances.set(rows);
}

fn services(app: &mut App, data: &Data, view: &View<'_>) {
    let filter = &app.filters[Screen::Services as usize].filter;
    let narrowed = app.screen == Screen::Services;
    let mut rows: Vec<&ServiceView> = view
        .services()
        .into_iter()
        .filter(|it| !narrowed || filter.passes(view, Item::Service(it)))
        .collect();
    let totals = |it: &ServiceView| data.services.get(&it.key).copied().unwrap_or_default();
    let (by, reversed) = app.order.services;
    match by {
        By::State => {}
        By::Name | By::Weight => rows.sort_by_cached_key(|it| view.service_name(&it.key)),
        By::Active => rows.sort_by_key(|it| Reverse(totals(it).active)),
        By::PerSecond => rows.sort_by_key(|it| Reverse(totals(it).connections_per_s)),
        By::Age => rows.sort_by_key(|it| Reverse(it.since)),
    }
    if reversed {
        rows.reverse();
    }
    app.services
        .set(rows.into_iter().map(|it| it.key.clone()).collect());
}

fn servers(app: &mut App, data: &Data, view: &View<'_>, touched: Touched) {
    let filter = &app.filters[Screen::Servers as usize].filter;
    let (by, reversed) = app.order.servers;
    let mut order = app.ranking.rows(data, view, filter, by, touched);
    if reversed {
        order.reverse();
    }
    app.servers.arrange(app.ranking.keys(), order);
}

/// The servers of the service under the cursor, in the order of their addresses.
fn members(app: &mut App, view: &View<'_>) {
    let rows = match app.services.current() {
        Some(key) => view.state.servers_of(key).map(|it| it.id.clone()).collect(),
        None => Vec::new(),
    };
    app.members.set(rows);
}

fn events(app: &mut App, data: &Data, view: &View<'_>) {
    let words: Vec<String> = app.filters[Screen::Events as usize]
        .text
        .split_whitespace()
        .map(str::to_lowercase)
        .collect();
    let passes = |host: &str, event: &lb_shared::event::Numbered| {
        let kind = event.event.what.topic();
        words.iter().all(|word| {
            if let Some(wanted) = word.strip_prefix("kind:") {
                return kind == wanted;
            }
            if let Some(wanted) = word.strip_prefix("host:") {
                return host == wanted;
            }
            let text = format!(
                "{} {kind} {} {} {}",
                event.event.what.name(),
                view.object_name(&event.event.object),
                event.event.text,
                event.event.why.as_deref().unwrap_or_default()
            );
            text.to_lowercase().contains(word)
        })
    };
    let own = app.name().to_lowercase();
    let mut rows: Vec<(u64, Key)> = data
        .events
        .iter()
        .rev()
        .filter(|event| words.is_empty() || passes(&own, event))
        .map(|event| {
            let (seat, seq) = (app.seat, event.seq);
            (event.wall_ms, Key { seat, seq })
        })
        .collect();
    // What the others did later than the moment that is shown is not part of it.
    let until = match &app.past {
        Some(past) if past.then_ms.is_some() => view.wall_ms,
        _ => u64::MAX,
    };
    for there in &app.elsewhere {
        let host = there.host.to_lowercase();
        let of_it = there
            .events
            .iter()
            .rev()
            .filter(|event| words.is_empty() || passes(&host, event))
            .map(|event| {
                let (seat, seq) = (there.seat, event.seq);
                (there.ms(event), Key { seat, seq })
            });
        rows.extend(of_it.filter(|(ms, _)| *ms <= until));
    }
    if !app.elsewhere.is_empty() {
        rows.sort_by_key(|row| Reverse(*row));
    }
    app.events.set(rows.into_iter().map(|(_, key)| key).collect());
    if app.follow {
        app.events.go(0);
    }
}

fn problems_of(data: &Data) -> Vec<(ObjectId, String)> {
    let both = data.problems.iter();
    both.map(|problem| (problem.object.clone(), problem.text.clone()))
        .collect()
}

/// The words of a target's state, as in tables.
pub(crate) fn state_word(view: &View<'_>, object: &ObjectId) -> Option<(char, &'static str)> {
    match object {
        ObjectId::Instance(name) => {
            let it = view.state.instances.get(name)?;
            Some((problems::instance_mark(it), problems::instance_word(it)))
        }
        ObjectId::Service(key) => {
            let it = view.state.services.get(key)?;
            Some((problems::service_mark(it.state), it.state.word()))
        }
        ObjectId::Server(id) => {
            let it = view.state.servers.get(id)?;
            Some((problems::server_mark(it), it.word()))
        }
        ObjectId::Agent | ObjectId::Group(_) | ObjectId::Tracker(_) | ObjectId::Override(_) => None,
    }
}
