//! Rows of styled text, rules, and panes; everything is cut at the border of its area.

use crate::mouse::Spot;
use crate::theme::{Role, Theme};
use lb_shared::text::{cut, width};
use ratatui::buffer::Buffer;
use ratatui::style::Color;

/// A part of the screen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Area {
    pub(crate) x: u16,
    pub(crate) y: u16,
    pub(crate) width: u16,
    pub(crate) height: u16,
}

/// One line of pieces, each with its role. Text from outside is made harmless before it gets here.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Row {
    pieces: Vec<(String, Role)>,
    /// The cursor is on it.
    cursor: bool,
    /// What a click means, from this column on: the one furthest right counts.
    spots: Vec<(usize, Option<Spot>)>,
}

/// A line of one piece.
pub(crate) fn row(text: impl Into<String>, role: Role) -> Row {
    let mut row = Row::default();
    row.push(text, role);
    row
}

impl Row {
    /// An empty row with or without the cursor on it.
    pub(crate) fn under(cursor: bool) -> Self {
        Self {
            cursor,
            ..Self::default()
        }
    }

    /// The row with a meaning of clicks on all of it.
    pub(crate) fn at(mut self, spot: Option<Spot>) -> Self {
        self.spots.insert(0, (0, spot));
        self
    }

    /// A piece with a meaning of its own.
    pub(crate) fn push_spot(&mut self, text: impl Into<String>, role: Role, spot: Spot) {
        self.spots.push((self.width(), Some(spot)));
        self.push(text, role);
        self.spots.push((self.width(), None));
    }

    pub(crate) fn push(&mut self, text: impl Into<String>, role: Role) {
        self.pieces.push((text.into(), role));
    }

    pub(crate) fn width(&self) -> usize {
        self.pieces.iter().map(|(text, _)| width(text)).sum()
    }

    /// What it says, without looks.
    pub(crate) fn text(&self) -> String {
        self.pieces.iter().map(|(text, _)| text.as_str()).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Whether the text ends with this character.
    pub(crate) fn ends_with(&self, last: char) -> bool {
        let text = self.pieces.iter().rev().find(|(text, _)| !text.is_empty());
        text.is_some_and(|(text, _)| text.ends_with(last))
    }

    /// The row with blanks to this width.
    pub(crate) fn padded(mut self, columns: usize) -> Self {
        let missing = columns.saturating_sub(self.width());
        self.push(" ".repeat(missing), Role::Plain);
        self
    }
}

/// A titled part with rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pane {
    pub(crate) title: String,
    pub(crate) note: String,
    pub(crate) rows: Vec<Row>,
    /// The fewest rows that make sense; with less it is left out.
    pub(crate) least: usize,
}

impl Pane {
    pub(crate) fn new(title: impl Into<String>, note: impl Into<String>, rows: Vec<Row>) -> Self {
        Self {
            title: title.into(),
            note: note.into(),
            least: rows.len().min(2),
            rows,
        }
    }
}

/// The buffer with a theme.
pub(crate) struct Paint<'a> {
    buffer: &'a mut Buffer,
    theme: Theme,
    /// What is plain looks old.
    pub(crate) faded: bool,
    /// Where clicks mean something: line, first column, what; later ones lie on top.
    spots: Vec<(u16, u16, Option<Spot>)>,
}

impl<'a> Paint<'a> {
    /// Gives what is drawn there another colour.
    pub(crate) fn tint(&mut self, area: Area, colour: Color) {
        for y in area.y..area.y + area.height {
            for x in area.x..area.x + area.width {
                self.buffer[(x, y)].set_fg(colour);
            }
        }
    }

    pub(crate) fn new(buffer: &'a mut Buffer, theme: Theme) -> Self {
        Self {
            buffer,
            theme,
            faded: false,
            spots: Vec::new(),
        }
    }

    /// Draws a row at a place, in at most `columns`. What lies outside the screen is left out.
    pub(crate) fn row(&mut self, x: u16, y: u16, columns: u16, row: &Row) {
        let end = x.saturating_add(columns).min(self.buffer.area.right());
        if y >= self.buffer.area.bottom() || x >= end {
            return;
        }
        let mut at = x;
        for (text, role) in &row.pieces {
            let room = usize::from(end - at);
            if room == 0 {
                break;
            }
            let fitting = cut(text, room);
            let role = match role {
                Role::Plain if self.faded => Role::Stale,
                role => *role,
            };
            let style = self.theme.style(role);
            (at, _) = self.buffer.set_stringn(at, y, fitting, room, style);
        }
        for (column, spot) in &row.spots {
            let from = x.saturating_add(u16::try_from(*column).unwrap_or(u16::MAX));
            self.spots.push((y, from.min(end), *spot));
        }
        if !row.spots.is_empty() {
            self.spots.push((y, end, None));
        }
        if row.cursor {
            let style = self.theme.style(Role::Cursor);
            for x in x..end {
                self.buffer[(x, y)].set_style(style);
            }
        }
    }

    /// What a click at a place means.
    pub(crate) fn spot(&self, x: u16, y: u16) -> Option<Spot> {
        let on_line = self
            .spots
            .iter()
            .filter(|(line, from, _)| *line == y && *from <= x);
        // Pieces are noted from left to right; of several that begin in one column the last one counts.
        let (_, _, spot) = on_line.max_by_key(|(_, from, _)| *from)?;
        *spot
    }

