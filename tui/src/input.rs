//! Keys and pasted text: moving, opening, marking, finding, and the prompts.

use crate::act;
use crate::app::{App, Cmd, Detail, Page};
use crate::keys::{self, Action, Screen};
use crate::list::List;
use crate::prompt::{self, Narrowed, Prompt};
use crate::tape::Play;
use crossterm::event::{KeyEvent, KeyModifiers};
use lb_shared::state::{ObjectId, Target};

/// Takes pasted text: into a field or a prompt, never as keys.
pub(crate) fn on_paste(app: &mut App, text: &str) -> Vec<Cmd> {
    if let Some(dialog) = &mut app.dialog {
        let step = dialog.paste(text);
        return act::on_step(app, step);
    }
    let clean: String = text.chars().filter(|c| !c.is_control()).collect();
    match &mut app.prompt {
        Prompt::None => {}
        Prompt::Filter(typed) => {
            typed.push_str(&clean);
            let typed = typed.clone();
            app.filters[app.screen as usize].set(app.screen, &typed);
        }
        Prompt::Command { text, .. } => text.push_str(&clean),
        Prompt::Search => app.sought.push_str(&clean),
    }
    app.stir = true;
    Vec::new()
}

/// Takes a key: the innermost thing that is open gets it.
pub(crate) fn on_key(app: &mut App, event: &KeyEvent) -> Vec<Cmd> {
    let now = app.now;
    if let Some(dialog) = &mut app.dialog {
        let step = dialog.key(now, event);
        return act::on_step(app, step);
    }
    if app.prompt != Prompt::None {
        app.stir = true;
        return prompt::on_key(app, event);
    }
    if app.trial.is_some() {
        return crate::trial::on_key(app, event);
    }
    if app.compared().is_some() && event.modifiers.is_empty() {
        crate::compare::on_key(app, event);
        return Vec::new();
    }
    if app.columns.open.is_some() {
        crate::columns::on_key(app, event);
        return Vec::new();
    }
    let Some(action) = app.keymap.action(event) else {
        return Vec::new();
    };
    if let Some(scroll) = &mut app.help {
        match action {
            Action::Back if !app.sought.is_empty() => app.sought.clear(),
            Action::Back | Action::Help | Action::Open => app.help = None,
            Action::Filter => app.prompt = Prompt::Search,
            Action::Command => return on_action(app, action),
            Action::Quit if event.modifiers.contains(KeyModifiers::CONTROL) => return vec![Cmd::Quit],
            Action::Quit => app.help = None,
            Action::Suspend => return vec![Cmd::Suspend],
            action => scrolled(scroll, action, app.size.1),
        }
        return Vec::new();
    }
    on_action(app, action)
}

pub(crate) fn on_action(app: &mut App, action: Action) -> Vec<Cmd> {
    if keys::acts(action) {
        return act::begin(app, action);
    }
    if let Some(play) = played(app, action) {
        return vec![Cmd::Play(play)];
    }
    match action {
        Action::Up
        | Action::Down
        | Action::First
        | Action::Last
        | Action::HalfDown
        | Action::HalfUp
        | Action::PageDown
        | Action::PageUp => {
            travel(app, action);
            return Vec::new();
        }
        Action::NextPane | Action::PreviousPane => {
            if app.detail.is_empty() {
                app.second_pane =
                    matches!(app.screen, Screen::Overview | Screen::Services) && !app.second_pane;
            }
        }
        Action::Go(screen) => go(app, screen),
        Action::PreviousHost | Action::NextHost => return neighbour(app, action == Action::NextHost),
        Action::Scope => scope(app),
        Action::Before => {
            let before = std::mem::take(&mut app.before);
            let detail = std::mem::take(&mut app.detail);
            app.before = (app.screen, detail);
            (app.screen, app.detail) = before;
            app.second_pane = false;
            app.zoom = false;
        }
        Action::Zoom => app.zoom = !app.zoom,
        Action::Sums => app.sums = !app.sums,
        Action::Open => return open(app),
        Action::Back => back(app),
        Action::Mark | Action::MarkRange | Action::MarkAll => mark(app, action),
        Action::Filter if app.detail.is_empty() && has_list(app.screen) => {
            app.prompt = Prompt::Filter(app.narrowed().text.clone());
        }
        Action::Filter => app.tell("there is no list to filter here"),
        Action::Command => {
            app.recalled = 0;
            app.prompt = Prompt::Command {
                text: String::new(),
                error: String::new(),
            };
        }
        Action::Sort => app.order.next(app.screen),
        Action::Reverse => app.order.reverse(app.screen),
        Action::EventsOf => events_of(app),
        Action::Follow => {
            app.follow = !app.follow;
            let word = if app.follow { "on" } else { "off" };
            app.tell(format!("follow is {word}"));
        }
        Action::Copy => return copy(app),
        Action::CopyRow => return copy_row(app),
        Action::Columns => crate::columns::open(app),
        Action::Compare => crate::compare::begin(app),
        Action::Faster | Action::Slower => app.tell("only recordings are played: lbtui --replay FILE"),
        Action::Freeze => crate::past::toggle(app),
        Action::Live => crate::past::to_live(app),
        Action::EventBefore
        | Action::EventAfter
        | Action::MinuteBefore
        | Action::MinuteAfter
        | Action::Travel => return crate::past::on_action(app, action),
        Action::Mouse => {
            app.mouse.on = !app.mouse.on;
            app.tell(if app.mouse.on {
                "the mouse is on: a click chooses, two open, the wheel moves; M gives it back to the terminal"
            } else {
                "the mouse is the terminal's again"
            });
            return vec![Cmd::Mouse(app.mouse.on)];
        }
        Action::Reconnect => return vec![Cmd::Reconnect],
        Action::Help => {
            app.help = Some(0);
            app.page = Page::Keys;
            app.sought.clear();
        }
        Action::Redraw => return vec![Cmd::Redraw],
        Action::Suspend => return vec![Cmd::Suspend],
        Action::Quit => return vec![Cmd::Quit],
        Action::Drain
        | Action::Undrain
        | Action::Weight
        | Action::Disable
        | Action::Test
        | Action::Promote
        | Action::Demote
        | Action::Release
        | Action::Reload => {}
    }
    app.stir = true;
    Vec::new()
}

