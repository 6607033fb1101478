//! The columns of each list, each with the form of its cells.

use crate::look::Look;
use crate::table::Column;
use lb_shared::json;
use lb_shared::problems;
use lb_shared::state::{Health, InstanceView, ServerView, ServiceView, VrrpState};
use lb_shared::text;
use lb_shared::view::View;
use std::time::Duration;

/// An object with what its cells need.
pub(crate) struct Row<'a, T> {
    pub(crate) it: &'a T,
    pub(crate) view: &'a View<'a>,
    pub(crate) look: &'a Look,
    /// Whether the service of a server is told elsewhere.
    pub(crate) short: bool,
}

const NOTHING: &str = "-";

fn or_nothing(text: Option<String>) -> String {
    text.filter(|text| !text.is_empty())
        .unwrap_or_else(|| NOTHING.to_owned())
}

fn micros(us: u64) -> Duration {
    Duration::from_micros(us)
}

// Instances.

type Vrrp<'a> = Row<'a, InstanceView>;

fn heard(row: &Vrrp<'_>) -> String {
    let at = row
        .view
        .instance_counters(&row.it.name)
        .and_then(|it| it.heard_at);
    // What was heard before this node became MASTER says nothing about now.
    let now = at.filter(|_| row.it.master.is_some());
    or_nothing(now.map(|at| text::short_span(row.view.age(at))))
}

fn master(row: &Vrrp<'_>) -> String {
    match (&row.it.master, row.it.state) {
        (_, VrrpState::Master) if !row.it.second_master => "self".into(),
        (Some(master), _) => master.address.to_string(),
        (None, VrrpState::Master) => "self".into(),
        (None, VrrpState::Backup | VrrpState::Fault | VrrpState::Init) => NOTHING.into(),
    }
}

fn host(row: &Vrrp<'_>) -> String {
    match (&row.it.master, row.it.state) {
        (None, VrrpState::Master) => text::escape(&row.view.state.agent.host),
        (Some(master), _) => or_nothing(row.view.peer(master.address).map(text::escape)),
        (None, VrrpState::Backup | VrrpState::Fault | VrrpState::Init) => NOTHING.into(),
    }
}

fn master_priority(row: &Vrrp<'_>) -> String {
    match (&row.it.master, row.it.state) {
        (None, VrrpState::Master) => row.it.effective_priority.to_string(),
        (Some(master), _) => master.priority.to_string(),
        (None, VrrpState::Backup | VrrpState::Fault | VrrpState::Init) => NOTHING.into(),
    }
}

fn vrrp_why(row: &Vrrp<'_>) -> String {
    // The column is short of room: "interface eth2 down" says it.
    problems::instance_reason(row.it).replacen(" is ", " ", 1)
}

fn vrrp_override(row: &Vrrp<'_>) -> String {
    or_nothing(
        row.view
            .instance_override(&row.it.name)
            .map(|it| it.kind.word().to_owned()),
    )
}

fn interface(row: &Vrrp<'_>) -> String {
    place(row.it)
}

/// The interface, and an instance's own on it as ip says it.
fn place(it: &InstanceView) -> String {
    let own = it.vmac.as_deref().and_then(|it| it.split(' ').next());
    or_nothing(it.interface.as_deref().map(|below| match own {
        Some(own) => format!("{}@{}", text::escape(own), text::escape(below)),
        None => text::escape(below),
    }))
}

fn vrid(row: &Vrrp<'_>) -> String {
    json::vrid(row.it.vrid, row.it.family)
}

