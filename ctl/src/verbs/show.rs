//! `config show`: what is in force, whatever the file says by now.

use super::Call;
use crate::args::{Global, Output};
use crate::connect;
use crate::fleet;
use crate::look::Out;
use crate::trouble::Trouble;
use lb_shared::excerpt::{ExcerptAsk, Scope};
use lb_shared::json;
use lb_shared::text::count;

pub(crate) fn run(call: &Call<'_>, out: &mut Out, defaults: bool) -> Result<(), Trouble> {
    let Call { site, global, look } = *call;
    // Of one host it can be read again as a configuration.
    if let [_] = site.hosts.as_slice() {
        return one(global, out, defaults);
    }
    fleet::sections(site, global, look, out, |global, _, out| {
        one(global, out, defaults)
    })
}

fn one(global: &Global, out: &mut Out, defaults: bool) -> Result<(), Trouble> {
    let mut client = connect::client(global)?;
    let (form, lines) = if defaults {
        let settings = client.settings()?;
        (settings.json(), settings.lines())
    } else {
        let shown = client.config()?;
        (shown.json(), shown.lines())
    };
    let state = client.excerpt(&ExcerptAsk::all(Scope::Status))?.snapshot.state;
    match global.output {
        Output::Json | Output::Jsonl => {
            out.line(&json::document(&state.agent.host, form).to_string())?;
        }
        Output::Table | Output::Wide | Output::Name => {
            for line in lines {
                out.line(&line)?;
            }
        }
    }
    if !state.overrides.is_empty() && !global.quiet {
        let overrides = count(state.overrides.len(), "override");
        eprintln!("lbctl: {overrides} beside it: lbctl status lists what operators changed");
    }
    Ok(())
}
