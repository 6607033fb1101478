//! The command line: the verbs of `lbctl`, as far as they change something, and a few of our own.

use crate::app::Page;
use crate::dialog::{Field, Kind, Name, Options};
use crate::keys::Screen;
use crate::order::By;
use lb_shared::select;
use lb_shared::state::{ObjectId, Target};
use lb_shared::view::View;

/// A command and its page of help.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Verb {
    pub(crate) name: &'static str,
    /// What follows the name.
    pub(crate) takes: &'static str,
    pub(crate) help: &'static str,
    pub(crate) example: &'static str,
}

const fn verb(name: &'static str, takes: &'static str, help: &'static str, example: &'static str) -> Verb {
    Verb {
        name,
        takes,
        help,
        example,
    }
}

/// Everything a line can begin with, besides the names of the screens.
pub(crate) const VERBS: [Verb; 19] = [
    verb(
        "drain",
        "SERVER... [--timeout SPAN|never] [--then keep|undrain] [-m REASON] [--force]",
        "No new connections: weight 0, and those that are there go on. At the deadline the weight stays 0 (keep) or the server \
         comes back (undrain). It is refused where it would leave a service below its quorum or without a server; --force \
         does it nevertheless, after the service's name is typed.",
        "drain web/198.51.100.2[34] --timeout 5m -m \"kernel update\"",
    ),
    verb(
        "undrain",
        "SERVER...",
        "Ends a drain, a disable or a weight set by hand: the server is what its file says again. enable is the same.",
        "undrain web/*",
    ),
    verb(
        "weight",
        "SERVER... 50|+10|-10|50%|config [-m REASON]",
        "Sets the weight in IPVS, by a number, a step or a share of the configured weight; config goes back to the file's. It \
         outlasts reloads and restarts.",
        "weight web/198.51.100.24 50%",
    ),
    verb(
        "disable",
        "SERVER... [--cut] [-m REASON] [--force]",
        "Out of IPVS at once. It is refused while the server has connections, since they would be cut; --cut cuts them.",
        "disable web/198.51.100.24 --cut",
    ),
    verb(
        "promote",
        "INSTANCE [--for SPAN] [-m REASON] [--force]",
        "This node becomes MASTER of the instance, whatever its priority is, until it is released or the time is over. Its name \
         has to be typed.",
        "promote VI_int --for 30m",
    ),
    verb(
        "demote",
        "INSTANCE... [--hard] [-m REASON] [--force]",
        "This node gives the addresses away and takes them again only if nobody else has them; with --hard not even then. Its \
         name has to be typed.",
        "demote VI_int -m \"new kernel\"",
    ),
    verb(
        "release",
        "INSTANCE...",
        "Ends a promote or a demote.",
        "release VI_int",
    ),
    verb(
        "reload",
        "[--force]",
        "Loads the configuration file again, after showing what would change. A file with an error changes nothing.",
        "reload",
    ),
    verb(
        "undo",
        "",
        "Takes back your own last change, while it still stands.",
        "undo",
    ),
    verb(
        "filter",
        "[EXPR]",
        "Narrows the list as / does: st:down,drain  svc:web*  act:>1k  for:>5m  ov:none, or a part of a name; ! turns a \
         condition round. Without one everything is shown.",
        "filter st:down for:>5m",
    ),
    verb(
        "sort",
        "[-]state|name|weight|active|cps|age",
        "Puts the list of services or servers into another order; a - turns it round.",
        "sort -active",
    ),
    verb(
        "compare",
        "ONE OTHER",
        "Two instances, services or servers side by side, with what they differ in.",
        "compare web/198.51.100.21 web/198.51.100.22",
    ),
    verb(
        "at",
        "SPAN|TIME|seq N",
        "Shows how everything was so long ago, at a time of the day, or at an event, within the last 15 minutes or in a recording.",
        "at 5m",
    ),
    verb("live", "", "Back to now; in a recording, to its end.", "live"),
    verb(
        "set",
        "local|utc",
        "Times of day as clocks on this machine show them, or in UTC.",
        "set local",
    ),
    verb(
        "export",
        "FILE",
        "Writes the events of the list into a new file, as lines of JSON, the oldest first.",
        "export /tmp/events.jsonl",
    ),
    verb(
        "w",
        "FILE",
        "Writes the picture into a new file, as text.",
        "w /tmp/picture.txt",
    ),
    verb(
        "log",
        "",
        "What this dashboard met with and told since its start, the newest first; --log FILE writes it.",
        "log",
    ),
    verb(
        "help",
        "[COMMAND]",
        "The keys, or the page of a command.",
        "help drain",
    ),
];

/// What a typed line asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Command {
    /// Ask about a change.
    Change {
        kind: Kind,
        targets: Vec<Target>,
        options: Options,
    },
    Filter(String),
    Go(Screen),
    /// By a column, and whether reversed.
    Sort(By, bool),
    /// The events of the list, into a new file.
    Export(String),
    /// The picture as text, into a new file.
    Picture(String),
    /// To a moment of the past.
    At(String),
    Live,
    Compare(ObjectId, ObjectId),
    /// Times of day of this machine, or of UTC.
    Local(bool),
    /// The keys, or the page of a command.
    Help(Page),
    Quit,
}

