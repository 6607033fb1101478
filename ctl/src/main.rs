//! `lbctl`: the command line of the agent. It asks and shows; the agent decides and does.

mod args;
mod columns;
mod complete;
mod confirm;
mod connect;
mod detach;
mod fleet;
#[cfg(test)]
mod golden;
mod help;
mod look;
mod socket_page;
mod table;
mod trouble;
mod verbs;

use clap::FromArgMatches as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let matches = help::command().get_matches();
    let cli = args::Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let look = look::Look::of_process(&cli.global);
    let mut out = look::Out::stdout();
    let ended = verbs::run(&cli, &look, &mut out);
    ExitCode::from(trouble::report(ended, &cli.global, &mut out))
}
