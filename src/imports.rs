//! Rows that an import brings: what is there already is known again and counted, and exactly the rest is recorded.
//!
//! Who imports says so (`?import=true`); a row may then have the members of an export, which are left out. A message is
//! known again by its id. Of the other logs a row is known by its owner, its own time and its content, and is looked for
//! on the owner's index of times: nothing is kept for it, so that what was removed may come again. A row without a time of
//! its own is looked for among those that had none either.
//!
//! Equal rows are told apart by counting: the third equal line of a file is there when there are three such rows. In a
//! batch they are counted here. Of a file that takes several, the sender counts on (`occurrence`), and says after which
//! number to begin (`after`), so that a million equal lines are not counted a million times. Lines with the `id` of an
//! export are counted by themselves, each id once; where the row has the `seq` that the line says, that is it.
//!
//! Most is looked for in a snapshot, then what was recorded during that in another, and in the write only what came since:
//! the writer is not held meanwhile.

use std::collections::HashMap;
use std::hash::Hash;

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::http::json::Fields;
use crate::http::{Request, Response};

/// What tells rows apart: a hash of all that the caller may say of one.
pub type Identity = [u8; 32];

/// What is made here: an export has it, an import leaves it out.
const MADE_HERE: [&str; 13] = [
    "id",
    "seq",
    "recorded_at",
    "recorded_by",
    "redacted",
    "appended",
    "appended_omitted",
    "mailbox_id",
    "message_hash",
    "policy_version",
    "project_id",
    "actor",
    "count",
];

/// Where a row may stand already.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// What an export called it: `id`, and its number in the log of whoever exported it.
    pub id: Option<String>,
    pub number: Option<i64>,
    /// Which of the equal rows after that number it is; `None`: to be counted in its batch.
    pub occurrence: Option<i64>,
    pub after: i64,
}

impl Place {
    /// Takes what is not for recording out of a row's members.
    pub fn take(fields: &mut Fields) -> Result<Self> {
        let occurrence = fields.integer("occurrence", 1, i64::MAX)?;
        let after = fields.integer("after", 0, i64::MAX)?.unwrap_or(0);
        let mut place = Self { occurrence, after, ..Self::default() };
        for name in MADE_HERE {
            match (name, fields.any(name)) {
                // A message's id is its number, which a CSV file has as text.
                ("id", Some(Value::String(id))) => {
                    place.number = id.parse().ok();
                    place.id = Some(id);
                }
                // A message's `seq` is that of what was appended last, and its id goes before.
                ("seq" | "id", Some(Value::Number(number))) => {
                    place.number = place.number.or_else(|| number.as_i64());
                }
                _ => {}
            }
        }
        Ok(place)
    }

    /// What tells one line of an export from another.
    pub fn id_of(row: &Value) -> Option<&str> {
        row["id"].as_str()
    }
}

/// A row of an import, and what is known of its place.
pub struct Line<R> {
    pub row: R,
    pub identity: Identity,
    pub place: Place,
}

impl<R> Line<R> {
    pub fn read(
        mut fields: Fields,
        read: impl FnOnce(Fields) -> Result<R>,
        identity: impl FnOnce(&R) -> Identity,
    ) -> Result<Self> {
        let place = Place::take(&mut fields)?;
        let row = read(fields)?;
        Ok(Self { identity: identity(&row), row, place })
    }
}

/// Whether the request is an import; it knows no other parameter.
pub fn is_import(request: &Request) -> Result<bool> {
    request.query.only(&["import"])?;
    Ok(request.query.word("import", &[("true", true), ("false", false)])?.unwrap_or(false))
}

/// Rows that are looked at in one snapshot: some of the steps that a list may take.
pub const AT_ONCE: usize = 50_000;

/// Looks for the rows of a batch. `K` is where in its log a row would stand: lines with the same are looked for together,
/// and no row stands in two such places.
pub struct Search<K> {
    found: Vec<Option<i64>>,
    /// Which of equal rows each line is.
    occurrences: Vec<(Identity, i64)>,
    wanted: HashMap<Identity, Wanted>,
    /// A line that stands there, and after which number the first of them is looked for.
    places: HashMap<K, (usize, i64)>,
    /// Those that were not looked at to their end yet.
    left: Vec<(usize, i64)>,
    looked_through: i64,
    done: Done,
    recorded: HashMap<(Identity, i64), i64>,
    at: usize,
}

/// The lines that are equal.
struct Wanted {
    after: i64,
    /// Equal rows after that number, so far.
    n_seen: i64,
    /// Which of them are looked for, by which line, the first ones first.
    lines: Vec<(i64, usize)>,
    n_found: usize,
}

impl Wanted {
    /// One of the equal rows stands under this number.
    fn see(&mut self, number: i64, found: &mut [Option<i64>]) {
        if number <= self.after {
            return;
        }
        self.n_seen += 1;
        while let Some((_, line)) =
            self.lines.get(self.n_found).filter(|(occurrence, _)| *occurrence <= self.n_seen)
        {
            found[*line] = Some(number);
            self.n_found += 1;
        }
    }
}

