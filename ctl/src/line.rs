//! Reading the command line, quickly.
//!
//! The tree of all verbs, each with the flags that all take, is most of what a start of this program costs. To read a
//! line it is enough to know the verbs whose names stand in it; the whole tree is built for help and for mistakes.

use crate::args::{Cli, Global, Verb};
use crate::help;
use clap::{Args as _, Command, FromArgMatches as _, Subcommand as _};
use std::ffi::OsString;

/// What this process was called with; says what is wrong with it, or shows help, and ends.
pub(crate) fn of_process() -> Cli {
    let words: Vec<OsString> = std::env::args_os().collect();
    if let Some(cli) = quickly(&words) {
        return cli;
    }
    let matches = help::command().get_matches_from(words);
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// The line, unless there is anything to say about it.
fn quickly(words: &[OsString]) -> Option<Cli> {
    let matches = small(words).try_get_matches_from(words).ok()?;
    Cli::from_arg_matches(&matches).ok()
}

/// The command line with no other verbs than those that are named somewhere in it.
fn small(words: &[OsString]) -> Command {
    let whole = Verb::augment_subcommands(Command::new("verbs"));
    let named = |verb: &Command| {
        let mut names = std::iter::once(verb.get_name()).chain(verb.get_all_aliases());
        names.any(|name| words.iter().any(|word| word == name))
    };
    Global::augment_args(Command::new("lbctl"))
        .subcommands(whole.get_subcommands().filter(|verb| named(verb)).cloned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn wholly(words: &[OsString]) -> Option<Cli> {
        let matches = Cli::command().try_get_matches_from(words).ok()?;
        Cli::from_arg_matches(&matches).ok()
    }

    /// Reads a line both ways, and tells whether it is one.
    fn agree(line: &str) -> bool {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let (quick, whole) = (quickly(&words), wholly(&words));
        assert_eq!(format!("{quick:?}"), format!("{whole:?}"), "{line}");
        whole.is_some()
    }

    #[test]
    fn a_line_is_read_as_with_the_whole_tree() {
        for line in help::examples() {
            agree(line);
        }
        for line in [
            "lbctl",
            "lbctl st --short",
            "lbctl --sort servers services web -o wide",
            "lbctl -C status",
            "lbctl --cluster edge status",
            "lbctl servers drain",
            "lbctl enable web/a -y",
            "lbctl -vv --host unix:/a,unix:/b tui -- --help",
            "lbctl __complete -- lbctl drain we",
            "lbctl config explain weight",
        ] {
            assert!(agree(line), "{line}");
        }
        for line in [
            "lbctl drian web",
            "lbctl help",
            "lbctl help drain",
            "lbctl drain --help",
            "lbctl --version",
            "lbctl status --nonsense",
            "lbctl config",
            "lbctl -o xml servers",
        ] {
            assert!(!agree(line), "{line}");
        }
    }

    #[test]
    fn only_the_verbs_that_are_named_are_built() {
        let words = ["lbctl", "servers", "web"].map(OsString::from);
        let verbs: Vec<String> = small(&words)
            .get_subcommands()
            .map(|verb| verb.get_name().to_owned())
            .collect();
        assert_eq!(verbs, ["servers"]);
    }
}
