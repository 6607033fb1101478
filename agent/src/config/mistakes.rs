//! Mistakes that many people make, each with words of its own instead of "unknown keyword".

use super::findings::Cx;
use super::keyword::{Info, shown};
use super::lexer::{self, Span, Word};
use super::tree::Statement;
use super::value;
use lb_shared::diagnostic::Severity;

/// A word that is no keyword of its block, and what to tell instead.
struct Habit {
    /// The block it is met in; empty for any.
    block: &'static str,
    word: &'static str,
    severity: Severity,
    code: &'static str,
    message: &'static str,
    notes: &'static [&'static str],
}

const HABITS: &[Habit] = &[
    Habit {
        block: "virtual_server",
        word: "check_script",
        severity: Severity::Error,
        code: "E-01",
        message: "there is no check_script",
        notes: &[
            "put a MISC_CHECK with misc_path into each real_server",
            "the block is skipped and the real servers below it are kept; keepalived would lose them",
        ],
    },
    Habit {
        block: "virtual_server/real_server",
        word: "check_script",
        severity: Severity::Error,
        code: "E-01",
        message: "there is no check_script",
        notes: &["write MISC_CHECK { misc_path \"/path/script\" }"],
    },
    Habit {
        block: "virtual_server",
        word: "vrrp_script",
        severity: Severity::Error,
        code: "E-02",
        message: "a vrrp_script does not belong to a virtual_server",
        notes: &[
            "vrrp_script changes this node's VRRP priority; it never takes a real server out",
            "put it at the top of the file, or a MISC_CHECK into each real_server",
        ],
    },
    Habit {
        block: "virtual_server/real_server",
        word: "vrrp_script",
        severity: Severity::Error,
        code: "E-02",
        message: "a vrrp_script does not belong to a real_server",
        notes: &[
            "vrrp_script changes this node's VRRP priority; it never takes a real server out",
            "write MISC_CHECK { misc_path \"/path/script\" } here",
        ],
    },
    Habit {
        block: "virtual_server",
        word: "track_script",
        severity: Severity::Error,
        code: "E-02",
        message: "track_script does not belong to a virtual_server",
        notes: &[
            "a vrrp_script changes this node's VRRP priority; it never takes a real server out",
            "put a MISC_CHECK into each real_server",
        ],
    },
    Habit {
        block: "",
        word: "log_level",
        severity: Severity::Warning,
        code: "E-12",
        message: "there is no log_level here",
        notes: &[
            "start the agent with --log-level, or run 'lbctl log LEVEL'",
            "keepalived ignores the line",
        ],
    },
    Habit {
        block: "",
        word: "log_file",
        severity: Severity::Warning,
        code: "E-12",
        message: "there is no log_file here",
        notes: &[
            "the agent logs to the journal or to standard error (-l)",
            "keepalived ignores the line",
        ],
    },
    Habit {
        block: "",
        word: "log_timestamp",
        severity: Severity::Warning,
        code: "E-12",
        message: "there is no log_timestamp here",
        notes: &[
            "the agent's log lines always carry the time",
            "keepalived ignores the line",
        ],
    },
    Habit {
        block: "global_defs",
        word: "state_file_location",
        severity: Severity::Warning,
        code: "L-14",
        message: "the manual says state_file_location, the word is state_dump_file",
        notes: &["keepalived ignores the line"],
    },
    Habit {
        block: "global_defs",
        word: "stats_file_location",
        severity: Severity::Warning,
        code: "L-14",
        message: "the manual says stats_file_location, the word is stats_dump_file",
        notes: &["keepalived ignores the line"],
    },
    Habit {
        block: "global_defs",
        word: "json_file_location",
        severity: Severity::Warning,
        code: "L-14",
        message: "the manual says json_file_location, the word is json_dump_file",
        notes: &["keepalived ignores the line"],
    },
    Habit {
        block: "virtual_server",
        word: "nat_mask",
        severity: Severity::Warning,
        code: "L-14",
        message: "'nat_mask' is a word of old versions of keepalived",
        notes: &[
            "it has no meaning any more, and the line is ignored, as in keepalived",
            "leave it out",
        ],
    },
    Habit {
        block: "virtual_server",
        word: "net_mask",
        severity: Severity::Warning,
        code: "L-14",
        message: "a virtual server has no mask",
        notes: &["the line is ignored, as in keepalived", "leave it out"],
    },
    Habit {
        block: "global_defs",
        word: "lvs_id",
        severity: Severity::Warning,
        code: "L-14",
        message: "'lvs_id' is a word of old versions of keepalived",
        notes: &["the line is ignored, as in keepalived", "write 'router_id NAME'"],
    },
    Habit {
        block: "vrrp_instance",
        word: "lvs_sync_daemon_inteface",
        severity: Severity::Warning,
        code: "L-14",
        message: "'lvs_sync_daemon_inteface' was a slip of old versions of keepalived",
        notes: &[
            "the line is ignored, as in keepalived: no connections are copied",
            "write 'lvs_sync_daemon IFNAME INSTANCE' into global_defs",
        ],
    },
    Habit {
        block: "",
        word: "nb_get_retry",
        severity: Severity::Warning,
        code: "L-14",
        message: "'nb_get_retry' is a word of HTTP_GET and SSL_GET alone",
        notes: &[
            "the line is ignored, as in keepalived",
            "write 'retry N' if it is to act",
        ],
    },
];

/// What stands before the sides of a conflict that a merge left in the file.
const CONFLICT: &str = "<<<<<<<";
/// What stands between and behind them.
const CONFLICT_REST: &[&str] = &["|||||||", "=======", ">>>>>>>"];

