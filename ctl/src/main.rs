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
mod line;
mod look;
mod socket_page;
mod table;
mod trouble;
mod verbs;

use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = line::of_process();
    let look = look::Look::of_process(&cli.global);
    let mut out = look::Out::stdout(cli.global.output);
    let ended = verbs::run(&cli, &look, &mut out);
    ExitCode::from(trouble::report(ended, &cli.global, &mut out))
}
