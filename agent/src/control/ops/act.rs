//! Operations that change something: targets are resolved here, everything else is the engine's business.

use super::super::session::Session;
use super::super::wait;
use super::Call;
use lb_shared::expect::Expected;
use lb_shared::filter::{Filter, Item};
use lb_shared::json;
use lb_shared::loglevel::{LogAsk, LogChange};
use lb_shared::request::{Act, Refusal, RefusalCode, Reply, Request, Verb, WeightChange};
use lb_shared::select;
use lb_shared::state::{DrainThen, Target};
use lb_shared::trial::TestAsk;
use lb_shared::view::View;
use serde_json::Value;
use std::time::Duration;

/// What `drain` takes when no `timeout` is given.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(600);

pub(super) async fn answer(session: &Session, call: &Call) -> Result<Value, Refusal> {
    if call.op == "reload" {
        let (dry_run, force) = (call.flag("dry_run")?, call.flag("force")?);
        let request = match (call.span("confirm")?, call.flag("confirmed")?) {
            (None, false) => Request::Reload { dry_run, force },
            (Some(_), false) if dry_run => Request::Reload { dry_run, force },
            (Some(within), false) => Request::ReloadFor {
                force,
                for_ms: ms(within),
            },
            (None, true) if !dry_run && !force => Request::Confirmed,
            (Some(_) | None, true) => {
                return Err(Refusal::new(
                    RefusalCode::BadRequest,
                    "\"confirmed\" stands alone: it loads nothing",
                    "see docs/socket.md",
                ));
            }
        };
        return match session.answer(request).await {
            Reply::Reloaded(reloaded) => Ok(json::reloaded(&reloaded)),
            other => Err(unexpected(other)),
        };
    }
    let verb = verb(call)?;
    let act = Act {
        verb,
        targets: targets(session, call, verb)?,
        dry_run: call.flag("dry_run")?,
        force: call.flag("force")?,
        message: call.text("message")?.unwrap_or_default().to_owned(),
        key: call.text("key")?.map(ToOwned::to_owned),
    };
    let request = match call.facts("expect")? {
        None => Request::Act(act.clone()),
        Some(facts) => {
            let expected = |target: &Target| Expected {
                target: target.clone(),
                facts: facts.clone(),
            };
            Request::ActIf(act.clone(), act.targets.iter().map(expected).collect())
        }
    };
    // Before anything else: what somebody may not do needs no confirming.
    session.allow(&request)?;
    let sure = call.flag("yes")?;
    if act.targets.len() > 1 && !act.dry_run && !sure {
        return Err(Refusal::new(
            RefusalCode::Confirm,
            format!("this would {} {} objects", verb.word(), act.targets.len()),
            "add \"yes\":true",
        ));
    }
    let waiting = call.flag("wait")? && !act.dry_run;
    let limit = call.span("wait_timeout")?;
    let seen = session.doors.hub.seen();
    let view = View::new(&seen.state, seen.now, seen.wall_ms);
    match session.answer(request).await {
        Reply::Acted(acted) => {
            let mut data = json::acted(&view, &acted);
            if waiting {
                data["waited"] = wait::for_act(session, &act, limit).await?;
            }
            Ok(data)
        }
        other => Err(unexpected(other)),
    }
}

/// `{"op":"test","targets":["web/198.51.100.21"]}`.
pub(super) async fn test(session: &Session, call: &Call) -> Result<Value, Refusal> {
    let typed = call.texts("targets")?;
    let dry_run = call.flag("dry_run")?;
    // What somebody may not do is told before what they named wrongly.
    session.allow(&Request::Test(TestAsk::default()))?;
    if typed.is_empty() {
        return Err(Refusal::new(
            RefusalCode::BadRequest,
            "\"targets\" is missing",
            "name at least one server",
        ));
    }
    let seen = session.doors.hub.seen();
    let view = View::new(&seen.state, seen.now, seen.wall_ms);
    let servers = select::servers(&view, &typed, false)?;
    match session.answer(Request::Test(TestAsk { servers, dry_run })).await {
        Reply::Tested(tested) => Ok(tested.json(&view)),
        other => Err(unexpected(other)),
    }
}

