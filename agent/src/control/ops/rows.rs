//! Lists with `"rows":true`: a line for each object, taken from the state piece by piece.

use super::super::excerpts::{Excerpts, Piece};
use super::super::lines::line;
use super::super::outbox::{Gone, Outbox};
use super::super::session::Session;
use super::{Call, past};
use lb_shared::excerpt::{Excerpt, ExcerptAsk, Scope};
use lb_shared::json;
use lb_shared::request::Refusal;
use lb_shared::view::View;
use serde_json::Value;

/// A list of objects under way.
#[derive(Debug)]
pub(in super::super) struct Rows {
    scope: Scope,
    first: Piece,
}

fn scope(op: &str) -> Option<Scope> {
    match op {
        "vrrp" => Some(Scope::Instances),
        "services" => Some(Scope::Services),
        "servers" => Some(Scope::Servers),
        _ => None,
    }
}

/// Whether the op lists objects. Other answers with rows are short and made at once.
pub(in super::super) fn is_list(op: &str) -> bool {
    scope(op).is_some()
}

impl Rows {
    /// Finds what is asked for.
    pub(in super::super) async fn open(session: &Session, call: &Call) -> Result<Self, Refusal> {
        let scope = scope(&call.op).unwrap_or(Scope::Objects);
        let ask = ExcerptAsk {
            scope,
            targets: call.texts("targets")?,
            filter: call.text("filter")?.unwrap_or_default().to_owned(),
            at_wall_ms: past::at(session, call)?,
        };
        let first = Excerpts::open(session, ask).await?;
        Ok(Self { scope, first })
    }

    /// The head, the rows and the end. Waits for a slow reader between lines and holds one piece meanwhile.
    pub(in super::super) async fn run(self, lines: &Outbox, call: &Call) -> Result<(), Gone> {
        let id = call.id.as_ref();
        let mut head = vec![("ok", true.into()), ("rows", true.into())];
        if !call.ignored().is_empty() {
            head.push(("ignored", call.ignored().into()));
        }
        lines.send(line(id, head)).await?;
        let mut count = 0_u64;
        let mut next = Some(self.first);
        while let Some(Piece { excerpt, left }) = next {
            for row in forms(self.scope, &excerpt) {
                lines.send(line(id, vec![("row", row)])).await?;
                count += 1;
            }
            next = match left {
                Some(left) => Some(left.next().await),
                None => None,
            };
        }
        lines
            .send(line(id, vec![("end", true.into()), ("rows", count.into())]))
            .await
    }
}

fn forms(scope: Scope, excerpt: &Excerpt) -> Vec<Value> {
    let view = View::excerpt(excerpt);
    match scope {
        Scope::Instances => {
            let rows = view.state.instances.values();
            rows.map(|it| json::instance(&view, it)).collect()
        }
        Scope::Services => {
            let rows = view.services().into_iter();
            rows.map(|it| json::service(&view, it)).collect()
        }
        Scope::Servers | Scope::Meant => view.servers().map(|it| json::server(&view, it)).collect(),
        Scope::Status | Scope::Screen | Scope::Objects => Vec::new(),
    }
}
