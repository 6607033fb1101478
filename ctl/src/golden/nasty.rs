//! Names made to break a screen: through every page of text, at every width, and through JSON.

use super::*;
use crate::verbs::single;
use lb_shared::json;
use lb_shared::names::InstanceName;
use lb_shared::text::harmless;

/// Cursor movement, direction, no width, double width, marks that pile up, spaces that are none, the end of all.
const NAMES: [&str; 9] = [
    "a\u{1b}[2J\u{1b}[H",
    "b\u{9b}31m\u{7}\u{8}\u{8}",
    "c\u{202e}gnp.exe\u{2066}",
    "d\u{200b}\u{feff}\u{2060}\u{fe0f}",
    "漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字",
    "e\u{301}\u{301}\u{301}\u{301}",
    "\u{a0}\u{3000}\u{3164}\u{2800}",
    "\u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{627}\u{644}",
    "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}\n\r\t\0",
];

fn renamed(name: &str) -> Demo {
    let mut demo = fixture::demo();
    let state = &mut demo.snapshot.state;
    for service in state.services.values_mut() {
        Arc::make_mut(service).name = Some(name.to_owned());
    }
    let mut instance = state.instances.remove(&"VI_mgmt".into()).unwrap();
    Arc::make_mut(&mut instance).name = InstanceName(name.to_owned());
    Arc::make_mut(&mut instance).why = name.to_owned();
    Arc::make_mut(&mut instance).interface = Some(name.to_owned());
    state.instances.insert(InstanceName(name.to_owned()), instance);
    state.agent.host = name.to_owned();
    for event in &mut demo.events {
        event.event.text = name.to_owned();
    }
    demo
}

/// What a terminal would act on, or not show.
fn acts(c: char) -> bool {
    c != '\n' && lb_shared::text::escape(&c.to_string()) != c.to_string()
}

#[test]
fn no_name_moves_the_cursor_turns_a_line_or_widens_a_list() {
    for name in NAMES {
        let demo = renamed(name);
        let view = view(&demo);
        for columns in [40, 80, 140] {
            let look = look(Some(columns), columns > 100);
            let lists = [
                list::text::vrrp(&view, &look),
                list::text::services(&view, &look),
                list::text::servers(&view, &look, &[]),
            ];
            let mut pages = vec![
                joined(&status::lines(
                    &view,
                    demo.snapshot.role,
                    &look,
                    Default::default(),
                )),
                joined(&event::lines(&view, &demo.events, &look)),
            ];
            for object in demo.snapshot.state.objects() {
                pages.push(joined(&single::detail(&view, &object.id(), &look)));
            }
            pages.extend(lists.iter().cloned());
            for page in &pages {
                let found = page.chars().find(|c| acts(*c));
                assert_eq!(found, None, "{name:?} at {columns}:\n{page}");
            }
            // A list keeps to its width as far as its marks, words and one name allow.
            for line in lists.iter().flat_map(|list| list.lines()) {
                assert!(
                    width(line) <= columns.max(80 + width(&lb_shared::text::escape(name))),
                    "{line}"
                );
            }
        }
        let text = format!("{:#}", json::status(&view));
        assert_eq!(harmless(&text).chars().find(|c| acts(*c)), None, "{name:?}");
    }
}