/// `{"op":"log","of":"web","level":"debug","for":"10m"}`; without a level it tells.
pub(super) async fn log(session: &Session, call: &Call) -> Result<Value, Refusal> {
    let (level, lasts) = (call.text("level")?, call.span("for")?);
    let change = match call.text("of")? {
        None => LogChange::parse(level, lasts),
        Some(name) => LogChange::of_one(name, level, lasts),
    };
    let change =
        change.map_err(|message| Refusal::new(RefusalCode::BadRequest, message, "see docs/socket.md"))?;
    let dry_run = call.flag("dry_run")?;
    match session.answer(Request::Log(LogAsk { change, dry_run })).await {
        Reply::Log(log) => Ok(log.json()),
        other => Err(unexpected(other)),
    }
}

fn unexpected(reply: Reply) -> Refusal {
    match reply {
        Reply::Refused(refusal) => refusal,
        _ => Refusal::new(
            RefusalCode::Internal,
            "the engine answered something else",
            "look at its log",
        ),
    }
}

fn verb(call: &Call) -> Result<Verb, Refusal> {
    let bad = |message: String| Refusal::new(RefusalCode::BadRequest, message, "see docs/socket.md");
    Ok(match call.op.as_str() {
        "drain" => Verb::Drain {
            timeout_ms: match call.text("timeout") {
                Ok(Some("never")) => None,
                _ => Some(ms(call.span("timeout")?.unwrap_or(DRAIN_TIMEOUT))),
            },
            then: match call.text("then")?.unwrap_or("keep") {
                "keep" => DrainThen::Keep,
                "undrain" => DrainThen::Undrain,
                "disable" => DrainThen::Disable,
                other => {
                    return Err(bad(format!(
                        "\"then\" is keep, undrain or disable, not '{}'",
                        lb_shared::text::escape(other)
                    )));
                }
            },
            inactive: call.flag("inactive")?,
        },
        "undrain" => match call.span("ramp")? {
            Some(over) => Verb::Ramp { over_ms: ms(over) },
            None => Verb::Undrain,
        },
        "disable" => Verb::Disable {
            cut: call.flag("cut")?,
        },
        "weight" => Verb::Weight(weight(call)?),
        "promote" => Verb::Promote {
            for_ms: call.span("for")?.map(ms),
        },
        "demote" => Verb::Demote {
            hard: call.flag("hard")?,
        },
        "undo" => Verb::Undo,
        _ => Verb::Release,
    })
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn weight(call: &Call) -> Result<WeightChange, Refusal> {
    let text = match call.number("weight") {
        Ok(Some(number)) => number.to_string(),
        Ok(None) => String::new(),
        Err(_) => call.text("weight")?.unwrap_or_default().to_owned(),
    };
    WeightChange::parse(&text)
}

fn targets(session: &Session, call: &Call, verb: Verb) -> Result<Vec<Target>, Refusal> {
    if verb == Verb::Undo {
        return Ok(Vec::new());
    }
    let typed = call.texts("targets")?;
    let filter = Filter::parse(call.text("filter")?.unwrap_or_default())?;
    let all = call.flag("all")?;
    if typed.is_empty() && !all {
        return Err(Refusal::new(
            RefusalCode::BadRequest,
            "\"targets\" is missing",
            "name at least one, or say \"all\":true",
        ));
    }
    let seen = session.doors.hub.seen();
    let view = View::new(&seen.state, seen.now, seen.wall_ms);
    let found: Vec<Target> = match verb {
        Verb::Drain { .. } | Verb::Undrain | Verb::Ramp { .. } | Verb::Disable { .. } | Verb::Weight(_) => {
            let ids = if all {
                seen.state.servers.keys().cloned().collect()
            } else {
                select::servers(&view, &typed, false)?
            };
            ids.into_iter()
                .filter(|id| {
                    let server = seen.state.servers.get(id);
                    server.is_some_and(|it| filter.passes(&view, Item::Server(it)))
                })
                .map(Target::Server)
                .collect()
        }
        Verb::Promote { .. } | Verb::Demote { .. } | Verb::Release | Verb::Undo => {
            let names = if all {
                seen.state.instances.keys().cloned().collect()
            } else {
                select::instances(&view, &typed)?
            };
            names
                .into_iter()
                .filter(|name| {
                    let instance = seen.state.instances.get(name);
                    instance.is_some_and(|it| filter.passes(&view, Item::Instance(it)))
                })
                .map(Target::Instance)
                .collect()
        }
    };
    if found.is_empty() {
        return Err(Refusal::new(
            RefusalCode::NotFound,
            "nothing matches these targets",
            "",
        ));
    }
    Ok(found)
}
