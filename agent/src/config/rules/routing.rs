//! Routes and rules: the interfaces they need, and lines that stand twice.

use super::address::present;
use crate::config::findings::Cx;
use crate::config::keywords::Placed;
use crate::model::{Route, Rule};

/// `virtual_routes`.
pub(super) fn routes(list: &[Placed<Route>], cx: &mut Cx<'_>) -> Vec<Route> {
    lines(&without_group(list, cx), cx)
}

/// `virtual_rules`.
pub(super) fn rules(list: &[Placed<Rule>], cx: &mut Cx<'_>) -> Vec<Rule> {
    once(&without_group(list, cx), "the rule", cx)
}

/// `static_routes`.
pub(super) fn static_routes(list: &[Placed<Route>], cx: &mut Cx<'_>) -> Vec<Route> {
    lines(list, cx)
}

/// `static_rules`.
pub(super) fn static_rules(list: &[Placed<Rule>], cx: &mut Cx<'_>) -> Vec<Rule> {
    once(list, "the rule", cx)
}

fn lines(list: &[Placed<Route>], cx: &mut Cx<'_>) -> Vec<Route> {
    for Placed { it, at, .. } in list {
        for device in it.legs.iter().filter_map(|leg| leg.device.as_deref()) {
            present(device, *at, "the route is missing until it appears", cx);
        }
    }
    once(list, "the route", cx)
}

/// What goes with an instance anyway has nobody else to follow it.
fn without_group<T: Clone>(list: &[Placed<T>], cx: &mut Cx<'_>) -> Vec<Placed<T>> {
    for at in list
        .iter()
        .filter_map(|line| line.group.as_ref().map(|(_, at)| *at))
    {
        let notes = [
            "the line is left out, as in keepalived",
            "leave track_group out: this instance tracks its own routes and rules",
        ];
        cx.error("V-122", at, "'track_group' is for static lines", &notes);
    }
    list.iter().filter(|line| line.group.is_none()).cloned().collect()
}

fn once<T: Clone + PartialEq>(list: &[Placed<T>], what: &str, cx: &mut Cx<'_>) -> Vec<T> {
    let mut kept: Vec<T> = Vec::with_capacity(list.len());
    for Placed { it, at, .. } in list {
        if kept.contains(it) {
            cx.warn(
                "V-06",
                *at,
                format!("{what} is listed twice"),
                &["it is set once"],
            );
        } else {
            kept.push(it.clone());
        }
    }
    kept
}