impl<K: Eq + Hash> Search<K> {
    /// `number` gives the number of a line's row where it has the number that the line says.
    pub fn of<'a, R: 'a>(
        request: &Request,
        lines: impl Iterator<Item = &'a Line<R>>,
        key: impl Fn(&R) -> K,
        mut number: impl FnMut(&Line<R>) -> Result<Option<i64>>,
    ) -> Result<Self> {
        let mut search = Self {
            found: Vec::new(),
            occurrences: Vec::new(),
            wanted: HashMap::new(),
            places: HashMap::new(),
            left: Vec::new(),
            looked_through: 0,
            done: Done::of(request),
            recorded: HashMap::new(),
            at: 0,
        };
        let mut counted: HashMap<(Identity, bool), i64> = HashMap::new();
        let mut of_ids: HashMap<(Identity, &str), i64> = HashMap::new();
        for (at, line) in lines.enumerate() {
            let mut next = || {
                let n = counted.entry((line.identity, line.place.id.is_some())).or_default();
                *n += 1;
                *n
            };
            let occurrence = match (line.place.occurrence, line.place.id.as_deref()) {
                (Some(occurrence), _) => occurrence,
                (None, Some(id)) => *of_ids.entry((line.identity, id)).or_insert_with(next),
                (None, None) => next(),
            };
            search.occurrences.push((line.identity, occurrence));
            search.found.push(number(line)?);
            if search.found[at].is_none() {
                search.want(at, line, occurrence, key(&line.row))?;
            }
        }
        for wanted in search.wanted.values_mut() {
            wanted.lines.sort_unstable();
        }
        search.left = search.places.values().copied().collect();
        Ok(search)
    }

    fn want<R>(&mut self, at: usize, line: &Line<R>, occurrence: i64, key: K) -> Result<()> {
        let after = line.place.after;
        let place = self.places.entry(key).or_insert((at, after));
        place.1 = place.1.min(after);
        let wanted = self.wanted.entry(line.identity).or_insert_with(|| Wanted {
            after,
            n_seen: 0,
            lines: Vec::new(),
            n_found: 0,
        });
        if wanted.after != after {
            return Err(Error::invalid("after", "differs among equal rows; accepted: one number for all"));
        }
        wanted.lines.push((occurrence, at));
        Ok(())
    }

    /// Looks up to number `through`, at about so many rows and no more; whether that was all. `each_like` tells number
    /// and identity of rows that stand where a line would, of numbers after the first of two and up to the second, in
    /// their order and at most so many.
    pub fn look(
        &mut self,
        through: i64,
        most: usize,
        mut each_like: impl FnMut(usize, (i64, i64), usize, &mut dyn FnMut(i64, Identity)) -> Result<()>,
    ) -> Result<bool> {
        let Self { found, wanted, left, .. } = self;
        let mut n_looked_at = 0;
        while let Some((line, after)) = left.pop() {
            let (piece, mut n_told, mut last) = (most - n_looked_at, 0, after);
            each_like(line, (after, through), piece, &mut |number, identity| {
                (n_told, last) = (n_told + 1, number);
                if let Some(wanted) = wanted.get_mut(&identity) {
                    wanted.see(number, found);
                }
            })?;
            // To find that there is none is work too.
            n_looked_at += 1 + n_told;
            if n_told == piece {
                left.push((line, last));
            }
            if n_looked_at >= most && !left.is_empty() {
                return Ok(false);
            }
        }
        self.looked_through = through;
        Ok(true)
    }

    /// Looks at what was recorded since, up to number `through`. `each_since` tells number and identity of all rows after
    /// the first of two numbers and up to the second, whatever their place: they are few, and the places may be many.
    pub fn look_on(
        &mut self,
        through: i64,
        each_since: impl FnOnce((i64, i64), &mut dyn FnMut(i64, Identity)) -> Result<()>,
    ) -> Result<()> {
        if through > self.looked_through {
            let Self { found, wanted, .. } = self;
            each_since((self.looked_through, through), &mut |number, identity| {
                if let Some(wanted) = wanted.get_mut(&identity) {
                    wanted.see(number, found);
                }
            })?;
            self.looked_through = through;
        }
        Ok(())
    }

    /// The next line, in their order: counts it, or records it by `record`, which gives its number.
    pub fn next(&mut self, record: impl FnOnce() -> Result<i64>) -> Result<()> {
        let (at, which) = (self.at, self.occurrences[self.at]);
        self.at += 1;
        let known = self.found[at].or_else(|| self.recorded.get(&which).copied());
        match known {
            Some(number) => self.done.add(number, false),
            None => {
                let number = record()?;
                self.recorded.insert(which, number);
                self.done.add(number, true);
            }
        }
        Ok(())
    }

    pub fn done(self) -> Done {
        self.done
    }
}

/// What an import came to.
#[derive(Debug)]
pub struct Done {
    n_rows: usize,
    n_new: usize,
    /// Of the rows, line by line. `None`: an answer that is kept under an Idempotency-Key has only their number.
    numbers: Option<Vec<i64>>,
}

impl Done {
    pub fn of(request: &Request) -> Self {
        let is_kept = request.header("idempotency-key").is_some();
        Self { n_rows: 0, n_new: 0, numbers: (!is_kept).then(Vec::new) }
    }

    pub fn add(&mut self, number: i64, is_new: bool) {
        self.n_rows += 1;
        self.n_new += usize::from(is_new);
        if let Some(numbers) = &mut self.numbers {
            numbers.push(number);
        }
    }

    pub fn answer(self) -> Result<Response> {
        let status = if self.n_new > 0 { 201 } else { 200 };
        let mut told = json!({ "count": self.n_new, "already": self.n_rows - self.n_new });
        if let Some(numbers) = self.numbers {
            told["numbers"] = numbers.into();
        }
        Response::json(status, &told)
    }
}