/// Reads a line; the error says what to type instead.
pub(crate) fn parse(line: &str, view: &View<'_>, marked: &[Target]) -> Result<Command, String> {
    let words = split(line)?;
    let Some((verb, rest)) = words.split_first() else {
        return Err("type a command, such as drain --marked".into());
    };
    let kind = match verb.as_str() {
        "drain" => Kind::Drain,
        "undrain" | "enable" => Kind::Undrain,
        "weight" => Kind::Weight,
        "disable" => Kind::Disable,
        "promote" => Kind::Promote,
        "demote" => Kind::Demote,
        "release" => Kind::Release,
        "reload" => Kind::Reload,
        "undo" => Kind::Undo,
        "sort" => return sort(rest),
        "export" => return file(rest).map(Command::Export),
        "w" => return file(rest).map(Command::Picture),
        "filter" => {
            let text = line.trim().strip_prefix("filter").unwrap_or_default();
            return Ok(Command::Filter(text.trim().to_owned()));
        }
        "at" => return Ok(Command::At(rest.join(" "))),
        "live" => return Ok(Command::Live),
        "compare" => {
            let found = select::objects(view, rest).map_err(|refusal| refusal.to_string())?;
            return match found.as_slice() {
                [left, right] => Ok(Command::Compare(left.clone(), right.clone())),
                _ => Err("compare takes two names: of instances, services or servers".into()),
            };
        }
        "set" => {
            return match rest {
                [word] if word == "local" => Ok(Command::Local(true)),
                [word] if word == "utc" => Ok(Command::Local(false)),
                _ => Err("set takes local or utc".into()),
            };
        }
        "help" => {
            let Some(word) = rest.first() else {
                return Ok(Command::Help(Page::Keys));
            };
            let found = VERBS.iter().find(|verb| verb.name == word);
            return found
                .map(|verb| Command::Help(Page::Command(verb)))
                .ok_or_else(|| unknown(word));
        }
        "log" => return Ok(Command::Help(Page::Log)),
        "q" | "quit" => return Ok(Command::Quit),
        other => {
            let screen = Screen::ALL
                .into_iter()
                .find(|screen| screen.name().eq_ignore_ascii_case(other));
            return match screen {
                Some(screen) => Ok(Command::Go(screen)),
                None => Err(unknown(other)),
            };
        }
    };
    change(kind, rest, view, marked)
}

fn unknown(word: &str) -> String {
    let names: Vec<&str> = VERBS.iter().map(|verb| verb.name).collect();
    format!(
        "there is no command '{}'; there are {}",
        lb_shared::text::escape(word),
        names.join(" ")
    )
}

fn change(kind: Kind, words: &[String], view: &View<'_>, marked: &[Target]) -> Result<Command, String> {
    let mut options = Options::default();
    let mut names = Vec::new();
    let mut use_marked = false;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = |name: Name| {
            let text = words.next().ok_or_else(|| format!("{word} needs a value"))?;
            options.fields.push(Field {
                name,
                text: text.clone(),
            });
            Ok::<(), String>(())
        };
        match (word.as_str(), kind) {
            ("--marked", _) => use_marked = true,
            ("--force", _) => options.force = true,
            ("--cut", Kind::Disable) => options.cut = true,
            ("--timeout", Kind::Drain) => value(Name::Deadline)?,
            ("--then", Kind::Drain) => match words.next().map(String::as_str) {
                Some("keep") => {}
                Some("undrain") => options.fields.push(Field {
                    name: Name::Then,
                    text: "x".into(),
                }),
                _ => return Err("--then takes keep or undrain".into()),
            },
            ("--for", Kind::Promote) => value(Name::Until)?,
            ("--hard", Kind::Demote) => options.fields.push(Field {
                name: Name::Hard,
                text: "x".into(),
            }),
            ("-m" | "--message", _) => value(Name::Reason)?,
            (flag, _) if flag.starts_with("--") => {
                return Err(format!(
                    "{} takes no {}",
                    kind.word(),
                    lb_shared::text::escape(flag)
                ));
            }
            _ => names.push(word.clone()),
        }
    }
    if kind == Kind::Weight
        && let Some(weight) = names.pop()
    {
        options.fields.push(Field {
            name: Name::Weight,
            text: weight,
        });
    }
    let bare = matches!(kind, Kind::Reload | Kind::Undo);
    let targets = if bare {
        Vec::new()
    } else if names.is_empty() && (use_marked || !marked.is_empty()) {
        marked
            .iter()
            .filter(|target| matches!(target, Target::Instance(_)) == kind.takes_instances())
            .cloned()
            .collect()
    } else if kind.takes_instances() {
        let found = select::instances(view, &names).map_err(|refusal| refusal.to_string())?;
        found.into_iter().map(Target::Instance).collect()
    } else {
        let found = select::servers(view, &names, true).map_err(|refusal| refusal.to_string())?;
        found.into_iter().map(Target::Server).collect()
    };
    if targets.is_empty() && !bare {
        return Err(format!(
            "{} needs a target: a name, or marked rows and --marked",
            kind.word()
        ));
    }
    Ok(Command::Change {
        kind,
        targets,
        options,
    })
}

