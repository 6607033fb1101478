//! Scripts: whom they run as, and whether they can run at all.

use crate::config::findings::Cx;
use crate::config::keyword::shown;
use crate::config::keywords::Raw;
use crate::config::lexer::Span;
use crate::config::source::ScriptState;
use crate::config::value::{ScriptWords, number};
use crate::model::Script;

/// A script ready to run, or why it never will.
pub(super) struct Resolved {
    pub script: Script,
    pub broken: Option<String>,
    /// Its text, if it is a script and could be read.
    pub text: Option<String>,
}

/// A user as named: `user` of the object, else `script_user`.
pub(super) type Names = (Option<String>, Option<String>);

/// The account that scripts run as when nothing else is said and it exists (as keepalived).
const CONVENTIONAL_USER: &str = "keepalived_script";

/// Tells of a `script_user` that does not exist, once.
pub(super) fn identity_of_all(cx: &mut Cx<'_>) {
    if let Some((user, group, at)) = cx.global.script_user.clone() {
        let names = (user, group);
        if let Err(why) = identity(&names, cx) {
            cx.error("H-06", at, why, &["scripts that say nothing else are not run"]);
        }
    }
}

/// The numbers of a user and group; `Ok(None)`: the agent's own.
pub(super) fn identity(names: &Names, cx: &Cx<'_>) -> Result<Option<(u32, u32)>, String> {
    let (user, group) = names;
    let Some(user) = user else { return Ok(None) };
    let numeric = |text: &str| number(text).and_then(|number| u32::try_from(number).ok());
    let (uid, own_gid) = cx
        .facts
        .users
        .user(user)
        .or_else(|| numeric(user).map(|uid| (uid, uid)))
        .ok_or_else(|| format!("user '{user}' does not exist"))?;
    let gid = match group {
        Some(group) => cx
            .facts
            .users
            .group(group)
            .or_else(|| numeric(group))
            .ok_or_else(|| format!("group '{group}' does not exist"))?,
        None => own_gid,
    };
    Ok(Some((uid, gid)))
}

/// What a script is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Role {
    /// The node's priority depends on it.
    Tracks,
    /// Whether a server is used depends on it.
    Checks,
    Notifies,
}

impl Role {
    /// What follows when the script cannot be run.
    fn without(self) -> [&'static str; 2] {
        match self {
            Self::Tracks => [
                "it counts as failed until that is mended",
                "keepalived drops it, and the node counts as healthy",
            ],
            Self::Checks => [
                "it counts as failed until that is mended, and the server as down",
                "keepalived drops it, and the server counts as up",
            ],
            Self::Notifies => ["it is not run", "keepalived does the same"],
        }
    }
}

/// Finds out whom a script runs as and whether it can.
pub(super) fn resolve(
    words: &ScriptWords,
    own: Option<&Names>,
    at: Span,
    role: Role,
    cx: &mut Cx<'_>,
) -> Resolved {
    no_shell(&words.argv, at, cx);
    let global = cx.global.script_words();
    let names: Names = match (own, &words.user) {
        (_, Some(_)) => (words.user.clone(), words.group.clone()),
        (Some(own), None) => own.clone(),
        (None, None) => (global.user, global.group),
    };
    let mut argv = opened(&words.argv);
    let user = match identity(&names, cx) {
        Ok(Some(user)) => Some(user),
        Ok(None) => cx.facts.users.user(CONVENTIONAL_USER),
        Err(why) => {
            let notes: &[&str] = &["the script is not run"];
            cx.error("H-06", at, why.clone(), notes);
            return Resolved {
                script: Script { argv, user: None },
                broken: Some(why),
                text: None,
            };
        }
    };
    if user.is_none() && cx.global.scripts.secure {
        let why =
            format!("nobody to run it as: neither script_user nor the user {CONVENTIONAL_USER} is there");
        cx.error(
            "H-06",
            at,
            format!("'{}' has {why}", argv[0]),
            &[
                "enable_script_security does not let scripts run as the agent's own user by default",
                "write 'script_user NAME' into global_defs",
            ],
        );
        return Resolved {
            script: Script { argv, user },
            broken: Some(why),
            text: None,
        };
    }
    let fact = cx.script(&argv[0], user);
    let broken = match &fact.state {
        ScriptState::Fine => None,
        ScriptState::Missing { near } => {
            let advice = near.as_ref().map(|near| format!("did you mean '{near}'?"));
            Some(("E-15", "does not exist".to_owned(), advice))
        }
        ScriptState::NotExecutable(why) => Some(("H-03", format!("cannot be run: {why}"), None)),
        ScriptState::Unsafe(why) => {
            let root = user.is_none_or(|(uid, _)| uid == 0);
            if root && cx.global.scripts.secure {
                Some(("H-04", format!("could be changed by others: {why}"), None))
            } else {
                if root {
                    cx.warn(
                        "H-04",
                        at,
                        format!("'{}' runs as root and could be changed by others: {why}", argv[0]),
                        &["it is run all the same, as keepalived does without enable_script_security"],
                    );
                }
                None
            }
        }
    };
    let broken = broken.map(|(code, why, advice)| {
        let text = format!("'{}' {why}", argv[0]);
        let notes: Vec<&str> = advice.as_deref().into_iter().chain(role.without()).collect();
        if role == Role::Notifies {
            cx.warn(code, at, text.clone(), &notes);
        } else {
            cx.error(code, at, text.clone(), &notes);
        }
        text
    });
    if let Some(path) = fact.path {
        argv[0] = path;
    }
    Resolved {
        script: Script { argv, user },
        broken,
        text: fact.text,
    }
}

