//! Tables: columns that fit, and only the rows that are seen.

use super::paint::Row;
use crate::mouse::Spot;
use crate::order::By;
use crate::theme::{Role, of_mark};
use lb_shared::text::{cut, cut_middle, width};

/// A column and how it gives way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(crate) title: &'static str,
    /// Blanks before it.
    pub(crate) gap: usize,
    pub(crate) min: usize,
    /// How narrow it may get before another column goes.
    pub(crate) floor: usize,
    pub(crate) max: usize,
    pub(crate) right: bool,
    /// The highest number goes first when the columns do not fit; 0 stays.
    pub(crate) drop: u8,
    /// A mark of the row stands directly before this column.
    pub(crate) marked: bool,
    /// Too long a text loses its middle: the port at its end stays.
    pub(crate) keep_end: bool,
    /// Put away by the operator.
    pub(crate) hidden: bool,
    /// What a click on its head sorts by.
    pub(crate) by: Option<By>,
}

impl Column {
    pub(crate) const fn new(title: &'static str, min: usize) -> Self {
        Self {
            title,
            gap: 1,
            min,
            floor: min,
            max: min,
            right: false,
            drop: 0,
            marked: false,
            keep_end: false,
            hidden: false,
            by: None,
        }
    }

    pub(crate) const fn min(mut self, min: usize) -> Self {
        self.min = min;
        self.floor = min;
        self
    }

    pub(crate) const fn floor(mut self, floor: usize) -> Self {
        self.floor = floor;
        self
    }

    pub(crate) const fn gap(mut self, gap: usize) -> Self {
        self.gap = gap;
        self
    }

    pub(crate) const fn max(mut self, max: usize) -> Self {
        self.max = max;
        self
    }

    pub(crate) const fn right(mut self) -> Self {
        self.right = true;
        self
    }

    pub(crate) const fn drop(mut self, drop: u8) -> Self {
        self.drop = drop;
        self
    }

    pub(crate) const fn marked(mut self) -> Self {
        self.marked = true;
        self
    }

    pub(crate) const fn hidden(mut self, hidden: bool) -> Self {
        self.hidden = hidden;
        self
    }

    pub(crate) const fn by(mut self, by: By) -> Self {
        self.by = Some(by);
        self
    }

    pub(crate) const fn keep_end(mut self) -> Self {
        self.keep_end = true;
        self
    }
}

/// One object's row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    pub(crate) mark: char,
    pub(crate) cursor: bool,
    pub(crate) marked: bool,
    /// In the past: it is otherwise now.
    pub(crate) differs: bool,
    pub(crate) spot: Option<Spot>,
    /// As many as there are columns.
    pub(crate) cells: Vec<(String, Role)>,
}

/// Columns with this `drop` or more go before a name is cut.
const EXTRA: u8 = 9;
/// Columns before the first one: the cursor, the mark, a blank.
const LEAD: usize = 3;

/// The header and the rows, in at most `room` columns.
pub(crate) fn table(columns: &[Column], lines: &[Line], room: usize) -> (Row, Vec<Row>) {
    let widths = layout(columns, lines, room);
    let mut head = super::paint::row(" ".repeat(LEAD), Role::Title);
    for (column, cells) in columns.iter().zip(&widths) {
        if let Some(cells) = cells {
            head.push(" ".repeat(column.gap), Role::Title);
            let title = fit(column, column.title, *cells);
            match column.by {
                Some(by) => head.push_spot(title, Role::Title, Spot::Sort(by)),
                None => head.push(title, Role::Title),
            }
        }
    }
    let rows = lines
        .iter()
        .map(|line| {
            let mut row = Row::under(line.cursor).at(line.spot);
            row.push(if line.cursor { ">" } else { " " }, Role::Plain);
            if line.differs {
                row.push(line.mark.to_string(), of_mark(line.mark));
                row.push("*", Role::Override);
            } else {
                row.push(format!("{} ", line.mark), of_mark(line.mark));
            }
            for ((column, cells), (text, role)) in columns.iter().zip(&widths).zip(&line.cells) {
                let Some(cells) = cells else { continue };
                if column.marked && line.marked && column.gap > 0 {
                    row.push(" ".repeat(column.gap - 1), Role::Plain);
                    row.push("*", Role::Override);
                } else {
                    row.push(" ".repeat(column.gap), Role::Plain);
                }
                row.push(fit(column, text, *cells), *role);
            }
            row
        })
        .collect();
    (head, rows)
}