/// What a key of time does to a recording; `None` where none is played.
fn played(app: &App, action: Action) -> Option<Play> {
    app.playing.as_ref()?;
    Some(match action {
        Action::Freeze => Play::Toggle,
        Action::Faster => Play::Faster,
        Action::Slower => Play::Slower,
        Action::EventBefore => Play::EventBefore,
        Action::EventAfter => Play::EventAfter,
        Action::MinuteBefore => Play::MinuteBefore,
        Action::MinuteAfter => Play::MinuteAfter,
        Action::Travel => Play::To(crate::past::selected(app)?),
        Action::Live => Play::End,
        _ => return None,
    })
}

pub(crate) fn travel(app: &mut App, action: Action) {
    app.moved_at = app.now;
    let page = page(app.size.1);
    if let Some(detail) = app.detail.last_mut() {
        return scrolled(&mut detail.scroll, action, app.size.1);
    }
    if app.screen == Screen::Events {
        app.follow = action == Action::First;
    }
    match (app.screen, app.second_pane) {
        (Screen::Overview, true) => step(&mut app.problems, action, page),
        (Screen::Overview, false) | (Screen::Vrrp, _) => step(&mut app.instances, action, page),
        (Screen::Services, true) => step(&mut app.members, action, page),
        (Screen::Services, false) => step(&mut app.services, action, page),
        (Screen::Servers, _) => step(&mut app.servers, action, page),
        (Screen::Events, _) => step(&mut app.events, action, page),
        (Screen::Hosts, _) => step(&mut app.hosts, action, page),
    }
}

/// Rows that are passed at once on a terminal so high.
fn page(height: u16) -> usize {
    usize::from(height.saturating_sub(8)).max(1)
}

/// Scrolls a page of text; that it does not go beyond its end is seen to before it is drawn.
pub(crate) fn scrolled(scroll: &mut usize, action: Action, height: u16) {
    let page = page(height);
    *scroll = match action {
        Action::Down => scroll.saturating_add(1),
        Action::Up => scroll.saturating_sub(1),
        Action::HalfDown => scroll.saturating_add(page / 2),
        Action::HalfUp => scroll.saturating_sub(page / 2),
        Action::PageDown => scroll.saturating_add(page),
        Action::PageUp => scroll.saturating_sub(page),
        Action::First => 0,
        Action::Last => usize::MAX,
        _ => *scroll,
    };
}

fn step<K: Clone + Ord>(list: &mut List<K>, action: Action, page: usize) {
    match action {
        Action::Down => list.down(1),
        Action::Up => list.up(1),
        Action::HalfDown => list.down(page.div_ceil(2)),
        Action::HalfUp => list.up(page.div_ceil(2)),
        Action::PageDown => list.down(page),
        Action::PageUp => list.up(page),
        Action::First => list.go(0),
        Action::Last => list.go(usize::MAX),
        _ => {}
    }
}

/// Whether a screen has a list that can be narrowed.
pub(crate) fn has_list(screen: Screen) -> bool {
    !matches!(screen, Screen::Overview | Screen::Hosts)
}

/// The host beside this one, round and round.
fn neighbour(app: &mut App, forward: bool) -> Vec<Cmd> {
    let hosts = app.fleet.hosts.len();
    if hosts < 2 {
        app.tell("there is no other host: lbtui --host or --cluster names several");
        return Vec::new();
    }
    let step = if forward { 1 } else { hosts - 1 };
    vec![Cmd::Host((app.seat + step) % hosts)]
}

/// Changes on this host, or on all.
fn scope(app: &mut App) {
    if !app.fleet.several() {
        return app.tell("there is one host: lbtui --host or --cluster names several");
    }
    app.all_hosts = !app.all_hosts;
    app.tell(if app.all_hosts {
        "changes are made on all hosts now; promote and demote on this one; a goes back"
    } else {
        "changes are made on this host only"
    });
}

