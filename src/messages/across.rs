//! Whose entries a list has: those of one mailbox, or those of all mailboxes of a workspace in one order.
//!
//! Every index of the log begins with the mailbox. So a page of a whole workspace is merged from the lists of its
//! mailboxes, of each only the entry whose turn is next: a look into each mailbox, and one for each entry of the page. What
//! is walked through as a whole goes by the entries of all workspaces in the order of their ids, as following does; so do
//! the pages of a workspace with so many mailboxes that a look into each would take seconds.

use std::collections::{BinaryHeap, HashMap, hash_map};

use rusqlite::Connection;

use super::sql::{self, Filter};
use crate::error::Result;
use crate::export::LOOKED_AT;
use crate::owners::mailboxes;
use crate::store::following::{After, Followed};

/// Mailboxes that a page is merged from at most.
const MERGED: usize = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// The filter's own.
    Mailbox,
    /// All of this workspace, whatever the filter's mailbox is.
    Workspace(i64),
}

impl Of {
    /// The numbers of up to `limit` entries after `cursor`, and from after which entry the list goes on; `None`: it is at
    /// its end. Of many mailboxes a page may have fewer, and even none, where it goes on.
    pub fn page(
        self,
        connection: &Connection,
        filter: &Filter,
        cursor: Option<i64>,
        limit: usize,
    ) -> Result<(Vec<i64>, Option<i64>)> {
        // One more says whether there are more.
        let most = limit + 1;
        let (mut numbers, next) = match self {
            Self::Workspace(workspace) if mailboxes::are_more_than(connection, workspace, MERGED)? => {
                self.walk(connection, filter, (cursor, i64::MAX), (most, LOOKED_AT))?
            }
            _ => (self.list(connection, filter, cursor, most as i64)?, None),
        };
        if numbers.len() < most {
            return Ok((numbers, next));
        }
        numbers.truncate(limit);
        let last = numbers.last().copied();
        Ok((numbers, last))
    }

    fn list(
        self,
        connection: &Connection,
        filter: &Filter,
        cursor: Option<i64>,
        limit: i64,
    ) -> Result<Vec<i64>> {
        let list = |mailbox, cursor, limit| {
            let filter = Filter { mailbox, ..filter.clone() }.in_stored_form(connection)?;
            sql::list(connection, &filter, cursor, limit)
        };
        let Self::Workspace(workspace) = self else { return list(filter.mailbox, cursor, limit) };
        let newest_first = filter.newest_first;
        let next = |mailbox, cursor| {
            let entry = list(mailbox, cursor, 1)?.pop();
            Ok::<_, crate::error::Error>(entry.map(|id| (if newest_first { id } else { -id }, mailbox)))
        };
        let mut turns = BinaryHeap::new();
        for mailbox in mailboxes::ids(connection, workspace)? {
            turns.extend(next(mailbox, cursor)?);
        }
        let mut found = Vec::new();
        while (found.len() as i64) < limit
            && let Some((turn, mailbox)) = turns.pop()
        {
            let id = turn.abs();
            found.push(id);
            turns.extend(next(mailbox, Some(id))?);
        }
        Ok(found)
    }

    /// Walks the list from after an entry on, as `sql::walk` does. The filter of one mailbox is in the form that is stored.
    pub fn walk(
        self,
        connection: &Connection,
        filter: &Filter,
        (after, last): (Option<i64>, i64),
        (most, most_looked_at): (usize, i64),
    ) -> Result<(Vec<i64>, Option<i64>)> {
        if self == Self::Mailbox {
            return sql::walk(connection, filter, after, last, (most, most_looked_at));
        }
        let entries = sql::of_any(connection, filter.newest_first, (after, last), most_looked_at)?;
        let is_all = (entries.len() as i64) < most_looked_at;
        let (mut meant, mut found) = (Meant::new(connection, self, filter), Vec::new());
        for (entry, mailbox) in &entries {
            if meant.is(*entry, *mailbox)? {
                found.push(*entry);
                if found.len() == most {
                    return Ok((found, Some(*entry)));
                }
            }
        }
        Ok((found, entries.last().filter(|_| !is_all).map(|(entry, _)| *entry)))
    }

    /// What was recorded behind a number.
    pub fn follow(self, connection: &Connection, filter: &Filter, after: &After) -> Result<Followed> {
        let mut meant = Meant::new(connection, self, filter);
        sql::follow(connection, after, |entry, mailbox| meant.is(entry, mailbox))
    }
}

/// A filter that is held against one entry after another.
struct Meant<'a> {
    connection: &'a Connection,
    of: Of,
    filter: &'a Filter,
    /// By mailbox, as far as they came: the filter in the form that is stored there, and its thread; `None`: not meant.
    mailboxes: HashMap<i64, Option<(Filter, Option<String>)>>,
}

impl<'a> Meant<'a> {
    fn new(connection: &'a Connection, of: Of, filter: &'a Filter) -> Self {
        Self { connection, of, filter, mailboxes: HashMap::new() }
    }

    fn is(&mut self, entry: i64, mailbox: i64) -> Result<bool> {
        let known = match self.mailboxes.entry(mailbox) {
            hash_map::Entry::Occupied(known) => known.into_mut(),
            hash_map::Entry::Vacant(place) => {
                let is_here = match self.of {
                    Of::Mailbox => mailbox == self.filter.mailbox,
                    Of::Workspace(workspace) => {
                        mailboxes::find(self.connection, workspace, mailbox)?.is_some()
                    }
                };
                place.insert(match is_here {
                    false => None,
                    true => {
                        let filter = Filter { mailbox, ..self.filter.clone() };
                        let mut filter = filter.in_stored_form(self.connection)?;
                        let thread = filter.thread_id.take();
                        Some((filter, thread))
                    }
                })
            }
        };
        match known {
            None => Ok(false),
            Some((filter, None)) if !filter.has_conditions() => Ok(true),
            Some((filter, thread)) => sql::is_meant(self.connection, filter, thread.as_deref(), entry),
        }
    }
}
