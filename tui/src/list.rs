//! A list with a cursor that stays on its object, wherever sorting moves it.

use std::collections::BTreeSet;
use std::rc::Rc;

/// Keys in an order. Very many need not be copied to be put into another one.
#[derive(Clone, Debug)]
pub(crate) struct Rows<K> {
    keys: Rc<[K]>,
    /// Places among the keys, the first row's first.
    order: Vec<u32>,
}

impl<K> Rows<K> {
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub(crate) fn get(&self, row: usize) -> Option<&K> {
        self.keys.get(*self.order.get(row)? as usize)
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &K> + ExactSizeIterator {
        self.order.iter().map(|nth| &self.keys[*nth as usize])
    }
}

impl<K> From<Vec<K>> for Rows<K> {
    fn from(keys: Vec<K>) -> Self {
        let count = u32::try_from(keys.len()).unwrap_or(u32::MAX);
        Self {
            keys: keys.into(),
            order: (0..count).collect(),
        }
    }
}

/// Cursor, window and marks over rows that are told apart by their keys.
#[derive(Clone, Debug)]
pub(crate) struct List<K> {
    /// The rows in the order in which they are shown.
    pub(crate) rows: Rows<K>,
    pub(crate) marks: BTreeSet<K>,
    cursor: Option<K>,
    at: usize,
    last_mark: Option<K>,
}

impl<K> Default for List<K> {
    fn default() -> Self {
        Self {
            rows: Vec::new().into(),
            marks: BTreeSet::new(),
            cursor: None,
            at: 0,
            last_mark: None,
        }
    }
}

impl<K: Clone + Ord> List<K> {
    /// Takes new rows. The cursor follows its object; if that is gone, it stays where it was.
    pub(crate) fn set(&mut self, rows: Vec<K>) {
        self.rows = rows.into();
        self.find();
    }

    /// Takes the rows in another order, given by places among the keys. Each place is below the number of keys.
    pub(crate) fn arrange(&mut self, keys: &Rc<[K]>, order: Vec<u32>) {
        let keys = Rc::clone(keys);
        if !Rc::ptr_eq(&keys, &self.rows.keys) {
            self.rows = Rows { keys, order };
            self.find();
            return;
        }
        // Among the same keys the cursor's object is found without looking at any.
        let place = self.rows.order.get(self.at).copied();
        self.rows.order = order;
        let found = self.rows.order.iter().position(|nth| Some(*nth) == place);
        self.go(found.unwrap_or(self.at));
    }

    /// Puts the cursor on its object again.
    fn find(&mut self) {
        let found = self
            .cursor
            .as_ref()
            .and_then(|key| self.rows.iter().position(|row| row == key));
        self.go(found.unwrap_or(self.at));
    }

    /// Drops marks of objects that no longer are.
    pub(crate) fn keep_marks(&mut self, exists: impl Fn(&K) -> bool) {
        self.marks.retain(exists);
    }

    /// Row number of the cursor.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// What the cursor is on.
    pub(crate) fn current(&self) -> Option<&K> {
        self.rows.get(self.at)
    }

    /// Puts the cursor on a row, or as near as there is one.
    pub(crate) fn go(&mut self, at: usize) {
        self.at = at.min(self.rows.len().saturating_sub(1));
        if let Some(key) = self.rows.get(self.at) {
            self.cursor = Some(key.clone());
        }
    }

    pub(crate) fn down(&mut self, rows: usize) {
        self.go(self.at.saturating_add(rows));
    }

    pub(crate) fn up(&mut self, rows: usize) {
        self.go(self.at.saturating_sub(rows));
    }

    /// The first row of a window of `height` rows with the cursor inside, as far in its middle as the ends allow.
    pub(crate) fn top(&self, height: usize) -> usize {
        let last = self.rows.len().saturating_sub(height);
        self.at.saturating_sub(height / 2).min(last)
    }

    /// Marks the cursor's row or takes its mark away, and goes on.
    pub(crate) fn toggle_mark(&mut self) {
        let Some(key) = self.current().cloned() else {
            return;
        };
        if self.marks.remove(&key) {
            self.last_mark = None;
        } else {
            self.marks.insert(key.clone());
            self.last_mark = Some(key);
        }
        self.down(1);
    }

    /// Marks all rows between the last mark and the cursor.
    pub(crate) fn mark_range(&mut self) {
        let from = self
            .last_mark
            .as_ref()
            .and_then(|key| self.rows.iter().position(|row| row == key))
            .unwrap_or(self.at);
        let (low, high) = (from.min(self.at), from.max(self.at));
        let rows = self.rows.iter().skip(low).take(high - low + 1);
        self.marks.extend(rows.cloned());
    }

    pub(crate) fn mark_all(&mut self) {
        self.marks.extend(self.rows.iter().cloned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_follows_its_object_through_a_new_order() {
        let mut list = List::default();
        list.set(vec!["a", "b", "c"]);
        list.down(1);
        list.set(vec!["b", "c", "a"]);
        assert_eq!((list.at(), list.current()), (0, Some(&"b")));
        // Its object is gone: it stays in its place.
        list.set(vec!["c", "a"]);
        assert_eq!((list.at(), list.current()), (0, Some(&"c")));
        list.set(Vec::new());
        assert_eq!(list.current(), None);
        list.down(3);
        list.toggle_mark();
        list.mark_range();
        assert!(list.marks.is_empty());
    }

    #[test]
    fn the_cursor_follows_its_object_when_only_the_order_is_new() {
        let keys: Rc<[&str]> = vec!["a", "b", "c", "d"].into();
        let mut list = List::default();
        list.set(vec!["b", "d"]);
        list.down(1);
        for (order, at) in [([0, 1, 2, 3], 3), ([3, 2, 1, 0], 0), ([1, 3, 0, 2], 1)] {
            list.arrange(&keys, order.to_vec());
            assert_eq!((list.at(), list.current()), (at, Some(&"d")), "{order:?}");
        }
        // It is not among the rows any more.
        list.arrange(&keys, vec![2, 0]);
        assert_eq!((list.at(), list.current()), (1, Some(&"a")));
        let other: Rc<[&str]> = vec!["x", "a"].into();
        list.arrange(&other, vec![1, 0]);
        assert_eq!((list.at(), list.current(), list.rows.len()), (0, Some(&"a"), 2));
    }

    #[test]
    fn a_range_reaches_from_the_last_mark_to_the_cursor() {
        let mut list = List::default();
        list.set((0..9).collect());
        list.go(2);
        list.toggle_mark();
        list.go(5);
        list.mark_range();
        assert_eq!(list.marks.iter().copied().collect::<Vec<_>>(), [2, 3, 4, 5]);
    }

    #[test]
    fn the_window_holds_the_cursor() {
        let mut list = List::default();
        list.set((0..100).collect());
        for at in [0, 3, 50, 97, 99] {
            list.go(at);
            let top = list.top(10);
            assert!(top <= at && at < top + 10 && top + 10 <= 100, "{at}: {top}");
        }
        assert_eq!(list.top(200), 0);
    }
}
