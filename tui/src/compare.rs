//! Two objects side by side, or one as two hosts see it: the same facts of both, and which of them differ.

use crate::app::App;
use crate::data::Data;
use crossterm::event::{KeyCode, KeyEvent};
use lb_shared::problems;
use lb_shared::state::{InstanceView, ObjectId, ServerView, ServiceView, Target};
use lb_shared::text::{count, escape, interval, si, span, thousands};
use lb_shared::view::View;
use std::time::Duration;

/// How old something is differs nearly always, and means nothing.
pub(crate) const AGE: &str = "for";

/// What is compared.
#[derive(Clone, Debug)]
pub(crate) struct Compare {
    pub(crate) left: ObjectId,
    pub(crate) right: Right,
    pub(crate) scroll: usize,
}

#[derive(Clone, Debug)]
pub(crate) enum Right {
    /// It is still to be chosen.
    Open,
    Object(ObjectId),
    /// The same object on another host: its place, and what is known there, which the board looks up.
    Host(usize, Side),
}

/// A name and what is known of it; no facts where it is not there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Side {
    pub(crate) name: String,
    pub(crate) facts: Vec<(String, String)>,
}

/// A fact of both sides.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Line {
    pub(crate) label: String,
    pub(crate) left: String,
    pub(crate) right: String,
}

impl Line {
    pub(crate) fn differs(&self) -> bool {
        self.label != AGE && self.left != self.right
    }
}

/// Takes the key: two marked servers, or what the cursor is on and what it will be on the next time.
pub(crate) fn begin(app: &mut App) {
    let marked = app.marked();
    if let [Target::Server(left), Target::Server(right)] = marked.as_slice() {
        let (left, right) = (left.clone(), right.clone());
        return open(
            app,
            ObjectId::Server(left),
            Right::Object(ObjectId::Server(right)),
        );
    }
    let object = app.subject().filter(comparable);
    let Some(object) = object else {
        return app.tell(
            "instances, services and servers can be compared: two marked servers, or this and another",
        );
    };
    let chosen = app.compare.take();
    let hosts = app.fleet.hosts.len();
    match chosen {
        Some(Compare { left, .. }) if left != object && same_kind(&left, &object) => {
            open(app, left, Right::Object(object));
        }
        Some(_) | None if hosts > 1 => {
            let other = (app.seat + 1) % hosts;
            open(app, object, Right::Host(other, Side::default()));
        }
        Some(_) | None => {
            let name = app
                .data
                .as_ref()
                .map(|data| data.view(app.now).object_name(&object));
            app.tell(format!(
                "{}: now = on what it is compared with",
                name.unwrap_or_default()
            ));
            app.compare = Some(Compare {
                left: object,
                right: Right::Open,
                scroll: 0,
            });
        }
    }
}

fn comparable(object: &ObjectId) -> bool {
    matches!(
        object,
        ObjectId::Instance(_) | ObjectId::Service(_) | ObjectId::Server(_)
    )
}

fn same_kind(one: &ObjectId, other: &ObjectId) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(other)
}

/// Shows two objects; refused with words when they are of different kinds.
pub(crate) fn of(app: &mut App, left: ObjectId, right: ObjectId) {
    if comparable(&left) && same_kind(&left, &right) {
        open(app, left, Right::Object(right));
    } else {
        app.tell("two instances, two services or two servers can be compared");
    }
}

fn open(app: &mut App, left: ObjectId, right: Right) {
    app.note = None;
    app.compare = Some(Compare {
        left,
        right,
        scroll: 0,
    });
}

impl App {
    /// The comparison that is shown.
    pub(crate) fn compared(&self) -> Option<&Compare> {
        self.compare
            .as_ref()
            .filter(|it| !matches!(it.right, Right::Open))
    }
}

