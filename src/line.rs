//! A line of those who wait for something that one does at a time, with a stated number of places: each who waits holds
//! a handler, and the others' requests must not stand behind them.

use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Debug, Default)]
pub struct Line(AtomicUsize);

impl Line {
    pub const fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    /// A place, where fewer than `most` are taken.
    pub fn place(&self, most: usize) -> Option<Place<'_>> {
        let one_more = |taken: usize| (taken < most).then_some(taken + 1);
        self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).ok().map(|_| Place(self))
    }
}

/// A place in a line, until it is dropped.
#[derive(Debug)]
pub struct Place<'a>(&'a Line);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_once_it_is_left() {
        let line = Line::new();
        let places = [line.place(2), line.place(2)];
        assert!(places.iter().all(Option::is_some));
        assert!(line.place(2).is_none());
        assert!(line.place(3).is_some(), "it was left at once");
        drop(places);
        assert!(line.place(1).is_some());
    }
}
