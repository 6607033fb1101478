//! `config diff` of two hosts: what is in force on the one against what is in force on the other.

use super::Call;
use super::list::document;
use crate::args::Output;
use crate::connect;
use crate::fleet::{self, Answer};
use crate::look::Out;
use crate::trouble::Trouble;
use lb_shared::differences::Router;
use lb_shared::excerpt::{Excerpt, ExcerptAsk, Scope};
use lb_shared::json;
use lb_shared::settings::{Differing, Settings};
use lb_shared::state::State;
use lb_shared::text::{count, width};
use lb_shared::why::wrap;
use serde_json::json;
use std::collections::BTreeMap;

pub(crate) fn run(call: &Call<'_>, out: &mut Out) -> Result<(), Trouble> {
    let Call { site, global, look } = *call;
    let mut answers: Vec<Answer<(Settings, Excerpt)>> = fleet::each(&site.hosts, |host| {
        let mut client = connect::client(&connect::for_host(global, host))?;
        let settings = client.settings()?;
        Ok((settings, client.excerpt(&ExcerptAsk::all(Scope::Instances))?))
    });
    for answer in &mut answers {
        let got = answer.got.as_ref().ok();
        let name = got.map(|(_, seen)| seen.snapshot.state.agent.host.clone());
        answer.call(name);
    }
    let code = fleet::told(&answers);
    let [a, b] = answers.as_slice() else {
        return fleet::ended(code);
    };
    let (Ok((own, seen)), Ok((other, there))) = (&a.got, &b.got) else {
        return fleet::ended(code);
    };
    let called = called(&seen.snapshot.state, &there.snapshot.state);
    let found = own.differences(other, &called);
    if matches!(global.output, Output::Json | Output::Jsonl) {
        let found = json::list(
            &found,
            |it| json!({"mark": it.mark.to_string(), "grave": it.grave, "object": it.object, "text": it.text}),
        );
        return document(
            out,
            look,
            &json!({"v": json::VERSION, "from": a.name, "to": b.name, "differences": found}),
        );
    }
    for line in lines(&found, (&a.name, &b.name), look.width) {
        out.line(&line)?;
    }
    Ok(())
}

/// What the instances of the one are called on the other, where they have another name: VRID, family and network make
/// them the same.
fn called(own: &State, other: &State) -> BTreeMap<String, String> {
    let routers: BTreeMap<Router, _> = other
        .instances
        .values()
        .map(|it| (Router::of(it), &it.name))
        .collect();
    let name = |it| format!("vrrp:{it}");
    own.instances
        .values()
        .filter(|it| !other.instances.contains_key(&it.name))
        .filter_map(|it| Some((name(&it.name), name(routers.get(&Router::of(it))?))))
        .collect()
}

fn lines(found: &[Differing], (a, b): (&str, &str), columns: Option<usize>) -> Vec<String> {
    if found.is_empty() {
        return vec![format!(
            "{a} and {b} have the same settings (secrets are not compared)"
        )];
    }
    let mut lines = vec![format!("{a} -> {b}")];
    let name = found
        .iter()
        .map(|it| width(&it.object))
        .max()
        .unwrap_or(0)
        .min(40);
    for it in found {
        let mark = if it.grave { '!' } else { it.mark };
        let pad = " ".repeat(name.saturating_sub(width(&it.object)));
        let head = format!("{mark} {}{pad}  ", it.object);
        let text = match it.mark {
            '+' => format!("only on {b}"),
            '-' => format!("only on {a}"),
            _ => it.text.clone(),
        };
        let room = columns.map_or(usize::MAX, |columns| columns.saturating_sub(width(&head)).max(20));
        let mut words = wrap(&text, room).into_iter();
        lines.push(format!("{head}{}", words.next().unwrap_or_default()));
        lines.extend(words.map(|more| format!("{}{more}", " ".repeat(width(&head)))));
    }
    let grave = found.iter().filter(|it| it.grave).count();
    let mut sum = count(found.len(), "difference");
    if grave > 0 {
        sum.push_str(&format!(
            ", {grave} of them (!) in what two nodes of one virtual router have to agree on"
        ));
    }
    lines.push(format!("{sum}; secrets are not compared"));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_shared::fixture;
    use std::sync::Arc;

    #[test]
    fn instances_are_matched_by_what_they_are() {
        let (one, mut two) = (fixture::demo().snapshot.state, fixture::lb2().snapshot.state);
        assert!(called(&one, &two).is_empty());
        let mut renamed = two.instances.remove(&"VI_edge".into()).unwrap();
        Arc::make_mut(&mut renamed).name = "outside".into();
        two.instances.insert("outside".into(), renamed);
        assert_eq!(
            called(&one, &two),
            [("vrrp:VI_edge".to_owned(), "vrrp:outside".to_owned())].into()
        );
    }

    #[test]
    fn each_difference_is_a_line_and_their_sum_the_last() {
        let difference = |grave, mark, object: &str, text: &str| Differing {
            grave,
            mark,
            object: object.into(),
            text: text.into(),
        };
        let found = [
            difference(true, '~', "vrrp:VI_1", "advert_int 1s -> 2s"),
            difference(false, '~', "vrrp:VI_1", "priority 150 -> 100"),
            difference(false, '+', "vs:192.0.2.1:80/tcp", ""),
        ];
        assert_eq!(
            lines(&found, ("lb1", "lb2"), Some(80)),
            [
                "lb1 -> lb2",
                "! vrrp:VI_1            advert_int 1s -> 2s",
                "~ vrrp:VI_1            priority 150 -> 100",
                "+ vs:192.0.2.1:80/tcp  only on lb2",
                "3 differences, 1 of them (!) in what two nodes of one virtual router have to agree on; secrets are not compared",
            ]
        );
        assert_eq!(
            lines(&[], ("lb1", "lb2"), None),
            ["lb1 and lb2 have the same settings (secrets are not compared)"]
        );
    }
}
