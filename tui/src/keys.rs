//! Every key: what it is called, where it holds, what it does and what help says about it. One table.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use lb_shared::state::ObjectId;

/// What a key does.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Action {
    Up,
    Down,
    First,
    Last,
    HalfDown,
    HalfUp,
    PageDown,
    PageUp,
    NextPane,
    PreviousPane,
    Go(Screen),
    PreviousHost,
    NextHost,
    Scope,
    Before,
    Zoom,
    Open,
    Back,
    Mark,
    MarkRange,
    MarkAll,
    Filter,
    Command,
    Sort,
    Reverse,
    Sums,
    EventsOf,
    Follow,
    Copy,
    CopyRow,
    Columns,
    Compare,
    Freeze,
    EventBefore,
    EventAfter,
    MinuteBefore,
    MinuteAfter,
    Travel,
    Live,
    Faster,
    Slower,
    Mouse,
    Drain,
    Undrain,
    Weight,
    Disable,
    Test,
    Promote,
    Demote,
    Release,
    Reload,
    Reconnect,
    Help,
    Redraw,
    Suspend,
    Quit,
}

/// The screens, in the order of their numbers.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Screen {
    #[default]
    Overview,
    Services,
    Servers,
    Events,
    Vrrp,
    /// Only there with several hosts.
    Hosts,
}

impl Screen {
    pub(crate) const ALL: [Self; 6] = [
        Self::Overview,
        Self::Services,
        Self::Servers,
        Self::Events,
        Self::Vrrp,
        Self::Hosts,
    ];

    /// The one of that name.
    pub(crate) fn named(name: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|screen| screen.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| "screens are overview, services, servers, events, vrrp and hosts".to_owned())
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Services => "Services",
            Self::Servers => "Servers",
            Self::Events => "Events",
            Self::Vrrp => "VRRP",
            Self::Hosts => "Hosts",
        }
    }
}

/// Under which heading help shows a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Group {
    Move,
    Act,
    Find,
    Time,
    Program,
}

impl Group {
    pub(crate) const ALL: [Self; 5] = [Self::Move, Self::Act, Self::Find, Self::Time, Self::Program];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Move => "Move",
            Self::Act => "Act (every change asks first)",
            Self::Find => "Find",
            Self::Time => "Time (the last 15 minutes)",
            Self::Program => "Program",
        }
    }
}

/// One row of the table.
pub(crate) struct Binding {
    pub(crate) action: Action,
    /// All keys with this action.
    pub(crate) keys: &'static [(KeyCode, KeyModifiers)],
    /// How the keys are written.
    pub(crate) label: &'static str,
    /// For the last line of the screen.
    pub(crate) short: &'static str,
    pub(crate) help: &'static str,
    pub(crate) group: Group,
}

const NONE: KeyModifiers = KeyModifiers::NONE;
const CTRL: KeyModifiers = KeyModifiers::CONTROL;

macro_rules! table {
    ($($group:ident $action:expr, [$($key:expr),*], $label:literal, $short:literal, $help:literal;)*) => {
        pub(crate) const KEYS: &[Binding] = &[$(Binding {
            action: $action,
            keys: &[$($key),*],
            label: $label,
            short: $short,
            help: $help,
            group: Group::$group,
        },)*];
    };
}

const fn key(c: char) -> (KeyCode, KeyModifiers) {
    (KeyCode::Char(c), NONE)
}

const fn ctrl(c: char) -> (KeyCode, KeyModifiers) {
    (KeyCode::Char(c), CTRL)
}

const fn named(code: KeyCode) -> (KeyCode, KeyModifiers) {
    (code, NONE)
}

