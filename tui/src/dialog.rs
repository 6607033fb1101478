//! A change on its way: the agent's dry run first, then the question, then the deed.

use crate::scope::Part;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use lb_shared::duration;
use lb_shared::request::{Act, Acted, Outcome, Refusal, Reloaded, Reply, Request, Verb, WeightChange};
use lb_shared::state::{DrainThen, Target};
use std::time::Duration;

/// Keys within this time of its opening were meant for what was on the screen before.
const TYPE_AHEAD: Duration = Duration::from_millis(150);
/// The longest text of a field, in bytes; as long as the agent takes a reason.
const TEXT_MAX: usize = 256;
/// Of so many targets the agent is told what was seen.
const EXPECTED_MAX: usize = 4_000;

/// What is to be done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Drain,
    Undrain,
    Weight,
    Disable,
    Promote,
    Demote,
    Release,
    Reload,
    /// Take back one's own last change.
    Undo,
}

impl Kind {
    /// `drain`, as on the command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Undrain => "undrain",
            Self::Weight => "weight",
            Self::Disable => "disable",
            Self::Promote => "promote",
            Self::Demote => "demote",
            Self::Release => "release",
            Self::Reload => "reload",
            Self::Undo => "undo",
        }
    }

    /// `Drain`, as a title and on its button.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Drain => "Drain",
            Self::Undrain => "Undrain",
            Self::Weight => "Set weight",
            Self::Disable => "Disable",
            Self::Promote => "Promote",
            Self::Demote => "Demote",
            Self::Release => "Release",
            Self::Reload => "Reload",
            Self::Undo => "Undo",
        }
    }

    /// Whether it takes instances; servers otherwise.
    pub(crate) fn takes_instances(self) -> bool {
        matches!(self, Self::Promote | Self::Demote | Self::Release)
    }

    fn fields(self) -> &'static [Name] {
        match self {
            Self::Drain => &[Name::Deadline, Name::Then, Name::Reason],
            Self::Undrain | Self::Release | Self::Reload | Self::Undo => &[],
            Self::Weight => &[Name::Weight, Name::Reason],
            Self::Disable => &[Name::Reason],
            Self::Promote => &[Name::Until, Name::Reason],
            Self::Demote => &[Name::Hard, Name::Reason],
        }
    }
}

/// Something to fill in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Name {
    Deadline,
    Then,
    Weight,
    Until,
    Hard,
    Reason,
    /// The target's name, typed as a proof that it is meant.
    Proof,
}

impl Name {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Deadline => "Deadline",
            Self::Then => "Then",
            Self::Weight => "Weight",
            Self::Until => "Until",
            Self::Hard => "If alone",
            Self::Reason => "Reason",
            Self::Proof => "Name",
        }
    }

    /// The two sides of a switch; `None` for a text.
    pub(crate) fn sides(self) -> Option<[&'static str; 2]> {
        match self {
            Self::Then => Some(["keep draining", "undrain"]),
            Self::Hard => Some(["take over again", "stay BACKUP"]),
            Self::Deadline | Self::Weight | Self::Until | Self::Reason | Self::Proof => None,
        }
    }

    /// What to write into it.
    pub(crate) fn hint(self) -> &'static str {
        match self {
            Self::Deadline => "10m, 1h30m or never",
            Self::Weight => "50, +10, -10, 50% or config",
            Self::Until => "a time such as 30m; empty: until released",
            Self::Then | Self::Hard | Self::Reason | Self::Proof => "",
        }
    }

    /// Whether the agent's answer depends on it.
    fn decides(self) -> bool {
        matches!(self, Self::Weight | Self::Hard | Self::Then)
    }
}

/// A field and what is in it; the second side of a switch is any text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Field {
    pub(crate) name: Name,
    pub(crate) text: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Focus {
    Field(usize),
    Act,
    Cancel,
}

/// What the agent said to the dry run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// A field has to be filled in first; what is wrong with it.
    Unasked(String),
    Asking,
    Effect(Acted),
    Plan(Box<Reloaded>),
    Refused(Refusal),
    /// The answer never came.
    Failed {
        message: String,
        hint: String,
    },
    /// The deed itself is under way.
    Doing,
}

