//! What is remembered of many who come and go, in a fixed number of places: who asks cannot make it grow, nor have it
//! forget what weighs more than they do.
//!
//! A newcomer takes the place of the one of its few neighbours that weighs least. Where a newcomer belongs cannot be
//! guessed from outside, and a newcomer weighs least of all: to push out somebody who has failed ten times takes as
//! many who have failed as often as there are places.

use std::hash::{BuildHasher, RandomState};

use crate::ids::sha256;
use crate::time::Timestamp;

const SETS: usize = 1024;
const NEIGHBOURS: usize = 8;

/// What may stand in a place.
pub trait Remembered: Default {
    /// How much would be lost if it were forgotten now; 0: nothing.
    fn weight(&self, now: Timestamp) -> i64;
}

pub struct Places<T> {
    sets: Box<[[Place<T>; NEIGHBOURS]]>,
    hasher: RandomState,
}

type Place<T> = Option<(Name, T)>;

/// The beginning of a SHA-256: names are of any length, and nobody finds two with the same.
type Name = [u8; 16];

impl<T> Default for Places<T> {
    fn default() -> Self {
        let sets = (0..SETS).map(|_| std::array::from_fn(|_| None)).collect();
        Self { sets, hasher: RandomState::new() }
    }
}

impl<T: Remembered> Places<T> {
    /// What is remembered under a name, when it is.
    pub fn find(&mut self, name: &str) -> Option<&mut T> {
        let (name, set) = self.place(name);
        self.sets[set].iter_mut().flatten().find(|(other, _)| *other == name).map(|(_, what)| what)
    }

    /// What is remembered under a name, from now on if it was not.
    pub fn at(&mut self, name: &str, now: Timestamp) -> &mut T {
        let (name, set) = self.place(name);
        let set = &mut self.sets[set];
        let known = set.iter().position(|place| place.as_ref().is_some_and(|(other, _)| *other == name));
        let weight = |place: &Place<T>| place.as_ref().map_or(-1, |(_, what)| what.weight(now));
        let at = known.or_else(|| (0..NEIGHBOURS).min_by_key(|at| weight(&set[*at]))).unwrap_or_default();
        if known.is_none() {
            set[at] = None;
        }
        &mut set[at].get_or_insert_with(|| (name, T::default())).1
    }

    pub fn forget(&mut self, name: &str) {
        let (name, set) = self.place(name);
        for place in &mut self.sets[set] {
            if place.as_ref().is_some_and(|(other, _)| *other == name) {
                *place = None;
            }
        }
    }

    fn place(&self, name: &str) -> (Name, usize) {
        let mut short = Name::default();
        short.copy_from_slice(&sha256(name.as_bytes())[..16]);
        (short, self.hasher.hash_one(short) as usize % SETS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Count(i64);

    impl Remembered for Count {
        fn weight(&self, _: Timestamp) -> i64 {
            self.0
        }
    }

    #[test]
    fn what_weighs_more_outlasts_a_crowd_of_newcomers() {
        let now = Timestamp::from_micros(0);
        let mut places = Places::<Count>::default();
        for name in 0..100 {
            places.at(&format!("heavy {name}"), now).0 = 2;
        }
        for name in 0..20 * SETS * NEIGHBOURS {
            places.at(&format!("light {name}"), now).0 = 1;
        }
        assert!((0..100).all(|name| places.find(&format!("heavy {name}")).is_some_and(|count| count.0 == 2)));
        places.forget("heavy 7");
        assert!(places.find("heavy 7").is_none());
    }
}
