//! The dashboard as a whole: messages in, pictures and commands out.

mod acts;
mod compare;
mod golden;
mod help;
mod hosts;
mod keys;
mod look;
mod past;
mod reading;
mod robust;
mod samples;
mod speed;
mod tape;
mod windows;

use crate::app::{App, Cmd, Msg, News, sampling, settle, update};
use crate::theme::Theme;
use crate::view;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use lb_shared::client::Update;
use lb_shared::event::{Event, Numbered, What};
use lb_shared::fixture::{self, Demo};
use lb_shared::request::{Hello, Request};
use lb_shared::state::ObjectId;
use std::time::Duration;

/// A dashboard with messages of its own time.
pub(super) struct Bench {
    pub(super) app: App,
    pub(super) at: Duration,
    pub(super) cmds: Vec<Cmd>,
}

impl Bench {
    pub(super) fn empty(width: u16, height: u16) -> Self {
        let socket = "/run/lbagent/agent.sock".to_owned();
        Self {
            app: App::new(Theme::Terminal, false, false, socket, (width, height)),
            at: Duration::ZERO,
            cmds: Vec::new(),
        }
    }

    /// Connected to the agent of the fixture.
    pub(super) fn demo(width: u16, height: u16) -> Self {
        Self::of(fixture::demo(), width, height)
    }

    pub(super) fn of(mut demo: Demo, width: u16, height: u16) -> Self {
        let mut bench = Self::empty(width, height);
        // The log reaches back to a reload some hours ago.
        let earlier = Numbered {
            seq: 1_183,
            wall_ms: fixture::NOW_MS - 4 * 3_600_000,
            event: Event {
                what: What::Applied,
                object: ObjectId::Agent,
                text: "revision 17 applied".into(),
                why: None,
                actor: None,
                at: fixture::NOW - Duration::from_secs(4 * 3_600),
                changes: Vec::new(),
            },
        };
        demo.events.insert(0, earlier);
        let hello = Hello {
            agent: "0.4.1".into(),
            host: "lb1".into(),
            role: demo.snapshot.role.unwrap_or(lb_shared::request::Role::Viewer),
        };
        bench.send(Msg::Link(News::Connected(hello, demo.events)));
        bench.send(Msg::Link(News::Update(Update::Snapshot(Box::new(demo.snapshot)))));
        // A minute of samples before the last one, so that there is a history to draw.
        for nth in 0..12u64 {
            let mut earlier = demo.counters.clone();
            earlier.at = fixture::NOW - Duration::from_secs(60 - 5 * nth);
            for server in earlier.servers.values_mut() {
                let share = |value: u64| value * (6 + (nth * 7) % 5) / 10;
                server.connections_per_s = share(server.connections_per_s);
                server.active = share(server.active);
                server.bytes_in_per_s = share(server.bytes_in_per_s);
                server.bytes_out_per_s = share(server.bytes_out_per_s);
            }
            bench.send(Msg::Link(News::Counters(Box::new(earlier))));
        }
        bench.send(Msg::Link(News::Counters(Box::new(demo.counters))));
        bench
    }

    pub(super) fn send(&mut self, msg: Msg) -> &mut Self {
        self.cmds.extend(update(&mut self.app, self.at, msg));
        settle(&mut self.app);
        self.cmds.extend(sampling(&mut self.app));
        self
    }

    /// Lets time pass with the agent alive.
    pub(super) fn pass(&mut self, span: Duration) -> &mut Self {
        self.at += span;
        self.send(Msg::Link(News::Alive))
    }

    pub(super) fn code(&mut self, code: KeyCode) -> &mut Self {
        self.send(Msg::Key(KeyEvent::new(code, KeyModifiers::NONE)))
    }

    /// Keys by their names, at a moment when dialogs listen: `2 Tab j d Enter`.
    pub(super) fn keys(&mut self, names: &str) -> &mut Self {
        for name in names.split(' ').filter(|name| !name.is_empty()) {
            self.pass(Duration::from_millis(200));
            let code = match name {
                "Tab" => KeyCode::Tab,
                "BackTab" => KeyCode::BackTab,
                "Enter" => KeyCode::Enter,
                "Esc" => KeyCode::Esc,
                "Space" => KeyCode::Char(' '),
                "Backspace" => KeyCode::Backspace,
                "Down" => KeyCode::Down,
                "Up" => KeyCode::Up,
                "End" => KeyCode::End,
                name => {
                    for c in name.chars() {
                        self.code(KeyCode::Char(c));
                    }
                    continue;
                }
            };
            self.code(code);
        }
        self
    }

    /// The picture as text, blanks at the ends of lines removed.
    pub(super) fn picture(&self) -> String {
        view::text(&self.app)
    }

    /// The requests that went out since the last look, without those for the history of an open server.
    pub(super) fn asked(&mut self) -> Vec<(u64, Request)> {
        let mut asked = self.asked_all();
        asked.retain(|(_, request)| !matches!(request, Request::History(_)));
        asked
    }

    /// All requests that went out since the last look.
    pub(super) fn asked_all(&mut self) -> Vec<(u64, Request)> {
        self.cmds
            .drain(..)
            .filter_map(|cmd| match cmd {
                Cmd::Ask(ticket, request) => Some((ticket, request)),
                _ => None,
            })
            .collect()
    }
}
