//! Completion in the shells themselves, with an agent's control room to ask for names.
#![allow(clippy::unwrap_used, reason = "what a test is made of may fail it")]

mod agent;

use agent::Agent;
use std::path::Path;
use std::process::Command;

/// Runs a shell, for at most 20 seconds; `None`, and a word about it, where there is no such shell.
fn shell(agent: &Agent, words: &[&str]) -> Option<String> {
    let folder = Path::new(env!("CARGO_BIN_EXE_lbctl")).parent().unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    if Command::new(words[0]).arg("--version").output().is_err() {
        eprintln!(
            "SKIPPED: {} is not installed, its completion was not tried",
            words[0]
        );
        return None;
    }
    let output = Command::new("timeout")
        .arg("20")
        .args(words)
        .env("PATH", path)
        .env("HOME", &agent.folder)
        .env("TERM", "dumb")
        .env("LBCTL_SOCKET", agent.folder.join("agent.sock"))
        .output()
        .unwrap();
    Some(format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    ))
}

fn stub(agent: &Agent, name: &str) -> String {
    let path = agent.folder.join(format!("lbctl.{name}"));
    std::fs::write(&path, agent.text(&["completion", name])).unwrap();
    path.display().to_string()
}

#[test]
fn fish_offers_live_names_with_what_they_are() {
    let agent = Agent::new();
    let stub = stub(&agent, "fish");
    for (typed, want) in [
        ("lbctl undrain web/", &["web/198.51.100.24:443\t"][..]),
        ("lbctl drain we", &["web/\t", "web-plain/\t", "web6/\t"]),
        ("lbctl promote VI_i", &["VI_int\t"]),
        ("lbctl und", &["undrain\t", "undo\t"]),
    ] {
        let script = format!("source {stub}; complete -C '{typed}'");
        let Some(told) = shell(&agent, &["fish", "--no-config", "-c", &script]) else {
            return;
        };
        for candidate in want {
            assert!(
                told.lines().any(|line| line.starts_with(candidate)),
                "{typed}: {told}"
            );
        }
        assert_eq!(told.lines().count(), want.len(), "{typed}: {told}");
    }
}

#[test]
fn zsh_completes_live_names_at_its_prompt() {
    let agent = Agent::new();
    let stub = stub(&agent, "zsh");
    for (typed, want) in [
        // The only one that drains, with its colon; a service, with the slash after which its servers follow.
        ("lbctl undrain web/", "lbctl undrain web/198.51.100.24:443"),
        ("lbctl drain ma", "lbctl drain mail/"),
        ("lbctl promote VI_i", "lbctl promote VI_int"),
    ] {
        // A prompt on a terminal of its own; what stands in the line is written down by a key.
        let script = format!(
            "zmodload zsh/zpty; zpty shell zsh -f -i; zpty -w shell \"PROMPT=; unsetopt zle_bracketed_paste; autoload -Uz \
             compinit; compinit -u -d $HOME/zcompdump; source {stub}; tell() {{ print -r -- \\\"<\\$BUFFER>\\\" > \
             $HOME/line; exit }}; zle -N tell; bindkey '^X' tell; print ready''now\"; zpty -r shell out '*readynow*'; \
             zpty -w -n shell $'{typed}\\t\\x18'; zpty -r shell out; while [[ ! -s $HOME/line ]]; do sleep 0.05; done; cat \
             $HOME/line"
        );
        let _ = std::fs::remove_file(agent.folder.join("line"));
        let Some(told) = shell(&agent, &["zsh", "-f", "-c", &script]) else {
            return;
        };
        let line = told.lines().find(|line| line.starts_with('<')).unwrap_or(&told);
        assert_eq!(line.trim_matches(['<', '>', ' ']), want, "{typed}: {told}");
    }
}
