//! The words of `auth_hmac`, for a plan: which keys there are, never what they are.

use super::values::{Facts, Told};
use crate::model::{Authentication, Signing};

/// The settings of its block.
pub(super) fn facts(authentication: &Authentication) -> Facts {
    let one = |name: &str, value: String| (name.to_owned(), Told::One(value));
    let Authentication::Signed(signing) = authentication else {
        return vec![one("auth_hmac", "none".to_owned())];
    };
    let Signing {
        keys,
        active,
        mode,
        window,
    } = signing;
    let replay = match window {
        Some(window) => format!("time, time_window {}s", window.as_secs()),
        None => "monotonic".to_owned(),
    };
    let ids = keys.keys().map(ToString::to_string).collect();
    let mut facts = vec![
        one("auth_hmac", format!("mode {}", mode.word())),
        ("auth_hmac keys".to_owned(), Told::Many(ids)),
        one("auth_hmac active_key", active.to_string()),
        one("auth_hmac anti_replay", replay),
    ];
    for (id, key) in keys {
        facts.push((
            format!("auth_hmac key {id}"),
            Told::Hidden(format!("{:?}", key.0)),
        ));
    }
    facts
}