/// The columns of `vrrp`.
pub(crate) fn vrrp<'a>(wide: bool) -> Vec<Column<Vrrp<'a>>> {
    let mut columns = vec![
        Column::left("S", 0, |row: &Vrrp<'_>| problems::instance_mark(row.it).into()),
        Column::left("STATE", 0, |row| problems::instance_word(row.it).into()),
        Column::left("INSTANCE", 0, |row| text::escape(&row.it.name.0)),
    ];
    if wide {
        columns.push(Column::left("GROUP", 6, |row| {
            or_nothing(row.it.group.as_ref().map(|group| text::escape(&group.0)))
        }));
    }
    columns.push(Column::left("IF", 8, interface));
    columns.push(if wide {
        Column::right("VRID", 7, vrid)
    } else {
        Column::left("VRID", 7, vrid)
    });
    if wide {
        columns.push(Column::right("VER", 2, |row| row.it.version.to_string()));
    }
    columns.push(
        Column::right("PRIO", 0, |row: &Vrrp<'_>| problems::priority(row.it))
            .by(|row| row.it.effective_priority.into()),
    );
    if wide {
        columns.push(Column::left("OVERRIDE", 5, vrrp_override));
    }
    columns.push(
        Column::left("SINCE", 9, |row: &Vrrp<'_>| {
            text::span(row.view.age(row.it.since))
        })
        .by(|row| row.it.since.0),
    );
    let heard = Column::right("HEARD", 4, heard);
    let master = Column::left("MASTER", 10, master);
    if !wide {
        columns.extend([heard, master]);
        return columns;
    }
    columns.extend([
        master,
        Column::left("HOST", 3, host),
        Column::right("M-PRIO", 3, master_priority),
        heard,
        Column::right("ADV", 2, |row| text::interval(row.it.advert_interval_us)),
        Column::right("VIPS", 1, |row: &Vrrp<'_>| row.it.addresses.len().to_string())
            .by(|row| row.it.addresses.len() as u64),
        Column::left("WHY", 11, vrrp_why),
    ]);
    columns
}

// Services.

type Service<'a> = Row<'a, ServiceView>;

/// A sum over a service's servers.
fn sum(row: &Service<'_>, pick: fn(&lb_shared::view::Totals) -> u64) -> Option<u64> {
    row.view.service_totals(&row.it.key).map(|totals| pick(&totals))
}

fn number(look: &Look, number: Option<u64>) -> String {
    or_nothing(number.map(|number| look.number(number)))
}

fn rate(look: &Look, number: Option<u64>) -> String {
    or_nothing(number.map(|number| look.rate(number)))
}

/// Answers of DR and TUN servers do not pass this host: there is nothing to count.
fn passes_back(it: &ServiceView) -> bool {
    it.method.eq_ignore_ascii_case("NAT") || it.method.eq_ignore_ascii_case("MASQ")
}

/// The columns of `services`.
pub(crate) fn services<'a>(wide: bool) -> Vec<Column<Service<'a>>> {
    let mut columns = vec![
        Column::left("S", 0, |row: &Service<'_>| {
            problems::service_mark(row.it.state).into()
        }),
        Column::left("STATE", 0, |row| row.it.state.word().into()),
        Column::left("SERVICE", 0, |row| row.view.service_name(&row.it.key)),
        Column::left("ADDRESS", 11, |row| row.it.key.to_string()),
        Column::left("SCHED", 6, |row| text::escape(&row.it.scheduler)),
    ];
    if wide {
        columns.extend([
            Column::left("FWD", 5, |row: &Service<'_>| text::escape(&row.it.method)),
            Column::left("PERSIST", 4, |row: &Service<'_>| {
                or_nothing(row.it.persistence_s.map(|s| format!("{s}s")))
            }),
        ]);
    }
    columns.push(
        Column::right("UP/ALL", 0, |row: &Service<'_>| {
            let (up, all) = row.view.up_of(&row.it.key);
            format!("{up}/{all}")
        })
        .by(|row| row.view.up_of(&row.it.key).0 as u64),
    );
    if wide {
        columns.push(
            Column::right("QUORUM", 3, |row: &Service<'_>| {
                format!("{}/{}", row.it.live_weight, row.it.quorum)
            })
            .by(|row| row.it.live_weight),
        );
    }
    columns.push(
        Column::right("ACTIVE", 10, |row: &Service<'_>| {
            number(row.look, sum(row, |it| it.active))
        })
        .by(|row| sum(row, |it| it.active).unwrap_or(0)),
    );
    if wide {
        columns.push(
            Column::right("INACT", 2, |row: &Service<'_>| {
                number(row.look, sum(row, |it| it.inactive))
            })
            .by(|row| sum(row, |it| it.inactive).unwrap_or(0)),
        );
    }
    columns.push(
        Column::right("CPS", 9, |row: &Service<'_>| {
            number(row.look, sum(row, |it| it.connections_per_s))
        })
        .by(|row| sum(row, |it| it.connections_per_s).unwrap_or(0)),
    );
    if !wide {
        return columns;
    }
    columns.extend([
        Column::right("IN/S", 8, |row: &Service<'_>| {
            rate(row.look, sum(row, |it| it.bytes_in_per_s))
        })
        .by(|row| sum(row, |it| it.bytes_in_per_s).unwrap_or(0)),
        Column::right("OUT/S", 7, |row: &Service<'_>| {
            rate(
                row.look,
                sum(row, |it| it.bytes_out_per_s).filter(|_| passes_back(row.it)),
            )
        })
        .by(|row| sum(row, |it| it.bytes_out_per_s).unwrap_or(0)),
        Column::left("VRRP", 1, |row: &Service<'_>| {
            or_nothing(row.it.instance.as_ref().map(|name| text::escape(&name.0)))
        }),
        Column::left("FOR", 12, |row: &Service<'_>| {
            text::span(row.view.age(row.it.since))
        })
        .by(|row| row.it.since.0),
    ]);
    columns
}

