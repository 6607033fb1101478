//! One picture outside a terminal: as text, with the colours of a terminal, or as an image.

use crate::app::App;
use crate::view;
use lb_shared::text::width;
use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};
use std::fmt::Write as _;

/// The form of the picture.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Format {
    #[default]
    Text,
    /// Text with the escape sequences of colours.
    Ansi,
    /// An image for documents.
    Svg,
}

/// The picture.
pub(crate) fn picture(app: &App, format: Format) -> String {
    match format {
        Format::Text => view::text(app),
        Format::Ansi => ansi(&view::buffer(app)),
        Format::Svg => svg(&view::buffer(app)),
    }
}

/// Cells of a line that look the same: the first column, how many columns, the text.
struct Run<'a> {
    at: usize,
    columns: usize,
    text: String,
    look: &'a Cell,
}

fn runs(buffer: &Buffer, y: u16) -> Vec<Run<'_>> {
    let mut runs: Vec<Run<'_>> = Vec::new();
    let mut x = 0;
    while x < buffer.area.width {
        let cell = &buffer[(x, y)];
        // The cells behind a wide character are its own.
        let columns = width(cell.symbol()).max(1);
        let same = |run: &&mut Run<'_>| {
            (run.look.fg, run.look.bg, run.look.modifier) == (cell.fg, cell.bg, cell.modifier)
        };
        match runs.last_mut().filter(same) {
            Some(run) => {
                run.text.push_str(cell.symbol());
                run.columns += columns;
            }
            None => runs.push(Run {
                at: usize::from(x),
                columns,
                text: cell.symbol().to_owned(),
                look: cell,
            }),
        }
        x = x.saturating_add(u16::try_from(columns).unwrap_or(1));
    }
    runs
}

const MODIFIERS: [(Modifier, u8); 4] = [
    (Modifier::BOLD, 1),
    (Modifier::DIM, 2),
    (Modifier::UNDERLINED, 4),
    (Modifier::REVERSED, 7),
];

fn ansi(buffer: &Buffer) -> String {
    let mut out = String::new();
    for y in 0..buffer.area.height {
        for run in runs(buffer, y) {
            let mut codes: Vec<String> = MODIFIERS
                .iter()
                .filter(|(modifier, _)| run.look.modifier.contains(*modifier))
                .map(|(_, code)| code.to_string())
                .collect();
            codes.extend(code(run.look.fg, 0));
            codes.extend(code(run.look.bg, 10));
            if codes.is_empty() {
                out.push_str(&run.text);
            } else {
                // Writing to memory does not fail.
                let _ = write!(out, "\x1b[{}m{}\x1b[0m", codes.join(";"), run.text);
            }
        }
        let kept = out.trim_end_matches(' ').len();
        out.truncate(kept);
        out.push('\n');
    }
    out
}

/// The code of a colour; of the background those are 10 higher.
fn code(colour: Color, more: u16) -> Option<String> {
    let named = |nth: u16| Some((nth + more).to_string());
    match colour {
        Color::Reset => None,
        Color::Rgb(r, g, b) => Some(format!("{};2;{r};{g};{b}", 38 + more)),
        Color::Indexed(nth) => Some(format!("{};5;{nth}", 38 + more)),
        colour => {
            let nth = u16::try_from(NAMED.iter().position(|(known, _)| *known == colour)?).ok()?;
            named(if nth < 8 { 30 + nth } else { 82 + nth })
        }
    }
}

/// The sixteen colours in the order of their codes, as images show them.
const NAMED: [(Color, &str); 16] = [
    (Color::Black, "#000000"),
    (Color::Red, "#c0392b"),
    (Color::Green, "#3a7d2c"),
    (Color::Yellow, "#b8860b"),
    (Color::Blue, "#2f5fb3"),
    (Color::Magenta, "#9b3fa0"),
    (Color::Cyan, "#1f7a8c"),
    (Color::Gray, "#c0c0c0"),
    (Color::DarkGray, "#707070"),
    (Color::LightRed, "#ff5c57"),
    (Color::LightGreen, "#5af78e"),
    (Color::LightYellow, "#f3f99d"),
    (Color::LightBlue, "#57c7ff"),
    (Color::LightMagenta, "#ff6ac1"),
    (Color::LightCyan, "#9aedfe"),
    (Color::White, "#f1f1f0"),
];
const INK: &str = "#d0d0d0";
const PAPER: &str = "#1c1c1c";