table! {
    Move Action::Down, [key('j'), named(KeyCode::Down), key('n')], "j n Down", "down", "one row down";
    Move Action::Up, [key('k'), named(KeyCode::Up), key('N')], "k N Up", "up", "one row up";
    Move Action::First, [key('g'), named(KeyCode::Home)], "g Home", "first", "first row";
    Move Action::Last, [key('G'), named(KeyCode::End)], "G End", "last", "last row";
    Move Action::HalfDown, [ctrl('d')], "Ctrl-d", "half down", "half a page down";
    Move Action::HalfUp, [ctrl('u')], "Ctrl-u", "half up", "half a page up";
    Move Action::PageDown, [named(KeyCode::PageDown)], "PgDn", "page down", "a page down";
    Move Action::PageUp, [named(KeyCode::PageUp)], "PgUp", "page up", "a page up";
    Move Action::NextPane, [named(KeyCode::Tab), key('l'), named(KeyCode::Right)], "Tab l", "pane", "next pane";
    Move Action::PreviousPane, [named(KeyCode::BackTab), key('h'), named(KeyCode::Left)], "S-Tab h", "pane", "previous pane";
    Move Action::Go(Screen::Overview), [key('1')], "1", "overview", "overview";
    Move Action::Go(Screen::Services), [key('2')], "2", "services", "services and their servers";
    Move Action::Go(Screen::Servers), [key('3')], "3", "servers", "all servers";
    Move Action::Go(Screen::Events), [key('4')], "4", "events", "events";
    Move Action::Go(Screen::Vrrp), [key('5')], "5", "vrrp", "instances";
    Move Action::Go(Screen::Hosts), [key('6')], "6", "hosts", "hosts, and how they differ";
    Move Action::PreviousHost, [key('<')], "<", "host before", "the host before";
    Move Action::NextHost, [key('>')], ">", "next host", "the next host";
    Move Action::Scope, [key('a')], "a", "all hosts", "change all hosts, or one";
    Move Action::Open, [named(KeyCode::Enter)], "Enter", "open", "open: why, and all there is";
    Move Action::Before, [ctrl('o')], "Ctrl-o", "before", "the screen before";
    Move Action::Zoom, [key('z'), key('o')], "z o", "zoom", "this pane alone, or all";
    Move Action::Back, [named(KeyCode::Esc)], "Esc", "back", "back; clear marks, filter";

    Act Action::Drain, [key('d')], "d", "drain", "drain: no new connections";
    Act Action::Undrain, [key('u')], "u", "undrain", "undrain or enable";
    Act Action::Weight, [key('w')], "w", "weight", "set the weight";
    Act Action::Disable, [key('x')], "x", "disable", "disable: out of IPVS now";
    Act Action::Test, [key('t')], "t", "test", "run the checks, no change";
    Act Action::Promote, [key('P')], "P", "promote", "promote (type the name)";
    Act Action::Demote, [key('D')], "D", "demote", "demote (type the name)";
    Act Action::Release, [key('R')], "R", "release", "end a promote or demote";
    Act Action::Reload, [ctrl('r')], "Ctrl-r", "reload", "reload the configuration";

    Find Action::Filter, [key('/')], "/", "filter", "filter this list";
    Find Action::Sort, [key('s')], "s", "sort", "sort by the next column";
    Find Action::Reverse, [key('S')], "S", "reverse", "reverse the order";
    Find Action::Sums, [key('#')], "#", "totals", "totals or rates";
    Find Action::Mark, [key(' ')], "Space", "mark", "mark this server";
    Find Action::MarkRange, [key('v')], "v", "range", "mark from last mark to here";
    Find Action::MarkAll, [key('V')], "V", "all", "mark all in the filter";
    Find Action::EventsOf, [key('e')], "e", "events", "events of this row";
    Find Action::Follow, [key('f')], "f", "follow", "stay on the newest event";
    Find Action::Copy, [key('y')], "y", "copy", "copy the selector";
    Find Action::CopyRow, [key('Y')], "Y", "copy row", "copy the object as JSON";
    Find Action::Columns, [key('c')], "c", "columns", "choose the columns";

    Find Action::Compare, [key('=')], "=", "compare", "compare two marked, or this and another";
    Time Action::EventBefore, [key('[')], "[", "event before", "back to the event before";
    Time Action::EventAfter, [key(']')], "]", "next event", "on to the next event";
    Time Action::MinuteBefore, [key('{')], "{", "minute before", "back a minute";
    Time Action::MinuteAfter, [key('}')], "}", "next minute", "on a minute";
    Time Action::Travel, [key('T')], "T", "time", "to the selected event, or to a time";
    Time Action::Live, [key('0')], "0", "live", "back to now";
    Time Action::Faster, [key('+')], "+", "faster", "play a recording faster";
    Time Action::Slower, [key('-')], "-", "slower", "play it slower";
    Time Action::Freeze, [key('p')], "p", "freeze", "hold the picture, or go on";

    Program Action::Command, [key(':')], ":", "command", "command line, such as :drain --marked";
    Program Action::Mouse, [key('M')], "M", "mouse", "mouse on or off";
    Program Action::Reconnect, [key('r')], "r", "reconnect", "reconnect now";
    Program Action::Redraw, [named(KeyCode::F(5)), ctrl('l')], "F5", "redraw", "draw everything again";
    Program Action::Suspend, [ctrl('z')], "Ctrl-z", "suspend", "suspend (fg returns)";
    Program Action::Help, [key('?')], "?", "help", "this help";
    Program Action::Quit, [key('q'), ctrl('c')], "q", "quit", "quit";
}

