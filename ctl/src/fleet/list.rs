//! One table of the lists of several hosts.

use super::{Answer, document, ended, part, told};
use crate::args::{Global, Output};
use crate::look::{Look, Out};
use crate::table::Grid;
use crate::trouble::Trouble;
use crate::verbs::Call;
use crate::verbs::list::{self, Kind, Page};
use serde_json::Value;

/// The rows of all hosts, each with its host; a host that was not reached is a row too.
pub(crate) fn run(call: &Call<'_>, out: &mut Out, kind: Kind, targets: &[String]) -> Result<(), Trouble> {
    let Call { site, global, look } = *call;
    let mut code = 0;
    let ask = list::ask(global, look, kind, targets)?;
    list::again(global, look, out, |out| {
        let pages: Vec<Answer<Page>> = super::excerpts(&site.hosts, global, &ask)
            .into_iter()
            .map(|answer| Answer {
                got: answer
                    .got
                    .and_then(|seen| list::page(global, look, &seen, kind, targets)),
                host: answer.host,
                name: answer.name,
            })
            .collect();
        code = print(&pages, global, look, out, kind)?;
        out.flush()?;
        Ok(())
    })?;
    ended(code)
}

fn print(
    pages: &[Answer<Page>],
    global: &Global,
    look: &Look,
    out: &mut Out,
    kind: Kind,
) -> Result<u8, Trouble> {
    match global.output {
        Output::Json => {
            let parts = pages
                .iter()
                .map(|page| part(page, |page| page.values.clone().into()));
            document(out, look, parts.collect(), None)?;
        }
        Output::Jsonl => {
            for page in pages {
                let Ok(Page { values, .. }) = &page.got else {
                    continue;
                };
                for value in values {
                    let mut value: Value = value.clone();
                    value["host"] = page.name.clone().into();
                    out.line(&value.to_string())?;
                }
            }
        }
        Output::Name => {
            let mut names: Vec<&String> = pages
                .iter()
                .filter_map(|page| page.got.as_ref().ok())
                .flat_map(|page| &page.names)
                .collect();
            names.sort();
            names.dedup();
            for name in names {
                out.line(name)?;
            }
        }
        Output::Table | Output::Wide => match merged(pages) {
            Some(grid) if !grid.rows.is_empty() => {
                for line in grid.lines(look) {
                    out.line(&line)?;
                }
            }
            // Hosts that answered something else say so themselves.
            Some(_) | None if !global.quiet && pages.iter().any(|page| page.got.is_ok()) => {
                eprintln!("no {} match", kind.noun())
            }
            Some(_) | None => {}
        },
    }
    Ok(told(pages))
}

/// All rows under one head, with HOST behind the mark.
fn merged(pages: &[Answer<Page>]) -> Option<Grid> {
    let mut whole: Option<Grid> = None;
    // The head is that of whoever answered.
    let head = pages
        .iter()
        .find_map(|page| page.got.as_ref().ok()?.grid.as_ref())?;
    let place = usize::from(head.names.first() == Some(&"S"));
    for page in pages {
        let rows: Vec<(char, Vec<String>)> = match &page.got {
            Ok(Page { grid: Some(grid), .. }) => grid
                .rows
                .iter()
                .map(|(mark, cells)| {
                    let mut cells = cells.clone();
                    cells.insert(place, page.name.clone());
                    (*mark, cells)
                })
                .collect(),
            Ok(_) => Vec::new(),
            Err(trouble) if trouble.is_unreachable() => vec![unreachable(&page.name, trouble, head, place)],
            Err(_) => Vec::new(),
        };
        let whole = whole.get_or_insert_with(|| {
            let mut names = head.names.clone();
            names.insert(place, "HOST");
            let mut right = head.right.clone();
            right.insert(place, false);
            let mut drop = head.drop.clone();
            drop.insert(place, 0);
            Grid {
                names,
                right,
                drop,
                rows: Vec::new(),
            }
        });
        whole.rows.extend(rows);
    }
    whole
}

/// `!  lb3  UNREACHABLE  -  -  ssh: connection timed out`
fn unreachable(name: &str, trouble: &Trouble, head: &Grid, place: usize) -> (char, Vec<String>) {
    let why = trouble
        .refusal()
        .map_or_else(String::new, |refusal| refusal.message);
    let last = head.names.len().saturating_sub(1);
    let mut cells: Vec<String> = head
        .names
        .iter()
        .enumerate()
        .map(|(at, column)| match *column {
            "S" => "!".to_owned(),
            "STATE" => "UNREACHABLE".to_owned(),
            _ if at == last => lb_shared::text::escape(&why),
            _ => "-".to_owned(),
        })
        .collect();
    cells.insert(place, name.to_owned());
    ('!', cells)
}