impl Verdict {
    /// What an answer means.
    pub(crate) fn of(reply: Reply) -> Self {
        match reply {
            Reply::Acted(acted) => Self::Effect(acted),
            Reply::Reloaded(reloaded) => Self::Plan(Box::new(reloaded)),
            Reply::Refused(refusal) => Self::Refused(refusal),
            Reply::Hello(_)
            | Reply::Config(_)
            | Reply::Settings(_)
            | Reply::Snapshot(_)
            | Reply::Counters(_)
            | Reply::Events(_)
            | Reply::Event(_)
            | Reply::Lost { .. }
            | Reply::Foreseen(_)
            | Reply::Metrics(_)
            | Reply::History(_)
            | Reply::Past(_)
            | Reply::Tested(_)
            | Reply::Excerpt(_)
            | Reply::Listening { .. }
            | Reply::Window(_)
            | Reply::Log(_) => Self::Failed {
                message: "the agent answered something else than was asked".into(),
                hint: "use the lbtui installed with the agent".into(),
            },
        }
    }
}

/// What to change, before any question is asked.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Options {
    pub(crate) force: bool,
    pub(crate) cut: bool,
    /// Fields that were given on the command line.
    pub(crate) fields: Vec<Field>,
}

/// A question before a change.
#[derive(Clone, Debug)]
pub(crate) struct Dialog {
    pub(crate) kind: Kind,
    pub(crate) targets: Vec<Target>,
    pub(crate) force: bool,
    pub(crate) cut: bool,
    pub(crate) fields: Vec<Field>,
    pub(crate) focus: Focus,
    /// What has to be typed before anything happens.
    pub(crate) proof: Option<String>,
    pub(crate) verdict: Verdict,
    /// On all hosts, not only on the one in front.
    pub(crate) all: bool,
    /// What each host has to do with it; one when only one host is changed.
    pub(crate) parts: Vec<Part>,
    /// The hosts on which it is done already, while it is done on one after the other.
    pub(crate) done: Vec<String>,
    /// What the last of them did, in words.
    pub(crate) told: Option<String>,
    /// Told to the agent with the deed, so that a repeated request acts once.
    pub(crate) key: String,
    opened: Duration,
}

/// What a key in a dialog leads to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    Stay,
    /// The agent has to be asked again.
    Ask,
    Act,
    Close,
    /// Close, and open the command line.
    Command,
}

impl Dialog {
    pub(crate) fn new(
        kind: Kind,
        targets: Vec<Target>,
        proof: Option<String>,
        options: Options,
        opened: Duration,
    ) -> Self {
        let mut fields: Vec<Field> = kind
            .fields()
            .iter()
            .map(|name| Field {
                name: *name,
                text: match name {
                    Name::Deadline => "10m".into(),
                    Name::Then | Name::Weight | Name::Until | Name::Hard | Name::Reason | Name::Proof => {
                        String::new()
                    }
                },
            })
            .collect();
        for given in options.fields {
            if let Some(field) = fields.iter_mut().find(|field| field.name == given.name) {
                field.text = given.text;
            }
        }
        if proof.is_some() {
            fields.push(Field {
                name: Name::Proof,
                text: String::new(),
            });
        }
        let weight = fields
            .iter()
            .position(|field| field.name == Name::Weight && field.text.is_empty());
        let focus = match (&proof, weight) {
            (_, Some(at)) => Focus::Field(at),
            (Some(_), None) => Focus::Field(fields.len() - 1),
            // One target is what the cursor was on; several need a second look.
            (None, None) if targets.len() <= 1 => Focus::Act,
            (None, None) => Focus::Cancel,
        };
        Self {
            kind,
            targets,
            force: options.force,
            cut: options.cut,
            fields,
            focus,
            proof,
            verdict: Verdict::Asking,
            all: false,
            parts: Vec::new(),
            done: Vec::new(),
            told: None,
            key: String::new(),
            opened,
        }
    }

