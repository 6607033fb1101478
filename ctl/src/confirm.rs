//! Asking before something is done.

use crate::args::Acting;
use crate::trouble::Trouble;
use lb_shared::config::Confirm;
use lb_shared::request::{Refusal, RefusalCode, Verb};
use lb_shared::site::Site;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

/// Lets the command pass: at once, after a yes, or not at all. `names` are all that is acted on, on all hosts.
/// Whether somebody was asked.
pub(crate) fn ask(verb: Verb, names: &[String], acting: &Acting, site: &Site) -> Result<bool, Trouble> {
    if acting.dry_run || acting.yes {
        return Ok(false);
    }
    let by_name = matches!(verb, Verb::Promote { .. } | Verb::Demote { .. });
    let cluster = site.cluster.as_deref().filter(|_| site.confirm == Confirm::Type);
    if names.len() == 1 && !by_name && site.confirm == Confirm::None {
        return Ok(false);
    }
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Err(unasked(verb, names).into());
    }
    let mut stderr = io::stderr();
    let answer = |question: &str| -> Result<String, Trouble> {
        let mut stderr = io::stderr();
        write!(stderr, "{question}")?;
        stderr.flush()?;
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line)?;
        Ok(line.trim().to_owned())
    };
    for line in listed(names) {
        writeln!(stderr, "{line}")?;
    }
    let yes = match names {
        _ if let Some(cluster) = cluster => {
            let what = match names {
                [name] => name.clone(),
                names => noun(verb, names.len()),
            };
            answer(&format!(
                "To {} {what}, type the cluster's name ({cluster}): ",
                verb.word()
            ))? == cluster
        }
        [name] if by_name => answer(&format!("To {} it, type its name ({name}): ", verb.word()))? == *name,
        names => matches!(
            answer(&question(verb, names.len()))?.to_lowercase().as_str(),
            "y" | "yes"
        ),
    };
    if yes {
        Ok(true)
    } else {
        Err(Refusal::new(RefusalCode::Confirm, "nothing was changed", "").into())
    }
}

fn unasked(verb: Verb, names: &[String]) -> Refusal {
    let what = match names {
        [name] => name.clone(),
        names => noun(verb, names.len()),
    };
    Refusal::new(
        RefusalCode::Confirm,
        format!(
            "to {} {what} needs a yes, and there is no terminal to ask on",
            verb.word()
        ),
        "add --yes, or --dry-run to see the effect",
    )
}

fn noun(verb: Verb, count: usize) -> String {
    let noun = match verb {
        Verb::Drain { .. } | Verb::Undrain | Verb::Ramp { .. } | Verb::Disable { .. } | Verb::Weight(_) => {
            "server"
        }
        Verb::Promote { .. } | Verb::Demote { .. } | Verb::Release => "instance",
        Verb::Undo => "change",
    };
    lb_shared::text::count(count, noun)
}

/// `Drain 3 servers? [y/N] `
fn question(verb: Verb, count: usize) -> String {
    let word = match verb {
        Verb::Weight(_) => "Change the weight of",
        Verb::Drain { .. } => "Drain",
        Verb::Undrain | Verb::Ramp { .. } => "Undrain",
        Verb::Disable { .. } => "Disable",
        Verb::Promote { .. } => "Promote",
        Verb::Demote { .. } => "Demote",
        Verb::Release => "Release",
        Verb::Undo => "Undo",
    };
    format!("{word} {}? [y/N] ", noun(verb, count))
}

/// The first twenty, then how many more.
fn listed(names: &[String]) -> Vec<String> {
    const SHOWN: usize = 20;
    if names.len() == 1 {
        return Vec::new();
    }
    let mut lines: Vec<String> = names.iter().take(SHOWN).map(|name| format!("  {name}")).collect();
    if names.len() > SHOWN {
        lines.push(format!("  and {} more", names.len() - SHOWN));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_shared::state::DrainThen;

    #[test]
    fn questions_name_the_verb_and_the_number() {
        let drain = Verb::Drain {
            timeout_ms: None,
            then: DrainThen::Keep,
            inactive: false,
        };
        assert_eq!(question(drain, 3), "Drain 3 servers? [y/N] ");
        assert_eq!(question(Verb::Release, 2), "Release 2 instances? [y/N] ");
        let names: Vec<String> = (0..23).map(|i| format!("s{i}")).collect();
        assert_eq!(listed(&names).len(), 21);
        assert_eq!(listed(&names)[20], "  and 3 more");
    }

    #[test]
    fn without_a_terminal_the_answer_is_a_refusal_with_code_4() {
        let refusal = unasked(Verb::Promote { for_ms: None }, &["VI_int".into()]);
        assert_eq!(refusal.code.exit(), 4);
        assert!(refusal.message.contains("promote VI_int"));
    }
}
