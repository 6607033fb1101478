//! Events of several hosts: the past in order of time, then what happens as it comes.

use super::{Answer, each, ended, part, told};
use crate::args::{Events, Global, Output};
use crate::connect;
use crate::look::{Look, Out};
use crate::trouble::Trouble;
use crate::verbs::event::{self, Past};
use lb_shared::json;
use lb_shared::site::Site;
use lb_shared::view::View;

pub(crate) fn run(
    site: &Site,
    global: &Global,
    look: &Look,
    out: &mut Out,
    events: &Events,
) -> Result<(), Trouble> {
    if events.follow {
        return follow(site, global, look, events);
    }
    let pasts = each(&site.hosts, |host| {
        event::past(&connect::for_host(global, host), events)
    });
    let whole = |past: &Past| {
        let view = View::excerpt(&past.around);
        json::list(&past.events, |it| json::event(&view, it))
    };
    match global.output {
        Output::Json => {
            let parts = pasts.iter().map(|answer| part(answer, whole)).collect();
            super::document(out, look, parts, None)?;
        }
        Output::Table | Output::Wide | Output::Jsonl | Output::Name => {
            for line in lines(&pasts, global.output, look, events.limit as usize) {
                out.line(&line)?;
            }
        }
    }
    out.flush()?;
    ended(told(&pasts))
}

/// All events by time, the newest `limit` of them.
fn lines(pasts: &[Answer<Past>], output: Output, look: &Look, limit: usize) -> Vec<String> {
    let width = pasts.iter().map(|it| it.name.len()).max().unwrap_or(0);
    let narrow = Look {
        width: look.width.map(|columns| columns.saturating_sub(width + 2)),
        ..look.clone()
    };
    let mut all: Vec<(u64, Vec<String>)> = Vec::new();
    for answer in pasts {
        let Ok(past) = &answer.got else { continue };
        let view = View::excerpt(&past.around);
        for it in &past.events {
            let lines = match output {
                Output::Jsonl => {
                    let mut value = json::event(&view, it);
                    value["host"] = answer.name.clone().into();
                    vec![value.to_string()]
                }
                Output::Name => vec![it.event.object.to_string()],
                Output::Table | Output::Wide | Output::Json => {
                    event::lines(&view, std::slice::from_ref(it), &narrow)
                        .into_iter()
                        .enumerate()
                        .map(|(nth, line)| {
                            let name = if nth == 0 { answer.name.as_str() } else { "" };
                            format!("{name:<width$}  {line}")
                        })
                        .collect()
                }
            };
            all.push((it.wall_ms, lines));
        }
    }
    all.sort_by_key(|(at, _)| *at);
    let skip = all.len().saturating_sub(limit);
    all.into_iter().skip(skip).flat_map(|(_, lines)| lines).collect()
}

/// Each host's own stream; one that breaks is told of and the others go on.
fn follow(site: &Site, global: &Global, look: &Look, events: &Events) -> Result<(), Trouble> {
    let width = site
        .hosts
        .iter()
        .map(|host| host.label().len())
        .max()
        .unwrap_or(0);
    let streams = each(&site.hosts, |host| {
        let mut out = Out::Named(format!("{:<width$}", host.label()));
        let ended = event::run(&connect::for_host(global, host), look, &mut out, events);
        if let Err(trouble) = &ended
            && let Some(refusal) = trouble.refusal()
        {
            eprint!("{}", crate::trouble::told_of(&host.label(), &refusal));
        }
        ended
    });
    ended(super::worst(&streams))
}
