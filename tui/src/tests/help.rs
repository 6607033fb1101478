//! Help: what it is searched for, and what scrolls.

use super::Bench;
use crate::app::Page;

#[test]
fn help_is_searched_by_words_in_keys_commands_and_marks() {
    let mut bench = Bench::demo(80, 24);
    bench.keys("? / drain");
    let picture = bench.picture();
    let first = picture.lines().next().unwrap();
    assert!(
        first.starts_with(" Help: Overview") && first.ends_with("? or Esc closes"),
        "{first}"
    );
    for wanted in [
        " d            ",
        " :undrain ",
        " ~ DRAIN ",
        "── Commands ─",
        " / drain_",
    ] {
        assert!(picture.contains(wanted), "{wanted}: {picture}");
    }
    assert!(!picture.contains("one row"), "{picture}");
    // All words have to be there; what is a key elsewhere is a letter here.
    bench.keys("Space xjq");
    assert!(
        bench.picture().contains("nothing in here has that"),
        "{}",
        bench.picture()
    );
    bench.keys("Backspace Backspace Backspace weight Enter");
    let picture = bench.picture();
    assert!(picture.contains(" only what has: drain weight"), "{picture}");
    assert!(
        picture.contains(":drain") && !picture.contains(":weight"),
        "{picture}"
    );
    // One step back shows all, another closes.
    bench.keys("Esc");
    assert!(bench.picture().contains("one row") && bench.app.help.is_some());
    bench.keys("Esc");
    assert!(bench.app.help.is_none());
    bench.keys("? / q Esc");
    assert!(bench.app.help.is_some() && bench.app.sought.is_empty());
}

#[test]
fn a_command_can_be_given_from_help_and_asks_nothing_behind_it() {
    let mut bench = Bench::demo(80, 24);
    bench.keys("? : help Space drain Enter");
    assert!(matches!(bench.app.page, Page::Command(verb) if verb.name == "drain"));
    assert!(bench.picture().starts_with(" Help: drain"), "{}", bench.picture());
    bench.keys("/ deadline Enter");
    let picture = bench.picture();
    assert!(
        picture.contains("deadline the weight") && !picture.contains(":drain web"),
        "{picture}"
    );
    bench.keys(": drain Space web/198.51.100.23 Enter");
    assert!(
        bench.app.help.is_none() && bench.app.dialog.is_some(),
        "{}",
        bench.picture()
    );
}

#[test]
fn what_scrolls_ends_at_its_ends() {
    let mut bench = Bench::demo(80, 24);
    bench.keys("? G");
    let last = bench.picture();
    bench.keys("j j j");
    assert_eq!(bench.picture(), last);
    bench.keys("k");
    assert_ne!(bench.picture(), last, "one key up moves at once");
    bench.keys("g");
    assert_eq!(bench.app.help, Some(0));
    bench.keys("Esc 3 Enter G j j");
    let end = bench.app.detail[0].scroll;
    bench.keys("k");
    assert_eq!(bench.app.detail[0].scroll, end - 1);
    assert!(end > 0);
}