pub(crate) fn go(app: &mut App, screen: Screen) {
    if screen == Screen::Hosts && app.fleet.hosts.len() < 2 {
        return app.tell("there is one host: lbtui --host or --cluster names several");
    }
    let detail = std::mem::take(&mut app.detail);
    if screen != app.screen || !detail.is_empty() {
        app.before = (app.screen, detail);
    }
    app.screen = screen;
    app.second_pane = false;
    app.zoom = false;
}

/// Looks closely at an object.
pub(crate) fn open(app: &mut App) -> Vec<Cmd> {
    if app.screen == Screen::Hosts {
        return app.hosts.current().map(|at| Cmd::Host(*at)).into_iter().collect();
    }
    if app.screen == Screen::Services && !app.second_pane && app.detail.is_empty() {
        app.second_pane = true;
        return Vec::new();
    }
    let Some(mut object) = app.subject() else {
        return Vec::new();
    };
    if let ObjectId::Override(target) = object {
        object = match target {
            Target::Server(id) => ObjectId::Server(id),
            Target::Instance(name) => ObjectId::Instance(name),
        };
    }
    if app.detail.last().is_some_and(|detail| detail.object == object) {
        return Vec::new();
    }
    // What happened on another host is looked at there.
    let host = match app.screen {
        Screen::Events if app.detail.is_empty() => app.events.current().map(|key| key.seat),
        _ => None,
    };
    app.detail.push(Detail { object, scroll: 0 });
    host.filter(|seat| *seat != app.seat)
        .map(Cmd::Host)
        .into_iter()
        .collect()
}

/// One step back: the innermost thing that is open closes.
fn back(app: &mut App) {
    if app.detail.pop().is_some() {
        return;
    }
    if std::mem::take(&mut app.zoom) {
        return;
    }
    let marks = match app.screen {
        Screen::Servers => &mut app.servers.marks,
        _ => &mut app.members.marks,
    };
    if !marks.is_empty() {
        marks.clear();
    } else if app.second_pane {
        app.second_pane = false;
    } else if !app.narrowed().text.is_empty() {
        app.filters[app.screen as usize] = Narrowed::default();
    }
}

fn mark(app: &mut App, action: Action) {
    let list = match (app.screen, app.second_pane) {
        (Screen::Servers, _) if app.detail.is_empty() => &mut app.servers,
        (Screen::Services, true) if app.detail.is_empty() => &mut app.members,
        _ => return app.tell("only servers can be marked"),
    };
    match action {
        Action::Mark => list.toggle_mark(),
        Action::MarkRange => list.mark_range(),
        _ => list.mark_all(),
    }
}

/// The events of what the cursor is on.
fn events_of(app: &mut App) {
    let (Some(object), Some(data)) = (app.subject(), &app.data) else {
        return;
    };
    let name = data.view(app.shown_at()).object_name(&object);
    go(app, Screen::Events);
    app.filters[Screen::Events as usize].set(Screen::Events, &name);
}

fn copy(app: &mut App) -> Vec<Cmd> {
    let Some(object) = app.subject() else {
        return Vec::new();
    };
    let text = match &object {
        ObjectId::Server(id) => id.to_string(),
        ObjectId::Service(key) => key.to_string(),
        object => object.to_string(),
    };
    app.tell(format!("copied {}", lb_shared::text::escape(&text)));
    vec![Cmd::Copy(text)]
}

/// What the cursor is on, as the agent's socket shows it to scripts.
fn copy_row(app: &mut App) -> Vec<Cmd> {
    let Some(data) = &app.data else {
        return Vec::new();
    };
    let view = data.view(app.shown_at());
    let event = match app.screen {
        Screen::Events if app.detail.is_empty() => app.events.current().and_then(|key| app.event(*key)),
        _ => None,
    };
    let json = match event {
        Some(event) => Some(lb_shared::json::event(&view, event)),
        None => app.subject().and_then(|subject| {
            let object = data.state.objects().find(|object| object.id() == subject)?;
            Some(lb_shared::json::object(&view, &object))
        }),
    };
    let Some(json) = json else {
        app.tell("there is nothing to copy here");
        return Vec::new();
    };
    app.tell("copied as JSON");
    vec![Cmd::Copy(json.to_string())]
}

/// The events of the list as lines of JSON, the oldest first.
pub(crate) fn export(app: &App) -> String {
    let Some(data) = &app.data else {
        return String::new();
    };
    let view = data.view(app.shown_at());
    let mut text = String::new();
    for key in app.events.rows.iter().rev() {
        if let Some(event) = app.event(*key) {
            let mut line = lb_shared::json::event(&view, event);
            if app.fleet.several()
                && let Some(fields) = line.as_object_mut()
            {
                fields.insert("host".into(), app.event_host(*key).into());
            }
            text.push_str(&line.to_string());
            text.push('\n');
        }
    }
    text
}
