//! Live completion: the shell asks what could come next, and the agent knows the names.
//!
//! `lbctl completion SHELL` prints a stub. The stub calls `lbctl __complete -- WORDS`, which prints one candidate a line,
//! its description behind a tab. It has 150 ms, and prints nothing rather than be late or complain.

use crate::args::Global;
use crate::connect;
use crate::help;
use crate::look::Out;
use crate::trouble::Trouble;
use clap::{ArgAction, Command};
use lb_shared::condition;
use lb_shared::config::Config;
use lb_shared::excerpt::{Excerpt, ExcerptAsk, Scope};
use lb_shared::problems;
use lb_shared::state::Admin;
use lb_shared::text::escape;
use lb_shared::view::View;
use std::sync::mpsc::channel;
use std::time::Duration;

/// A shell that waits longer feels broken.
const LIMIT: Duration = Duration::from_millis(150);

/// What could come next, with a description.
type Candidate = (String, String);

/// Prints the candidates for the last of the words.
pub(crate) fn run(global: &Global, out: &mut Out, words: &[String]) -> Result<(), Trouble> {
    let (typed, before) = match words.split_last() {
        Some((typed, before)) => (typed.as_str(), before),
        None => ("", &[][..]),
    };
    let line = Line::read(&help::command(), global, before);
    for (value, help) in line.candidates(typed) {
        if value.starts_with(typed) {
            out.line(format!("{value}\t{}", escape(&help)).trim_end())?;
        }
    }
    Ok(())
}

/// The words before the one that is typed.
struct Line {
    command: Command,
    global: Global,
    verb: Option<String>,
    /// Words of the verb that are no flags.
    words: Vec<String>,
    /// The flag whose value comes next.
    flag: Option<String>,
}

impl Line {
    fn read(command: &Command, global: &Global, words: &[String]) -> Self {
        let mut command = command.clone();
        command.build();
        let mut line = Self {
            command,
            global: global.clone(),
            verb: None,
            words: Vec::new(),
            flag: None,
        };
        for word in words {
            line.take(word);
        }
        line
    }

