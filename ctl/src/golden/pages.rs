//! Every page of the fixture on a terminal of 80 and of 140 columns and in a pipe, byte for byte.
//!
//! `UPDATE_GOLDEN=1` writes the files anew; what changed is read in review.

use super::*;
use crate::trouble;
use crate::verbs::{history, single, stats, test, whatif};
use std::fs;
use std::path::Path;

type Draw = fn(&View<'_>, &Demo, &Look) -> String;

const PAGES: [(&str, bool, Draw); 29] = [
    ("status", false, |view, demo, look| {
        joined(&status::lines(view, demo.snapshot.role, look, Default::default()))
    }),
    ("status-cluster", false, |_, _, look| joined(&cluster(look))),
    ("vrrp", false, |view, _, look| list::text::vrrp(view, look)),
    ("vrrp-wide", true, |view, _, look| list::text::vrrp(view, look)),
    ("services", false, |view, _, look| {
        list::text::services(view, look)
    }),
    ("services-wide", true, |view, _, look| {
        list::text::services(view, look)
    }),
    ("servers-web", false, |view, _, look| {
        list::text::servers(view, look, &["web".into()])
    }),
    ("servers-web-wide", true, |view, _, look| {
        list::text::servers(view, look, &["web".into()])
    }),
    ("why-instance", false, |view, _, look| {
        explained(view, look, "vrrp:VI_int")
    }),
    ("why-service", false, |view, _, look| {
        explained(view, look, "mail")
    }),
    ("events", false, |view, demo, look| {
        joined(&event::lines(view, &demo.events, look))
    }),
    ("drain-dry-run", false, |view, _, look| {
        joined(&act::dry_run(view, drain_verb(), &drain_plan(), look))
    }),
    ("promote-dry-run", false, |view, _, look| {
        let verb = Verb::Promote { for_ms: None };
        joined(&act::dry_run(view, verb, &promote_plan(), look))
    }),
    ("drain-progress", false, |view, _, look| {
        joined(&samples::progress(view, look))
    }),
    ("drain-refused", false, |_, _, _| {
        trouble::told(&samples::last_server())
    }),
    ("promote-refused", false, |_, _, _| {
        trouble::told(&samples::fault())
    }),
    ("why-server", false, |view, _, look| {
        explained(view, look, "web/198.51.100.25")
    }),
    ("show-server", false, |view, _, look| {
        detailed(view, look, "web/198.51.100.24")
    }),
    ("show-instance", false, |view, _, look| {
        detailed(view, look, "vrrp:VI_mgmt")
    }),
    ("show-service", false, |view, _, look| {
        detailed(view, look, "mail")
    }),
    ("reload-dry-run", false, |view, _, _| {
        joined(&samples::reload(view))
    }),
    ("history", false, |view, demo, look| {
        joined(&history::lines(view, &samples::history(demo), look))
    }),
    ("test", false, |view, _, look| {
        joined(&test::lines(view, &samples::tested(), look))
    }),
    ("hosts", false, |_, _, look| joined(&samples::hosts(look))),
    ("stats", false, |view, _, look| {
        counted(view, look, stats::Shown::default())
    }),
    ("stats-rate", false, |view, _, look| {
        let rate = true;
        counted(
            view,
            look,
            stats::Shown {
                rate,
                ..Default::default()
            },
        )
    }),
    ("stats-total", false, |view, _, look| {
        let total = true;
        counted(
            view,
            look,
            stats::Shown {
                total,
                ..Default::default()
            },
        )
    }),
    ("stats-errors", false, |view, _, look| {
        let errors = true;
        counted(
            view,
            look,
            stats::Shown {
                errors,
                ..Default::default()
            },
        )
    }),
    ("what-if", false, |view, _, _| {
        let words = ["interface eth0 down".to_owned()];
        joined(&whatif::lines(view, &words, &samples::foreseen()))
    }),
];

fn explained(view: &View<'_>, look: &Look, target: &str) -> String {
    let found = lb_shared::select::objects(view, &[target.to_owned()]).unwrap();
    let reason = why::why(view, &found[0]).unwrap();
    joined(&reason.lines(look.width.unwrap_or(80).clamp(40, 100)))
}

fn counted(view: &View<'_>, look: &Look, shown: stats::Shown) -> String {
    let targets = ["web".to_owned(), "vrrp:VI_int".to_owned()];
    let page = stats::Page::of(view, &targets, shown, look).unwrap();
    joined(&page.lines(look))
}

fn detailed(view: &View<'_>, look: &Look, target: &str) -> String {
    let found = lb_shared::select::objects(view, &[target.to_owned()]).unwrap();
    joined(&single::detail(view, &found[0], look))
}

#[test]
fn every_page_is_as_it_was_read_in_review() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/pages");
    let demo = fixture::demo();
    let view = view(&demo);
    let mut wrong = Vec::new();
    for (name, wide, draw) in PAGES {
        for (form, width) in [("80", Some(80)), ("140", Some(140)), ("pipe", None)] {
            let got = draw(&view, &demo, &look(width, wide));
            let file = folder.join(format!("{name}.{form}.txt"));
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                fs::write(&file, &got).unwrap();
            }
            let want = fs::read_to_string(&file).unwrap_or_default();
            if got != want {
                wrong.push(format!("{}\ngot:\n{got}\nwant:\n{want}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_golden_page_is_drawn_by_somebody() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/pages");
    let files = fs::read_dir(folder).unwrap().count();
    assert_eq!(files, PAGES.len() * 3);
}