/// Tells of words that only a shell would understand: the program gets them as arguments.
fn no_shell(argv: &[String], at: Span, cx: &mut Cx<'_>) {
    let is_shell = |word: &String| {
        let name = word.rsplit('/').next().unwrap_or_default();
        matches!(
            name,
            "sh" | "bash" | "dash" | "ash" | "ksh" | "zsh" | "busybox" | "ssh"
        )
    };
    if argv.iter().any(is_shell) {
        return;
    }
    let shells = argv.iter().skip(1).find(|word| {
        let word = word.as_str();
        matches!(word, "|" | "||" | "&&" | "&" | ";" | ">" | ">>" | "<" | "2>&1")
            || word.ends_with('|')
            || word.starts_with("$(")
            || word.starts_with('`')
            || word.starts_with(">/")
            || word.starts_with("2>")
            || word.starts_with("&>")
    });
    if let Some(word) = shells {
        let text = format!(
            "'{}' gets '{}' as an argument: no shell reads this line",
            argv[0],
            shown(word)
        );
        let notes: &[&str] = &[
            "keepalived does the same: what the line says to a shell is not done",
            "put it into a file of its own, or write \"/bin/sh -c 'COMMAND'\"",
        ];
        cx.warn("L-34", at, text, notes);
    }
}

/// `</dev/tcp/HOST/PORT` and `</path` succeed when they can be opened: keepalived has a shell do it, and so do we.
fn opened(argv: &[String]) -> Vec<String> {
    let plain = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"/._:-".contains(&byte))
    };
    match argv {
        [only]
            if only
                .strip_prefix('<')
                .is_some_and(|path| !path.is_empty() && plain(path)) =>
        {
            vec!["/bin/bash".to_owned(), "-c".to_owned(), format!("exec {only}")]
        }
        _ => argv.to_vec(),
    }
}

/// A notify script that can be run.
pub(super) fn notify(words: Option<&(ScriptWords, Span)>, cx: &mut Cx<'_>) -> Option<Script> {
    let (words, at) = words?;
    let resolved = resolve(words, None, *at, Role::Notifies, cx);
    resolved.broken.is_none().then_some(resolved.script)
}

/// Says once that scripts run although their safety is not checked.
pub(super) fn security(raw: &Raw, cx: &mut Cx<'_>) {
    let first = raw
        .scripts
        .iter()
        .find_map(|script| script.script.as_ref())
        .map(|(_, at)| *at);
    if let Some(at) = first
        && !cx.global.scripts.secure
    {
        cx.object.clear();
        cx.hint("H-05", at, "scripts are run without enable_script_security", &[
            "a script that others can change would run with the agent's rights; keepalived logs a SECURITY VIOLATION",
            "write 'enable_script_security' into global_defs",
        ]);
    }
}
