//! What things look like: roles, themes, and the plain-ASCII forms of the few other glyphs.

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier, Style};
use std::collections::BTreeMap;

/// What a piece of text is. Marks and words carry the meaning; the look only repeats it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    Plain,
    Master,
    Warn,
    Bad,
    /// The line that nobody may miss.
    Alarm,
    /// An operator's change.
    Override,
    Title,
    Rule,
    Stale,
    Cursor,
}

/// A set of looks.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Theme {
    /// The sixteen colours of the terminal's own palette.
    #[default]
    Terminal,
    /// Colours that people with any colour vision can tell apart, for true-colour terminals.
    Okabe,
    /// Dark colours, for a light background on which yellow and cyan cannot be read.
    Light,
    /// Bright and bold, for projectors and bad light.
    HighContrast,
    /// No colour at all.
    Mono,
    /// From a file of the user's.
    Own(&'static Looks),
}

/// A style for each role, in the order of [`Role::ALL`].
pub(crate) type Looks = [Style; Role::ALL.len()];

/// A theme from the looks a file names; what it does not name is plain.
pub(crate) fn own(looks: &BTreeMap<String, String>) -> Result<Theme, String> {
    let mut styles = [Style::new(); Role::ALL.len()];
    for (name, look) in looks {
        let nth = Role::ALL.iter().position(|(known, _)| known == name);
        let nth = nth.ok_or_else(|| {
            let names: Vec<&str> = Role::ALL.iter().map(|(name, _)| *name).collect();
            format!("there is no role {name}; roles are {}", names.join(" "))
        })?;
        styles[nth] = style(look).map_err(|why| format!("{name}: {why}"))?;
    }
    // Read once, and used until the program ends.
    Ok(Theme::Own(Box::leak(Box::new(styles))))
}

/// `red`, `#e69f00 bold`, `white on red`, `reverse`.
fn style(look: &str) -> Result<Style, String> {
    let mut style = Style::new();
    let mut words = look.split_whitespace();
    while let Some(word) = words.next() {
        let colour = |word: &str| {
            let refusal = format!("{word} is no colour: the sixteen by name, such as magenta, or #rrggbb");
            word.parse::<Color>().map_err(|_| refusal)
        };
        style = match word {
            "bold" => style.add_modifier(Modifier::BOLD),
            "dim" => style.add_modifier(Modifier::DIM),
            "underline" => style.add_modifier(Modifier::UNDERLINED),
            "reverse" => style.add_modifier(Modifier::REVERSED),
            "on" => style.bg(colour(words.next().unwrap_or_default())?),
            word => style.fg(colour(word)?),
        };
    }
    Ok(style)
}

