//! Operations that read: answered from the hub.

use super::super::session::Session;
use super::Call;
use lb_shared::excerpt::{ExcerptAsk, Reading, Scope};
use lb_shared::filter::{Filter, Item};
use lb_shared::json;
use lb_shared::request::{MetricsAsk, MetricsServers, Refusal, RefusalCode, Reply, Request};
use lb_shared::select;
use lb_shared::state::{Admin, ObjectId};
use lb_shared::view::View;
use lb_shared::whatif::{self, WhatIf};
use lb_shared::why;
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub(super) async fn answer(session: &Session, call: &Call) -> Result<Value, Refusal> {
    match call.op.as_str() {
        "hello" => {
            let client = call.text("client")?.unwrap_or_default().to_owned();
            return match session.answer(Request::Hello { client }).await {
                Reply::Hello(hello) => Ok(json::hello(&hello)),
                Reply::Refused(refusal) => Err(refusal),
                _ => Err(Refusal::new(
                    RefusalCode::Internal,
                    "the agent answered something else",
                    "",
                )),
            };
        }
        "events" => return events(session, call),
        _ => {}
    }
    let (seen, counters) = super::past::look(session, call).await?;
    let view = View::new(&seen.state, seen.now, seen.wall_ms).with_counters(counters.as_deref());
    let targets = call.texts("targets")?;
    let filter = Filter::parse(call.text("filter")?.unwrap_or_default())?;
    match call.op.as_str() {
        "status" => {
            let ask = ExcerptAsk {
                targets,
                ..ExcerptAsk::all(Scope::Status)
            };
            let excerpt = Reading::new(&view, &ask)?.next(&view, seen.seq);
            let mut status = json::status(&View::excerpt(&excerpt));
            status["role"] = json!(session.role);
            Ok(status)
        }
        "vrrp" => instances(&view, &targets, &filter),
        "services" => services(&view, &targets, &filter),
        "servers" => servers(&view, &targets, &filter),
        "show" => {
            let found = objects(&view, &targets)?;
            Ok(json::list(found, |object| shown(&view, &object)))
        }
        "why" => {
            let found = objects(&view, &targets)?;
            let mut reasons = found
                .iter()
                .filter_map(|object| why::why(&view, object))
                .map(|reason| json::why(&view, &reason));
            match (found.len(), reasons.next()) {
                (1, Some(reason)) => Ok(reason),
                (_, first) => Ok(first.into_iter().chain(reasons).collect()),
            }
        }
        "stats" => stats(&view, &targets),
        "ops" => Ok(json::list(
            view.servers().filter(|it| it.admin == Admin::Draining),
            |it| json::operation(&view, it),
        )),
        "op" => operations(&view, &targets),
        "hosts" => Ok(json!([json::host(&view, session.role)])),
        _ => Ok(json::config(&view)),
    }
}

/// `{"op":"config-show"}`: the configuration in force, statement by statement; with `"defaults":true` every setting of
/// every object.
pub(super) async fn config_show(session: &Session, call: &Call) -> Result<Value, Refusal> {
    let request = if call.flag("defaults")? {
        Request::Settings
    } else {
        Request::Config
    };
    match session.answer(request).await {
        Reply::Config(shown) => Ok(shown.json()),
        Reply::Settings(settings) => Ok(settings.json()),
        Reply::Refused(refusal) => Err(refusal),
        _ => Err(Refusal::new(
            RefusalCode::Internal,
            "the agent answered something else",
            "look at its log",
        )),
    }
}

/// `{"op":"what-if","events":["interface eth1 down"],"for":"30s"}`.
pub(super) async fn what_if(session: &Session, call: &Call) -> Result<Value, Refusal> {
    let words = call.texts("events")?;
    let span = call.span("for")?;
    let for_ms = span.map_or(whatif::SPAN_MS, |it| {
        u64::try_from(it.as_millis()).unwrap_or(u64::MAX)
    });
    let seen = session.doors.hub.seen();
    let view = View::new(&seen.state, seen.now, seen.wall_ms);
    let events = whatif::parse(&words, &view)?;
    match session.answer(Request::WhatIf(WhatIf { events, for_ms })).await {
        Reply::Foreseen(foreseen) => Ok(json::foreseen(&view, &words, &foreseen)),
        Reply::Refused(refusal) => Err(refusal),
        _ => Err(Refusal::new(
            RefusalCode::Internal,
            "the agent answered something else",
            "",
        )),
    }
}

/// `{"op":"metrics","servers":"none","compat":true}`.
pub(super) async fn metrics(session: &Session, call: &Call) -> Result<Value, Refusal> {
    let servers = call.text("servers")?.map(MetricsServers::parse).transpose();
    let asked = MetricsAsk {
        servers: servers.map_err(|message| {
            Refusal::new(
                RefusalCode::BadRequest,
                format!("\"servers\": {message}"),
                "see docs/metrics.md",
            )
        })?,
        compat: call.choice("compat")?,
    };
    match session.answer(Request::Metrics(asked)).await {
        Reply::Metrics(text) => Ok(text.into()),
        Reply::Refused(refusal) => Err(refusal),
        _ => Err(Refusal::new(
            RefusalCode::Internal,
            "the agent answered something else",
            "",
        )),
    }
}