/// Which key does what: the table, as far as the user's file says nothing else.
#[derive(Clone, Debug)]
pub(crate) struct Keymap(Vec<(Action, Vec<Key>, String)>);

/// A key with Ctrl or without.
type Key = (KeyCode, KeyModifiers);

impl Default for Keymap {
    fn default() -> Self {
        let rows = KEYS.iter();
        Self(
            rows.map(|it| (it.action, it.keys.to_vec(), it.label.to_owned()))
                .collect(),
        )
    }
}

impl Keymap {
    /// The action of a key outside dialogs and prompts.
    pub(crate) fn action(&self, event: &KeyEvent) -> Option<Action> {
        // Shift is in the character already; terminals differ in whether they report it.
        let modifiers = event.modifiers - KeyModifiers::SHIFT;
        self.0
            .iter()
            .find(|(_, keys, _)| keys.contains(&(event.code, modifiers)))
            .map(|(action, ..)| *action)
    }

    /// How the keys of an action are written.
    pub(crate) fn label(&self, action: Action) -> &str {
        self.0
            .iter()
            .find(|(known, ..)| *known == action)
            .map_or("", |(_, _, label)| label)
    }

    /// Gives an action other keys than those of the table.
    pub(crate) fn set(&mut self, name: &str, keys: &[String]) -> Result<(), String> {
        let row = self.0.iter_mut().find(|(action, ..)| action.name() == name);
        let Some(row) = row else {
            let names: Vec<String> = KEYS.iter().map(|it| it.action.name()).collect();
            return Err(format!(
                "there is no such action; actions are {}",
                names.join(" ")
            ));
        };
        if keys.is_empty() {
            return Err("name at least one key".into());
        }
        row.1 = keys.iter().map(|key| written(key)).collect::<Result<_, _>>()?;
        row.2 = keys.join(" ");
        Ok(())
    }

    /// Refuses a key with two actions.
    pub(crate) fn check(&self) -> Result<(), String> {
        let mut known: Vec<(Key, Action)> = Vec::new();
        for (action, keys, label) in &self.0 {
            for key in keys {
                if let Some((_, other)) = known.iter().find(|(it, _)| it == key) {
                    return Err(format!(
                        "keys: one key has two actions, {} and {} ({label}): give one of them another",
                        other.name(),
                        action.name()
                    ));
                }
                known.push((*key, *action));
            }
        }
        Ok(())
    }
}

/// Reads a key as it is written: `d`, `D`, `Ctrl-d`, `F5`, `Space`, `PgDn`.
fn written(text: &str) -> Result<Key, String> {
    let (modifiers, name) = match text.strip_prefix("Ctrl-") {
        Some(name) => (CTRL, name),
        None => (NONE, text),
    };
    let mut characters = name.chars();
    let code = match (characters.next(), characters.next()) {
        (Some(c), None) if !c.is_control() => KeyCode::Char(c),
        _ => match name {
            "Space" => KeyCode::Char(' '),
            "Enter" => KeyCode::Enter,
            "Esc" => KeyCode::Esc,
            "Tab" => KeyCode::Tab,
            "S-Tab" => KeyCode::BackTab,
            "Up" => KeyCode::Up,
            "Down" => KeyCode::Down,
            "Left" => KeyCode::Left,
            "Right" => KeyCode::Right,
            "Home" => KeyCode::Home,
            "End" => KeyCode::End,
            "PgUp" => KeyCode::PageUp,
            "PgDn" => KeyCode::PageDown,
            "Del" => KeyCode::Delete,
            "Ins" => KeyCode::Insert,
            "Backspace" => KeyCode::Backspace,
            name => match name.strip_prefix('F').and_then(|nth| nth.parse().ok()) {
                Some(nth @ 1..=12) => KeyCode::F(nth),
                _ => {
                    return Err(format!(
                        "'{text}' is no key: write d, D, Ctrl-d, F5, Space, PgDn and the like"
                    ));
                }
            },
        },
    };
    Ok((code, modifiers))
}

