//! What things look like: roles, themes, and the plain-ASCII forms of the few other glyphs.

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier, Style};

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

    const ROLES: [Role; 10] = [
        Role::Plain,
        Role::Master,
        Role::Warn,
        Role::Bad,
        Role::Alarm,
        Role::Override,
        Role::Title,
        Role::Rule,
        Role::Stale,
        Role::Cursor,
    ];

    #[test]
    fn mono_sets_no_colour() {
        for role in ROLES {
            let style = Theme::Mono.style(role);
            assert_eq!((style.fg, style.bg), (None, None), "{role:?}");
        }
    }

    #[test]
    fn no_theme_uses_green() {
        for (_, theme) in Theme::ALL {
            for role in ROLES {
                let fg = theme.style(role).fg;
                assert!(!matches!(fg, Some(Color::Green | Color::LightGreen)), "{role:?}");
            }
        }
    }
}
