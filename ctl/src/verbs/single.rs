//! `show` and `why`: one object, everything about it.

use super::list::document;
use crate::args::{Global, Output};
use crate::connect;
use crate::look::{Look, Out};
use crate::trouble::Trouble;
use lb_shared::excerpt::{ExcerptAsk, Scope};
use lb_shared::json;
use lb_shared::select;
use lb_shared::state::ObjectId;
use lb_shared::text::{escape, width};
use lb_shared::view::View;
use lb_shared::why;
use serde_json::Value;

/// The targets and all they depend on.
fn ask(global: &Global, look: &Look, targets: &[String]) -> Result<ExcerptAsk, Trouble> {
    Ok(ExcerptAsk {
        targets: targets.to_vec(),
        at_wall_ms: connect::at(global, look)?,
        ..ExcerptAsk::all(Scope::Objects)
    })
}

pub(crate) fn why(global: &Global, look: &Look, out: &mut Out, targets: &[String]) -> Result<(), Trouble> {
    let mut client = connect::client(global)?;
    let excerpt = client.excerpt(&ask(global, look, targets)?)?;
    let view = View::excerpt(&excerpt);
    let snapshot = &excerpt.snapshot;
    let found = select::objects(&view, targets)?;
    let reasons: Vec<_> = found
        .iter()
        .filter_map(|object| why::why(&view, object))
        .collect();
    match global.output {
        Output::Table | Output::Wide => {
            for (nth, reason) in reasons.iter().enumerate() {
                if nth > 0 {
                    out.line("")?;
                }
                for line in reason.lines(look.width.unwrap_or(80).clamp(40, 100)) {
                    out.line(&line)?;
                }
            }
        }
        Output::Json => {
            let data = match reasons.as_slice() {
                [one] => json::why(&view, one),
                many => json::list(many, |reason| json::why(&view, reason)),
            };
            document(out, look, &json::document(&snapshot.state.agent.host, data))?;
        }
        Output::Jsonl => {
            for reason in &reasons {
                out.line(&json::why(&view, reason).to_string())?;
            }
        }
        Output::Name => names(out, &found)?,
    }
    Ok(())
}

pub(crate) fn show(global: &Global, look: &Look, out: &mut Out, targets: &[String]) -> Result<(), Trouble> {
    let mut client = connect::client(global)?;
    let excerpt = client.excerpt(&ask(global, look, targets)?)?;
    let view = View::excerpt(&excerpt);
    let snapshot = &excerpt.snapshot;
    let found = select::objects(&view, targets)?;
    let forms: Vec<Value> = found
        .iter()
        .filter_map(|id| view.state.object(id))
        .map(|object| json::object(&view, &object))
        .collect();
    match global.output {
        Output::Table | Output::Wide => {
            for (nth, id) in found.iter().enumerate() {
                if nth > 0 {
                    out.line("")?;
                }
                for line in detail(&view, id, look) {
                    out.line(&line)?;
                }
            }
        }
        Output::Json => {
            let data = match <[Value; 1]>::try_from(forms) {
                Ok([one]) => one,
                Err(many) => Value::Array(many),
            };
            document(out, look, &json::document(&snapshot.state.agent.host, data))?;
        }
        Output::Jsonl => {
            for form in &forms {
                out.line(&form.to_string())?;
            }
        }
        Output::Name => names(out, &found)?,
    }
    Ok(())
}

/// Everything about one object, for eyes.
pub(crate) fn detail(view: &View<'_>, id: &ObjectId, look: &Look) -> Vec<String> {
    let object = view.state.object(id);
    let mut lines = object.map_or_else(Vec::new, |object| facts(&json::object(view, &object)));
    if let Some(reason) = why::why(view, id) {
        lines.push(String::new());
        lines.extend(reason.lines(look.width.unwrap_or(80).clamp(40, 100)));
    }
    lines
}

fn names(out: &mut Out, found: &[ObjectId]) -> Result<(), Trouble> {
    for id in found {
        out.line(&id.to_string())?;
    }
    Ok(())
}

/// The JSON form as a list of facts: names on the left, values on the right.
fn facts(form: &Value) -> Vec<String> {
    let mut rows = Vec::new();
    flatten("", form, &mut rows);
    let label = rows.iter().map(|(name, _)| width(name)).max().unwrap_or(0);
    rows.into_iter()
        .map(|(name, value)| format!("{name}{}  {value}", " ".repeat(label - width(&name))))
        .collect()
}

fn flatten(name: &str, value: &Value, rows: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                let name = if name.is_empty() {
                    field.clone()
                } else {
                    format!("{name}.{field}")
                };
                flatten(&name, value, rows);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (nth, item) in items.iter().enumerate() {
                flatten(&format!("{name}.{}", nth + 1), item, rows);
            }
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(plain).collect();
            let items = items.join(", ");
            rows.push((name.to_owned(), if items.is_empty() { "-".into() } else { items }));
        }
        value => rows.push((name.to_owned(), plain(value))),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) if text.is_empty() => "-".into(),
        Value::String(text) => escape(text),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_flat_and_aligned() {
        let form =
            serde_json::json!({"a": {"long_name": 1}, "list": ["x", "y"], "none": null, "of": [{"k": "v"}]});
        assert_eq!(
            facts(&form),
            [
                "a.long_name  1",
                "list         x, y",
                "none         -",
                "of.1.k       v"
            ]
        );
    }
}
