//! One check of one server: when it runs, how often it is repeated, and what it says.

use super::job::{CheckId, CheckOutcome};
use crate::model::{Check, CheckKind};
use lb_shared::units::Mono;
use std::collections::BTreeMap;
use std::time::Duration;

/// The first check does not come before this.
pub(super) const FIRST_CHECK_DELAY: Duration = Duration::from_secs(1);

/// How often an operator hears that a check cannot be carried out.
const ALARM_INTERVAL: Duration = Duration::from_secs(60);

/// A check that cannot be carried out is not tried again sooner.
const INCONCLUSIVE_DELAY_MIN: Duration = Duration::from_millis(100);

/// A check and its verdict.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    pub(super) number: u64,
    pub(super) check: Check,
    pub(super) phase: Phase,
    /// Whether it counts as good. At first what `alpha` says, later the verdict.
    pub(super) up: bool,
    /// The verdict; `None` before the first.
    pub(super) ok: Option<bool>,
    /// What is shown about the verdict.
    pub(super) detail: String,
    /// What it makes of the server's weight.
    pub(super) weight: Option<Given>,
    /// For `HTTP_GET`: which url is next.
    pub(super) url: usize,
    /// For `HTTP_GET`: `url` is the one that failed, and all are to be seen again once it is good.
    url_failed: bool,
    retries: u32,
    alarm: Option<Alarm>,
}

/// What a check makes of its server's weight.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Given {
    /// In place of the configured one: a script with `misc_dynamic`.
    Instead(u32),
    /// On top of the configured one: a file.
    Adds(i32),
}

impl Given {
    /// The difference to the configured weight, so that several add up.
    pub(super) fn difference(self, configured: i64) -> i64 {
        match self {
            Self::Instead(weight) => i64::from(weight) - configured,
            Self::Adds(number) => i64::from(number),
        }
    }
}

/// Where a check is in its cycle.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    /// Suspended, or never run: a file speaks by itself.
    Idle,
    Waiting {
        at: Mono,
    },
    Running {
        id: CheckId,
        started_at: Mono,
    },
}

/// What an outcome means.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Judged {
    /// Nothing an operator would want to hear.
    Same,
    /// The verdict stays; a failure to be mentioned.
    Noted(String),
    /// Nothing was learnt, for a reason on this host.
    Alarm(String),
    /// It can be carried out again; the verdict stays.
    Resumed,
    /// Good, and was not before.
    Good,
    /// Failed, and was not before: why.
    Bad(String),
}

#[derive(Clone, Debug)]
struct Alarm {
    told_at: Mono,
    unseen: u32,
}

impl Probe {
    pub(super) fn new(number: u64, check: Check, up: bool) -> Self {
        Self {
            number,
            check,
            phase: Phase::Idle,
            up,
            ok: None,
            detail: String::new(),
            weight: None,
            url: 0,
            url_failed: false,
            retries: 0,
            alarm: None,
        }
    }

    /// Takes over what an earlier probe of the same target had found; the schedule is the new check's.
    pub(super) fn inherit(&mut self, old: Self) {
        let check = std::mem::replace(&mut self.check, old.check.clone());
        *self = Self { check, ..old };
    }

    /// The BFD session it follows.
    pub(super) fn follows(&self) -> Option<&str> {
        match &self.check.kind {
            CheckKind::Bfd(session) => Some(session),
            CheckKind::Tcp(_)
            | CheckKind::Http(_)
            | CheckKind::Misc(_)
            | CheckKind::Ping(_)
            | CheckKind::Smtp(_)
            | CheckKind::Dns(_)
            | CheckKind::Udp(_)
            | CheckKind::File(_) => None,
        }
    }

    /// Its session is up or down.
    pub(super) fn on_session(&mut self, up: bool, why: &str) -> Judged {
        let (judged, _) = if up { self.on_pass(None) } else { self.on_fail(why) };
        judged
    }

    /// Whether nothing was found out yet that decides anything.
    fn is_first(&self) -> bool {
        self.ok.is_none()
    }