/// Whether an unknown word is a known mistake; tells if so.
pub(crate) fn unknown(
    block: &'static str,
    statement: &Statement<'_>,
    block_line: u32,
    cx: &mut Cx<'_>,
) -> bool {
    let keyword = statement.keyword();
    if keyword.text.chars().all(|c| c == ';') {
        semicolon(keyword, block_line, cx);
        return true;
    }
    if keyword.text.starts_with("//") {
        slashes(keyword, cx);
        return true;
    }
    if keyword.text == CONFLICT {
        let notes: &[&str] = &[
            "both sides are read, and of settings that stand in both the last one counts; keepalived does the same",
            "keep one side, and remove the marks",
        ];
        cx.error(
            "L-32",
            keyword.span,
            "a conflict of a merge was not resolved",
            notes,
        );
        return true;
    }
    // Told already, with what they belong to.
    if CONFLICT_REST.contains(&keyword.text) || lexer::is_placeholder(keyword) {
        return true;
    }
    let found = HABITS
        .iter()
        .find(|habit| habit.word == keyword.text && (habit.block.is_empty() || habit.block == block));
    if let Some(habit) = found
        && (habit.severity == Severity::Error || cx.first_in_file(keyword.span, block, habit.word))
    {
        cx.say(
            habit.severity,
            habit.code,
            keyword.span,
            habit.message,
            habit.notes,
        );
    }
    found.is_some()
}

/// Whether an argument is a known mistake; tells if so. The setting then keeps its default.
pub(crate) fn value(block: &str, info: &Info, word: Word<'_>, cx: &mut Cx<'_>) -> bool {
    let text = word.text.trim_end_matches(';');
    match (block, info.name) {
        ("virtual_server", "lb_algo" | "lvs_sched") => scheduler(text, word, cx),
        ("virtual_server", "protocol")
            if matches!(text.to_ascii_lowercase().as_str(), "http" | "https" | "ssl") =>
        {
            cx.error(
                "E-05",
                word.span,
                format!("'{text}' is not a protocol that IPVS balances"),
                &[
                    "IPVS balances TCP, UDP and SCTP; for HTTP write 'protocol TCP' and an HTTP_GET check",
                    "keepalived ignores the line and balances UDP",
                ],
            );
            true
        }
        ("vrrp_instance", "virtual_router_id") => match value::number(text) {
            Some(1..=255) | None => false,
            Some(_) => {
                let text = format!("virtual_router_id {} is outside 1–255", shown(text));
                cx.error("E-07", word.span, text, &[
                    "a VRID is 1 to 255, equal on all nodes of one virtual router and different between routers",
                    "the instance is left out; keepalived ends here",
                ]);
                true
            }
        },
        _ => false,
    }
}

fn scheduler(text: &str, word: Word<'_>, cx: &mut Cx<'_>) -> bool {
    let (code, meant) = match text.to_ascii_lowercase().as_str() {
        "roundrobin" | "round-robin" | "round_robin" | "static-rr" => ("E-03", "rr"),
        "leastconn" | "least-connections" | "leastconnections" => ("E-03", "lc"),
        "weighted-round-robin" | "weightedroundrobin" => ("E-04", "wrr"),
        "source" | "source-hash" => ("E-03", "sh"),
        _ => return false,
    };
    cx.error(
        code,
        word.span,
        format!("'{}' is not a word of IPVS; here it is {meant}", shown(text)),
        &[
            "keepalived ignores the line and runs wlc, and so does the agent at start",
            &format!("write 'lb_algo {meant}'"),
        ],
    );
    true
}

/// A line ended with a semicolon: told once per block.
pub(crate) fn semicolon(word: Word<'_>, block_line: u32, cx: &mut Cx<'_>) {
    if cx.first_in_block(block_line, "E-13") {
        cx.error(
            "E-13",
            word.span,
            "lines do not end with ';'",
            &[
                "remove the ';' here and in the rest of the block",
                "the words are read without it here; keepalived ignores numbers that end so and keeps their defaults",
            ],
        );
    }
}

/// A comment as in C: told once per file.
pub(crate) fn slashes(word: Word<'_>, cx: &mut Cx<'_>) {
    if !cx.quiet && cx.first_in_file(word.span, "", "//") {
        let notes: &[&str] = &[
            "keepalived reads it as a word and ignores it, here as well; in some places it costs the line",
            "write '#' instead, in the whole file",
        ];
        cx.warn("L-33", word.span, "'//' begins no comment", notes);
    }
}

/// A place that a template was to fill: told once per file.
pub(crate) fn placeholder(span: Span, line: &str, cx: &mut Cx<'_>) {
    if cx.first_in_file(span, "", "{{") {
        let word = line.get(span.start as usize..span.end as usize).unwrap_or("");
        let text = format!("'{}' was to be filled by a template", shown(word));
        let notes: &[&str] = &[
            "it is read as it stands; keepalived takes its braces for blocks and may end with code 2",
            "judge the file that the template makes, not the template",
        ];
        cx.error("L-31", span, text, notes);
    }
}

/// Blocks whose unknown words may be misspelt secrets.
pub(crate) fn is_secret_block(block: &str) -> bool {
    block == "SSL" || block.strip_prefix("vrrp_instance/").is_some_and(holds_secret)
}

/// Keywords whose blocks have a secret in them.
pub(crate) fn holds_secret(keyword: &str) -> bool {
    matches!(keyword, "authentication" | "auth_hmac" | "SSL")
}
