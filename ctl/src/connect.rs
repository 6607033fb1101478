//! Which agents a command is for, and finding them.

use crate::args::Global;
use crate::look::Look;
use crate::trouble::{Trouble, usage};
use lb_shared::client::Client;
use lb_shared::config::Config;
use lb_shared::duration;
use lb_shared::host::Host;
use lb_shared::site::{self, Site};
use lb_shared::view::parse_rfc3339;
use lb_shared::zone::Zone;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The hosts of a command line. What in the configuration file is not known is told on stderr.
pub(crate) fn site(global: &Global) -> Result<Site, Trouble> {
    let (config, warnings) = Config::find();
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
    choose(global, config)
}

/// The same without a word about mistakes in the file.
pub(crate) fn site_quietly(global: &Global) -> Result<Site, Trouble> {
    choose(global, Config::find().0)
}

fn choose(global: &Global, config: Config) -> Result<Site, Trouble> {
    let named = site::hosts(&global.host)?;
    let chosen = Site::choose(named, global.cluster.as_deref(), global.socket.as_deref(), config);
    Ok(chosen?)
}

/// The flags of a command for one host of several.
pub(crate) fn for_host(global: &Global, host: &Host) -> Global {
    Global {
        host: vec![host.to_string()],
        cluster: None,
        socket: None,
        ..global.clone()
    }
}

/// The host of flags that name no more than one.
pub(crate) fn host(global: &Global) -> Result<Host, Trouble> {
    Ok(match site::hosts(&global.host)?.into_iter().next() {
        Some(host) => host,
        None => match &global.socket {
            Some(path) => Host::Unix(path.clone()),
            None => Host::default(),
        },
    })
}

/// How long a connection may take.
pub(crate) fn timeout(global: &Global) -> Result<Duration, Trouble> {
    Ok(duration::parse(&global.connect_timeout)?)
}

/// A greeted connection.
pub(crate) fn client(global: &Global) -> Result<Client, Trouble> {
    Ok(host(global)?.connect(timeout(global)?)?)
}

/// The moment that `--at` names, in Unix time in milliseconds.
pub(crate) fn at(global: &Global, look: &Look) -> Result<Option<u64>, Trouble> {
    let Some(text) = &global.at else {
        return Ok(None);
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
    Ok(Some(moment(text, now, &look.zone)?))
}

/// A span before now with or without its minus, a time of day within the last 24 hours, or a moment as RFC 3339.
fn moment(text: &str, now_ms: u64, zone: &Zone) -> Result<u64, Trouble> {
    let span = text.strip_prefix('-').unwrap_or(text);
    if let Ok(span) = duration::parse(span) {
        let span = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        return Ok(now_ms.saturating_sub(span));
    }
    if let Some(at) = zone.last(text, now_ms) {
        return Ok(at);
    }
    parse_rfc3339(text).ok_or_else(|| {
        usage(
            format!("'{}' is no moment", lb_shared::text::escape(text)),
            "write how long ago (-5m), a time of day (09:07:27) or 2026-11-20T09:07:27Z",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_so_long_ago_a_time_of_day_or_a_date() {
        // 2026-11-20 09:20:00 UTC.
        const NOW: u64 = 1_795_166_400_000;
        for (text, want) in [
            ("-5m", NOW - 300_000),
            ("5m", NOW - 300_000),
            ("09:07:27", NOW - 753_000),
            ("09:07", NOW - 780_000),
            // Not yet today, so it was yesterday.
            ("23:59:00", NOW - 33_660_000),
            ("2026-11-20T09:07:27Z", NOW - 753_000),
        ] {
            assert_eq!(moment(text, NOW, &Zone::utc()).unwrap(), want, "{text}");
        }
        for text in ["", "now", "25:00", "09:61", "2026-11-20", "-", "9"] {
            assert!(moment(text, NOW, &Zone::utc()).is_err(), "{text}");
        }
    }
}
