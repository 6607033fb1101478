//! The JSON Schema of the socket's lines, from one short list of shapes (`shapes.txt`).
//!
//! The forms themselves are made in [`crate::json`]; the agent's tests hold both together by reading real answers
//! strictly. What is published lets unknown fields pass, since fields may be added.

mod read;

use read::{Op, Shape, Shapes};
use serde_json::{Map, Value, json};

const SHAPES: &str = include_str!("shapes.txt");

/// What all ops that change objects take.
const ACTING: &str = "{targets: texts, all: bool, filter: text, dry_run: bool, force: bool, message: text, key: text, \
                      expect: expect, yes: bool, wait: bool, wait_timeout: span}";

/// The whole of it: `$defs` has every shape by its name, and `request-OP` and `data-OP` of every op.
pub fn document() -> Value {
    let shapes = shapes();
    let mut defs = Map::new();
    for (name, shape) in &shapes.named {
        defs.insert(name.clone(), form(shape));
    }
    for op in &shapes.ops {
        defs.insert(format!("request-{}", op.name), request(op));
        defs.insert(format!("data-{}", op.name), form(&op.data));
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("JSON lines of the socket of {}", crate::paths::AGENT),
        "description": "request-OP is the line to send, data-OP what stands in \"data\" of its reply. Fields may be added to \
                        every object that is answered, and words to every list of words.",
        "anyOf": shapes.ops.iter().map(|op| reference(&format!("request-{}", op.name))).collect::<Value>(),
        "$defs": defs,
    })
}

/// Every op with the role it needs, in the order of the list.
pub fn ops() -> Vec<(String, String)> {
    let ops = shapes().ops.into_iter();
    ops.map(|op| (op.name, op.role)).collect()
}

fn shapes() -> Shapes {
    read::shapes(SHAPES, ACTING).expect("the list of shapes is read by a test")
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/$defs/{name}")})
}

fn request(op: &Op) -> Value {
    let mut properties = Map::new();
    properties.insert("op".into(), json!({"const": op.name}));
    properties.insert("v".into(), json!({"const": crate::json::VERSION}));
    properties.insert("id".into(), reference("id"));
    if matches!(op.data, Shape::List(_)) {
        properties.insert("rows".into(), json!({"type": "boolean"}));
    }
    for (name, _, shape) in &op.arguments {
        properties.insert(name.clone(), form(shape));
        if matches!(shape, Shape::Span) {
            properties.insert(format!("{name}_s"), json!({"type": "number", "minimum": 0}));
        }
    }
    json!({"type": "object", "description": format!("needs the role {}", op.role), "properties": properties, "required": ["op"]})
}

fn form(shape: &Shape) -> Value {
    match shape {
        Shape::Any => json!(true),
        Shape::Null => json!({"type": "null"}),
        Shape::Text | Shape::Span => json!({"type": "string"}),
        Shape::Time => json!({"type": "string", "format": "date-time"}),
        Shape::Int => json!({"type": "integer"}),
        Shape::Number => json!({"type": "number"}),
        Shape::Bool => json!({"type": "boolean"}),
        Shape::Word(word) => json!({"const": word}),
        Shape::Named(name) => reference(name),
        Shape::List(of) => json!({"type": "array", "items": form(of)}),
        Shape::Map(of) => json!({"type": "object", "additionalProperties": form(of)}),
        Shape::OneOf(shapes) => {
            let words: Vec<&String> = shapes.iter().filter_map(Shape::word).collect();
            if words.len() == shapes.len() {
                json!({"type": "string", "enum": words})
            } else {
                json!({"anyOf": shapes.iter().map(form).collect::<Value>()})
            }
        }
        Shape::Object(fields) => {
            let properties: Map<String, Value> = fields
                .iter()
                .map(|(name, _, shape)| (name.clone(), form(shape)))
                .collect();
            let required: Vec<&String> = fields
                .iter()
                .filter(|(_, always, _)| *always)
                .map(|(name, ..)| name)
                .collect();
            json!({"type": "object", "properties": properties, "required": required})
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_in_the_document_is_defined() {
        let document = document();
        let text = document.to_string();
        let used: Vec<&str> = text
            .split("#/$defs/")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap())
            .collect();
        assert!(used.len() > 60);
        for name in used {
            assert!(document["$defs"].get(name).is_some(), "{name}");
        }
    }

    #[test]
    fn an_op_takes_its_arguments_and_spans_also_in_seconds() {
        let drain = &document()["$defs"]["request-drain"];
        for name in [
            "op",
            "v",
            "id",
            "targets",
            "yes",
            "timeout",
            "timeout_s",
            "then",
            "wait_timeout_s",
        ] {
            assert!(drain["properties"].get(name).is_some(), "{name}: {drain}");
        }
        assert_eq!(
            drain["properties"]["then"]["enum"],
            json!(["keep", "undrain", "disable"])
        );
    }
}