/// Takes a key while a comparison is shown.
pub(crate) fn on_key(app: &mut App, event: &KeyEvent) {
    let Some(compare) = &mut app.compare else { return };
    match event.code {
        KeyCode::Esc | KeyCode::Enter | KeyCode::Char('=' | 'q') => app.compare = None,
        KeyCode::Down | KeyCode::Char('j') => compare.scroll = compare.scroll.saturating_add(1),
        KeyCode::Up | KeyCode::Char('k') => compare.scroll = compare.scroll.saturating_sub(1),
        _ => {}
    }
}

/// The names of both sides, and their facts in one order.
pub(crate) fn lines(app: &App, compare: &Compare) -> Option<(String, String, Vec<Line>)> {
    let data = app.data.as_ref()?;
    let here = app.name();
    let (left, right) = match &compare.right {
        Right::Open => return None,
        Right::Object(right) => (
            side(data, app.shown_at(), &compare.left, ""),
            side(data, app.shown_at(), right, ""),
        ),
        Right::Host(_, there) => (side(data, app.shown_at(), &compare.left, &here), there.clone()),
    };
    let missing = || "-".to_owned();
    let find = |side: &Side, label: &str| {
        let found = side.facts.iter().find(|(known, _)| known == label);
        found.map_or_else(missing, |(_, value)| value.clone())
    };
    let mut lines: Vec<Line> = Vec::new();
    for (label, _) in left.facts.iter().chain(&right.facts) {
        if lines.iter().all(|line| line.label != *label) {
            lines.push(Line {
                label: label.clone(),
                left: find(&left, label),
                right: find(&right, label),
            });
        }
    }
    Some((left.name, right.name, lines))
}

/// What there is to say of an object; `host` stands behind its name.
pub(crate) fn side(data: &Data, at: Duration, object: &ObjectId, host: &str) -> Side {
    let view = data.view(at);
    let facts = match object {
        ObjectId::Instance(name) => view.state.instances.get(name).map(|it| instance(&view, it)),
        ObjectId::Service(key) => view.state.services.get(key).map(|it| service(&view, it)),
        ObjectId::Server(id) => view.state.servers.get(id).map(|it| server(&view, it)),
        ObjectId::Agent | ObjectId::Group(_) | ObjectId::Tracker(_) | ObjectId::Override(_) => None,
    };
    let name = escape(&view.object_name(object));
    let on = if host.is_empty() {
        String::new()
    } else {
        format!(" on {host}")
    };
    let gone = if facts.is_some() { "" } else { ": not there" };
    Side {
        name: format!("{name}{on}{gone}"),
        facts: facts.unwrap_or_default(),
    }
}

/// Facts by their labels, in the order in which they are told.
struct Facts(Vec<(String, String)>);

impl Facts {
    fn add(&mut self, label: impl Into<String>, value: impl Into<String>) {
        self.0.push((label.into(), value.into()));
    }

    fn number(&mut self, label: &str, value: Option<String>) {
        self.add(label, value.unwrap_or_else(|| "-".into()));
    }

    fn change(&mut self, view: &View<'_>, target: &Target) {
        let change = view.state.overrides.get(target);
        self.add(
            "override",
            change.map_or("none".to_owned(), |it| {
                format!("{} by {}", it.kind.word(), escape(&it.actor.user))
            }),
        );
    }
}

fn instance(view: &View<'_>, it: &InstanceView) -> Vec<(String, String)> {
    let mut facts = Facts(Vec::new());
    facts.add("state", problems::instance_word(it));
    facts.add(AGE, span(view.age(it.since)));
    facts.add("priority", problems::priority(it));
    for term in &it.terms {
        let label = escape(&term.tracker.to_string());
        facts.add(label, format!("{:+} {}", term.delta, escape(&term.detail)));
    }
    facts.change(view, &Target::Instance(it.name.clone()));
    facts.add("router", format!("VRID {}, version {}", it.vrid, it.version));
    facts.add("interface", it.interface.as_deref().map_or("-".into(), escape));
    facts.add("sent by", if it.unicast { "unicast" } else { "multicast" });
    facts.add("adverts", format!("every {}", interval(it.advert_interval_us)));
    facts.add("preempts", if it.preempt { "yes" } else { "no" });
    facts.add(
        "sync group",
        it.group.as_ref().map_or("-".into(), |group| escape(&group.0)),
    );
    let heard = it.master.as_ref();
    facts.add(
        "hears",
        heard.map_or("-".into(), |it| format!("{} with {}", it.address, it.priority)),
    );
    let addresses: Vec<String> = it.addresses.iter().map(|it| escape(it)).collect();
    facts.add("addresses", addresses.join(", "));
    let counters = view.instance_counters(&it.name);
    facts.number("adverts sent", counters.map(|it| thousands(it.adverts_sent)));
    facts.number("adverts heard", counters.map(|it| thousands(it.adverts_received)));
    facts.number("became MASTER", counters.map(|it| thousands(it.became_master)));
    facts.0
}