    fn take(&mut self, word: &str) {
        if let Some(flag) = self.flag.take() {
            return self.value(&flag, word);
        }
        if let Some(flag) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) {
            let (flag, value) = match flag.split_once('=') {
                Some((flag, value)) => (flag, Some(value)),
                None => (flag, None),
            };
            let Some(name) = self.flag_name(flag.trim_start_matches('-')) else {
                return;
            };
            match value {
                Some(value) => self.value(&name, value),
                None => self.flag = Some(name),
            }
            return;
        }
        match &self.verb {
            None => {
                let verb = self.command.find_subcommand(word);
                self.verb = verb.map(|verb| verb.get_name().to_owned());
            }
            Some(_) => self.words.push(word.to_owned()),
        }
    }

    /// The long name of a flag that takes a value.
    fn flag_name(&self, typed: &str) -> Option<String> {
        let here = self.here();
        let known = here.get_arguments().find(|arg| {
            arg.get_long() == Some(typed)
                || typed.chars().count() == 1 && arg.get_short() == typed.chars().next()
        })?;
        let takes = matches!(known.get_action(), ArgAction::Set | ArgAction::Append);
        // --watch takes its value with an equals sign only.
        (takes && !known.is_require_equals_set()).then(|| known.get_id().to_string())
    }

    fn value(&mut self, flag: &str, value: &str) {
        match flag {
            "host" => self.global.host.push(value.to_owned()),
            "cluster" => self.global.cluster = Some(value.to_owned()),
            "socket" => self.global.socket = Some(value.into()),
            _ => {}
        }
    }

    fn here(&self) -> &Command {
        let verb = self.verb.as_deref();
        verb.and_then(|verb| self.command.find_subcommand(verb))
            .unwrap_or(&self.command)
    }

    fn candidates(&self, typed: &str) -> Vec<Candidate> {
        if let Some(flag) = &self.flag {
            return self.values(flag);
        }
        if typed.starts_with('-') {
            let flags = self.here().get_arguments().filter(|arg| !arg.is_hide_set());
            return flags
                .filter_map(|arg| {
                    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
                    Some((format!("--{}", arg.get_long()?), help))
                })
                .collect();
        }
        match self.verb.as_deref() {
            None => verbs(&self.command),
            Some("is" | "wait") if self.words.is_empty() => condition::WORDS
                .map(|word| (word.to_owned(), String::new()))
                .to_vec(),
            Some("help" | "man") => verbs(&self.command),
            Some("completion") => ["bash", "zsh", "fish"]
                .map(|word| (word.to_owned(), String::new()))
                .to_vec(),
            Some(verb) => self.targets(verb, typed),
        }
    }

    fn values(&self, flag: &str) -> Vec<Candidate> {
        match flag {
            "cluster" => config()
                .clusters
                .into_iter()
                .map(|(name, cluster)| (name, format!("{} hosts", cluster.hosts.len())))
                .collect(),
            "host" => {
                let config = config();
                let hosts = config.clusters.iter().flat_map(|(name, cluster)| {
                    cluster.hosts.iter().map(|host| (host.to_string(), name.clone()))
                });
                hosts.collect()
            }
            flag => {
                let known = self.here().get_arguments().find(|arg| arg.get_id() == flag);
                let values = known.map(|arg| arg.get_possible_values()).unwrap_or_default();
                values
                    .iter()
                    .map(|value| {
                        let help = value.get_help().map(ToString::to_string).unwrap_or_default();
                        (value.get_name().to_owned(), help)
                    })
                    .collect()
            }
        }
    }

    fn targets(&self, verb: &str, typed: &str) -> Vec<Candidate> {
        let Some(kinds) = kinds(verb, self.words.first().map(String::as_str)) else {
            return Vec::new();
        };
        let of_service = typed.rsplit_once('/').map(|(service, _)| format!("{service}/*"));
        let mut asks = Vec::new();
        if kinds.instances {
            asks.push(ExcerptAsk::all(Scope::Instances));
        }
        match of_service {
            Some(servers) if kinds.servers => asks.push(ExcerptAsk::of(Scope::Meant, &[servers])),
            _ if kinds.services => asks.push(ExcerptAsk::all(Scope::Services)),
            _ => {}
        }
        let Some(seen) = self.seen(asks) else {
            return Vec::new();
        };
        let view = View::excerpt(&seen);
        let mut found = Vec::new();
        if kinds.instances {
            found.extend(view.state.instances.values().map(|it| {
                let help = format!("{} {}", problems::instance_word(it), problems::priority(it));
                (escape(&it.name.0), help)
            }));
        }
        if kinds.services && !typed.contains('/') {
            // Servers come after the slash: first the services, however many servers there are.
            let end = if kinds.servers { "/" } else { "" };
            found.extend(view.services().into_iter().map(|it| {
                let name = view.service_name(&it.key);
                (format!("{name}{end}"), format!("{} {}", it.state.word(), it.key))
            }));
            if kinds.servers && kinds.whole {
                found.extend(
                    view.services()
                        .into_iter()
                        .map(|it| (view.service_name(&it.key), it.state.word().to_owned())),
                );
            }
        }
        if kinds.servers && typed.contains('/') {
            let servers = view.servers().filter(|it| match verb {
                "drain" => it.admin == Admin::Enabled,
                "undrain" | "enable" => it.admin != Admin::Enabled,
                _ => true,
            });
            found.extend(servers.map(|it| {
                let help = format!("{} {}", it.word(), problems::weight(it));
                (view.server_name(&it.id), help)
            }));
        }
        found
    }

    /// What the agent says, if it comes in time.
    fn seen(&self, asks: Vec<ExcerptAsk>) -> Option<Excerpt> {
        let global = self.global.clone();
        let (to, from) = channel();
        std::thread::spawn(move || {
            let ask = || {
                let site = connect::site_quietly(&global).ok()?;
                let mut client = site.hosts.first()?.connect(LIMIT).ok()?;
                let mut seen: Option<Excerpt> = None;
                for ask in asks {
                    let next = client.excerpt(&ask).ok()?;
                    match &mut seen {
                        Some(seen) => seen.join(next),
                        None => seen = Some(next),
                    }
                }
                seen
            };
            let _ = to.send(ask());
        });
        from.recv_timeout(LIMIT).ok().flatten()
    }
}

