//! `what-if`: what would follow from an event, as the agent's engine sees it.

use super::list::document;
use crate::args::{Global, Output};
use crate::connect;
use crate::look::{Look, Out};
use crate::trouble::{Trouble, usage};
use lb_shared::client::ClientError;
use lb_shared::duration;
use lb_shared::excerpt::ExcerptAsk;
use lb_shared::json;
use lb_shared::state::ObjectId;
use lb_shared::text::{count, escape, width};
use lb_shared::view::View;
use lb_shared::whatif::{self, Foreseen, SPAN_MAX_MS, WhatIf};
use std::time::Duration;

pub(crate) fn run(
    global: &Global,
    look: &Look,
    out: &mut Out,
    words: &[String],
    span: &str,
) -> Result<(), Trouble> {
    let for_ms = u64::try_from(duration::parse(span)?.as_millis()).unwrap_or(u64::MAX);
    if for_ms > SPAN_MAX_MS {
        let longest = lb_shared::text::span(Duration::from_millis(SPAN_MAX_MS));
        return Err(usage(format!("--for {span} is too far: at most {longest}"), ""));
    }
    let mut client = connect::client(global)?;
    let words = whatif::group(words);
    let mut seen = client.excerpt(&ExcerptAsk::agent())?;
    for ask in whatif::asks(&words) {
        seen.join(client.excerpt(&ask)?);
    }
    let events = whatif::parse(&words, &View::excerpt(&seen))?;
    let foreseen = client.what_if(WhatIf { events, for_ms })?;
    match client.excerpt(&whatif::named(&foreseen)) {
        Ok(named) => seen.join(named),
        // One is gone by now: keys will do.
        Err(ClientError::Refused(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let view = View::excerpt(&seen);
    match global.output {
        Output::Table | Output::Wide => {
            for line in lines(&view, &words, &foreseen) {
                out.line(&line)?;
            }
        }
        Output::Json => {
            let data = json::foreseen(&view, &words, &foreseen);
            document(out, look, &json::document(&view.state.agent.host, data))?;
        }
        Output::Jsonl => out.line(&json::foreseen(&view, &words, &foreseen).to_string())?,
        Output::Name => {
            for change in &foreseen.changes {
                out.line(&change.object.to_string())?;
            }
        }
    }
    Ok(())
}

/// The answer for eyes.
pub(crate) fn lines(view: &View<'_>, events: &[String], it: &Foreseen) -> Vec<String> {
    let events: Vec<String> = events.iter().map(|event| escape(event)).collect();
    let span = lb_shared::text::span(Duration::from_millis(it.for_ms));
    let mut lines = vec![format!(
        "what if {}   (looking {span} ahead; nothing is changed)",
        events.join(", then ")
    )];
    if it.changes.is_empty() {
        lines.push("  nothing changes".into());
    }
    let rows: Vec<[String; 4]> = it
        .changes
        .iter()
        .map(|change| {
            [
                format!("+{}.{}s", change.at_ms / 1_000, change.at_ms / 100 % 10),
                escape(&view.object_name(&change.object)),
                format!("{} -> {}", change.from.words(), change.to.words()),
                escape(&change.why),
            ]
        })
        .collect();
    let widest = |column: usize| rows.iter().map(|row| width(&row[column])).max().unwrap_or(0);
    let widths = [widest(0), widest(1), widest(2)];
    for row in &rows {
        let mut line = format!("  {:>at$}", row[0], at = widths[0]);
        for column in [1, 2] {
            let blanks = widths[column].saturating_sub(width(&row[column]));
            line.push_str(&format!("  {}{}", row[column], " ".repeat(blanks)));
        }
        line.push_str(&format!("  {}", row[3]));
        lines.push(line.trim_end().to_owned());
    }
    if !it.moves.is_empty() {
        lines.push("Moves".into());
        lines.extend(it.moves.iter().map(|one| {
            format!(
                "  {}   {} -> {}   ({})",
                escape(&one.address),
                escape(&one.from),
                escape(&one.to),
                escape(&one.instance.0)
            )
        }));
    }
    if !it.scripts.is_empty() {
        lines.push("Scripts".into());
        lines.extend(it.scripts.iter().map(|script| format!("  {}", escape(script))));
    }
    let of = |pick: fn(&ObjectId) -> bool| it.unchanged.iter().filter(|id| pick(id)).count();
    let instances = of(|id| matches!(id, ObjectId::Instance(_)));
    let services = of(|id| matches!(id, ObjectId::Service(_)));
    lines.push(format!(
        "unchanged: {}, {}",
        count(instances, "instance"),
        count(services, "service")
    ));
    lines.extend(it.notes.iter().map(|note| format!("note: {}", escape(note))));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_shared::fixture;
    use lb_shared::state::VrrpState;
    use lb_shared::whatif::{Facts, Foretold, Move};

    #[test]
    fn an_answer_is_told_in_the_order_of_time() {
        let demo = fixture::demo();
        let view = View::of(&demo.snapshot);
        let facts = |state, priority| Facts::Instance { state, priority };
        let foreseen = Foreseen {
            for_ms: 30_000,
            changes: vec![
                Foretold {
                    object: ObjectId::Instance("VI_edge".into()),
                    at_ms: 0,
                    from: facts(VrrpState::Master, 150),
                    to: facts(VrrpState::Fault, 0),
                    why: "interface eth0 is down".into(),
                },
                Foretold {
                    object: ObjectId::Group("VG_edge".into()),
                    at_ms: 12_340,
                    from: Facts::Group {
                        state: VrrpState::Master,
                    },
                    to: Facts::Group {
                        state: VrrpState::Fault,
                    },
                    why: String::new(),
                },
            ],
            moves: vec![Move {
                address: "203.0.113.10/32 dev eth0".into(),
                instance: "VI_edge".into(),
                from: "lb1".into(),
                to: "nobody".into(),
            }],
            scripts: vec!["/etc/notify INSTANCE VI_edge FAULT 0".into()],
            unchanged: vec![ObjectId::Instance("VI_int".into())],
            notes: vec!["backups are silent".into()],
        };
        assert_eq!(
            lines(&view, &["interface eth0 down".into()], &foreseen),
            [
                "what if interface eth0 down   (looking 30s ahead; nothing is changed)",
                "   +0.0s  VI_edge  MASTER 150 -> FAULT 0  interface eth0 is down",
                "  +12.3s  VG_edge  MASTER -> FAULT",
                "Moves",
                "  203.0.113.10/32 dev eth0   lb1 -> nobody   (VI_edge)",
                "Scripts",
                "  /etc/notify INSTANCE VI_edge FAULT 0",
                "unchanged: 1 instance, 0 services",
                "note: backups are silent",
            ]
        );
    }
}