impl Role {
    /// All of them by the names a file uses.
    pub(crate) const ALL: [(&'static str, Self); 10] = [
        ("plain", Self::Plain),
        ("master", Self::Master),
        ("warn", Self::Warn),
        ("bad", Self::Bad),
        ("alarm", Self::Alarm),
        ("override", Self::Override),
        ("title", Self::Title),
        ("rule", Self::Rule),
        ("stale", Self::Stale),
        ("cursor", Self::Cursor),
    ];
}

impl Theme {
    pub(crate) const ALL: [(&'static str, Self); 5] = [
        ("terminal", Self::Terminal),
        ("okabe", Self::Okabe),
        ("light", Self::Light),
        ("high-contrast", Self::HighContrast),
        ("mono", Self::Mono),
    ];

    /// The look of a role.
    pub(crate) fn style(self, role: Role) -> Style {
        let plain = Style::new();
        match self {
            Self::Terminal => match role {
                Role::Plain => plain,
                Role::Master => plain.add_modifier(Modifier::BOLD),
                Role::Warn => plain.fg(Color::Yellow),
                Role::Bad => plain.fg(Color::Red).add_modifier(Modifier::BOLD),
                Role::Alarm => plain.add_modifier(Modifier::REVERSED | Modifier::BOLD),
                Role::Override => plain.fg(Color::Magenta),
                Role::Title => plain.fg(Color::Cyan),
                Role::Rule | Role::Stale => plain.add_modifier(Modifier::DIM),
                Role::Cursor => plain.add_modifier(Modifier::REVERSED),
            },
            Self::Okabe => match role {
                Role::Plain => plain,
                Role::Master => plain.add_modifier(Modifier::BOLD),
                Role::Warn => plain.fg(Color::Rgb(0xe6, 0x9f, 0x00)),
                Role::Bad => plain
                    .fg(Color::Rgb(0xd5, 0x5e, 0x00))
                    .add_modifier(Modifier::BOLD),
                Role::Alarm => plain.add_modifier(Modifier::REVERSED | Modifier::BOLD),
                Role::Override => plain.fg(Color::Rgb(0xcc, 0x79, 0xa7)),
                Role::Title => plain.fg(Color::Rgb(0x56, 0xb4, 0xe9)),
                Role::Rule | Role::Stale => plain.fg(Color::Rgb(0x80, 0x80, 0x80)),
                Role::Cursor => plain.add_modifier(Modifier::REVERSED),
            },
            Self::Light => match role {
                Role::Plain => plain,
                Role::Master => plain.add_modifier(Modifier::BOLD),
                Role::Warn => plain.fg(Color::Rgb(0x8a, 0x5a, 0x00)),
                Role::Bad => plain
                    .fg(Color::Rgb(0xb0, 0x00, 0x20))
                    .add_modifier(Modifier::BOLD),
                Role::Alarm => plain.add_modifier(Modifier::REVERSED | Modifier::BOLD),
                Role::Override => plain.fg(Color::Rgb(0x8b, 0x00, 0x8b)),
                Role::Title => plain.fg(Color::Rgb(0x00, 0x4f, 0x9e)),
                Role::Rule | Role::Stale => plain.fg(Color::Rgb(0x60, 0x60, 0x60)),
                Role::Cursor => plain.add_modifier(Modifier::REVERSED),
            },
            Self::HighContrast => match role {
                Role::Plain | Role::Rule | Role::Stale => plain,
                Role::Master | Role::Title => plain.add_modifier(Modifier::BOLD),
                Role::Warn => plain.fg(Color::LightYellow).add_modifier(Modifier::BOLD),
                Role::Bad => plain.fg(Color::White).bg(Color::Red).add_modifier(Modifier::BOLD),
                Role::Alarm => plain.add_modifier(Modifier::REVERSED | Modifier::BOLD),
                Role::Override => plain.fg(Color::LightMagenta).add_modifier(Modifier::BOLD),
                Role::Cursor => plain.add_modifier(Modifier::REVERSED),
            },
            Self::Own(looks) => {
                let nth = Role::ALL.iter().position(|(_, known)| *known == role);
                nth.map_or(plain, |nth| looks[nth])
            }
            // Only modifiers: a colour change, even to the default, would be an escape sequence that resets them.
            Self::Mono => match role {
                Role::Plain | Role::Title | Role::Rule | Role::Stale => plain,
                Role::Master => plain.add_modifier(Modifier::BOLD),
                Role::Warn | Role::Override => plain.add_modifier(Modifier::UNDERLINED),
                Role::Bad | Role::Alarm => plain.add_modifier(Modifier::BOLD | Modifier::REVERSED),
                Role::Cursor => plain.add_modifier(Modifier::REVERSED),
            },
        }
    }
}

/// The role of a state's mark.
pub(crate) fn of_mark(mark: char) -> Role {
    match mark {
        '#' => Role::Master,
        '!' | '*' => Role::Bad,
        '~' | '?' => Role::Warn,
        '=' => Role::Override,
        _ => Role::Plain,
    }
}

/// Replaces everything that is not ASCII: rules, bars and sparklines one to one, the rest by `?`.
pub(crate) fn to_ascii(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        let symbol = cell.symbol();
        if symbol.is_ascii() {
            continue;
        }
        let ascii = match symbol {
            "─" => "-",
            "│" => "|",
            "┌" | "┐" | "└" | "┘" => "+",
            "▁" => "_",
            "▂" => ".",
            "▃" => ":",
            "▄" => "-",
            "▅" => "=",
            "▆" => "+",
            "▇" => "*",
            "█" => "#",
            _ => "?",
        };
        cell.set_symbol(ascii);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_theme_of_ones_own_is_read_or_refused_with_the_word_that_is_wrong() {
        let looks = |text: &str| BTreeMap::from([("bad".to_owned(), text.to_owned())]);
        let theme = own(&looks("white on #b00020 bold")).unwrap();
        let style = theme.style(Role::Bad);
        assert_eq!(
            (style.fg, style.bg),
            (Some(Color::White), Some(Color::Rgb(0xb0, 0, 0x20)))
        );
        assert!(style.add_modifier.contains(Modifier::BOLD));
        assert_eq!(theme.style(Role::Warn), Style::new());
        for (text, part) in [("bald", "bald"), ("red on", "no colour"), ("#12", "#12")] {
            let error = own(&looks(text)).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        let unknown = BTreeMap::from([("sky".to_owned(), "blue".to_owned())]);
        assert!(own(&unknown).unwrap_err().contains("roles are plain"));
    }

    #[test]
    fn mono_sets_no_colour() {
        for (_, role) in Role::ALL {
            let style = Theme::Mono.style(role);
            assert_eq!((style.fg, style.bg), (None, None), "{role:?}");
        }
    }

    #[test]
    fn no_theme_uses_green() {
        for (_, theme) in Theme::ALL {
            for (_, role) in Role::ALL {
                let fg = theme.style(role).fg;
                assert!(!matches!(fg, Some(Color::Green | Color::LightGreen)), "{role:?}");
            }
        }
    }
}
