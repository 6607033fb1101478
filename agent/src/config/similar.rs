//! "Did you mean": words that differ by little.

/// The word of `choices` nearest to `word`, if it is near enough to be meant.
pub(crate) fn nearest<'c>(word: &str, choices: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    let lower = word.to_ascii_lowercase();
    let most = match lower.chars().count() {
        0..=2 => return None,
        3..=4 => 1,
        5..=8 => 2,
        9..=64 => 3,
        _ => return None,
    };
    let mut best: Option<(usize, &str)> = None;
    for choice in choices {
        let bound = best.map_or(most, |(found, _)| found.saturating_sub(1));
        if let Some(found) = distance(&lower, &choice.to_ascii_lowercase(), bound) {
            best = Some((found, choice));
            if found == 0 {
                break;
            }
        }
    }
    best.map(|(_, choice)| choice)
}

/// How many letters to insert, delete, replace or swap with their neighbour; `None` above `most`.
pub(crate) fn distance(a: &str, b: &str, most: usize) -> Option<usize> {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > most {
        return None;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (row, letter) in a.iter().enumerate() {
        let mut here = vec![row + 1];
        for (column, other) in b.iter().enumerate() {
            let replaced = above[column] + usize::from(letter != other);
            let mut cost = replaced.min(above[column + 1] + 1).min(here[column] + 1);
            if row > 0 && column > 0 && *letter == b[column - 1] && a[row - 1] == *other {
                cost = cost.min(before[column - 1] + 1);
            }
            here.push(cost);
        }
        before = std::mem::replace(&mut above, here);
    }
    above.last().copied().filter(|cost| *cost <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found_and_a_far_one_is_not() {
        let words = ["real_server", "priority", "interface", "lb_algo"];
        for (typed, want) in [
            ("rea_server", Some("real_server")),
            ("priorty", Some("priority")),
            ("Interface", Some("interface")),
            ("lb_agol", Some("lb_algo")),
            ("banana", None),
            ("lb", None),
        ] {
            assert_eq!(nearest(typed, words.into_iter()), want, "{typed}");
        }
    }
}