impl Action {
    /// What it is called in the user's file: `half-down`, `mark-all`; a screen by its name.
    pub(crate) fn name(self) -> String {
        if let Self::Go(screen) = self {
            return screen.name().to_lowercase();
        }
        let mut name = String::new();
        for c in format!("{self:?}").chars() {
            if c.is_uppercase() && !name.is_empty() {
                name.push('-');
            }
            name.extend(c.to_lowercase());
        }
        name
    }
}

/// The row of an action.
pub(crate) fn binding(action: Action) -> Option<&'static Binding> {
    KEYS.iter().find(|binding| binding.action == action)
}

/// The keys the last line of a screen names.
pub(crate) fn line(screen: Screen, detail: Option<&ObjectId>) -> &'static [Action] {
    use Action::{
        Back, Columns, Command, Copy, Demote, Disable, Drain, EventsOf, Filter, First, Follow, Help, Last,
        Mark, NextHost, NextPane, Open, PreviousHost, Promote, Quit, Reconnect, Release, Reload, Scope, Sort,
        Test, Travel, Undrain, Weight,
    };
    match detail {
        None => {}
        Some(ObjectId::Server(_)) => {
            return &[
                Back, Test, Drain, Undrain, Weight, Disable, EventsOf, Copy, Help, Quit,
            ];
        }
        Some(ObjectId::Instance(_)) => return &[Back, Promote, Demote, Release, EventsOf, Copy, Help, Quit],
        Some(ObjectId::Agent) => return &[Back, Reload, EventsOf, Help, Quit],
        Some(_) => return &[Back, EventsOf, Copy, Help, Quit],
    }
    match screen {
        Screen::Overview => &[Open, NextPane, Promote, Demote, Release, Command, Help, Quit],
        Screen::Services => &[
            Open, NextPane, Drain, Undrain, Weight, Disable, Filter, Help, Mark, Sort, Columns, Command, Quit,
        ],
        Screen::Servers => &[
            Open, Mark, Drain, Undrain, Weight, Filter, Sort, Disable, Help, Columns, Command, Quit,
        ],
        Screen::Events => &[Open, First, Last, Follow, Filter, Travel, Help, Quit],
        Screen::Vrrp => &[
            Open, Promote, Demote, Release, Filter, EventsOf, Command, Help, Quit,
        ],
        Screen::Hosts => &[
            Open,
            PreviousHost,
            NextHost,
            Scope,
            Reconnect,
            Command,
            Help,
            Quit,
        ],
    }
}

/// Whether an action changes something in the agent.
pub(crate) fn acts(action: Action) -> bool {
    binding(action).is_some_and(|binding| binding.group == Group::Act)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_key_has_two_actions_and_no_action_two_rows() {
        let mut keys = BTreeSet::new();
        let mut actions = BTreeSet::new();
        for binding in KEYS {
            assert!(actions.insert(binding.action), "{:?}", binding.action);
            for (code, modifiers) in binding.keys {
                assert!(keys.insert(format!("{code:?} {modifiers:?}")), "{code:?}");
            }
        }
    }

    #[test]
    fn capitals_act_on_instances_and_small_letters_on_servers() {
        for binding in KEYS.iter().filter(|binding| binding.group == Group::Act) {
            let KeyCode::Char(c) = binding.keys[0].0 else {
                panic!("{}", binding.label);
            };
            let instance = matches!(binding.action, Action::Promote | Action::Demote | Action::Release);
            assert_eq!(c.is_uppercase(), instance, "{}", binding.label);
        }
    }
}
