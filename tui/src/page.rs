//! The manual page `lbtui(1)`: the flags from the source of `--help`, the keys from the table they act by.

use crate::keys::KEYS;
use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use lb_shared::text::roff;
use std::io::{self, Write};

const EXIT_STATUS: &str = "0: it was quit; with --once the picture was printed. 1: the terminal or an agent failed, said on standard error. \
                           2: bad arguments.";

/// The page, as roff.
pub(crate) fn page() -> Vec<u8> {
    let mut page = Vec::new();
    // Writing to memory does not fail.
    let _ = render(crate::args::Args::command(), &mut page);
    page
}

fn render(command: Command, page: &mut Vec<u8>) -> io::Result<()> {
    let man = Man::new(command);
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    man.render_options_section(page)?;
    writeln!(page, ".SH KEYS")?;
    for binding in KEYS {
        writeln!(page, ".TP\n.B {}\n{}", roff(binding.label), roff(binding.help))?;
    }
    writeln!(page, ".SH \"EXIT STATUS\"\n{}", roff(EXIT_STATUS))?;
    writeln!(page, ".SH \"SEE ALSO\"\nlbctl(1), {}(7)", roff("lbagent-socket"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_and_every_key_is_on_the_page() {
        let page = String::from_utf8(page()).unwrap();
        for flag in crate::args::Args::command()
            .get_arguments()
            .filter(|it| !it.is_hide_set())
        {
            if let Some(long) = flag.get_long() {
                assert!(page.contains(&roff(long)), "{long}: {page}");
            }
        }
        for binding in KEYS {
            assert!(
                page.contains(&format!(".B {}\n", roff(binding.label))),
                "{}",
                binding.label
            );
        }
        assert!(page.starts_with(".ie") || page.contains(".TH lbtui 1"), "{page}");
    }
}
