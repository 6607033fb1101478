//! `hosts`: which there are, and whether their agents can be reached.

use super::{Answer, each, ended};
use crate::args::{Global, Output};
use crate::connect;
use crate::look::{Look, Out};
use crate::table::{Column, Grid};
use crate::trouble::Trouble;
use lb_shared::excerpt::ExcerptAsk;
use lb_shared::frame;
use lb_shared::request::Hello;
use lb_shared::site::Site;
use lb_shared::text::{escape, span};
use serde_json::json;
use std::time::{Duration, Instant};

/// What an agent said of itself, and how long it took.
pub(crate) struct Met {
    pub(crate) hello: Hello,
    pub(crate) skew_ms: i64,
    pub(crate) rtt: Duration,
}

pub(crate) fn run(site: &Site, global: &Global, look: &Look, out: &mut Out) -> Result<(), Trouble> {
    let answers = each(&site.hosts, |host| {
        let mut client = connect::client(&connect::for_host(global, host))?;
        let began = Instant::now();
        let hello = client.hello(concat!("lbctl ", env!("CARGO_PKG_VERSION")))?;
        let rtt = began.elapsed();
        let asked = super::wall_ms();
        let theirs = client.excerpt(&ExcerptAsk::agent())?.snapshot.wall_ms;
        Ok(Met {
            hello,
            rtt,
            skew_ms: super::skew(asked, super::wall_ms(), theirs),
        })
    });
    match global.output {
        Output::Table | Output::Wide => {
            for line in lines(&answers, look) {
                out.line(&line)?;
            }
        }
        Output::Json => {
            let parts = answers.iter().map(form).collect();
            super::document(out, look, parts, None)?;
        }
        Output::Jsonl => {
            for answer in &answers {
                out.line(&form(answer).to_string())?;
            }
        }
        Output::Name => {
            for answer in &answers {
                out.line(&answer.host.to_string())?;
            }
        }
    }
    ended(super::worst(&answers))
}

fn form(answer: &Answer<Met>) -> serde_json::Value {
    let mut part = super::part(answer, |met| {
        json!({
            "agent": met.hello.agent,
            "agent_host": met.hello.host,
            "protocol": frame::VERSION.to_string(),
            "role": met.hello.role.word(),
            "skew_ms": met.skew_ms,
            "rtt_us": u64::try_from(met.rtt.as_micros()).unwrap_or(u64::MAX),
        })
    });
    part["url"] = answer.host.to_string().into();
    part["transport"] = answer.host.transport().into();
    part
}

pub(crate) fn lines(answers: &[Answer<Met>], look: &Look) -> Vec<String> {
    let rows: Vec<(char, &Answer<Met>)> = answers
        .iter()
        .map(|answer| (if answer.got.is_ok() { '+' } else { '!' }, answer))
        .collect();
    let columns: [Column<&Answer<Met>>; 10] = [
        Column::left("S", 0, |it| if it.got.is_ok() { "+" } else { "!" }.into()),
        Column::left("HOST", 0, |it| it.name.clone()),
        Column::left("VIA", 4, |it| it.host.transport().into()),
        Column::left("STATE", 0, |it| {
            match &it.got {
                Ok(_) => "LIVE",
                Err(trouble) if trouble.is_unreachable() => "UNREACHABLE",
                Err(_) => "REFUSED",
            }
            .into()
        }),
        Column::left("AGENT", 3, |it| met(it, |met| escape(&met.hello.agent))),
        Column::left("PROTOCOL", 2, |it| met(it, |_| frame::VERSION.to_string())),
        Column::right("SKEW", 1, |it| met(it, |met| skew(met.skew_ms))),
        Column::left("ROLE", 1, |it| met(it, |met| met.hello.role.word().into())),
        Column::right("RTT", 1, |it| {
            met(it, |met| format!("{:.1}ms", met.rtt.as_secs_f64() * 1_000.0))
        }),
        Column::left("NAME", 0, |it| match &it.got {
            Ok(met) => escape(&met.hello.host),
            Err(trouble) => trouble
                .refusal()
                .map_or_else(|| "-".into(), |refusal| escape(&refusal.message)),
        }),
    ];
    Grid::new(&columns, &rows).lines(look)
}

fn met(answer: &Answer<Met>, form: impl FnOnce(&Met) -> String) -> String {
    answer.got.as_ref().map_or_else(|_| "-".into(), form)
}

fn skew(ms: i64) -> String {
    let off = Duration::from_millis(ms.unsigned_abs());
    let text = if off < Duration::from_secs(1) {
        format!("{}ms", off.as_millis())
    } else {
        span(off)
    };
    match ms {
        0 => "0".into(),
        1.. => format!("+{text}"),
        _ => format!("-{text}"),
    }
}