fn fit(column: &Column, text: &str, cells: usize) -> String {
    let text = if column.keep_end {
        cut(&cut_middle(text, cells), cells)
    } else {
        cut(text, cells)
    };
    let blanks = " ".repeat(cells.saturating_sub(width(&text)));
    if column.right {
        format!("{blanks}{text}")
    } else {
        format!("{text}{blanks}")
    }
}

/// The width of each column, `None` for those that do not fit.
fn layout(columns: &[Column], lines: &[Line], room: usize) -> Vec<Option<usize>> {
    let mut widths: Vec<Option<usize>> = columns
        .iter()
        .enumerate()
        .map(|(nth, column)| {
            let widest = lines
                .iter()
                .filter_map(|line| line.cells.get(nth))
                .map(|(text, _)| width(text))
                .max();
            (!column.hidden).then(|| widest.unwrap_or(0).clamp(column.min, column.max.max(column.min)))
        })
        .collect();
    let wanted = widths.clone();
    let total = |widths: &[Option<usize>]| -> usize {
        LEAD + columns
            .iter()
            .zip(widths)
            .filter_map(|(column, cells)| cells.map(|cells| cells + column.gap))
            .sum::<usize>()
    };
    // What is nice to have goes first, then the wide ones shrink, then more columns go.
    loop {
        let over = total(&widths).saturating_sub(room);
        if over == 0 {
            break;
        }
        let droppable = |least: u8| {
            (0..columns.len())
                .filter(|nth| widths[*nth].is_some() && columns[*nth].drop >= least)
                .max_by_key(|nth| columns[*nth].drop)
        };
        if let Some(nth) = droppable(EXTRA) {
            widths[nth] = None;
            continue;
        }
        let widest = (0..columns.len())
            .filter_map(|nth| Some((widths[nth]?.saturating_sub(columns[nth].floor), nth)))
            .max()
            .filter(|(spare, _)| *spare > 0);
        if let Some((spare, nth)) = widest {
            widths[nth] = widths[nth].map(|cells| cells - spare.min(over));
            continue;
        }
        match droppable(1) {
            Some(nth) => widths[nth] = None,
            None => break,
        }
    }
    // What a column left behind is for those that shrank before it went.
    let mut left = room.saturating_sub(total(&widths));
    while let Some((missing, nth)) = (0..columns.len())
        .filter_map(|nth| Some((wanted[nth]?.saturating_sub(widths[nth]?), nth)))
        .max()
        .filter(|(missing, _)| left > 0 && *missing > 0)
    {
        let given = missing.min(left);
        widths[nth] = widths[nth].map(|cells| cells + given);
        left -= given;
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[[&str; 2]]) -> Vec<Line> {
        texts
            .iter()
            .map(|cells| Line {
                mark: '+',
                cells: cells
                    .iter()
                    .map(|text| ((*text).to_owned(), Role::Plain))
                    .collect(),
                ..Line::default()
            })
            .collect()
    }

    #[test]
    fn a_column_grows_with_its_rows_and_shrinks_before_another_goes() {
        let columns = [Column::new("NAME", 4).max(10), Column::new("N", 3).drop(1)];
        let lines = lines(&[["abcdefgh", "1"]]);
        assert_eq!(layout(&columns, &lines, 40), [Some(8), Some(3)]);
        assert_eq!(layout(&columns, &lines, 14), [Some(6), Some(3)]);
        // What the other one had is there for the name.
        assert_eq!(layout(&columns, &lines, 9), [Some(5), None]);
        assert_eq!(layout(&columns, &lines, 8), [Some(4), None]);
    }

    #[test]
    fn what_is_nice_to_have_goes_before_a_name_is_cut() {
        let columns = [Column::new("NAME", 4).max(10), Column::new("N", 3).drop(EXTRA)];
        let lines = lines(&[["abcdefgh", "1"]]);
        assert_eq!(layout(&columns, &lines, 14), [Some(8), None]);
    }

    #[test]
    fn a_table_is_never_wider_than_its_room_while_a_column_can_go() {
        let columns = [Column::new("A", 2), Column::new("B", 9).drop(1)];
        let lines = lines(&[["漢字漢字", "b"]]);
        let (head, rows) = table(&columns, &lines, 7);
        assert!(head.width() <= 7 && rows[0].width() <= 7);
    }
}