    fn text(&self, name: Name) -> &str {
        self.fields
            .iter()
            .find(|field| field.name == name)
            .map_or("", |field| field.text.trim())
    }

    fn verb(&self) -> Result<Option<Verb>, String> {
        let span = |name: Name| {
            duration::parse_or_never(self.text(name))
                .map(|span| span.map(|span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
                .map_err(|error| error.to_string())
        };
        Ok(Some(match self.kind {
            Kind::Drain => Verb::Drain {
                timeout_ms: span(Name::Deadline)?,
                then: if self.text(Name::Then).is_empty() {
                    DrainThen::Keep
                } else {
                    DrainThen::Undrain
                },
                inactive: false,
            },
            Kind::Undrain => Verb::Undrain,
            Kind::Weight if self.text(Name::Weight).is_empty() => {
                return Err(format!("write a weight: {}", Name::Weight.hint()));
            }
            Kind::Weight => {
                let change = WeightChange::parse(self.text(Name::Weight));
                Verb::Weight(change.map_err(|refusal| format!("{refusal}; {}", refusal.hint))?)
            }
            Kind::Disable => Verb::Disable { cut: self.cut },
            Kind::Promote => Verb::Promote {
                for_ms: match self.text(Name::Until) {
                    "" => None,
                    _ => span(Name::Until)?,
                },
            },
            Kind::Demote => Verb::Demote {
                hard: !self.text(Name::Hard).is_empty(),
            },
            Kind::Release => Verb::Release,
            Kind::Undo => Verb::Undo,
            Kind::Reload => return Ok(None),
        }))
    }

    /// What to ask of an agent, or which field is wrong and how. It acts only if what was seen still holds.
    pub(crate) fn request(&self, dry_run: bool, part: &Part) -> Result<Request, String> {
        Ok(match self.verb()? {
            Some(verb) => {
                let act = Act {
                    verb,
                    targets: part.targets.clone(),
                    dry_run,
                    force: self.force,
                    message: self.text(Name::Reason).to_owned(),
                    key: (!dry_run).then(|| self.key.clone()),
                };
                // More would not fit into a request; what is seen of them here is watched all the same.
                match part.seen.len() {
                    1..=EXPECTED_MAX => Request::ActIf(act, part.seen.clone()),
                    _ => Request::Act(act),
                }
            }
            None => Request::Reload {
                dry_run,
                force: self.force,
            },
        })
    }

    /// Whether there is nothing to confirm, only to read.
    pub(crate) fn over(&self) -> bool {
        matches!(self.verdict, Verdict::Refused(_) | Verdict::Failed { .. }) || self.idle()
    }

    /// Whether the agent has nothing to do.
    pub(crate) fn idle(&self) -> bool {
        match &self.verdict {
            Verdict::Effect(acted) => acted
                .targets
                .iter()
                .all(|report| matches!(report.outcome, Outcome::Skipped(_))),
            Verdict::Plan(plan) => plan.changes.is_empty(),
            _ => false,
        }
    }

    /// Whether Enter may do it: the agent would, and the name is typed.
    pub(crate) fn ready(&self) -> bool {
        let accepted = matches!(self.verdict, Verdict::Effect(_) | Verdict::Plan(_));
        let typed = match &self.proof {
            Some(name) => self.text(Name::Proof) == name,
            None => true,
        };
        accepted && typed && !self.idle() && self.verb().is_ok()
    }

    /// Takes a key.
    pub(crate) fn key(&mut self, at: Duration, event: &KeyEvent) -> Step {
        if at.saturating_sub(self.opened) < TYPE_AHEAD {
            return Step::Stay;
        }
        if event.modifiers.contains(KeyModifiers::CONTROL) {
            return match event.code {
                KeyCode::Char('c') => Step::Close,
                _ => Step::Stay,
            };
        }
        if event.code == KeyCode::Esc {
            return Step::Close;
        }
        if matches!(self.verdict, Verdict::Doing) {
            return Step::Stay;
        }
        if self.over() {
            return match event.code {
                KeyCode::Enter | KeyCode::Char('q') => Step::Close,
                KeyCode::Char(':') => Step::Command,
                _ => Step::Stay,
            };
        }
        match event.code {
            KeyCode::Tab | KeyCode::Down => self.shift(1),
            KeyCode::BackTab | KeyCode::Up => self.shift(-1),
            KeyCode::Enter => self.enter(),
            KeyCode::Char(c) => self.character(c),
            KeyCode::Backspace => self.backspace(),
            KeyCode::Left | KeyCode::Right => match self.focus {
                Focus::Field(at) => self.flip(at),
                Focus::Act | Focus::Cancel => self.shift(if event.code == KeyCode::Left { -1 } else { 1 }),
            },
            _ => Step::Stay,
        }
    }

    /// Takes pasted text: into a field, never as keys.
    pub(crate) fn paste(&mut self, text: &str) -> Step {
        let Focus::Field(at) = self.focus else {
            return Step::Stay;
        };
        if self.over() || self.fields[at].name.sides().is_some() {
            return Step::Stay;
        }
        let before = self.fields[at].text.len();
        for c in text.chars().filter(|c| !c.is_control()) {
            self.push(at, c);
        }
        self.edited(at, before)
    }

    fn enter(&mut self) -> Step {
        match self.focus {
            Focus::Cancel => Step::Close,
            Focus::Act if self.ready() => Step::Act,
            Focus::Act => Step::Stay,
            // Where a name is typed or one thing is touched, Enter is the button; else it leads on to the next.
            Focus::Field(_) if self.proof.is_some() || self.targets.len() <= 1 => {
                if self.ready() {
                    Step::Act
                } else {
                    Step::Stay
                }
            }
            Focus::Field(_) => self.shift(1),
        }
    }

    fn character(&mut self, c: char) -> Step {
        let Focus::Field(at) = self.focus else {
            return if c == 'q' { Step::Close } else { Step::Stay };
        };
        if self.fields[at].name.sides().is_some() {
            return if c == ' ' { self.flip(at) } else { Step::Stay };
        }
        let before = self.fields[at].text.len();
        if !c.is_control() {
            self.push(at, c);
        }
        self.edited(at, before)
    }

    fn push(&mut self, at: usize, c: char) {
        let text = &mut self.fields[at].text;
        if text.len() + c.len_utf8() <= TEXT_MAX {
            text.push(c);
        }
    }

    fn backspace(&mut self) -> Step {
        let Focus::Field(at) = self.focus else {
            return Step::Stay;
        };
        if self.fields[at].name.sides().is_some() {
            return Step::Stay;
        }
        let before = self.fields[at].text.len();
        self.fields[at].text.pop();
        self.edited(at, before)
    }

    fn flip(&mut self, at: usize) -> Step {
        if self.fields[at].name.sides().is_none() {
            return Step::Stay;
        }
        let text = &mut self.fields[at].text;
        *text = if text.is_empty() {
            "x".into()
        } else {
            String::new()
        };
        Step::Ask
    }

    fn edited(&self, at: usize, before: usize) -> Step {
        let field = &self.fields[at];
        if field.text.len() != before && field.name.decides() {
            Step::Ask
        } else {
            Step::Stay
        }
    }

    fn shift(&mut self, by: isize) -> Step {
        let mut stops: Vec<Focus> = (0..self.fields.len()).map(Focus::Field).collect();
        // A typed name is the button.
        if self.proof.is_none() {
            stops.extend([Focus::Act, Focus::Cancel]);
        }
        let count = isize::try_from(stops.len()).unwrap_or(1).max(1);
        let at = stops.iter().position(|stop| *stop == self.focus).unwrap_or(0);
        let next = (isize::try_from(at).unwrap_or(0) + by).rem_euclid(count);
        if let Some(focus) = usize::try_from(next).ok().and_then(|next| stops.get(next)) {
            self.focus = *focus;
        }
        Step::Stay
    }
}