    /// Judges the outcome of the run under way and plans the next.
    pub(super) fn on_outcome(&mut self, now: Mono, outcome: &CheckOutcome) -> Judged {
        let started_at = match self.phase {
            Phase::Running { started_at, .. } => started_at,
            Phase::Idle | Phase::Waiting { .. } => now,
        };
        let (judged, delay) = match outcome {
            CheckOutcome::Pass { weight, .. } => self.on_pass(*weight),
            CheckOutcome::Fail { why, .. } => self.on_fail(why),
            CheckOutcome::Inconclusive { why } => self.on_inconclusive(now, why),
        };
        // A script's next run is counted from the start of the last (as keepalived does).
        let base = match self.check.kind {
            CheckKind::Misc(_) => started_at,
            CheckKind::Tcp(_)
            | CheckKind::Http(_)
            | CheckKind::Ping(_)
            | CheckKind::Smtp(_)
            | CheckKind::Dns(_)
            | CheckKind::Udp(_)
            | CheckKind::Bfd(_)
            | CheckKind::File(_) => now,
        };
        self.phase = Phase::Waiting {
            at: (base + delay).max(now),
        };
        judged
    }

    /// Whether it is run at all.
    pub(super) fn is_run(&self) -> bool {
        !matches!(self.check.kind, CheckKind::File(_) | CheckKind::Bfd(_))
    }

    /// What it can say at once, from numbers and sessions that are known.
    pub(super) fn knowing(
        mut self,
        numbers: &BTreeMap<String, i32>,
        sessions: &BTreeMap<String, (bool, String)>,
    ) -> Self {
        if let CheckKind::File(check) = &self.check.kind
            && let Some((file, number)) = numbers.get_key_value(&check.file)
        {
            self.on_number(file, *number);
        }
        if let Some((up, why)) = self.follows().and_then(|it| sessions.get(it)) {
            self.on_session(*up, why);
        }
        self
    }

    /// `FILE_CHECK`: this number stands in its file now. It decides at once, without retries (as keepalived does).
    pub(super) fn on_number(&mut self, file: &str, number: i32) -> Judged {
        let check = match &self.check.kind {
            CheckKind::File(check) if check.file == file => check,
            _ => return Judged::Same,
        };
        let adds = check.multiplier.weight_of_server(number);
        self.detail = format!("number {number}");
        self.weight = adds.filter(|number| *number != 0).map(Given::Adds);
        let (was_up, was) = (self.up, self.ok);
        self.up = adds.is_some();
        self.ok = Some(self.up);
        match adds {
            Some(_) if !was_up || was == Some(false) => Judged::Good,
            None if was_up || was.is_none() => Judged::Bad(self.detail.clone()),
            Some(_) | None => Judged::Same,
        }
    }

    fn on_pass(&mut self, weight: Option<u32>) -> (Judged, Duration) {
        self.retries = 0;
        let had_alarm = self.alarm.take().is_some();
        let url_count = match &self.check.kind {
            CheckKind::Http(http) => http.urls.len(),
            CheckKind::Tcp(_)
            | CheckKind::Misc(_)
            | CheckKind::Ping(_)
            | CheckKind::Smtp(_)
            | CheckKind::Dns(_)
            | CheckKind::Udp(_)
            | CheckKind::Bfd(_)
            | CheckKind::File(_) => 1,
        };
        let complete = if self.url_failed {
            // The url that had failed is good again: all of them are looked at once more (as keepalived does).
            self.url_failed = false;
            self.url = 0;
            false
        } else {
            self.url += 1;
            let complete = self.url >= url_count;
            if complete {
                self.url = 0;
            }
            complete
        };
        let news = complete && (!self.up || self.ok != Some(true));
        if complete {
            self.up = true;
            self.ok = Some(true);
            self.weight = weight.map(Given::Instead);
            self.detail = "ok".to_owned();
        }
        let delay = if !complete && self.fast_recovery() && (!self.up || self.is_first()) {
            Duration::ZERO
        } else {
            self.check.delay_loop
        };
        let judged = if news {
            Judged::Good
        } else if had_alarm {
            self.detail = self.plain_detail();
            Judged::Resumed
        } else {
            Judged::Same
        };
        (judged, delay)
    }

