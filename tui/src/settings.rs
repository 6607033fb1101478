//! What people set once: `tui.toml` beside the configuration of `lbctl`, and the themes of their own.

use crate::columns::Columns;
use crate::keys::{Keymap, Screen};
use crate::order::{By, Order};
use crate::theme::{self, Theme};
use lb_shared::duration;
use lb_shared::text::escape;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

/// The shortest and the longest time between two samples.
const REFRESH: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// What the file says; flags of the command line have precedence.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) theme: Option<Theme>,
    pub(crate) ascii: Option<bool>,
    pub(crate) mouse: bool,
    /// Times of day are those of this machine, not UTC.
    pub(crate) local: bool,
    pub(crate) screen: Option<Screen>,
    /// Between two samples of the numbers.
    pub(crate) refresh: Option<Duration>,
    pub(crate) columns: Columns,
    pub(crate) order: Order,
    pub(crate) keymap: Keymap,
}

/// The file as it is written. What is left over is reported.
#[derive(Deserialize)]
struct Written {
    theme: Option<String>,
    glyphs: Option<String>,
    mouse: Option<bool>,
    time: Option<String>,
    start_screen: Option<String>,
    refresh: Option<String>,
    #[serde(default)]
    columns: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    sort: BTreeMap<String, String>,
    #[serde(default)]
    keys: BTreeMap<String, Keys>,
    #[serde(flatten)]
    rest: BTreeMap<String, toml::Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Keys {
    One(String),
    Several(Vec<String>),
}

impl Settings {
    /// From the user's file, if there is one; with warnings about what in it is not known.
    pub(crate) fn find() -> Result<(Self, Vec<String>), String> {
        let Some(path) = folder().map(|folder| folder.join("tui.toml")) else {
            return Ok((Self::default(), Vec::new()));
        };
        let at = |why: String| escape(&format!("{}: {why}", path.display()));
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok((Self::default(), Vec::new()));
            }
            Err(error) => return Err(at(error.to_string())),
        };
        let (settings, warnings) = Self::read(&text).map_err(at)?;
        Ok((settings, warnings.into_iter().map(at).collect()))
    }

    /// From the text of a file, with what in it is not known.
    fn read(text: &str) -> Result<(Self, Vec<String>), String> {
        let written: Written =
            toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        let warnings = written
            .rest
            .into_keys()
            .map(|key| format!("unknown key {key}, ignored"))
            .collect();
        let mut settings = Self {
            theme: written.theme.as_deref().map(theme_named).transpose()?,
            ascii: written.glyphs.as_deref().map(glyphs).transpose()?,
            mouse: written.mouse.unwrap_or_default(),
            local: match written.time.as_deref() {
                None | Some("utc") => false,
                Some("local") => true,
                Some(other) => return Err(format!("time = \"{other}\" is neither utc nor local")),
            },
            screen: written.start_screen.as_deref().map(screen).transpose()?,
            refresh: written.refresh.as_deref().map(refresh).transpose()?,
            ..Self::default()
        };
        for (name, titles) in &written.columns {
            settings.columns.only(screen(name)?, titles)?;
        }
        for (name, by) in &written.sort {
            let (by, reversed) = match by.strip_prefix('-') {
                Some(by) => (by, true),
                None => (by.as_str(), false),
            };
            let found = By::ALL.into_iter().find(|it| it.word() == by);
            let found = found.ok_or_else(|| {
                let words: Vec<&str> = By::ALL.into_iter().map(By::word).collect();
                format!(
                    "sort.{name} is one of {}, with a - before it turned round",
                    words.join(" ")
                )
            })?;
            let screen = screen(name)?;
            if settings.order.of(screen).is_none() {
                return Err(format!("sort.{name}: only services and servers are sorted"));
            }
            settings.order.set(screen, found, reversed);
        }
        for (name, keys) in &written.keys {
            let keys = match keys {
                Keys::One(key) => std::slice::from_ref(key),
                Keys::Several(keys) => keys,
            };
            settings
                .keymap
                .set(name, keys)
                .map_err(|why| format!("keys.{name}: {why}"))?;
        }
        settings.keymap.check()?;
        Ok((settings, warnings))
    }
}

/// `$XDG_CONFIG_HOME/lbctl`, or where that is without the variable.
fn folder() -> Option<PathBuf> {
    let var = |name: &str| {
        std::env::var_os(name)
            .filter(|it| !it.is_empty())
            .map(PathBuf::from)
    };
    let home = var("XDG_CONFIG_HOME").or_else(|| Some(var("HOME")?.join(".config")))?;
    Some(home.join("lbctl"))
}