pub(super) fn instances(view: &View<'_>, targets: &[String], filter: &Filter) -> Result<Value, Refusal> {
    let chosen: Option<BTreeSet<_>> = chosen(targets, || select::instances(view, targets))?;
    let found = view
        .state
        .instances
        .values()
        .filter(|it| chosen.as_ref().is_none_or(|chosen| chosen.contains(&it.name)))
        .filter(|it| filter.passes(view, Item::Instance(it)));
    Ok(json::list(found, |it| json::instance(view, it)))
}

pub(super) fn services(view: &View<'_>, targets: &[String], filter: &Filter) -> Result<Value, Refusal> {
    let chosen: Option<BTreeSet<_>> = chosen(targets, || select::services(view, targets))?;
    let found = view
        .services()
        .into_iter()
        .filter(|it| chosen.as_ref().is_none_or(|chosen| chosen.contains(&it.key)))
        .filter(|it| filter.passes(view, Item::Service(it)));
    Ok(json::list(found, |it| json::service(view, it)))
}

pub(super) fn servers(view: &View<'_>, targets: &[String], filter: &Filter) -> Result<Value, Refusal> {
    let chosen: Option<BTreeSet<_>> = chosen(targets, || select::servers(view, targets, true))?;
    let found = view
        .servers()
        .filter(|it| chosen.as_ref().is_none_or(|chosen| chosen.contains(&it.id)))
        .filter(|it| filter.passes(view, Item::Server(it)));
    Ok(json::list(found, |it| json::server(view, it)))
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

fn objects(view: &View<'_>, targets: &[String]) -> Result<Vec<ObjectId>, Refusal> {
    if targets.is_empty() {
        return Err(Refusal::new(
            RefusalCode::BadRequest,
            "\"targets\" is missing",
            "name at least one object",
        ));
    }
    select::objects(view, targets)
}

/// Everything about one object, its reason included.
fn shown(view: &View<'_>, id: &ObjectId) -> Value {
    let object = view.state.object(id);
    let mut form = object.map_or(Value::Null, |object| json::object(view, &object));
    if let (Some(reason), Some(form)) = (why::why(view, id), form.as_object_mut()) {
        form.insert("explanation".into(), json::why(view, &reason));
    }
    form
}

/// What is under way on these servers; none of it is an error for whoever names one.
fn operations(view: &View<'_>, targets: &[String]) -> Result<Value, Refusal> {
    objects(view, targets)?;
    let servers = select::servers(view, targets, true)?;
    let servers = servers.iter().filter_map(|id| view.state.servers.get(id));
    let found: Vec<Value> = servers
        .filter(|it| it.admin == Admin::Draining)
        .map(|it| json::operation(view, it))
        .collect();
    if found.is_empty() {
        return Err(Refusal::new(
            RefusalCode::NotFound,
            "nothing is under way there",
            "{\"op\":\"ops\"} lists what is",
        ));
    }
    Ok(found.into())
}

fn stats(view: &View<'_>, targets: &[String]) -> Result<Value, Refusal> {
    let wanted: Option<BTreeSet<ObjectId>> = chosen(targets, || select::objects(view, targets))?;
    Ok(stats_of(view, wanted.as_ref()))
}

/// What was counted of some objects, or of all; a service stands for its servers.
pub(super) fn stats_of(view: &View<'_>, wanted: Option<&BTreeSet<ObjectId>>) -> Value {
    let wants = |id: ObjectId| wanted.as_ref().is_none_or(|wanted| wanted.contains(&id));
    let instances = view
        .state
        .instances
        .values()
        .filter(|it| wants(ObjectId::Instance(it.name.clone())));
    let servers = view.servers().filter(|it| {
        wants(ObjectId::Server(it.id.clone())) || wants(ObjectId::Service(it.id.service.clone()))
    });
    json!({
        "vrrp": json::list(instances, |it| json::instance_stats(view, it)),
        "servers": json::list(servers, |it| json::server_stats(view, it)),
    })
}

fn events(session: &Session, call: &Call) -> Result<Value, Refusal> {
    let limit = call.number("limit")?.unwrap_or(200);
    let kinds = call.texts("kinds")?;
    let after = call.number("after")?;
    let since = call.span("since")?;
    let seen = session.doors.hub.seen();
    let view = View::new(&seen.state, seen.now, seen.wall_ms);
    let oldest = since.map_or(0, |since| {
        seen.wall_ms
            .saturating_sub(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    });
    let mut found: Vec<_> = session
        .doors
        .hub
        .events(after, usize::MAX)
        .into_iter()
        .filter(|event| event.wall_ms >= oldest)
        .filter(|event| super::watch::wanted(&kinds, event.event.what))
        .collect();
    let skip = found
        .len()
        .saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
    found.drain(..skip);
    Ok(json::list(found, |event| json::event(&view, &event)))
}
