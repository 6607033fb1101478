//! `metrics`: what Prometheus would read, once.

use crate::args::{Global, Metrics};
use crate::connect;
use crate::look::Out;
use crate::trouble::{Trouble, usage};
use lb_shared::request::{MetricsAsk, MetricsServers};

pub(crate) fn run(global: &Global, out: &mut Out, metrics: &Metrics) -> Result<(), Trouble> {
    let servers = metrics
        .servers
        .as_deref()
        .map(MetricsServers::parse)
        .transpose()
        .map_err(|message| usage(format!("--servers: {message}"), "see lbctl metrics --help"))?;
    let asked = MetricsAsk {
        servers,
        compat: metrics.compat.then_some(true),
    };
    for line in connect::client(global)?.metrics(asked)?.lines() {
        out.line(line)?;
    }
    Ok(())
}