fn screen(name: &str) -> Result<Screen, String> {
    Screen::named(name)
}

fn glyphs(name: &str) -> Result<bool, String> {
    match name {
        "ascii" => Ok(true),
        "unicode" => Ok(false),
        other => Err(format!("glyphs = \"{other}\" is neither ascii nor unicode")),
    }
}

fn refresh(text: &str) -> Result<Duration, String> {
    let span = duration::parse(text).map_err(|error| format!("refresh: {error}"))?;
    if (REFRESH.0..=REFRESH.1).contains(&span) {
        Ok(span)
    } else {
        Err("refresh is between 1s and 60s".into())
    }
}

/// A theme of ours, or one of the user's from `themes/NAME.toml`.
pub(crate) fn theme_named(name: &str) -> Result<Theme, String> {
    if let Some((_, theme)) = Theme::ALL.into_iter().find(|(known, _)| *known == name) {
        return Ok(theme);
    }
    let unknown = || "themes are terminal, okabe, light, high-contrast and mono".to_owned();
    if name.contains('/') || name.starts_with('.') {
        return Err(unknown());
    }
    let path = folder()
        .ok_or_else(unknown)?
        .join("themes")
        .join(format!("{name}.toml"));
    let text = std::fs::read_to_string(&path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => format!("{}; there is no {}", unknown(), path.display()),
        _ => format!("{}: {error}", path.display()),
    })?;
    let looks: BTreeMap<String, String> =
        toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    theme::own(&looks).map_err(|why| format!("{}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Action;
    use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

    fn read(text: &str) -> Settings {
        let (settings, warnings) = Settings::read(text).unwrap();
        assert_eq!(warnings, Vec::<String>::new());
        settings
    }

    #[test]
    fn everything_that_can_be_set_is_read() {
        let it = read(
            r#"
            theme = "okabe"
            glyphs = "ascii"
            mouse = true
            time = "local"
            start_screen = "servers"
            refresh = "5s"
            [columns]
            servers = ["WEIGHT", "ACTIVE"]
            [sort]
            servers = "-active"
            [keys]
            drain = "X"
            help = ["F1", "Ctrl-h"]
            "#,
        );
        assert_eq!(
            (it.theme, it.ascii, it.mouse),
            (Some(Theme::Okabe), Some(true), true)
        );
        assert_eq!((it.local, it.screen), (true, Some(Screen::Servers)));
        assert_eq!(it.refresh, Some(Duration::from_secs(5)));
        assert!(it.columns.shows(Screen::Servers, "WEIGHT"));
        assert!(!it.columns.shows(Screen::Servers, "CPS"));
        assert!(it.columns.shows(Screen::Services, "CPS"));
        assert_eq!(it.order.of(Screen::Servers), Some((By::Active, true)));
        let press = |code, modifiers| it.keymap.action(&KeyEvent::new(code, modifiers));
        assert_eq!(
            press(KeyCode::Char('X'), KeyModifiers::SHIFT),
            Some(Action::Drain)
        );
        assert_eq!(press(KeyCode::Char('d'), KeyModifiers::NONE), None);
        assert_eq!(press(KeyCode::F(1), KeyModifiers::NONE), Some(Action::Help));
        assert_eq!(
            press(KeyCode::Char('h'), KeyModifiers::CONTROL),
            Some(Action::Help)
        );
        assert_eq!(it.keymap.label(Action::Help), "F1 Ctrl-h");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place_and_what_is_unknown_is_a_warning() {
        for (text, part) in [
            ("theme = 3", "theme"),
            ("theme = \"green\"", "themes are"),
            ("theme = \"../x\"", "themes are"),
            ("glyphs = \"emoji\"", "ascii"),
            ("time = \"mars\"", "local"),
            ("start_screen = \"sofa\"", "screens are"),
            ("refresh = \"1ms\"", "between"),
            ("[columns]\nservers = [\"COLOUR\"]", "COLOUR"),
            ("[columns]\nevents = [\"TIME\"]", "columns"),
            ("[sort]\nservers = \"beauty\"", "sort.servers"),
            ("[sort]\nevents = \"name\"", "sort.events"),
            ("[keys]\ndance = \"x\"", "dance"),
            ("[keys]\ndrain = \"Hyper-x\"", "Hyper-x"),
            ("[keys]\ndrain = \"u\"", "two actions"),
            ("[keys]\ndrain = []", "keys.drain"),
        ] {
            let error = Settings::read(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        let (_, warnings) = Settings::read("colour = \"red\"").unwrap();
        assert_eq!(warnings, ["unknown key colour, ignored"]);
    }
}
