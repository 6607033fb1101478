//! The manual page `lbagent(8)`: flags and verbs from the source of `--help`.

use crate::cli::Cli;
use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use lb_shared::paths;
use lb_shared::text::roff;
use std::io::{self, Write};

const SIGNALS: &[(&str, &str)] = &[
    (
        "SIGHUP",
        "Read the configuration again, all or nothing. A file with an error changes nothing.",
    ),
    (
        "SIGTERM, SIGINT",
        "Stop in order: priority 0 is advertised, addresses go, then IPVS.",
    ),
    (
        "SIGQUIT",
        "End and leave everything in place, for the next start to take over: an upgrade.",
    ),
    ("SIGUSR1, SIGUSR2", "Write keepalived's data or statistics file."),
    ("SIGRTMIN+2", "Write keepalived's JSON file."),
];

const EXIT_STATUS: &str = "0: it ended in order, or the configuration is fine (\\-t). 1: it could not start. 2: the configuration cannot be \
                           run, or bad arguments. 4: not root; with \\-t: keepalived would not run it. 5: with \\-t: errors it can run \
                           with. 6: no configuration file; with \\-t: unsafe scripts.";

/// The page, as roff.
pub(crate) fn page() -> Vec<u8> {
    let mut page = Vec::new();
    // Writing to memory does not fail.
    let _ = render(Cli::command(), &mut page);
    page
}

fn render(command: Command, page: &mut Vec<u8>) -> io::Result<()> {
    let verbs: Vec<Command> = command
        .get_subcommands()
        .filter(|it| !it.is_hide_set())
        .cloned()
        .collect();
    let man = Man::new(command).section("8");
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    man.render_options_section(page)?;
    writeln!(page, ".SH COMMANDS")?;
    for verb in verbs {
        let about = verb.get_long_about().or(verb.get_about());
        writeln!(page, ".TP\n.B {}", roff(verb.get_name()))?;
        for line in about.map(ToString::to_string).unwrap_or_default().lines() {
            writeln!(page, "{}", roff(line))?;
        }
    }
    writeln!(page, ".SH SIGNALS")?;
    for (signal, help) in SIGNALS {
        writeln!(page, ".TP\n.B {}\n{}", roff(signal), roff(help))?;
    }
    writeln!(page, ".SH \"EXIT STATUS\"\n{EXIT_STATUS}\n.SH FILES")?;
    for (path, help) in [
        (paths::CONFIG, "the configuration, if it is there"),
        (paths::CONFIG_KEEPALIVED, "the configuration otherwise"),
        (
            paths::STATE_DIR,
            "the operators' changes, which outlast everything, and the last events",
        ),
        (
            paths::RUN_DIR,
            "the control socket, and what the next start has to know of this one",
        ),
    ] {
        writeln!(page, ".TP\n.I {}\n{}", roff(path), roff(help))?;
    }
    writeln!(
        page,
        ".SH \"SEE ALSO\"\nlbctl(1), lbtui(1), {}(7), keepalived.conf(5)",
        roff("lbagent-socket")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_and_every_command_is_on_the_page() {
        let page = String::from_utf8(page()).unwrap();
        assert!(page.contains(".TH lbagent 8"), "{page}");
        let command = Cli::command();
        let flags = command
            .get_arguments()
            .filter(|it| !it.is_hide_set())
            .filter_map(|it| it.get_long());
        for flag in flags {
            assert!(page.contains(&roff(flag)), "{flag}: {page}");
        }
        for verb in ["cleanup", "take-over"] {
            assert!(page.contains(&format!(".B {}\n", roff(verb))), "{verb}: {page}");
        }
        assert!(!page.contains("reference"), "hidden ones are not for people");
    }
}