fn svg(buffer: &Buffer) -> String {
    const COLUMN: usize = 8;
    const LINE: usize = 17;
    let (columns, lines) = (usize::from(buffer.area.width), usize::from(buffer.area.height));
    let (width, height) = (columns * COLUMN, lines * LINE);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"{PAPER}\"/>\n\
         <g font-family=\"monospace\" font-size=\"13\" xml:space=\"preserve\">\n"
    );
    for y in 0..buffer.area.height {
        for run in runs(buffer, y) {
            let look = run.look.modifier;
            let (mut ink, mut paper) = (hex(run.look.fg, INK), hex(run.look.bg, PAPER));
            if look.contains(Modifier::REVERSED) {
                std::mem::swap(&mut ink, &mut paper);
            }
            let (x, top) = (run.at * COLUMN, usize::from(y) * LINE);
            let length = run.columns * COLUMN;
            if paper != PAPER {
                let _ = writeln!(
                    out,
                    "<rect x=\"{x}\" y=\"{top}\" width=\"{length}\" height=\"{LINE}\" fill=\"{paper}\"/>"
                );
            }
            if run.text.trim().is_empty() {
                continue;
            }
            let mut extra = String::new();
            for (modifier, attribute) in [
                (Modifier::BOLD, " font-weight=\"bold\""),
                (Modifier::DIM, " opacity=\"0.6\""),
                (Modifier::UNDERLINED, " text-decoration=\"underline\""),
            ] {
                if look.contains(modifier) {
                    extra.push_str(attribute);
                }
            }
            let text = run
                .text
                .replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;");
            let base = top + 13;
            let _ = writeln!(
                out,
                "<text x=\"{x}\" y=\"{base}\" textLength=\"{length}\" lengthAdjust=\"spacingAndGlyphs\" fill=\"{ink}\"{extra}>{text}</text>"
            );
        }
    }
    out.push_str("</g>\n</svg>\n");
    out
}

fn hex(colour: Color, plain: &str) -> String {
    match colour {
        Color::Rgb(r, g, b) => format!("#{r:02x}{g:02x}{b:02x}"),
        colour => {
            let found = NAMED.iter().find(|(known, _)| *known == colour);
            found.map_or(plain, |(_, hex)| hex).to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Bench;

    #[test]
    fn without_its_colours_the_picture_is_the_text() {
        let mut bench = Bench::demo(80, 24);
        bench.keys("2 j");
        let text = picture(&bench.app, Format::Text);
        let coloured = picture(&bench.app, Format::Ansi);
        assert!(
            coloured.contains("\x1b[7m") && coloured.contains(";31m"),
            "{coloured}"
        );
        let mut plain = String::new();
        for (nth, part) in coloured.split("\x1b[").enumerate() {
            plain.push_str(if nth == 0 {
                part
            } else {
                part.split_once('m').unwrap().1
            });
        }
        let lines = plain.lines().map(str::trim_end);
        assert!(lines.eq(text.lines()), "{plain}");
    }

    #[test]
    fn an_image_has_every_text_on_its_column() {
        let mut bench = Bench::demo(80, 24);
        bench.keys("2 j");
        let image = picture(&bench.app, Format::Svg);
        assert!(image.starts_with("<svg ") && image.ends_with("</svg>\n"));
        assert!(image.contains("width=\"640\" height=\"408\""), "{image}");
        assert!(image.contains("203.0.113.10:443/tcp"), "{image}");
        // Nothing of a name is taken for a part of the image.
        let angle = image.matches('<').count();
        assert_eq!(angle, image.matches('>').count());
        bench.app.theme = crate::theme::Theme::Mono;
        assert!(!picture(&bench.app, Format::Ansi).contains("[3"));
    }
}
