//! `log`: how much the agent writes into its log, for a while.

use super::Call;
use super::list::document;
use crate::args::{Global, Output};
use crate::connect;
use crate::fleet;
use crate::look::{Look, Out};
use crate::trouble::{Trouble, usage};
use lb_shared::duration;
use lb_shared::json;
use lb_shared::loglevel::{LogAsk, LogChange, LogView};
use lb_shared::text::{escape, span};
use std::time::Duration;

pub(crate) fn run(
    call: &Call<'_>,
    out: &mut Out,
    words: &[String],
    lasts: Option<&str>,
    dry_run: bool,
) -> Result<(), Trouble> {
    let Call { site, global, look } = *call;
    let lasts = lasts.map(duration::parse).transpose()?;
    let hint = "see lbctl log --help";
    let level = match words {
        [] => None,
        [one] if one == "level" => None,
        [one] => Some(one.as_str()),
        [level, one] if level == "level" => Some(one.as_str()),
        [_, other, ..] => {
            return Err(usage(format!("'{}' is one word too many", escape(other)), hint));
        }
    };
    let change = LogChange::parse(level, lasts).map_err(|message| usage(message, hint))?;
    if lasts.is_some()
        && !matches!(
            change,
            LogChange::To { .. } | LogChange::One { level: Some(_), .. }
        )
    {
        return Err(usage("--for goes with a level", hint));
    }
    if change != LogChange::Show && !dry_run {
        site.may_act()?;
    }
    let asked = LogAsk { change, dry_run };
    if let [_] = site.hosts.as_slice() {
        return one(global, look, out, &asked);
    }
    fleet::sections(site, global, look, out, |global, look, out| {
        one(global, look, out, &asked)
    })
}

fn one(global: &Global, look: &Look, out: &mut Out, asked: &LogAsk) -> Result<(), Trouble> {
    let mut client = connect::client(global)?;
    let log = client.log(asked.clone())?;
    match global.output {
        Output::Json => {
            let host = client.hello("lbctl")?.host;
            document(out, look, &json::document(&host, log.json()))?;
        }
        Output::Jsonl => out.line(&log.json().to_string())?,
        Output::Name => out.line(&escape(&log.level))?,
        Output::Table | Output::Wide => {
            if log.dry_run {
                out.line("dry run: nothing is changed")?;
            }
            for line in lines(&log) {
                out.line(&line)?;
            }
        }
    }
    Ok(())
}

/// `level debug, back to info in 30m`, then those of single objects.
fn lines(log: &LogView) -> Vec<String> {
    let level = escape(&log.level);
    let left = |ms: u64| span(Duration::from_millis(ms.div_ceil(1_000) * 1_000));
    let mut lines = vec![match log.left_ms {
        None => format!("level {level}"),
        Some(ms) => format!("level {level}, back to {} in {}", escape(&log.default), left(ms)),
    }];
    lines.extend(log.ones.iter().map(|it| {
        let (name, level) = (escape(&it.name), it.level.word());
        format!(
            "level of {name} {level}, back to that of others in {}",
            left(it.left_ms)
        )
    }));
    lines
}
