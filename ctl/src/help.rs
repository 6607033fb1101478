//! Help, man pages: the command line with its examples and exit codes, from one source.

use crate::args::Cli;
use crate::look::{Look, Out};
use crate::socket_page;
use crate::trouble::{Trouble, usage};
use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use lb_shared::text::{escape, roff};
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{self, Stdio};

const EXIT_CODES: &str = "Exit codes: 0 done or yes; 1 failed or no; 2 usage; 3 not found; 4 refused; 5 unreachable; \
                          6 timed out; 130, 143 detached by a signal.";

/// What people type, for each verb.
const EXAMPLES: &[(&str, &[&str])] = &[
    (
        "status",
        &[
            "lbctl",
            "lbctl status web VI_int",
            "lbctl status --short",
            "lbctl status --cluster edge",
        ],
    ),
    (
        "vrrp",
        &[
            "lbctl vrrp",
            "lbctl vrrp -o wide",
            "lbctl vrrp --filter st:master -o name",
        ],
    ),
    (
        "services",
        &[
            "lbctl services",
            "lbctl services web --watch",
            "lbctl services --sort -active -o wide",
        ],
    ),
    (
        "servers",
        &[
            "lbctl servers web",
            "lbctl servers --filter 'st:down for:>5m'",
            "lbctl servers -o jsonl | jq -r .address",
        ],
    ),
    (
        "show",
        &[
            "lbctl show web",
            "lbctl show VI_int -o json",
            "lbctl show web/198.51.100.24",
        ],
    ),
    (
        "why",
        &["lbctl why VI_int", "lbctl why web", "lbctl why web/198.51.100.24"],
    ),
    (
        "events",
        &[
            "lbctl events --since 15m",
            "lbctl events -f --kind vrrp,check",
            "lbctl events web --since 1h --until 30m",
        ],
    ),
    (
        "watch",
        &["lbctl watch", "lbctl watch web", "lbctl watch VI_int -o jsonl"],
    ),
    (
        "stats",
        &["lbctl stats", "lbctl stats VI_int", "lbctl stats web --exact"],
    ),
    (
        "history",
        &[
            "lbctl history web",
            "lbctl history web/198.51.100.25 --since 5m",
            "lbctl history VI_int --step 1m -o json",
        ],
    ),
    (
        "metrics",
        &[
            "lbctl metrics",
            "lbctl metrics --servers none",
            "lbctl metrics --compat | promtool check metrics",
        ],
    ),
    (
        "drain",
        &[
            "lbctl drain web/198.51.100.24 --wait -m \"kernel update\"",
            "lbctl drain 'web/198.51.100.2[34]' --dry-run",
            "lbctl drain web/198.51.100.24 --cluster edge --timeout 30m",
        ],
    ),
    (
        "undrain",
        &[
            "lbctl undrain web/198.51.100.24",
            "lbctl undrain web/198.51.100.24 --ramp 60s",
            "lbctl undrain --all --filter ov:drain --yes",
            "lbctl undrain 198.51.100.24 --cluster",
        ],
    ),
    (
        "disable",
        &[
            "lbctl disable web/198.51.100.24",
            "lbctl disable web/198.51.100.24 --cut",
            "lbctl disable 198.51.100.24 --dry-run",
        ],
    ),
    (
        "weight",
        &[
            "lbctl weight web/198.51.100.24 50",
            "lbctl weight web/198.51.100.24 50%",
            "lbctl weight web/198.51.100.24 config",
        ],
    ),
    (
        "test",
        &[
            "lbctl test web/198.51.100.24",
            "lbctl test 'web/*'",
            "lbctl test 198.51.100.24 --cluster edge",
        ],
    ),
    (
        "log",
        &[
            "lbctl log",
            "lbctl log debug --for 10m",
            "lbctl log web/198.51.100.25=error --for 1h",
            "lbctl log check=warn",
            "lbctl log default",
        ],
    ),
    (
        "promote",
        &[
            "lbctl promote VI_int --dry-run",
            "lbctl promote VI_int --for 30m",
            "lbctl promote VI_int --host ssh://lb2 --yes",
        ],
    ),
    (
        "demote",
        &[
            "lbctl demote VI_int -m \"new kernel\"",
            "lbctl demote --all --yes",
            "lbctl demote VI_int --hard --dry-run",
        ],
    ),
    (
        "release",
        &[
            "lbctl release VI_int",
            "lbctl release --all --yes",
            "lbctl release VI_int --dry-run",
        ],
    ),
    (
        "undo",
        &[
            "lbctl undo --dry-run",
            "lbctl undo",
            "lbctl undo --cluster edge --yes",
        ],
    ),
    (
        "doctor",
        &[
            "lbctl doctor",
            "lbctl doctor --real-server 203.0.113.10",
            "lbctl doctor --strict -o json",
        ],
    ),
    (
        "config",
        &[
            "lbctl config explain virtual_router_id",
            "lbctl config diff",
            "lbctl config show --defaults",
            "lbctl config diff --host ssh://lb1 --host ssh://lb2",
            "lbctl config diff --cluster edge",
        ],
    ),
    (
        "check-config",
        &[
            "lbctl check-config keepalived.conf",
            "lbctl check-config lb1.conf --peer lb2.conf --strict",
            "lbctl check-config keepalived.conf -o json",
        ],
    ),
    (
        "reload",
        &[
            "lbctl reload --dry-run",
            "lbctl reload",
            "lbctl reload --drain-removed 10m",
            "lbctl reload --confirm 60s",
            "lbctl reload --confirmed",
            "lbctl reload --cluster edge",
        ],
    ),
    (
        "is",
        &[
            "lbctl is ready",
            "lbctl is master VI_int -q",
            "lbctl is drained web/198.51.100.24",
        ],
    ),
    (
        "wait",
        &[
            "lbctl wait ready",
            "lbctl wait master VI_int --timeout 30s",
            "lbctl wait drained web/198.51.100.24 --timeout 10m",
        ],
    ),
    (
        "raw",
        &[
            "lbctl raw '{\"op\":\"status\"}' | jq .data",
            "lbctl raw < requests.jsonl",
            "lbctl raw --schema | jq '.[\"$defs\"].server'",
        ],
    ),
    (
        "what-if",
        &[
            "lbctl what-if 'interface eth1 down'",
            "lbctl what-if --for 2m 'script chk_db fail' 'peer 198.51.100.3 silent'",
            "lbctl what-if drain web/198.51.100.24",
        ],
    ),
    (
        "record",
        &[
            "lbctl record -w session.jsonl.gz",
            "lbctl record -w session.jsonl.gz --for 10m --before 5m",
        ],
    ),
    (
        "replay",
        &[
            "lbctl replay session.jsonl.gz",
            "lbctl replay session.jsonl.gz -o jsonl | jq 'select(.event)'",
        ],
    ),
    (
        "bundle",
        &[
            "lbctl bundle -w lb1.tar.gz",
            "lbctl bundle -w lb1.tar.gz --redact",
        ],
    ),
    (
        "top",
        &["lbctl top", "lbctl top --cluster edge", "lbctl top -- --ascii"],
    ),
    (
        "completion",
        &["lbctl completion bash > /usr/share/bash-completion/completions/lbctl"],
    ),
    (
        "man",
        &["lbctl man drain", "lbctl man socket", "lbctl man --to man1"],
    ),
    ("version", &["lbctl version", "lbctl version --cluster edge"]),
    (
        "hosts",
        &["lbctl hosts", "lbctl hosts --cluster edge", "lbctl hosts -o json"],
    ),
];

