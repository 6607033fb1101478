//! What somebody saw before they decided to act. If it no longer holds, nothing is done.

use crate::request::{Refusal, RefusalCode};
use crate::state::{InstanceView, Override, ServerView, Target};
use crate::text::escape;
use serde::{Deserialize, Serialize};

/// What was seen of a target.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Expected {
    pub target: Target,
    pub facts: Facts,
}

/// Each fact that is there has to hold.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// The word of tables: `up`, `drain`, `master`; upper or lower case.
    pub state: Option<String>,
    /// The weight in IPVS; a server that is not in the table has none.
    pub weight: Option<u64>,
    /// The effective priority of an instance.
    pub priority: Option<u64>,
    /// The kind of an operator's change, `drain`, `promote`, or `none`.
    pub change: Option<String>,
}

impl Facts {
    /// Reads `state=up,weight=100,priority=150,override=none`, or some of them.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let mut facts = Self::default();
        for part in text.split(',') {
            let (name, value) = part.split_once('=').ok_or_else(|| wrong(part))?;
            facts.put(name, value)?;
        }
        Ok(facts)
    }

    /// Adds one by its name.
    pub fn put(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        let number = || value.parse().map_err(|_| wrong(value));
        match name {
            "state" => self.state = Some(value.to_owned()),
            "weight" => self.weight = Some(number()?),
            "priority" => self.priority = Some(number()?),
            "override" => self.change = Some(value.to_owned()),
            other => return Err(wrong(other)),
        }
        Ok(())
    }

    /// What is to be seen of a server.
    pub fn of_server(server: &ServerView, change: Option<&Override>) -> Self {
        Self {
            state: Some(server.word().to_lowercase()),
            weight: server.effective.map(|weight| weight.get().into()),
            priority: None,
            change: Some(word(change)),
        }
    }

    /// What is to be seen of an instance.
    pub fn of_instance(instance: &InstanceView, change: Option<&Override>) -> Self {
        Self {
            state: Some(crate::problems::instance_word(instance).to_lowercase()),
            weight: None,
            priority: Some(instance.effective_priority.into()),
            change: Some(word(change)),
        }
    }

    /// Refuses where something else is true now.
    pub fn hold(&self, name: &str, now: &Self) -> Result<(), Refusal> {
        let text = |text: &Option<String>| text.as_ref().map(|text| text.to_lowercase());
        let number = |number: Option<u64>| number.map(|number| number.to_string());
        for (fact, seen, is) in [
            ("state", text(&self.state), text(&now.state)),
            ("weight", number(self.weight), number(now.weight)),
            ("priority", number(self.priority), number(now.priority)),
            ("override", text(&self.change), text(&now.change)),
        ] {
            let Some(seen) = seen.filter(|seen| Some(seen) != is.as_ref()) else {
                continue;
            };
            let is = is.unwrap_or_else(|| "not there".into());
            let mut refusal = Refusal::new(
                RefusalCode::Conflict,
                format!("{name}: {fact} is {is} by now, not {}", escape(&seen)),
                "nothing was changed: look again, then decide",
            );
            refusal.details = vec![
                ("object".into(), name.to_owned()),
                ("fact".into(), fact.to_owned()),
                ("expected".into(), seen),
                ("is".into(), is),
            ];
            return Err(refusal);
        }
        Ok(())
    }
}

fn wrong(text: &str) -> Refusal {
    Refusal::new(
        RefusalCode::BadRequest,
        format!("'{}' is nothing that can be expected", escape(text)),
        "expect state (a word), weight or priority (a number), override (a word or none)",
    )
}

fn word(change: Option<&Override>) -> String {
    change.map_or("none", |it| it.kind.word()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_read_by_their_names() {
        let facts = Facts::parse("state=UP,weight=0,override=none").unwrap();
        assert_eq!(facts.state.as_deref(), Some("UP"));
        assert_eq!((facts.weight, facts.priority), (Some(0), None));
        for text in ["", "up", "state", "weight=many", "weight=-1", "mood=good"] {
            assert_eq!(
                Facts::parse(text).unwrap_err().code,
                RefusalCode::BadRequest,
                "{text}"
            );
        }
    }

    #[test]
    fn every_fact_that_is_said_has_to_hold() {
        let now = Facts {
            state: Some("up".into()),
            weight: Some(100),
            priority: None,
            change: Some("none".into()),
        };
        let says = |state: Option<&str>, weight, priority, change: Option<&str>| Facts {
            state: state.map(ToOwned::to_owned),
            weight,
            priority,
            change: change.map(ToOwned::to_owned),
        };
        for (facts, differs) in [
            (says(None, None, None, None), None),
            (says(Some("UP"), Some(100), None, Some("none")), None),
            (says(Some("down"), None, None, None), Some("state")),
            (says(Some("up"), Some(0), None, None), Some("weight")),
            (says(None, None, Some(150), None), Some("priority")),
            (says(None, None, None, Some("drain")), Some("override")),
        ] {
            let found = facts.hold("web/198.51.100.21:443", &now).err();
            let fact = found.as_ref().map(|it| it.details[1].1.as_str());
            assert_eq!(fact, differs, "{facts:?}");
        }
    }
}