    /// Draws one row at the left and one at the right border; the right one has precedence.
    pub(crate) fn both(&mut self, x: u16, y: u16, columns: u16, left: Row, right: Row) {
        let room = usize::from(columns).saturating_sub(right.width());
        let room = u16::try_from(room).unwrap_or(columns);
        self.row(x, y, room, &left);
        self.row(x + room, y, columns - room, &right);
    }

    /// `── Title ────── note ──`.
    pub(crate) fn rule(&mut self, x: u16, y: u16, columns: u16, title: &str, note: &str) {
        let columns = usize::from(columns);
        let mut line = Row::default();
        if title.is_empty() {
            line.push("─".repeat(columns), Role::Rule);
        } else {
            let tail = if note.is_empty() { 0 } else { width(note) + 5 };
            let title = cut(title, columns.saturating_sub(tail + 5));
            line.push("── ", Role::Rule);
            let used = width(&title) + 4;
            line.push(title, Role::Title);
            line.push(" ", Role::Rule);
            if tail > 0 && columns >= used + tail {
                line.push("─".repeat(columns - used - tail + 1), Role::Rule);
                line.push(format!(" {note} "), Role::Title);
                line.push("──", Role::Rule);
            } else {
                line.push("─".repeat(columns.saturating_sub(used)), Role::Rule);
            }
        }
        self.row(
            u16::min(x, self.buffer.area.right()),
            y,
            u16::try_from(columns).unwrap_or(u16::MAX),
            &line,
        );
    }

    /// Draws panes one below the other. Where rows are missing, the last panes give first.
    pub(crate) fn panes(&mut self, area: Area, panes: &[Pane]) {
        self.panes_inset(area, panes, 0);
    }

    /// The same with rules that begin further right than rows.
    pub(crate) fn panes_inset(&mut self, area: Area, panes: &[Pane], inset: u16) {
        let heights = share(
            usize::from(area.height),
            &panes
                .iter()
                .map(|pane| (pane.least, pane.rows.len()))
                .collect::<Vec<_>>(),
        );
        let mut y = area.y;
        for (pane, height) in panes.iter().zip(heights) {
            if height == 0 {
                continue;
            }
            self.rule(
                area.x + inset,
                y,
                area.width.saturating_sub(inset),
                &pane.title,
                &pane.note,
            );
            for (nth, line) in pane.rows.iter().take(height - 1).enumerate() {
                let down = u16::try_from(nth).unwrap_or(u16::MAX);
                self.row(area.x, y + 1 + down, area.width, line);
            }
            y += u16::try_from(height).unwrap_or(u16::MAX);
        }
    }

    /// Draws lines in a box in the middle of an area.
    pub(crate) fn boxed(&mut self, area: Area, width_max: u16, title: &str, lines: &[Row]) {
        let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(2);
        let place = Area {
            x: area.width.saturating_sub(width_max) / 2,
            y: (area.height.saturating_sub(height) / 2).max(1),
            width: width_max.min(area.width),
            height,
        };
        self.clear(place);
        let inside = usize::from(place.width).saturating_sub(2);
        let title = cut(title, inside.saturating_sub(4));
        let rest = inside.saturating_sub(width(&title) + 3);
        let mut top = row("┌─ ", Role::Rule);
        top.push(title, Role::Title);
        top.push(format!(" {}┐", "─".repeat(rest)), Role::Rule);
        self.row(place.x, place.y, place.width, &top);
        for (nth, line) in lines.iter().enumerate() {
            let y = place.y + 1 + u16::try_from(nth).unwrap_or(u16::MAX);
            self.row(place.x, y, 1, &row("│", Role::Rule));
            self.row(place.x + 2, y, place.width - 4, line);
            self.row(place.x + place.width - 1, y, 1, &row("│", Role::Rule));
        }
        let bottom = format!("└{}┘", "─".repeat(inside));
        self.row(
            place.x,
            place.y + height - 1,
            place.width,
            &row(bottom, Role::Rule),
        );
    }

    /// Puts a role's look on an area, and blanks into it.
    pub(crate) fn clear(&mut self, area: Area) {
        for y in area.y..area.y.saturating_add(area.height).min(self.buffer.area.bottom()) {
            for x in area.x..area.x.saturating_add(area.width).min(self.buffer.area.right()) {
                self.buffer[(x, y)].reset();
            }
        }
    }
}

/// Heights of panes, rule included, that together fit into `total`: each gets its least if it can, then the first ones
/// get what they want.
fn share(total: usize, wants: &[(usize, usize)]) -> Vec<usize> {
    let mut heights = vec![0; wants.len()];
    let mut left = total;
    for (height, (least, _)) in heights.iter_mut().zip(wants) {
        if left > *least {
            *height = least + 1;
            left -= *height;
        } else {
            break;
        }
    }
    for (height, (_, want)) in heights.iter_mut().zip(wants) {
        if *height > 0 {
            let more = (want + 1).saturating_sub(*height).min(left);
            *height += more;
            left -= more;
        }
    }
    heights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panes_that_fit_get_all_they_want() {
        assert_eq!(share(20, &[(2, 5), (2, 4)]), [6, 5]);
    }

    #[test]
    fn where_rows_are_missing_the_last_panes_give() {
        assert_eq!(share(9, &[(2, 5), (2, 4)]), [6, 3]);
        assert_eq!(share(4, &[(2, 5), (2, 4)]), [4, 0]);
        assert_eq!(share(0, &[(2, 5)]), [0]);
    }
}
