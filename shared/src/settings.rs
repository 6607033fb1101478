//! Every setting in force of every object, those included that no file names: under the names of their keywords, with
//! values in words. Secrets stay with the agent.

use crate::text::escape;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What is in force.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    pub revision: u64,
    /// In the order of the configuration: `vrrp:VI_1`, `vs:192.0.2.1:80/tcp`, …, with the numbers of its settings.
    pub objects: Vec<(String, Vec<u32>)>,
    /// Many objects have the same settings: each stands here once.
    pub pairs: Vec<(String, Told)>,
}

/// The value of a setting.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub enum Told {
    One(String),
    Many(Vec<String>),
    /// A secret.
    Hidden,
}

impl Told {
    fn text(&self) -> String {
        match self {
            Self::One(text) => escape(text),
            Self::Many(list) if list.is_empty() => "none".to_owned(),
            Self::Many(list) => {
                let list: Vec<String> = list.iter().map(|it| escape(it)).collect();
                list.join(" + ")
            }
            Self::Hidden => "(not shown)".to_owned(),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::One(text) => json!(text),
            Self::Many(list) => json!(list),
            Self::Hidden => Value::Null,
        }
    }
}

/// One thing in which two configurations in force differ.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Differing {
    /// Two nodes of one virtual router must not differ in it.
    pub grave: bool,
    /// `+`: only the second has it; `-`: only the first; `~`: another value.
    pub mark: char,
    pub object: String,
    /// `advert_int 1s -> 2s`; empty for an object that only one has.
    pub text: String,
}

/// What keeps one node from believing the other, or has both hold the addresses.
const GRAVE: [&str; 14] = [
    "virtual_router_id",
    "advert_int",
    "version",
    "native_ipv6",
    "auth_type",
    "auth_pass",
    "auth_hmac",
    "vrrp_mcast_group",
    "unicast_peer",
    "virtual_ipaddress",
    "v3_checksum_as_v2",
    "old_unicast_checksum",
    "use_vmac",
    "accept",
];

impl Settings {
    /// The settings of an object, in the order in which they are told.
    pub fn of<'a>(&'a self, numbers: &'a [u32]) -> impl Iterator<Item = &'a (String, Told)> {
        numbers.iter().filter_map(|at| self.pairs.get(*at as usize))
    }

    /// For eyes: an object, its settings below it.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (name, numbers) in &self.objects {
            if !lines.is_empty() {
                lines.push(String::new());
            }
            lines.push(escape(name));
            let width = self.of(numbers).map(|(name, _)| name.chars().count()).max();
            let width = width.unwrap_or(0);
            let settings = self.of(numbers);
            lines.extend(settings.map(|(name, told)| format!("    {name:<width$}  {}", told.text())));
        }
        lines
    }

    /// `{"revision":3,"objects":[{"object":"vrrp:VI_1","settings":{"priority":"100"}}]}`.
    pub fn json(&self) -> Value {
        let object = |(name, numbers): &(String, Vec<u32>)| {
            let settings = self.of(numbers);
            let settings: Map<String, Value> =
                settings.map(|(name, told)| (name.clone(), told.json())).collect();
            json!({"object": name, "settings": settings})
        };
        json!({"revision": self.revision, "objects": self.objects.iter().map(object).collect::<Value>()})
    }

    /// From this one to the other. `called` gives the other's name for an object of this one where it has another, as
    /// instances may.
    pub fn differences(&self, other: &Self, called: &BTreeMap<String, String>) -> Vec<Differing> {
        let theirs: BTreeMap<&str, &[u32]> = other
            .objects
            .iter()
            .map(|(name, numbers)| (name.as_str(), numbers.as_slice()))
            .collect();
        let mut met: Vec<&str> = Vec::new();
        let mut found = Vec::new();
        for (name, numbers) in &self.objects {
            let there = called.get(name).unwrap_or(name);
            let object = if there == name {
                escape(name)
            } else {
                format!("{} ({})", escape(name), escape(there))
            };
            match theirs.get_key_value(there.as_str()) {
                None => found.push(Differing {
                    grave: false,
                    mark: '-',
                    object,
                    text: String::new(),
                }),
                Some((there, after)) => {
                    met.push(there);
                    let (before, after) = (self.of(numbers), other.of(after));
                    found.extend(settings(&object, before, after));
                }
            }
        }
        met.sort_unstable();
        let new = other.objects.iter().map(|(name, _)| name);
        let new = new.filter(|name| met.binary_search(&name.as_str()).is_err());
        found.extend(new.map(|name| Differing {
            grave: false,
            mark: '+',
            object: escape(name),
            text: String::new(),
        }));
        found.sort_by_key(|it| !it.grave);
        found
    }
}

