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

    /// The same columns without a row.
    pub(crate) fn head(&self) -> Self {
        Self {
            names: self.names.clone(),
            right: self.right.clone(),
            drop: self.drop.clone(),
            rows: Vec::new(),
        }
    }

    /// The lines of the table.
    pub(crate) fn lines(self, look: &Look) -> Vec<String> {
        let layout = Layout::of(&self, &[], look);
        let mut lines = Vec::with_capacity(self.rows.len() + 1);
        lines.extend(layout.head(look));
        lines.extend(layout.lines(&self, look));
        lines
    }
}

/// Which columns are shown and how wide: found from some rows, good for all that follow.
pub(crate) struct Layout {
    columns: Vec<Shown>,
}

struct Shown {
    /// Its place among the grid's cells.
    at: usize,
    name: &'static str,
    right: bool,
    width: usize,
    cut: Cut,
}

/// What is done with a cell that is wider than its column.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Cut {
    /// It moves the rest of its line.
    No,
    Middle,
    End,
}

impl Layout {
    /// For rows such as these. `floors` are widths that later rows will need, by the names of columns.
    pub(crate) fn of(grid: &Grid, floors: &[(&str, usize)], look: &Look) -> Self {
        let mut columns: Vec<Shown> = grid
            .names
            .iter()
            .enumerate()
            .map(|(at, name)| {
                let cells = grid.rows.iter().map(|(_, cells)| text::width(&cells[at]));
                let name_width = if look.headers { name.len() } else { 0 };
                let floor = floors.iter().find(|(known, _)| known == name);
                Shown {
                    at,
                    name,
                    right: grid.right[at],
                    width: cells
                        .max()
                        .unwrap_or(0)
                        .max(name_width)
                        .max(floor.map_or(0, |it| it.1)),
                    cut: Cut::No,
                }
            })
            .collect();
        if let Some(width) = look.width {
            while total(&columns) > width {
                let next = (0..columns.len())
                    .filter(|nth| grid.drop[columns[*nth].at] > 0)
                    .min_by_key(|nth| grid.drop[columns[*nth].at]);
                let Some(nth) = next else { break };
                columns.remove(nth);
            }
            squeeze(&mut columns, width);
        }
        Self { columns }
    }

    /// The line of names, where one is wanted.
    pub(crate) fn head(&self, look: &Look) -> Option<String> {
        let names = self.columns.iter().map(|it| it.name.to_owned()).collect();
        look.headers.then(|| self.line(names, None, look))
    }

    /// The rows of a grid with the same columns.
    pub(crate) fn lines(&self, grid: &Grid, look: &Look) -> impl Iterator<Item = String> {
        grid.rows.iter().map(|(mark, cells)| {
            let shown = self.columns.iter().map(|it| match it.cut {
                Cut::No => cells[it.at].clone(),
                Cut::Middle => text::cut_middle(&cells[it.at], it.width),
                Cut::End => text::cut(&cells[it.at], it.width),
            });
            self.line(shown.collect(), Some(*mark), look)
        })
    }

    fn line(&self, cells: Vec<String>, mark: Option<char>, look: &Look) -> String {
        let mut line = String::new();
        for (nth, (cell, column)) in cells.iter().zip(&self.columns).enumerate() {
            if nth > 0 {
                line.push_str("  ");
            }
            let pad = column.width.saturating_sub(text::width(cell));
            let pad = std::iter::repeat_n(' ', pad);
            let painted;
            let shown = match mark {
                Some(mark) if matches!(column.name, "S" | "STATE") => {
                    painted = look.paint(mark, cell);
                    &painted
                }
                Some(_) | None => cell,
            };
            if column.right {
                line.extend(pad);
                line.push_str(shown);
            } else {
                line.push_str(shown);
                if nth + 1 < cells.len() {
                    line.extend(pad);
                }
            }
        }
        line.truncate(line.trim_end().len());
        line
    }
}

/// Shortens addresses in the middle first, so that their port stays, then the last column.
fn squeeze(columns: &mut [Shown], width: usize) {
    let over = |columns: &[Shown]| total(columns).saturating_sub(width);
    for name in ["ADDRESS", "SERVER"] {
        let over = over(columns);
        if let Some(it) = columns.iter_mut().find(|it| it.name == name)
            && over > 0
        {
            it.width = it.width.saturating_sub(over).max(12.min(it.width));
            it.cut = Cut::Middle;
        }
    }
    let over = over(columns);
    if let Some(last) = columns.last_mut()
        && over > 0
    {
        last.width = last
            .width
            .saturating_sub(over)
            .max(last.name.len().min(last.width));
        last.cut = Cut::End;
    }
}

fn total(columns: &[Shown]) -> usize {
    let widths: usize = columns.iter().map(|it| it.width).sum();
    widths + 2 * columns.len().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_shared::zone::Zone;

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