    fn on_fail(&mut self, why: &str) -> (Judged, Duration) {
        let is_http = matches!(self.check.kind, CheckKind::Http(_));
        let first = self.is_first();
        if self.up && !first && self.retries < self.check.retry {
            self.retries += 1;
            let judged = if self.check.log_all_failures {
                Judged::Noted(format!(
                    "{why} (try {} of {})",
                    self.retries,
                    self.check.retry + 1
                ))
            } else {
                Judged::Same
            };
            return (judged, self.check.delay_before_retry);
        }
        // From here on the failure is what is shown.
        self.alarm = None;
        if self.up || first {
            let retries = std::mem::take(&mut self.retries);
            self.up = false;
            self.ok = Some(false);
            self.detail = why.to_owned();
            self.url_failed = is_http;
            let why = match retries {
                0 => why.to_owned(),
                1 => format!("{why} (after 1 retry)"),
                n => format!("{why} (after {n} retries)"),
            };
            return (Judged::Bad(why), self.delay_while_down());
        }
        let changed = self.detail != why;
        if changed {
            self.detail = why.to_owned();
        }
        let judged = if changed || self.check.log_all_failures {
            Judged::Noted(why.to_owned())
        } else {
            Judged::Same
        };
        (judged, self.delay_while_down())
    }

    /// Keeps the verdict and tells an operator at once, then once a minute.
    fn on_inconclusive(&mut self, now: Mono, why: &str) -> (Judged, Duration) {
        let delay = self
            .check
            .delay_before_retry
            .max(Duration::from_secs(1))
            .min(self.check.delay_loop)
            .max(INCONCLUSIVE_DELAY_MIN);
        let told = match &mut self.alarm {
            Some(alarm) if now.since(alarm.told_at) < ALARM_INTERVAL => {
                alarm.unseen += 1;
                return (Judged::Same, delay);
            }
            Some(Alarm { unseen, .. }) if *unseen > 0 => format!("{why} ({} times)", *unseen + 1),
            Some(_) | None => why.to_owned(),
        };
        self.alarm = Some(Alarm {
            told_at: now,
            unseen: 0,
        });
        self.detail = format!("{INCONCLUSIVE}{why}");
        (Judged::Alarm(told), delay)
    }

    fn plain_detail(&self) -> String {
        match self.ok {
            None => String::new(),
            Some(true) => "ok".to_owned(),
            Some(false) => "failed".to_owned(),
        }
    }

    fn fast_recovery(&self) -> bool {
        match &self.check.kind {
            CheckKind::Http(http) => http.fast_recovery,
            CheckKind::Tcp(_)
            | CheckKind::Misc(_)
            | CheckKind::Ping(_)
            | CheckKind::Smtp(_)
            | CheckKind::Dns(_)
            | CheckKind::Udp(_)
            | CheckKind::Bfd(_)
            | CheckKind::File(_) => false,
        }
    }

    fn delay_while_down(&self) -> Duration {
        match (&self.check.kind, self.url_failed) {
            (CheckKind::Http(_), true) => self.check.delay_loop.max(self.check.delay_before_retry),
            // Another url failed while all were being looked at again.
            (CheckKind::Http(_), false) => self.check.delay_before_retry,
            (
                CheckKind::Tcp(_)
                | CheckKind::Misc(_)
                | CheckKind::Ping(_)
                | CheckKind::Smtp(_)
                | CheckKind::Dns(_)
                | CheckKind::Udp(_)
                | CheckKind::Bfd(_)
                | CheckKind::File(_),
                _,
            ) => self.check.delay_loop,
        }
    }
}

/// How a detail begins while the check cannot be carried out.
const INCONCLUSIVE: &str = "no result: ";
