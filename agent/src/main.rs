//! The agent's program.

use lbagent::io::runner::{runner_fd_argument, runner_main};

fn main() {
    // Before anything else: the script runner is this program again, and must not become an agent on the way.
    if let Some(fd) = runner_fd_argument(std::env::args_os()) {
        runner_main(fd);
    }
}