fn service(view: &View<'_>, it: &ServiceView) -> Vec<(String, String)> {
    let mut facts = Facts(Vec::new());
    let (up, all) = view.up_of(&it.key);
    facts.add("state", it.state.word());
    facts.add(AGE, span(view.age(it.since)));
    facts.add("servers", format!("{up} of {} up", count(all, "server")));
    facts.add("weight", it.live_weight.to_string());
    facts.add("quorum", format!("{}, hysteresis {}", it.quorum, it.hysteresis));
    facts.add("address", escape(&it.key.to_string()));
    facts.add("scheduler", escape(&it.scheduler));
    facts.add("method", escape(&it.method));
    facts.add(
        "persistence",
        it.persistence_s
            .map_or("off".into(), |s| span(Duration::from_secs(s.into()))),
    );
    facts.add(
        "sorry server",
        it.sorry.map_or("none".into(), |it| it.to_string()),
    );
    facts.add(
        "instance",
        it.instance.as_ref().map_or("-".into(), |name| escape(&name.0)),
    );
    let totals = view.service_totals(&it.key);
    facts.number("active", totals.map(|it| thousands(it.active)));
    facts.number("inactive", totals.map(|it| thousands(it.inactive)));
    facts.number("conns/s", totals.map(|it| thousands(it.connections_per_s)));
    facts.number("in B/s", totals.map(|it| si(it.bytes_in_per_s)));
    facts.number("out B/s", totals.map(|it| si(it.bytes_out_per_s)));
    facts.0
}

fn server(view: &View<'_>, it: &ServerView) -> Vec<(String, String)> {
    let mut facts = Facts(Vec::new());
    facts.add("state", it.word());
    facts.add(AGE, span(view.age(it.since)));
    if !it.reason.is_empty() {
        facts.add("reason", escape(&it.reason));
    }
    facts.add("weight", problems::weight(it));
    facts.add("in IPVS", if it.effective.is_some() { "yes" } else { "no" });
    facts.change(view, &Target::Server(it.id.clone()));
    facts.add("service", escape(&view.service_name(&it.id.service)));
    for check in &it.checks {
        let word = match check.ok {
            Some(true) => "ok",
            Some(false) => "failed",
            None => "no result yet",
        };
        // Each server is checked at its own address; what is asked there can be compared.
        let path = check.target.split_once(' ').map_or("", |(_, path)| path);
        let label = format!("{} {}", escape(&check.kind), escape(path));
        facts.add(
            label.trim_end(),
            format!("{word} {}", escape(&check.detail)).trim_end(),
        );
    }
    let counters = view.server_counters(&it.id);
    facts.number(
        "check took",
        counters.and_then(|it| it.check_us).map(crate::view::took),
    );
    facts.number("active", counters.map(|it| thousands(it.active)));
    facts.number("inactive", counters.map(|it| thousands(it.inactive)));
    facts.number("conns/s", counters.map(|it| thousands(it.connections_per_s)));
    facts.number("in B/s", counters.map(|it| si(it.bytes_in_per_s)));
    facts.number("out B/s", counters.map(|it| si(it.bytes_out_per_s)));
    facts.0
}