fn config() -> Config {
    // A mistake in the file is told by the next real command.
    Config::find().0
}

fn verbs(command: &Command) -> Vec<Candidate> {
    let shown = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    shown
        .map(|verb| {
            let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
            (verb.get_name().to_owned(), about)
        })
        .collect()
}

/// What a verb takes.
#[derive(Clone, Copy, Default)]
struct Kinds {
    instances: bool,
    services: bool,
    servers: bool,
    /// A service is a target too, not only the way to its servers.
    whole: bool,
}

fn kinds(verb: &str, first: Option<&str>) -> Option<Kinds> {
    let servers = Kinds {
        services: true,
        servers: true,
        ..Kinds::default()
    };
    let services = Kinds {
        services: true,
        ..Kinds::default()
    };
    let instances = Kinds {
        instances: true,
        ..Kinds::default()
    };
    Some(match verb {
        "drain" | "undrain" | "disable" | "weight" | "test" => servers,
        "servers" => Kinds {
            whole: true,
            ..servers
        },
        "services" => services,
        "vrrp" | "promote" | "demote" | "release" => instances,
        "status" | "show" | "why" | "watch" | "events" | "stats" | "history" => Kinds {
            instances: true,
            whole: true,
            ..servers
        },
        "is" | "wait" => match first? {
            "master" | "backup" | "released" => instances,
            "healthy" => services,
            "drained" | "enabled" | "disabled" => servers,
            _ => return None,
        },
        _ => return None,
    })
}

/// The stub of a shell; `None` for shells without one.
pub(crate) fn stub(shell: clap_complete::Shell) -> Option<&'static str> {
    match shell {
        clap_complete::Shell::Bash => Some(BASH),
        clap_complete::Shell::Zsh => Some(ZSH),
        clap_complete::Shell::Fish => Some(FISH),
        _ => None,
    }
}

const BASH: &str = r#"# bash completion for lbctl: source it, or put it into /usr/share/bash-completion/completions/lbctl
_lbctl() {
  local line=${COMP_LINE:0:COMP_POINT} words=() current cut= value help
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  current=${words[-1]}
  # bash splits words at colons and wants what is behind the last one.
  [[ $COMP_WORDBREAKS == *:* && $current == *:* ]] && cut=${current%"${current##*:}"}
  COMPREPLY=()
  while IFS=$'\t' read -r value help; do
    COMPREPLY+=("${value#"$cut"}")
  done < <("${words[0]}" __complete -- "${words[@]:1}" 2>/dev/null)
  [[ ${#COMPREPLY[@]} -gt 0 && ${COMPREPLY[0]} == */ ]] && compopt -o nospace 2>/dev/null
  return 0
}
complete -o default -F _lbctl lbctl
"#;

const ZSH: &str = r#"#compdef lbctl
# zsh completion for lbctl: put it into a folder of $fpath as _lbctl, or source it after compinit
_lbctl() {
  local -a stems values
  local value help
  while IFS=$'\t' read -r value help; do
    if [[ $value == */ ]]; then
      stems+=("${value//:/\\:}:$help")
    else
      values+=("${value//:/\\:}:$help")
    fi
  done < <("${words[1]}" __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)
  (( ${#stems} )) && _describe 'service' stems -S ''
  (( ${#values} )) && _describe 'lbctl' values
}
if [[ ${funcstack[1]} == _lbctl ]]; then _lbctl "$@"; else compdef _lbctl lbctl; fi
"#;

const FISH: &str = r#"# fish completion for lbctl: put it into ~/.config/fish/completions/lbctl.fish
function __lbctl_complete
    set -l words (commandline -opc)
    lbctl __complete -- $words[2..-1] (commandline -ct) 2>/dev/null
end
complete -c lbctl -f -a '(__lbctl_complete)'
"#;
