//! The text form Prometheus reads: families of samples, each sample a name, labels and a number.

use lb_shared::text::escape;
use std::fmt::{Display, Write as _};

/// A page under way.
#[derive(Debug, Default)]
pub(super) struct Page {
    text: String,
}

/// What a family counts.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Page {
    /// Begins a family; all its samples have to be added before the next one begins. Without samples it leaves nothing.
    pub(super) fn family(&mut self, name: &'static str, kind: Kind, help: &'static str) -> Family<'_> {
        Family {
            text: &mut self.text,
            name,
            head: Some((kind, help)),
        }
    }

    pub(super) fn counter(&mut self, name: &'static str, help: &'static str) -> Family<'_> {
        self.family(name, Kind::Counter, help)
    }

    pub(super) fn gauge(&mut self, name: &'static str, help: &'static str) -> Family<'_> {
        self.family(name, Kind::Gauge, help)
    }

    pub(super) fn finish(self) -> String {
        self.text
    }
}

/// Samples of one name.
#[derive(Debug)]
pub(super) struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
    /// What stands before the first sample.
    head: Option<(Kind, &'static str)>,
}

impl Family<'_> {
    /// A sample.
    pub(super) fn add(&mut self, labels: &Labels, value: impl Display) {
        self.add_as("", labels, value);
    }

    /// A sample of a histogram: `_bucket`, `_sum` or `_count` behind the name.
    pub(super) fn add_as(&mut self, suffix: &str, labels: &Labels, value: impl Display) {
        let name = self.name;
        if let Some((kind, help)) = self.head.take() {
            let kind = match kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
            };
            // Writing to a String cannot fail.
            let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        }
        let _ = match labels.0.as_str() {
            "" => writeln!(self.text, "{name}{suffix} {value}"),
            labels => writeln!(self.text, "{name}{suffix}{{{labels}}} {value}"),
        };
    }
}

/// Labels as they stand between the braces.
#[derive(Clone, Debug, Default)]
pub(super) struct Labels(String);

impl Labels {
    pub(super) fn of(pairs: &[(&str, &str)]) -> Self {
        let mut labels = Self::default();
        for (name, value) in pairs {
            labels.push(name, value);
        }
        labels
    }

    /// These and one more.
    pub(super) fn with(&self, name: &str, value: &str) -> Self {
        let mut labels = self.clone();
        labels.push(name, value);
        labels
    }

    fn push(&mut self, name: &str, value: &str) {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        let _ = write!(self.0, "{name}=\"");
        for c in escape(value).chars() {
            match c {
                '\\' => self.0.push_str("\\\\"),
                '"' => self.0.push_str("\\\""),
                c => self.0.push(c),
            }
        }
        self.0.push('"');
    }
}

/// 0 or 1.
pub(super) fn bit(value: bool) -> u8 {
    u8::from(value)
}

/// Seconds since 1970 of Unix time in milliseconds. A tenth is exact enough, and stays the same from look to look.
pub(super) fn timestamp(wall_ms: u64) -> String {
    let tenths = wall_ms.saturating_add(50) / 100;
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// Seconds of microseconds.
pub(super) fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_has_one_head_and_none_without_samples() {
        let mut page = Page::default();
        page.gauge("lbagent_nothing", "Never there.");
        let mut family = page.counter("lbagent_things_total", "Things.");
        family.add(&Labels::default(), 3);
        family.add(&Labels::of(&[("a", "1"), ("b", "2")]), 4);
        assert_eq!(
            page.finish(),
            "# HELP lbagent_things_total Things.\n# TYPE lbagent_things_total counter\n\
             lbagent_things_total 3\nlbagent_things_total{a=\"1\",b=\"2\"} 4\n"
        );
    }

    #[test]
    fn a_label_cannot_end_its_line_or_its_quotes() {
        assert_eq!(
            Labels::of(&[("name", "a\"b\\c\nd\u{202e}e")]).0,
            "name=\"a\\\"b\\\\c\\\\nd\\\\u{202e}e\""
        );
    }

    #[test]
    fn times_are_seconds() {
        assert_eq!(timestamp(1_795_855_049_949), "1795855049.9");
        assert_eq!(timestamp(1_795_855_049_950), "1795855050.0");
        assert_eq!(seconds(2_500).to_string(), "0.0025");
    }
}