/// What differs in one object.
fn settings<'a>(
    object: &str,
    before: impl Iterator<Item = &'a (String, Told)>,
    after: impl Iterator<Item = &'a (String, Told)>,
) -> Vec<Differing> {
    let mut rest: BTreeMap<&str, &Told> = after.map(|(name, told)| (name.as_str(), told)).collect();
    let mut found = Vec::new();
    let mut add = |name: &str, text: String| {
        found.push(Differing {
            grave: object.starts_with("vrrp:") && GRAVE.contains(&name),
            mark: '~',
            object: object.to_owned(),
            text: format!("{name} {text}"),
        });
    };
    for (name, told) in before {
        match rest.remove(name.as_str()) {
            None => add(name, format!("{} -> not set", told.text())),
            Some(other) if other == told => {}
            Some(Told::Many(other)) if let Told::Many(own) = told => {
                let text = lists(own, other);
                if !text.is_empty() {
                    add(name, text);
                }
            }
            Some(other) => add(name, format!("{} -> {}", told.text(), other.text())),
        }
    }
    for (name, told) in rest {
        add(name, format!("not set -> {}", told.text()));
    }
    found
}

/// What comes and what goes; lists in another order are the same.
fn lists(before: &[String], after: &[String]) -> String {
    let come = after.iter().filter(|it| !before.contains(it));
    let go = before.iter().filter(|it| !after.contains(it));
    let all: Vec<String> = go
        .map(|it| format!("- {}", escape(it)))
        .chain(come.map(|it| format!("+ {}", escape(it))))
        .collect();
    all.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(priority: &str, interval: &str, name: &str, addresses: &[&str]) -> Settings {
        let one = |name: &str, value: &str| (name.to_owned(), Told::One(value.to_owned()));
        let list = addresses.iter().map(|it| (*it).to_owned()).collect();
        Settings {
            revision: 1,
            objects: vec![
                (format!("vrrp:{name}"), vec![0, 1, 2, 3]),
                ("vs:a".into(), vec![4]),
            ],
            pairs: vec![
                one("priority", priority),
                one("advert_int", interval),
                ("virtual_ipaddress".into(), Told::Many(list)),
                ("auth_pass".into(), Told::Hidden),
                one("quorum", "1"),
            ],
        }
    }

    #[test]
    fn what_can_cause_two_masters_comes_first_and_names_may_differ() {
        let a = settings("150", "1s", "VI_1", &["192.0.2.1/24", "192.0.2.2/24"]);
        let mut b = settings("100", "2s", "outside", &["192.0.2.2/24", "192.0.2.3/24"]);
        b.objects[1].0 = "vs:b".into();
        let called = [("vrrp:VI_1".to_owned(), "vrrp:outside".to_owned())].into();
        let found = a.differences(&b, &called);
        let lines: Vec<String> = found
            .iter()
            .map(|it| {
                format!(
                    "{}{} {} {}",
                    it.mark,
                    if it.grave { "!" } else { "" },
                    it.object,
                    it.text
                )
            })
            .collect();
        assert_eq!(
            lines,
            [
                "~! vrrp:VI_1 (vrrp:outside) advert_int 1s -> 2s",
                "~! vrrp:VI_1 (vrrp:outside) virtual_ipaddress - 192.0.2.1/24 + 192.0.2.3/24",
                "~ vrrp:VI_1 (vrrp:outside) priority 150 -> 100",
                "- vs:a ",
                "+ vs:b ",
            ]
        );
        assert!(a.differences(&a, &BTreeMap::new()).is_empty());
        let again = settings("150", "1s", "VI_1", &["192.0.2.2/24", "192.0.2.1/24"]);
        assert!(
            a.differences(&again, &BTreeMap::new()).is_empty(),
            "the order of a list"
        );
    }

    #[test]
    fn an_object_stands_above_its_settings_and_no_secret_among_them() {
        let it = settings("150", "1s", "VI_1", &[]);
        assert_eq!(
            it.lines(),
            [
                "vrrp:VI_1",
                "    priority           150",
                "    advert_int         1s",
                "    virtual_ipaddress  none",
                "    auth_pass          (not shown)",
                "",
                "vs:a",
                "    quorum  1",
            ]
        );
        assert_eq!(it.json()["objects"][0]["settings"]["auth_pass"], Value::Null);
        assert_eq!(it.json()["objects"][1]["settings"]["quorum"], "1");
    }
}