// Servers.

type Server<'a> = Row<'a, ServerView>;

fn counted(row: &Server<'_>, pick: fn(&lb_shared::counters::ServerCounters) -> u64) -> Option<u64> {
    row.view.server_counters(&row.it.id).map(pick)
}

fn check(row: &Server<'_>) -> String {
    let spent = row.view.server_counters(&row.it.id).and_then(|it| it.check_us);
    match row.it.health {
        Health::Up => match spent {
            Some(us) if us >= 1_000_000 => format!("ok {}", text::short_span(micros(us))),
            Some(us) => format!("ok {}ms", us / 1_000),
            None => "ok".into(),
        },
        Health::Down => or_nothing(Some(text::escape(&row.it.reason))),
        Health::Init | Health::None => NOTHING.into(),
    }
}

fn server_name(row: &Server<'_>) -> String {
    if row.short {
        row.it.id.server.to_string()
    } else {
        row.view.server_name(&row.it.id)
    }
}

/// The columns of `servers`.
pub(crate) fn servers<'a>(wide: bool) -> Vec<Column<Server<'a>>> {
    let mut columns = vec![
        Column::left("S", 0, |row: &Server<'_>| problems::server_mark(row.it).into()),
        Column::left("STATE", 0, |row| row.it.word().into()),
        Column::left("SERVER", 0, server_name),
        Column::right("WEIGHT", 0, |row: &Server<'_>| problems::weight(row.it))
            .by(|row| row.it.effective.map_or(0, |weight| weight.get().into())),
    ];
    if wide {
        columns.push(Column::left("SOURCE", 2, |row| {
            json::source_word(row.it.source).into()
        }));
    }
    columns.extend([
        Column::right("ACTIVE", 9, |row: &Server<'_>| {
            number(row.look, counted(row, |it| it.active))
        })
        .by(|row| counted(row, |it| it.active).unwrap_or(0)),
        Column::right("INACT", 5, |row: &Server<'_>| {
            number(row.look, counted(row, |it| it.inactive))
        })
        .by(|row| counted(row, |it| it.inactive).unwrap_or(0)),
        Column::right("CPS", 7, |row: &Server<'_>| {
            number(row.look, counted(row, |it| it.connections_per_s))
        })
        .by(|row| counted(row, |it| it.connections_per_s).unwrap_or(0)),
    ]);
    if wide {
        columns.extend([
            Column::right("PERSIST", 1, |row: &Server<'_>| {
                number(row.look, counted(row, |it| it.persistent))
            })
            .by(|row| counted(row, |it| it.persistent).unwrap_or(0)),
            Column::right("IN/S", 4, |row: &Server<'_>| {
                rate(row.look, counted(row, |it| it.bytes_in_per_s))
            })
            .by(|row| counted(row, |it| it.bytes_in_per_s).unwrap_or(0)),
            Column::right("OUT/S", 3, |row: &Server<'_>| {
                let back = row
                    .view
                    .state
                    .services
                    .get(&row.it.id.service)
                    .is_some_and(|it| passes_back(it));
                rate(row.look, counted(row, |it| it.bytes_out_per_s).filter(|_| back))
            })
            .by(|row| counted(row, |it| it.bytes_out_per_s).unwrap_or(0)),
            Column::left("OVERRIDE", 6, |row: &Server<'_>| {
                or_nothing(
                    row.view
                        .server_override(&row.it.id)
                        .map(|it| it.kind.word().to_owned()),
                )
            }),
        ]);
    }
    columns.extend([
        Column::left("FOR", 8, |row: &Server<'_>| {
            text::span(row.view.age(row.it.since))
        })
        .by(|row| row.it.since.0),
        Column::left("CHECK", 10, check),
    ]);
    columns
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_shared::fixture;

    #[test]
    fn an_interface_of_the_instance_s_own_is_shown_with_the_one_below() {
        let demo = fixture::demo();
        let mut it = InstanceView::clone(&demo.snapshot.state.instances[&"VI_edge".into()]);
        assert_eq!(place(&it), "eth0");
        it.vmac = Some("vrrp.51 00:00:5e:00:01:33".into());
        assert_eq!(place(&it), "vrrp.51@eth0");
    }
}