/// All that people type.
#[cfg(test)]
pub(crate) fn examples() -> impl Iterator<Item = &'static str> {
    EXAMPLES.iter().flat_map(|(_, examples)| examples.iter().copied())
}

/// The command line, with examples before the flags of each verb and the exit codes behind them.
pub(crate) fn command() -> Command {
    let mut command = Cli::command().after_help(EXIT_CODES);
    for (verb, examples) in EXAMPLES {
        let text = format!("Examples:\n  {}", examples.join("\n  "));
        command = command.mut_subcommand(verb, |it| it.before_help(text).after_help(EXIT_CODES));
    }
    command
}

/// The page of a verb, or of the whole program; shown by `man` where somebody looks.
pub(crate) fn man(look: &Look, out: &mut Out, verb: Option<&str>, to: Option<&Path>) -> Result<(), Trouble> {
    if let Some(folder) = to {
        return write_all(out, folder);
    }
    let pages = pages();
    let name = match verb {
        None => "lbctl".to_owned(),
        Some("socket") => socket_page::NAME.to_owned(),
        Some(verb) => format!("lbctl-{verb}"),
    };
    let Some((_, page)) = pages.into_iter().find(|(known, _)| *known == name) else {
        return Err(usage(
            format!("there is no page {}", escape(&name)),
            "lbctl help lists the verbs",
        ));
    };
    if look.terminal() {
        let shown = process::Command::new("man")
            .args(["-l", "-"])
            .stdin(Stdio::piped())
            .spawn();
        if let Ok(mut shown) = shown {
            if let Some(mut stdin) = shown.stdin.take() {
                // Who leaves the page early does not read it to its end.
                let _ = stdin.write_all(&page);
            }
            if shown.wait().is_ok_and(|status| status.success()) {
                return Ok(());
            }
        }
    }
    out.text(&String::from_utf8_lossy(&page))?;
    Ok(())
}

