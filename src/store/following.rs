//! What was recorded behind a number, in the order of recording: as much of it as is asked for, or as was looked at.

use crate::error::Result;

/// What a follower asks for.
#[derive(Debug, Clone, Copy)]
pub struct After {
    pub number: i64,
    /// Rows that are meant.
    pub most: usize,
    /// Rows, whatever is meant of them.
    pub most_looked_at: i64,
}

/// A row that is meant: its number, and the number of the row that shows it. They differ where a fact brings its entry.
pub type Place = (i64, i64);

/// What a walk found, and the last number it looked at where it stopped before the end.
pub struct Followed {
    pub places: Vec<Place>,
    pub stopped_at: Option<i64>,
}

impl After {
    /// Collects what a walk finds, up to the page's rows. `next` gives one row after another, and says whether it is meant.
    pub fn collect(&self, mut next: impl FnMut() -> Result<Option<(Place, bool)>>) -> Result<Followed> {
        let (mut places, mut n_looked_at) = (Vec::new(), 0);
        while let Some((place, is_meant)) = next()? {
            n_looked_at += 1;
            if is_meant {
                places.push(place);
            }
            if places.len() == self.most || n_looked_at == self.most_looked_at {
                return Ok(Followed { places, stopped_at: Some(place.0) });
            }
        }
        Ok(Followed { places, stopped_at: None })
    }
}
