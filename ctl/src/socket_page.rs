//! The manual page of the socket, `lbagent-socket(7)`: its ops from the schema that is published, what they do from the
//! help of the verbs of the same name.

use clap::Command;
use lb_shared::paths;
use lb_shared::request::{RefusalCode, Role};
use lb_shared::schema;
use lb_shared::text::roff;
use serde_json::Value;
use std::fmt::Write as _;

/// The page's name; its section is 7.
pub(crate) const NAME: &str = "lbagent-socket";

/// What ops do that are no verbs.
const OTHERS: [(&str, &str); 8] = [
    ("config", "The configuration in force: file, revision, findings"),
    (
        "config-show",
        "What the configuration in force says, block by block; secrets hidden",
    ),
    ("hello", "Versions, host, role, features"),
    ("ops", "What is under way"),
    ("op", "What is under way on these servers"),
    ("ping", "Whether somebody is there"),
    ("role", "Gives rights of this connection up; none can be gained"),
    ("schema", "The JSON Schema of every request and answer"),
];

const INTRODUCTION: &str = "\
The agent listens on one Unix socket. Whoever connects is known by the kernel's word (uid and groups) and has one role as \
long as the connection lives. A request is one JSON object on one line, at most 1 MiB; the agent is silent until the \
first, and answers in the order of the requests, except for streams. When the client ends its input, the agent finishes \
what was asked and closes.
.PP
Every request has \"op\" and may have \"id\" (a string or number that comes back with every line of its answer) and \
\"v\" (1). An answer has \"ok\":true and \"data\", or \"ok\":false and \"error\" with \"code\", \"message\", \"hint\", \
\"exit\" and \"details\". Fields may be added at any time: ignore those you do not know. Spans of time are strings with a \
unit, \"90s\", or with _s behind the name numbers of seconds; moments are RFC 3339 in UTC.
.PP
The same socket speaks a binary form of the same requests, for programs of the agent's own version.";

/// The page, as roff. `program`: the verbs with their help.
pub(crate) fn page(program: &Command) -> String {
    let mut page = format!(
        ".TH {NAME} 7 \"\" \"{agent} {version}\"\n.SH NAME\n{} \\- how programs talk to {agent}\n.SH SYNOPSIS\n{}\n\
         .SH DESCRIPTION\n",
        roff(NAME),
        roff(&format!("{}/{}", paths::RUN_DIR, paths::SOCKET)),
        agent = paths::AGENT,
        version = env!("CARGO_PKG_VERSION"),
    );
    for line in INTRODUCTION.lines() {
        let line = if line.starts_with('.') {
            line.to_owned()
        } else {
            roff(line)
        };
        let _ = writeln!(page, "{line}");
    }
    page += ".SH ROLES\n";
    for (role, who) in [
        (Role::Viewer, "whoever can open the socket".to_owned()),
        (
            Role::Operator,
            format!("members of the group {}", paths::GROUP_OPERATOR),
        ),
        (
            Role::Admin,
            format!(
                "root, the agent's own user, members of the group {}",
                paths::GROUP_ADMIN
            ),
        ),
    ] {
        let _ = writeln!(page, ".TP\n.B {}\n{}.", role.word(), roff(&who));
    }
    page += ".SH REQUESTS\n";
    let document = schema::document();
    for (op, role) in schema::ops() {
        let about = OTHERS
            .iter()
            .find(|(name, _)| *name == op)
            .map_or_else(|| about(program, &op), |(_, about)| Some((*about).to_owned()));
        let _ = writeln!(
            page,
            ".TP\n.B {}\n{}. Role: {}.{}",
            roff(&op),
            roff(&about.unwrap_or_default()),
            role,
            roff(&arguments(&document, &op))
        );
    }
    page += ".SH ERRORS\nThe codes, and the exit status lbctl ends with:\n";
    for code in RefusalCode::ALL {
        let _ = writeln!(page, ".TP\n.B {}\n{}", roff(code.word()), code.exit());
    }
    let _ = writeln!(
        page,
        ".SH EXAMPLES\n.nf\n{}\n.fi\n.SH \"SEE ALSO\"\nlbctl(1), lbtui(1); docs/socket.md has examples of every answer",
        roff(
            "lbctl raw '{\"op\":\"status\"}' | jq .data\n\
             echo '{\"op\":\"ping\"}' | socat -t5 - UNIX-CONNECT:/run/lbagent/agent.sock\n\
             lbctl raw --schema"
        ),
    );
    page
}

fn about(program: &Command, op: &str) -> Option<String> {
    let about = program.find_subcommand(op)?.get_about()?.to_string();
    Some(about.trim_end_matches('.').to_owned())
}

/// ` Takes: targets, filter.`
fn arguments(document: &Value, op: &str) -> String {
    let properties = &document["$defs"][format!("request-{op}")]["properties"];
    let names: Vec<&str> = properties
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str())
        .filter(|name| !matches!(*name, "op" | "v" | "id") && !name.ends_with("_s"))
        .collect();
    if names.is_empty() {
        String::new()
    } else {
        format!(" Takes: {}.", names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_op_is_told_with_what_it_does_its_role_and_arguments() {
        let page = page(&crate::help::command());
        for (op, role) in schema::ops() {
            let head = format!(".TP\n.B {}\n", roff(&op));
            let (_, rest) = page.split_once(&head).unwrap_or_else(|| panic!("{op}"));
            let line = rest.lines().next().unwrap();
            assert!(line.contains(&format!("Role: {role}.")), "{op}: {line}");
            assert!(!line.starts_with('.'), "{op} does nothing: {line}");
        }
        assert!(page.contains("Takes: all, cut,"), "{page}");
        for code in RefusalCode::ALL {
            assert!(page.contains(&roff(code.word())), "{code:?}");
        }
    }
}
