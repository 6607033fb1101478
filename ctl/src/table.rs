//! Tables: two spaces between columns, one token per column, as wide as their content and no wider than the terminal.

use crate::look::Look;
use lb_shared::text;

/// A column of rows of type `R`.
pub(crate) struct Column<R> {
    pub(crate) name: &'static str,
    pub(crate) right: bool,
    /// The order in which columns go when the terminal is too narrow, 1 first; 0 never goes.
    pub(crate) drop: u8,
    pub(crate) cell: fn(&R) -> String,
    /// What it sorts by, where the cell's text would not do.
    pub(crate) key: Option<fn(&R) -> u64>,
}

impl<R> Column<R> {
    /// A column aligned to the left.
    pub(crate) const fn left(name: &'static str, drop: u8, cell: fn(&R) -> String) -> Self {
        Self {
            name,
            right: false,
            drop,
            cell,
            key: None,
        }
    }

    /// A column aligned to the right.
    pub(crate) const fn right(name: &'static str, drop: u8, cell: fn(&R) -> String) -> Self {
        Self {
            name,
            right: true,
            drop,
            cell,
            key: None,
        }
    }

    /// The same, sorted by a number.
    pub(crate) const fn by(self, key: fn(&R) -> u64) -> Self {
        Self {
            key: Some(key),
            ..self
        }
    }
}

/// A row's cells, with the mark that colours its state.
pub(crate) struct Grid {
    pub(crate) names: Vec<&'static str>,
    pub(crate) right: Vec<bool>,
    pub(crate) drop: Vec<u8>,
    pub(crate) rows: Vec<(char, Vec<String>)>,
}

impl Grid {
    /// The cells of all rows.
    pub(crate) fn new<R>(columns: &[Column<R>], rows: &[(char, R)]) -> Self {
        Self {
            names: columns.iter().map(|column| column.name).collect(),
            right: columns.iter().map(|column| column.right).collect(),
            drop: columns.iter().map(|column| column.drop).collect(),
            rows: rows
                .iter()
                .map(|(mark, row)| {
                    let cells = columns.iter().map(|column| (column.cell)(row)).collect();
                    (*mark, cells)
                })
                .collect(),
        }
    }

    /// The lines of the table.
    pub(crate) fn lines(mut self, look: &Look) -> Vec<String> {
        let mut widths = self.widths(look);
        if let Some(columns) = look.width {
            while total(&widths) > columns {
                let next = (0..self.names.len())
                    .filter(|at| self.drop[*at] > 0)
                    .min_by_key(|at| self.drop[*at]);
                let Some(at) = next else { break };
                self.remove(at);
                widths.remove(at);
            }
            self.squeeze(&mut widths, columns);
        }
        let mut lines = Vec::with_capacity(self.rows.len() + 1);
        if look.headers {
            let names: Vec<String> = self.names.iter().map(|name| (*name).to_owned()).collect();
            lines.push(self.line(&names, &widths, None, look));
        }
        for (mark, cells) in &self.rows {
            lines.push(self.line(cells, &widths, Some(*mark), look));
        }
        lines
    }

    fn widths(&self, look: &Look) -> Vec<usize> {
        (0..self.names.len())
            .map(|at| {
                let cells = self.rows.iter().map(|(_, cells)| text::width(&cells[at]));
                let name = if look.headers { self.names[at].len() } else { 0 };
                cells.max().unwrap_or(0).max(name)
            })
            .collect()
    }

    fn remove(&mut self, at: usize) {
        self.names.remove(at);
        self.right.remove(at);
        self.drop.remove(at);
        for (_, cells) in &mut self.rows {
            cells.remove(at);
        }
    }

    /// Shortens addresses in the middle first, so that their port stays, then the last column.
    fn squeeze(&mut self, widths: &mut [usize], columns: usize) {
        let over = |widths: &[usize]| total(widths).saturating_sub(columns);
        for name in ["ADDRESS", "SERVER"] {
            if let Some(at) = self.names.iter().position(|known| *known == name)
                && over(widths) > 0
            {
                widths[at] = widths[at].saturating_sub(over(widths)).max(12.min(widths[at]));
                for (_, cells) in &mut self.rows {
                    cells[at] = text::cut_middle(&cells[at], widths[at]);
                }
            }
        }
        if over(widths) > 0
            && let Some(last) = widths.len().checked_sub(1)
        {
            let name = if self.names.is_empty() {
                0
            } else {
                self.names[last].len()
            };
            widths[last] = widths[last]
                .saturating_sub(over(widths))
                .max(name.min(widths[last]));
            for (_, cells) in &mut self.rows {
                cells[last] = text::cut(&cells[last], widths[last]);
            }
        }
    }

    fn line(&self, cells: &[String], widths: &[usize], mark: Option<char>, look: &Look) -> String {
        let mut line = String::new();
        for (at, cell) in cells.iter().enumerate() {
            if at > 0 {
                line.push_str("  ");
            }
            let pad = " ".repeat(widths[at].saturating_sub(text::width(cell)));
            let state = matches!(self.names[at], "S" | "STATE");
            let shown = match mark {
                Some(mark) if state => look.paint(mark, cell),
                Some(_) | None => cell.clone(),
            };
            if self.right[at] {
                line.push_str(&pad);
                line.push_str(&shown);
            } else {
                line.push_str(&shown);
                if at + 1 < cells.len() {
                    line.push_str(&pad);
                }
            }
        }
        line.truncate(line.trim_end().len());
        line
    }
}

fn total(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::Zone;

    fn look(width: Option<usize>, colour: bool) -> Look {
        Look {
            width,
            colour,
            wide: false,
            exact: false,
            headers: true,
            zone: Zone::utc(),
        }
    }

    fn grid() -> Grid {
        let columns: [Column<(&str, &str, &str)>; 4] = [
            Column::left("STATE", 0, |row| row.0.into()),
            Column::left("SERVER", 0, |row| row.1.into()),
            Column::right("ACTIVE", 1, |_| "7".into()),
            Column::left("WHY", 0, |row| row.2.into()),
        ];
        Grid::new(
            &columns,
            &[
                ('+', ("UP", "[2001:db8:20::1]:443", "-")),
                ('!', ("DOWN", "198.51.100.7:80", "status 503, want 200")),
            ],
        )
    }

    #[test]
    fn a_pipe_gets_everything() {
        assert_eq!(
            grid().lines(&look(None, false)),
            [
                "STATE  SERVER                ACTIVE  WHY",
                "UP     [2001:db8:20::1]:443       7  -",
                "DOWN   198.51.100.7:80            7  status 503, want 200",
            ]
        );
    }

    #[test]
    fn a_narrow_terminal_loses_columns_then_middles_then_ends() {
        for width in 1..60 {
            let lines = grid().lines(&look(Some(width), false));
            let longest = lines.iter().map(|line| text::width(line)).max().unwrap();
            assert!(longest <= width.max(24), "width {width}: {lines:?}");
        }
    }

    #[test]
    fn only_the_state_is_coloured() {
        let lines = grid().lines(&look(None, true));
        assert_eq!(lines[1], "UP     [2001:db8:20::1]:443       7  -");
        assert!(lines[2].starts_with("\u{1b}[1;31mDOWN\u{1b}[0m   198"));
    }
}