fn sort(words: &[String]) -> Result<Command, String> {
    let columns = || {
        let words: Vec<&str> = By::ALL.into_iter().map(By::word).collect();
        format!(
            "sort takes one of {}; a - before it turns it round",
            words.join(" ")
        )
    };
    let [word] = words else {
        return Err(columns());
    };
    let (name, reversed) = match word.strip_prefix('-') {
        Some(name) => (name, true),
        None => (word.as_str(), false),
    };
    By::ALL
        .into_iter()
        .find(|by| by.word() == name)
        .map(|by| Command::Sort(by, reversed))
        .ok_or_else(columns)
}

fn file(words: &[String]) -> Result<String, String> {
    match words {
        [path] => Ok(path.clone()),
        _ => Err("name the file to write, which must not be there yet".into()),
    }
}

/// The line with its last word completed as far as it is certain, and what it could be when it is not.
pub(crate) fn complete(line: &str, view: &View<'_>) -> (String, String) {
    let (before, word) = line.rsplit_once(' ').unwrap_or(("", line));
    let verb = before.split_whitespace().next();
    let mut names: Vec<String> = match verb {
        None | Some("help") => VERBS.iter().map(|verb| verb.name.to_owned()).collect(),
        Some("set") => vec!["local".into(), "utc".into()],
        Some("promote" | "demote" | "release") => {
            view.state.instances.keys().map(|name| name.0.clone()).collect()
        }
        // Servers only after the name of their service: there may be very many.
        Some(_) if word.contains('/') => view.servers().map(|it| view.server_name(&it.id)).collect(),
        Some(_) => view
            .services()
            .iter()
            .map(|it| view.service_name(&it.key))
            .collect(),
    };
    // What needs quotes is not completed.
    names.retain(|name| name.starts_with(word) && !name.contains([' ', '"', '\'']));
    names.sort_unstable();
    names.dedup();
    let Some(first) = names.first() else {
        return (line.to_owned(), "nothing begins like this".into());
    };
    let common = names.iter().fold(first.as_str(), |common, name| {
        let same = common
            .char_indices()
            .zip(name.chars())
            .take_while(|((_, a), b)| a == b);
        &common[..same.last().map_or(0, |((at, c), _)| at + c.len_utf8())]
    });
    let gap = if before.is_empty() { "" } else { " " };
    let end = if names.len() == 1 && verb.is_none() {
        " "
    } else {
        ""
    };
    let hint = match names.len() {
        1 => String::new(),
        2..=8 => names.join(" "),
        many => format!("{many} begin like this"),
    };
    (format!("{before}{gap}{common}{end}"), hint)
}

/// Words at spaces; quotes keep words together.
fn split(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (' ', None) => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed".into());
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_shared::fixture;

    fn parsed(line: &str, marked: &[Target]) -> Result<Command, String> {
        let demo = fixture::demo();
        parse(line, &View::of(&demo.snapshot), marked)
    }

    #[test]
    fn verbs_take_the_selectors_and_flags_of_lbctl() {
        let Ok(Command::Change {
            kind,
            targets,
            options,
        }) = parsed(
            "drain web/198.51.100.2[12] --timeout 5m --then undrain -m \"two words\" --force",
            &[],
        )
        else {
            panic!("not a change");
        };
        assert_eq!((kind, targets.len(), options.force), (Kind::Drain, 2, true));
        let fields: Vec<_> = options
            .fields
            .iter()
            .map(|it| (it.name, it.text.as_str()))
            .collect();
        assert_eq!(
            fields,
            [
                (Name::Deadline, "5m"),
                (Name::Then, "x"),
                (Name::Reason, "two words")
            ]
        );
    }

    #[test]
    fn marked_rows_stand_in_for_names_but_only_of_the_right_kind() {
        let server = Target::Server("203.0.113.10:443/tcp/198.51.100.21:443".parse().unwrap());
        let Ok(Command::Change { targets, .. }) = parsed("undrain --marked", std::slice::from_ref(&server))
        else {
            panic!("not a change");
        };
        assert_eq!(targets, std::slice::from_ref(&server));
        assert!(parsed("promote --marked", &[server]).is_err());
    }

    #[test]
    fn what_cannot_be_read_says_so() {
        for (line, part) in [
            ("", "type a command"),
            ("frobnicate", "there is no command"),
            ("drain", "needs a target"),
            ("drain nobody", "nobody"),
            ("drain web --cut", "takes no --cut"),
            ("drain web --timeout", "needs a value"),
            ("drain \"web", "quote"),
        ] {
            let error = parsed(line, &[]).unwrap_err();
            assert!(error.contains(part), "{line}: {error}");
        }
    }
}