fn write_all(out: &mut Out, folder: &Path) -> Result<(), Trouble> {
    let failed = |error: io::Error| usage(format!("cannot write to {}: {error}", folder.display()), "");
    fs::create_dir_all(folder).map_err(failed)?;
    for (name, page) in pages() {
        let section = if name == socket_page::NAME { 7 } else { 1 };
        let path = folder.join(format!("{name}.{section}"));
        fs::write(&path, page).map_err(failed)?;
        out.line(&path.display().to_string())?;
    }
    Ok(())
}

/// `lbctl`, `lbctl-VERB` and the socket's, each as roff.
fn pages() -> Vec<(String, Vec<u8>)> {
    let mut whole = command();
    // Gives every verb the flags that all take.
    whole.build();
    let mut pages = vec![("lbctl".to_owned(), page(whole.clone()))];
    for verb in whole.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        if verb.get_name() == "help" {
            continue;
        }
        pages.push((format!("lbctl-{}", verb.get_name()), page(verb.clone())));
    }
    pages.push((
        socket_page::NAME.to_owned(),
        socket_page::page(&whole).into_bytes(),
    ));
    pages
}

fn page(command: Command) -> Vec<u8> {
    let mut page = Vec::new();
    // Writing to memory does not fail.
    let _ = render(command, &mut page);
    page
}

/// As `clap_mangen` would, with the examples before the flags and the exit codes under a name.
fn render(command: Command, page: &mut Vec<u8>) -> io::Result<()> {
    let verb = command.get_name().to_owned();
    let subcommands = command.get_subcommands().any(|verb| !verb.is_hide_set());
    let man = Man::new(command);
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    if let Some((_, examples)) = EXAMPLES.iter().find(|(known, _)| *known == verb) {
        writeln!(page, ".SH EXAMPLES\n.nf")?;
        for example in *examples {
            writeln!(page, "{}", roff(example))?;
        }
        writeln!(page, ".fi")?;
    }
    man.render_description_section(page)?;
    man.render_options_section(page)?;
    if subcommands {
        man.render_subcommands_section(page)?;
    }
    writeln!(page, ".SH \"EXIT STATUS\"\n{}", roff(EXIT_CODES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_every_example_is_understood() {
        command().debug_assert();
        for (verb, examples) in EXAMPLES {
            for example in *examples {
                // The shell's part of it is not ours.
                let example = example.split(" | ").next().unwrap_or_default();
                let example = example.split(" < ").next().unwrap_or_default();
                let example = example.split(" > ").next().unwrap_or_default();
                let words = words(example);
                let matches = command().try_get_matches_from(&words);
                let matches = matches.unwrap_or_else(|error| panic!("{verb}: {example}: {error}"));
                let used = matches.subcommand_name().unwrap_or("status");
                assert_eq!(used, *verb, "{example}");
            }
        }
    }

    #[test]
    fn everything_that_can_be_typed_is_described() {
        fn look(command: &Command, path: &str) {
            for arg in command.get_arguments() {
                let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(!help.trim().is_empty(), "{path}: {}", arg.get_id());
            }
            for verb in command.get_subcommands().filter(|it| !it.is_hide_set()) {
                let path = format!("{path} {}", verb.get_name());
                let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
                assert!(!about.trim().is_empty(), "{path}");
                look(verb, &path);
            }
        }
        let mut whole = command();
        whole.build();
        look(&whole, "lbctl");
        let verbs = whole.get_subcommands().filter(|it| !it.is_hide_set());
        for verb in verbs.map(Command::get_name) {
            let shown = EXAMPLES.iter().any(|(known, _)| *known == verb);
            assert!(
                shown || ["help", "proxy"].contains(&verb),
                "{verb} has no examples"
            );
        }
    }

    /// Splits at blanks outside quotes.
    fn words(text: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        let mut quote = None;
        for c in text.chars() {
            match (quote, c) {
                (Some(open), _) if c == open => quote = None,
                (Some(_), _) => words.last_mut().unwrap().push(c),
                (None, '"' | '\'') => quote = Some(c),
                (None, ' ') => words.push(String::new()),
                (None, _) => words.last_mut().unwrap().push(c),
            }
        }
        words
    }

    #[test]
    fn every_verb_has_a_page_and_every_common_one_examples() {
        let pages = pages();
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        for (verb, _) in EXAMPLES {
            assert!(
                names.contains(&format!("lbctl-{verb}").as_str()),
                "{verb}: {names:?}"
            );
        }
        let (_, drain) = pages.iter().find(|(name, _)| name == "lbctl-drain").unwrap();
        let drain = String::from_utf8_lossy(drain);
        for word in [
            ".TH lbctl-drain 1",
            "kernel update",
            "dry\\-run",
            "cluster",
            "6 timed out",
        ] {
            assert!(drain.contains(word), "{word}: {drain}");
        }
        assert!(!names.contains(&"lbctl-__complete"), "{names:?}");
    }
}
