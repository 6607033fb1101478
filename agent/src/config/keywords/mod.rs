//! The tables: one file for each part of the language, one row for each keyword of each block.

mod address;
mod bfd;
mod check;
mod garp;
mod global;
mod hmac;
mod own_link;
mod process;
mod routing;
mod service;
mod static_net;
mod track;
mod vrrp;

pub(crate) use address::AddressLine;
pub(crate) use bfd::RawBfd;
pub(crate) use check::{CheckWords, Checker, RawCheck, Talk};
pub(crate) use global::{GLOBAL, GlobalDefs, ROOT, Raw};
pub(crate) use hmac::{KeyLine, KeyValue, RawHmac};
pub(crate) use own_link::IpvlanWords;
pub(crate) use routing::Placed;
pub(crate) use service::{At, GroupEntry, RawServer, RawServerGroup, RawService};
pub(crate) use static_net::RawTrackGroup;
pub(crate) use track::{RawFile, RawProcess, RawScript, TrackLine};
pub(crate) use vrrp::{RawGroup, RawInstance, RawNotify};

use super::keyword::{Info, Keyword, Standing, Table};

/// A keyword of the reference: its block, what is known about it, and how the agent treats it.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub block: &'static str,
    pub info: Info,
    pub standing: Standing,
}

/// Every keyword of every block, in the order of the tables.
pub fn all() -> Vec<Entry> {
    let mut entries = Vec::with_capacity(700);
    add(&mut entries, &ROOT);
    add(&mut entries, &GLOBAL);
    vrrp::add_all(&mut entries);
    track::add_all(&mut entries);
    bfd::add_all(&mut entries);
    service::add_all(&mut entries);
    check::add_all(&mut entries);
    garp::add_all(&mut entries);
    static_net::add_all(&mut entries);
    entries
}

pub(crate) fn add<T>(entries: &mut Vec<Entry>, table: &'static Table<T>) {
    entries.extend(table.rows().map(|row: &Keyword<T>| Entry {
        block: table.block,
        info: row.info,
        standing: row.standing(),
    }));
}

/// A block that does not act: its rows set nothing.
pub(crate) struct Inert;
