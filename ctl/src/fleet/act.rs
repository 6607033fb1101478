//! An acting verb on several hosts: tried on each, shown as one plan, then done host by host.

use super::{Answer, each, part};
use crate::args::{Acting, Global, Output};
use crate::confirm;
use crate::connect;
use crate::look::{Look, Out};
use crate::trouble::{self, Trouble, told_of};
use crate::verbs::Call;
use crate::verbs::act::{self, All, Done};
use lb_shared::client::Client;
use lb_shared::excerpt::Excerpt;
use lb_shared::host::Host;
use lb_shared::json;
use lb_shared::request::{Act, Acted, Refusal, RefusalCode, Verb};
use lb_shared::state::Target;
use lb_shared::text::escape;
use lb_shared::view::View;

/// What one host would do.
struct Plan {
    global: Global,
    client: Client,
    found: Excerpt,
    act: Act,
    acted: Acted,
}

pub(crate) fn run(
    call: &Call<'_>,
    out: &mut Out,
    verb: Verb,
    typed: &[String],
    acting: &Acting,
) -> Result<All, Trouble> {
    let Call { site, global, look } = *call;
    let mut plans = each(&site.hosts, |host| plan(host, global, verb, typed, acting));
    // A host without the target has nothing to do, as long as another one has it.
    if plans.iter().any(|plan| plan.got.is_ok()) {
        plans.retain(|plan| match &plan.got {
            Err(Trouble::Refused(refusal)) if refusal.code == RefusalCode::NotFound => {
                eprintln!("warning: {}: {}; left alone", plan.name, escape(&refusal.message));
                false
            }
            _ => true,
        });
    }
    if plans.iter().any(|plan| plan.got.is_err()) {
        return Err(refused(&plans, global, look, out));
    }
    if acting.dry_run {
        tell_plans(&plans, global, look, out, verb)?;
        return Ok(All::default());
    }
    let mut names = Vec::new();
    for plan in &plans {
        let Ok(it) = &plan.got else { continue };
        let view = View::excerpt(&it.found);
        names.extend(
            it.acted
                .targets
                .iter()
                .map(|it| format!("{} on {}", view.target_name(&it.target), plan.name)),
        );
    }
    if !acting.yes && look.terminal() {
        for plan in &plans {
            let Ok(it) = &plan.got else { continue };
            for line in plan_lines(&plan.name, it, look, verb) {
                eprintln!("{line}");
            }
        }
    }
    let asked = confirm::ask(verb, &names, acting, site)?;
    in_order(plans, global, look, out, acting, asked)
}

fn plan(
    host: &Host,
    global: &Global,
    verb: Verb,
    typed: &[String],
    acting: &Acting,
) -> Result<Plan, Trouble> {
    let global = connect::for_host(global, host);
    let mut client = connect::client(&global)?;
    let (mut found, targets) = act::find(&mut client, verb, typed, &global, acting)?;
    let expected = act::expected(&View::excerpt(&found), &targets, acting, false)?;
    let act = act::request(verb, targets, acting);
    // Without the key: it stands for the change, not for the question.
    let tried = Act {
        dry_run: true,
        key: None,
        ..act.clone()
    };
    let acted = client.act_if(tried, expected)?;
    if verb == Verb::Undo {
        let meant: Vec<Target> = acted.targets.iter().map(|it| it.target.clone()).collect();
        found = client.servers(&act::servers_of(&meant))?;
    }
    Ok(Plan {
        global,
        client,
        found,
        act,
        acted,
    })
}

/// Nothing is changed anywhere when one host would refuse.
fn refused(plans: &[Answer<Plan>], global: &Global, look: &Look, out: &mut Out) -> Trouble {
    let code = super::told(plans);
    if !global.quiet {
        eprintln!("lbctl: nothing was changed on any host");
    }
    if matches!(global.output, Output::Json | Output::Jsonl) {
        let parts = plans
            .iter()
            .map(|answer| {
                part(answer, |plan| {
                    json::acted(&View::excerpt(&plan.found), &plan.acted)
                })
            })
            .collect();
        if let Err(trouble) = super::document(out, look, parts, None) {
            return trouble;
        }
    }
    Trouble::Exit(code)
}

