//! Identifiers of messages (RFC 5322 section 3.6.4) in `Message-ID`, `References` and `In-Reply-To`.
//!
//! A field may have as many as its bytes allow. They are passed one by one, and of each only its place is kept, so that
//! a field of millions costs no more memory than one of a thousand.

use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};
use std::ops::ControlFlow;

use super::encoded::decode_words;
use super::words::{Spans, utf8};

/// Bytes of an identifier: no line of a message may be longer (RFC 5322 section 2.1.1).
pub const MAX_ID: usize = 998;
/// Identifiers that are kept of a message's references: of more, the first and the last 999 (RFC 5537 section 3.4.4).
pub const MAX_REFERENCES: usize = 1000;
/// Fields of one name that are looked at: a message may have one.
const MAX_FIELDS: usize = 100;
/// Pairs of brackets with nothing in them that are passed over before an identifier.
const MAX_EMPTY: usize = 100;
/// Bytes of a field without angle brackets, and of one in encoded words, up to which it is looked at.
const MAX_PROSE: usize = 64 * 1024;
const MAX_ENCODED: usize = 1 << 20;

/// The first identifier in the value of a field.
pub fn first(value: &[u8]) -> Option<String> {
    let mut found = None;
    let mut n_empty = 0;
    each(value, |id| {
        found = clean(&id);
        n_empty += 1;
        if found.is_some() || n_empty > MAX_EMPTY {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    found
}

/// The first identifier of the fields of one name, and the last ones.
#[derive(Default)]
pub struct Identifiers<'a> {
    first: Option<Cow<'a, [u8]>>,
    last: VecDeque<Cow<'a, [u8]>>,
    n_fields: usize,
}

impl<'a> Identifiers<'a> {
    /// Takes up those of one field more.
    pub fn add(&mut self, value: &'a [u8]) {
        self.n_fields += 1;
        if self.n_fields > MAX_FIELDS {
            return;
        }
        each(value, |id| {
            if self.first.is_none() {
                self.first = Some(id);
            } else {
                if self.last.len() == MAX_REFERENCES - 1 {
                    self.last.pop_front();
                }
                self.last.push_back(id);
            }
            ControlFlow::Continue(())
        });
    }

    /// Bytes that are kept beside the message itself.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        let own = |id: &Cow<'_, [u8]>| {
            size_of::<Cow<'_, [u8]>>() + if let Cow::Owned(id) = id { id.capacity() } else { 0 }
        };
        self.first.iter().chain(&self.last).map(own).sum()
    }

    /// `references` and after them what `in_reply_to` has more, in their order, none twice.
    pub fn together(references: &Self, in_reply_to: &Self) -> Vec<String> {
        let mut seen = HashSet::new();
        let mut all: Vec<String> = [references, in_reply_to]
            .into_iter()
            .flat_map(|ids| ids.first.iter().chain(&ids.last))
            .filter_map(|id| clean(id))
            .filter(|id| seen.insert(id.clone()))
            .collect();
        if all.len() > MAX_REFERENCES {
            all.drain(1..=all.len() - MAX_REFERENCES);
        }
        all
    }
}

/// What stands in angle brackets outside comments and quoted strings. Where there are no brackets, the words, if every
/// one has an `@` (`In-Reply-To` was prose once), or the one word there is. Encoded words, which may not stand here
/// (RFC 2047 section 5), do all the same in the mail of some libraries.
fn each<'a>(value: &'a [u8], mut found: impl FnMut(Cow<'a, [u8]>) -> ControlFlow<()>) {
    let is_encoded = value.len() <= MAX_ENCODED && memchr::memmem::find(value, b"=?").is_some();
    if is_encoded {
        let decoded = decode_words(value);
        bracketed_or_words(decoded.as_bytes(), |id| found(Cow::Owned(id.to_vec())));
    } else {
        bracketed_or_words(value, |id| found(Cow::Borrowed(id)));
    }
}

fn bracketed_or_words<'a>(value: &'a [u8], mut found: impl FnMut(&'a [u8]) -> ControlFlow<()>) {
    if bracketed(value, &mut found) || value.len() > MAX_PROSE {
        return;
    }
    let words = words(value);
    if words.len() == 1 || words.iter().all(|word| word.contains(&b'@')) {
        let _ = words.into_iter().try_for_each(found);
    }
}

/// Passes what stands in brackets; says whether there were any. A comment or quoted string without an end is none.
fn bracketed<'a>(value: &'a [u8], found: &mut impl FnMut(&'a [u8]) -> ControlFlow<()>) -> bool {
    let mut spans = Spans::default();
    let mut open = None;
    let mut any = false;
    let mut at = 0;
    while let Some(byte) = value.get(at) {
        if let Some(end) = spans.end(value, at) {
            at = end;
            continue;
        }
        match byte {
            b'<' | b'>' => {
                let before = open.take();
                if *byte == b'<' {
                    any = true;
                    open = Some(at + 1);
                }
                if let Some(start) = before.filter(|start| *start < at)
                    && found(&value[start..at]).is_break()
                {
                    return true;
                }
            }
            _ => {}
        }
        at += 1;
    }
    if let Some(start) = open {
        let _ = found(&value[start..]);
    }
    any
}

/// What stands between white space and comments.
fn words(value: &[u8]) -> Vec<&[u8]> {
    let mut words = Vec::new();
    let mut spans = Spans::default();
    let (mut start, mut at) = (0, 0);
    while let Some(byte) = value.get(at) {
        let gap = match byte {
            b'(' => spans.end(value, at),
            byte if byte.is_ascii_whitespace() => Some(at + 1),
            _ => None,
        };
        if gap.is_some() && start < at {
            words.push(&value[start..at]);
        }
        at = gap.unwrap_or(at + 1);
        start = gap.unwrap_or(start);
    }
    if start < at {
        words.push(&value[start..at]);
    }
    words
}

