//! Routes and rules: the interfaces they need, and lines that stand twice.

use super::address::present;
use crate::config::findings::Cx;
use crate::config::keywords::Placed;
use crate::model::{Route, Rule};

pub(super) fn routes(list: &[Placed<Route>], cx: &mut Cx<'_>) -> Vec<Route> {
    for (route, at) in list {
        for device in route.legs.iter().filter_map(|leg| leg.device.as_deref()) {
            present(device, *at, "the route is missing until it appears", cx);
        }
    }
    once(list, "the route", cx)
}

pub(super) fn rules(list: &[Placed<Rule>], cx: &mut Cx<'_>) -> Vec<Rule> {
    once(list, "the rule", cx)
}

fn once<T: Clone + PartialEq>(list: &[Placed<T>], what: &str, cx: &mut Cx<'_>) -> Vec<T> {
    let mut kept: Vec<T> = Vec::with_capacity(list.len());
    for (it, at) in list {
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