fn tell_plans(
    plans: &[Answer<Plan>],
    global: &Global,
    look: &Look,
    out: &mut Out,
    verb: Verb,
) -> Result<(), Trouble> {
    let form = |plan: &Plan| json::acted(&View::excerpt(&plan.found), &plan.acted);
    match global.output {
        Output::Json => {
            let parts = plans.iter().map(|answer| part(answer, form)).collect();
            super::document(out, look, parts, None)
        }
        Output::Jsonl => {
            for answer in plans {
                out.line(&part(answer, form).to_string())?;
            }
            Ok(())
        }
        Output::Name => {
            for answer in plans {
                let Ok(plan) = &answer.got else { continue };
                for report in &plan.acted.targets {
                    out.line(&report.target.to_string())?;
                }
            }
            Ok(())
        }
        Output::Table | Output::Wide => {
            for (nth, answer) in plans.iter().enumerate() {
                let Ok(plan) = &answer.got else { continue };
                if nth > 0 {
                    out.line("")?;
                }
                for line in plan_lines(&answer.name, plan, look, verb) {
                    out.line(&line)?;
                }
            }
            Ok(())
        }
    }
}

fn plan_lines(name: &str, plan: &Plan, look: &Look, verb: Verb) -> Vec<String> {
    let view = View::excerpt(&plan.found);
    let mut lines = vec![format!("== {name}")];
    lines.extend(act::dry_run(&view, verb, &plan.acted, look));
    lines
}

/// Does it, one host after the other, and stops at the first that fails.
fn in_order(
    plans: Vec<Answer<Plan>>,
    global: &Global,
    look: &Look,
    out: &mut Out,
    acting: &Acting,
    asked: bool,
) -> Result<All, Trouble> {
    let mut all = All::default();
    let mut parts = Vec::new();
    let mut plans = plans.into_iter();
    while let Some(answer) = plans.next() {
        let name = answer.name.clone();
        let done = answer.got.and_then(|mut plan| {
            // It may have changed since it was tried; the agent judges again.
            let view = View::excerpt(&plan.found);
            let expected = act::expected(&view, &plan.act.targets, acting, asked)?;
            let acted = plan.client.act_if(plan.act.clone(), expected)?;
            Ok((plan, acted))
        });
        let failed = match done {
            Ok((plan, acted)) => {
                tell_done(&name, &plan, &acted, out, &mut parts)?;
                all.done.push(Done {
                    global: plan.global,
                    name,
                    act: plan.act,
                    acted,
                });
                all.done.last().is_some_and(Done::failed)
            }
            Err(trouble) => {
                let refusal = trouble
                    .refusal()
                    .unwrap_or_else(|| Refusal::new(RefusalCode::Internal, "no answer", ""));
                eprint!("{}", told_of(&name, &refusal));
                all.code = trouble::worst([all.code, trouble.exit()]);
                parts.push(serde_json::json!({"host": name, "ok": false, "error": json::refusal(&refusal)}));
                true
            }
        };
        if failed && !acting.keep_going {
            let left: Vec<String> = plans.by_ref().map(|plan| plan.name).collect();
            if !left.is_empty() {
                eprintln!(
                    "lbctl: stopped: nothing was changed on {} (--keep-going does not stop)",
                    left.join(", ")
                );
            }
        }
    }
    if global.output == Output::Json {
        super::document(out, look, parts, None)?;
    }
    out.flush()?;
    Ok(all)
}

fn tell_done(
    name: &str,
    plan: &Plan,
    acted: &Acted,
    out: &mut Out,
    parts: &mut Vec<serde_json::Value>,
) -> Result<(), Trouble> {
    let view = View::excerpt(&plan.found);
    let part = serde_json::json!({"host": name, "ok": true, "data": json::acted(&view, acted)});
    match plan.global.output {
        Output::Json => parts.push(part),
        Output::Jsonl => out.line(&part.to_string())?,
        Output::Name => {
            for report in &acted.targets {
                out.line(&report.target.to_string())?;
            }
        }
        Output::Table | Output::Wide => {
            for line in act::done_lines(&view, plan.act.verb, acted) {
                out.line(&format!("{name}: {line}"))?;
            }
        }
    }
    for warning in &acted.warnings {
        eprintln!("warning: {name}: {}", escape(warning));
    }
    out.flush()?;
    Ok(())
}