/// Without white space and comments outside quoted strings (RFC 8621 section 4.1.2.5), and without control characters;
/// `None` when nothing is left.
fn clean(id: &[u8]) -> Option<String> {
    // What is cut off below is not looked at, as far as white space and comments do not make it long.
    let id = &id[..id.len().min(16 * MAX_ID)];
    let mut kept = Vec::with_capacity(id.len().min(MAX_ID));
    let mut spans = Spans::default();
    let mut at = 0;
    while let Some(byte) = id.get(at) {
        match spans.end(id, at) {
            Some(end) => {
                if *byte == b'"' {
                    kept.extend(id[at..end].iter().filter(|byte| !matches!(byte, b'\r' | b'\n')));
                }
                at = end;
            }
            None => {
                if !byte.is_ascii_whitespace() {
                    kept.push(*byte);
                }
                at += 1;
            }
        }
    }
    let text: String = utf8(&kept).chars().filter(|character| !character.is_control()).collect();
    let text = text[..text.floor_char_boundary(MAX_ID)].trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(value: &[u8]) -> Vec<String> {
        let mut ids = Identifiers::default();
        ids.add(value);
        Identifiers::together(&ids, &Identifiers::default())
    }

    #[test]
    fn identifiers_are_found() {
        for (value, expected) in [
            ("<a@b>", &["a@b"][..]),
            ("<a@b\n >,\n (x) <c@d", &["a@b", "c@d"]),
            ("<a@b <c@d>", &["a@b", "c@d"]),
            ("a@b c@d", &["a@b", "c@d"]),
            ("a (x) ", &["a"]),
            ("a@b (c d)", &["a@b"]),
            ("Your message of Mon, from x@y", &[]),
            ("Your message of Mon <a@b>", &["a@b"]),
            ("\"Ann's <x@y>\" message <a@b>", &["a@b"]),
            ("<>< ><\t><a@b>", &["a@b"]),
            ("", &[]),
            // Folded, with comments, quoted.
            ("<a.long@\r\n b>", &["a.long@b"]),
            ("<a.long\r\n\t@b>", &["a.long@b"]),
            ("(was <old@b>) <a@b> (and <c@d>)", &["a@b"]),
            ("<a(x)@b(y(z))>", &["a@b"]),
            ("<\"a > (b) \"@c>", &["\"a > (b) \"@c"]),
            // Without an end.
            ("(was <a@b>", &["a@b"]),
            ("\"was <a@b>", &["a@b"]),
            ("<a(b@c>", &["a(b@c"]),
            // In encoded words.
            ("=?utf-8?q?=3Ca=40b=3E?=", &["a@b"]),
            ("=?utf-8?q?=3Ca=40b?=\r\n =?utf-8?q?c=3E?= =?utf-8?b?PGRAZT4=?=", &["a@bc", "d@e"]),
            ("<a@b> =?utf-8?q?=3Cc=40d=3E?=", &["a@b", "c@d"]),
            ("<=?utf-8?q?a?=@b>", &["=?utf-8?q?a?=@b"]),
        ] {
            assert_eq!(all(value.as_bytes()), expected, "{value}");
        }
        assert_eq!(first(b"(<x@y>) <> <caf\xe9@b> <c@d>").as_deref(), Some("caf%E9@b"));
        assert_ne!(first(b"<caf\xe9@b>"), first(b"<caf\xea@b>"));
    }

    /// Words of two letters, all much alike: looked for from the beginning of the field, each would be held against all
    /// that stand before it, and these fields would take minutes.
    #[test]
    fn words_are_found_where_they_stand() {
        let word = |n: usize| -> String {
            (0..14).map(|bit| if n >> bit & 1 == 1 { 'a' } else { '@' }).chain(['@']).collect()
        };
        let words: Vec<String> = (0..MAX_PROSE / 16).map(word).collect();
        let value = words.join(" ");
        let mut last = Identifiers::default();
        for _ in 0..1500 {
            last = Identifiers::default();
            last.add(value.as_bytes());
        }
        let together = Identifiers::together(&last, &Identifiers::default());
        assert_eq!((&together[..1], &together[1..]), (&words[..1], &words[words.len() - 999..]));
    }

    #[test]
    fn of_many_fields_the_first_are_read() {
        let fields: Vec<String> = (0..2 * MAX_FIELDS).map(|n| format!("<{n}@x>")).collect();
        let mut ids = Identifiers::default();
        fields.iter().for_each(|field| ids.add(field.as_bytes()));
        let together = Identifiers::together(&ids, &Identifiers::default());
        assert_eq!((together.len(), &*together[MAX_FIELDS - 1]), (MAX_FIELDS, "99@x"));
    }

    #[test]
    fn of_many_the_first_and_the_last_stay_and_no_more_is_held() {
        let many: String = (0..5000).map(|n| format!("<{n}>")).collect();
        let mut ids = Identifiers::default();
        for _ in 0..3 {
            ids.add(many.as_bytes());
            assert_eq!(ids.last.len(), MAX_REFERENCES - 1);
            assert!(ids.last.iter().all(|id| matches!(id, Cow::Borrowed(_))), "places in the message alone");
        }
        let mut answers = Identifiers::default();
        answers.add(b"<4999><x>");
        let together = Identifiers::together(&ids, &answers);
        assert_eq!(together.len(), MAX_REFERENCES);
        assert_eq!((&*together[0], &*together[1], &*together[999]), ("0", "4002", "x"));
    }
}
