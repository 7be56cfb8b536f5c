//! An address, looked for in texts as people and programs write them.
//!
//! It stands in a text by itself, or inside a longer word. By itself: behind a sign that no local part begins behind
//! (`=bob@…`, `/bob@…`, `{bob@…`), in front of one that no domain goes on with. Inside a longer word is another address
//! that looks like it (`joann@…` for `ann@…`, `ann@example.org.uk`, `ann+list@…`): a person decides, and names that one.
//!
//! Looked at is every reading of a text (`readings`), in its one form: full-width letters are letters, case and
//! composition make no difference, what cannot be seen is not there, a domain is what DNS makes of it. Also read are the
//! forms in which mail systems put one address into another (VERP, SRS, `%` and `!` routing).
//!
//! # Bounds
//! A text costs what its readings do, and each byte of those a small number of looks. `Longer` keeps `MOST_WORDS` words of
//! `LONGEST_WORD` bytes, whatever stands in the log; of the others it counts the rows.

use std::collections::BTreeMap;
use std::fmt;

use memchr::memmem;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use unicode_normalization::UnicodeNormalization;

use super::readings::{self, Looked};
use crate::canonical::{self, fold, is_invisible};
use crate::error::{Error, Result};
use crate::mask::quoted;

/// A mail address, to be looked for in texts.
#[derive(Debug, Clone)]
pub struct Address {
    pub text: String,
    /// Without quotes, in the one form.
    local: String,
    /// As DNS has it, and as people have it.
    domains: Vec<String>,
}

/// Longer words that hold the address, and how many rows hold each.
#[derive(Debug, Default)]
pub struct Longer {
    words: BTreeMap<String, u8>,
    rows: Vec<i64>,
    /// How many rows hold one that was one too many.
    pub n_rows_left_out: i64,
}

/// What was seen of an address in a text, or in all texts of a row.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    pub is_in: bool,
    /// Not in what was read, and it was too much to be read in every way.
    pub is_unread: bool,
    /// A bit for each word of `Longer`, and `LEFT_OUT`.
    words: u128,
}

/// Longer words that are remembered.
const MOST_WORDS: usize = 100;
const LEFT_OUT: u128 = 1 << MOST_WORDS;
/// Bytes of one that are shown.
const LONGEST_WORD: usize = 400;
/// Nested texts of JSON in JSON.
const DEEPEST: usize = 4;
/// Bytes of a domain that may be one of those looked for, which have 320, in another form.
const LONGEST_DOMAIN: usize = 2000;

impl Longer {
    /// The bit of a word.
    fn bit(&mut self, word: &str) -> u128 {
        let word = word.get(..word.floor_char_boundary(LONGEST_WORD)).unwrap_or_default();
        let number = match self.words.get(word) {
            Some(number) => *number,
            None if self.words.len() == MOST_WORDS => return LEFT_OUT,
            None => {
                let number = self.words.len() as u8;
                self.words.insert(word.to_owned(), number);
                self.rows.push(0);
                number
            }
        };
        1 << number
    }

    /// Counts a row in which this was seen.
    pub fn count(&mut self, seen: Seen) {
        if seen.words == 0 {
            return;
        }
        for (number, n) in self.rows.iter_mut().enumerate() {
            *n += i64::from(seen.words >> number & 1 == 1);
        }
        self.n_rows_left_out += i64::from(seen.words & LEFT_OUT != 0);
    }

    /// Those that a row that was counted holds.
    pub fn words(&self) -> impl Iterator<Item = (&str, i64)> {
        let words = self.words.iter().map(|(word, number)| (word.as_str(), self.rows[usize::from(*number)]));
        words.filter(|(_, n)| *n > 0)
    }
}

impl Seen {
    pub fn is_nothing(self) -> bool {
        self == Self::default()
    }

    /// Adds what was seen in another text of the row.
    pub fn add(&mut self, other: Self) {
        self.is_in |= other.is_in;
        self.is_unread |= other.is_unread;
        self.words |= other.words;
    }
}

impl Address {
    /// # Errors
    /// `Invalid` for what is no address: a word would erase too much.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let parts = text.rsplit_once('@').filter(|(local, domain)| !local.is_empty() && !domain.is_empty());
        let is_sound = text.len() <= 320 && !text.chars().any(char::is_control);
        let Some((local, domain)) = parts.filter(|_| is_sound) else {
            let message = format!("{} is no mail address; accepted: as in ada@example.org", quoted(text));
            return Err(Error::invalid("address", message));
        };
        let local = unquoted(local).unwrap_or_else(|| local.to_owned());
        let (local, given) = (in_one_form(&local), in_one_form(domain));
        let ascii = canonical::domain(&given);
        let (people, _) = idna::domain_to_unicode(&ascii);
        let mut domains = vec![given, ascii, in_one_form(&people)];
        domains.iter_mut().for_each(|domain| domain.truncate(domain.trim_end_matches('.').len()));
        domains.sort_unstable();
        domains.dedup();
        domains.retain(|domain| !domain.is_empty());
        if local.is_empty() || domains.is_empty() {
            return Err(Error::invalid("address", format!("{} is no mail address", quoted(text))));
        }
        Ok(Self { text: text.to_owned(), local, domains })
    }

    /// Whether it stands by itself in a text, or in a text within it that is JSON.
    pub fn is_in(&self, text: &str) -> bool {
        self.is_within(text, &mut |_| {}, 0) == Looked::Found
    }

    /// `is_in`, also whether that is sure, and with which longer words hold it.
    pub fn find(&self, text: &str, longer: &mut Longer) -> Seen {
        let mut words = 0;
        let looked = self.is_within(text, &mut |word| words |= longer.bit(word), 0);
        Seen { is_in: looked == Looked::Found, is_unread: looked == Looked::NotThrough, words }
    }

    /// Whether two addresses are one.
    pub fn is(&self, other: &str) -> bool {
        canonical::is_same_address(&self.text, other)
            || Self::parse(other)
                .is_ok_and(|other| self.local == other.local && self.domains == other.domains)
    }

    fn is_within(&self, text: &str, tell: &mut dyn FnMut(&str), depth: usize) -> Looked {
        if text.len() < 3 {
            return Looked::Through;
        }
        let looks_like_json = text.trim_start().starts_with(['{', '[', '"']);
        if looks_like_json && depth < DEEPEST {
            let mut looked = Looked::Through;
            let is_json = each_text(text, |text| {
                if looked != Looked::Found {
                    match self.is_within(text, tell, depth + 1) {
                        Looked::Through => {}
                        other => looked = other,
                    }
                }
            });
            if is_json || looked == Looked::Found {
                return looked;
            }
        }
        readings::any(text, |reading| self.is_in_reading(reading, tell))
    }

    fn is_in_reading(&self, reading: &str, tell: &mut dyn FnMut(&str)) -> bool {
        let text = in_one_form(reading);
        let holds = |part: &str| memmem::find(text.as_bytes(), part.as_bytes()).is_some();
        if !self.domains.iter().any(|domain| holds(domain)) && !holds("xn--") {
            return false;
        }
        let mut is_in = false;
        for (at, _) in text.match_indices('@') {
            let (left, right) = (skip_back(&text[..at]), skip(&text[at + 1..]));
            let Some(after) = self.after_domain(right) else { continue };
            let domain = &right[..right.len() - after.len()];
            let goes_on = goes_on(domain, after);
            match self.before_local(left, after) {
                Some(Before::Nothing) if goes_on == 0 => is_in = true,
                Some(Before::Nothing) => tell(&format!("{}@{domain}{}", self.local, &after[..goes_on])),
                Some(Before::Word(start)) => {
                    tell(&format!("{}@{domain}{}", &left[start..], &after[..goes_on]));
                }
                None => {}
            }
        }
        is_in || self.is_within_another(&text, tell)
    }

    /// What follows the domain that a text begins with.
    fn after_domain<'t>(&self, text: &'t str) -> Option<&'t str> {
        let known = self
            .domains
            .iter()
            .filter_map(|domain| text.strip_prefix(domain.as_str()))
            .min_by_key(|rest| rest.len());
        if known.is_some() {
            return known;
        }
        // Some labels as people write them and some as DNS has them.
        let is_of_domain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.');
        let end = text.find(|c| !is_of_domain(c)).unwrap_or(text.len());
        let domain = text[..end].trim_end_matches('.');
        let is_it = domain.len() <= LONGEST_DOMAIN
            && domain.contains("xn--")
            && self.domains.contains(&canonical::domain(domain));
        is_it.then(|| &text[domain.len()..])
    }

    /// What stands in front of the local part that a text ends in.
    fn before_local(&self, text: &str, after: &str) -> Option<Before> {
        if let Some(quoted) = text.strip_suffix('"').and_then(|text| Some(&text[opening_quote(text)?..])) {
            let is_it = unquoted(&format!("{quoted}\"")).is_some_and(|local| local == self.local);
            if is_it {
                return Some(Before::Nothing);
            }
        }
        if let Some(before) = text.strip_suffix(self.local.as_str()) {
            return Some(match is_part_of_word(before, after) {
                false => Before::Nothing,
                true => Before::Word(word_start(text)),
            });
        }
        let start = word_start(text);
        let tagged = text[start..].strip_prefix(self.local.as_str()).is_some_and(|tag| tag.starts_with('+'));
        tagged.then_some(Before::Word(start))
    }

    /// As a part of another's local part: `bounces-bob=example.org@lists.example` (VERP),
    /// `SRS0=hash=tt=example.org=bob@relay.example`, `bob%example.org@relay.example`, `relay.example!example.org!bob`.
    fn is_within_another(&self, text: &str, tell: &mut dyn FnMut(&str)) -> bool {
        let mut is_in = false;
        for domain in &self.domains {
            for (at, _) in text.match_indices(domain.as_str()) {
                let (before, after) = (&text[..at], &text[at + domain.len()..]);
                let local = |sign| before.strip_suffix(sign)?.strip_suffix(self.local.as_str());
                if after.starts_with('@') {
                    is_in |= local('%').is_some_and(|rest| !is_part_of_word(rest, ""));
                    if let Some(rest) = local('=') {
                        // Of several separators nobody knows which one ends the list's own name.
                        let start = word_start(rest);
                        let prefix = &rest[start..];
                        let is_list = prefix.ends_with(['-', '+']) && prefix.matches(['-', '+']).count() == 1;
                        match is_list || !is_part_of_word(rest, "") {
                            true => is_in = true,
                            false => tell(&text[start..at + domain.len()]),
                        }
                    }
                }
                let behind = |sign| after.strip_prefix(sign)?.strip_prefix(self.local.as_str());
                let is_whole = !before.ends_with(|c| is_of_word(c) || matches!(c, '.' | '-'));
                is_in |= is_whole && behind('=').is_some_and(|rest| rest.starts_with('@'));
                let ends = |rest: &str| !rest.trim_start_matches(JOINERS).starts_with(is_of_word);
                is_in |= is_whole && behind('!').is_some_and(ends);
            }
        }
        is_in
    }
}

enum Before {
    Nothing,
    /// A word that begins there.
    Word(usize),
}

/// Visits every text in a text that is JSON, names of members too, as they come: also one that a later member of the same
/// name would replace. `false`: it was no JSON, which shows only in the end.
fn each_text(text: &str, visit: impl FnMut(&str)) -> bool {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let visited = Texts(&mut { visit }).deserialize(&mut deserializer);
    visited.is_ok() && deserializer.end().is_ok()
}

struct Texts<'v>(&'v mut dyn FnMut(&str));

impl<'de> DeserializeSeed<'de> for Texts<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Texts<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E>(self, text: &str) -> std::result::Result<(), E> {
        (self.0)(text);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<(), A::Error> {
        while items.next_element_seed(Texts(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> std::result::Result<(), A::Error> {
        while members.next_key_seed(Texts(self.0))?.is_some() {
            members.next_value_seed(Texts(self.0))?;
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> std::result::Result<(), E> {
        Ok(())
    }
}

/// A text in its one form.
fn in_one_form(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let seen = text.nfkc().filter(|c| !is_invisible(*c)).map(|c| if c == '。' { '.' } else { fold(c) });
    seen.nfkc().collect()
}

/// Blanks that RFC 5322 allows around an `@`, and a few more.
const MOST_BLANKS: usize = 8;

fn skip(text: &str) -> &str {
    let rest = text.trim_start();
    if text.len() - rest.len() <= MOST_BLANKS { rest } else { text }
}

fn skip_back(text: &str) -> &str {
    let rest = text.trim_end();
    if text.len() - rest.len() <= MOST_BLANKS { rest } else { text }
}

/// Letters and digits, with their accents; not of the scripts that have no blanks between words.
fn is_of_word(c: char) -> bool {
    let has_no_blanks = matches!(
        c,
        '\u{e00}'..='\u{eff}'
            | '\u{1000}'..='\u{109f}'
            | '\u{1780}'..='\u{17ff}'
            | '\u{2e80}'..='\u{a4cf}'
            | '\u{ac00}'..='\u{d7ff}'
            | '\u{f900}'..='\u{faff}'
            | '\u{20000}'..='\u{3ffff}'
    );
    (c.is_alphanumeric() || unicode_normalization::char::is_combining_mark(c)) && !has_no_blanks
}

/// Signs that stand within an address, and outside of one at its ends.
const JOINERS: [char; 5] = ['.', '_', '-', '+', '\''];

/// Whether a word that ends here goes on in what follows. `after` is what stands behind the whole address: a sign on
/// both sides of it, as in `_bob@example.org_` and `b'bob@example.org'`, is not of it.
fn is_part_of_word(before: &str, after: &str) -> bool {
    let Some(last) = before.chars().next_back() else { return false };
    if is_of_word(last) {
        return true;
    }
    let is_closed = after.starts_with(last);
    if !JOINERS.contains(&last) || (last == '\'' && is_closed) {
        return false;
    }
    let rest = before.trim_end_matches(JOINERS);
    // A local part begins with an underscore now and then; a list, a quote, a sentence with the others.
    rest.ends_with(is_of_word) || (last == '_' && !is_closed)
}

fn word_start(text: &str) -> usize {
    let is_of = |c: char| is_of_word(c) || JOINERS.contains(&c);
    text.char_indices()
        .rev()
        .take(LONGEST_WORD)
        .take_while(|(_, c)| is_of(*c))
        .last()
        .map_or(text.len(), |(at, _)| at)
}

/// How many bytes behind a domain belong to a longer one.
fn goes_on(domain: &str, after: &str) -> usize {
    if domain.ends_with(']') {
        return 0;
    }
    let rest = after.trim_start_matches(['.', '-']);
    // Another script is another word, where there are no blanks.
    if !rest.starts_with(is_of_word) {
        return 0;
    }
    let is_of = |c: char| is_of_word(c) || matches!(c, '.' | '-');
    after.find(|c| !is_of(c)).unwrap_or(after.len()).min(after.floor_char_boundary(LONGEST_WORD))
}

/// Where the quote opened that ends behind this text.
fn opening_quote(text: &str) -> Option<usize> {
    text.char_indices().rev().take(LONGEST_WORD).find_map(|(at, c)| {
        let before = text[..at].bytes().rev().take(2 * LONGEST_WORD);
        (c == '"' && before.take_while(|c| *c == b'\\').count() % 2 == 0).then_some(at)
    })
}

/// A quoted local part without its quotes.
fn unquoted(local: &str) -> Option<String> {
    let inside = local.strip_prefix('"')?.strip_suffix('"')?;
    let mut is_escaped = false;
    let kept = inside.chars().filter(|c| {
        is_escaped = *c == '\\' && !is_escaped;
        !is_escaped
    });
    Some(kept.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told of a text: whether the address stands in it by itself, and the longer words.
    fn seen(address: &str, text: &str) -> (bool, Vec<String>) {
        let mut longer = Longer::default();
        let seen = Address::parse(address).expect("an address").find(text, &mut longer);
        longer.count(seen);
        assert!(!seen.is_unread, "{text} is not read through");
        (seen.is_in, longer.words().map(|(word, _)| word.to_owned()).collect())
    }

    #[track_caller]
    fn found(address: &str, texts: &[&str]) {
        for text in texts {
            assert!(seen(address, text).0, "{address} is not found in {text}");
        }
    }

    #[test]
    fn it_is_found_where_it_stands_by_itself() {
        found(
            " Ann@Example.org ",
            &[
                "ann@example.org",
                "ANN@EXAMPLE.ORG",
                "<ann@example.org>",
                "to ann@example.org.",
                "\"ann@example.org\"",
                "'ann@example.org'",
                "`ann@example.org`",
                "{ann@example.org}",
                "[ann@example.org]",
                "(ann@example.org)",
                "|ann@example.org|",
                "*ann@example.org*",
                "**ann@example.org**",
                "_ann@example.org_",
                "~ann@example.org~",
                "ann@example.org, bob@example.org; eve@example.org",
                "a@b,ann@example.org;c@d",
                "joann@example.org ann@example.org",
                "mailto:ann@example.org?subject=x",
                "https://example.net/u/ann@example.org/edit",
                "https://ann@example.org:443/",
                "/home/vmail/ann@example.org/cur",
                r"C:\mail\ann@example.org",
                "?email=ann@example.org&x=1",
                "&to=ann@example.org",
                "sasl_username=ann@example.org",
                "from=<ann@example.org>, size=1",
                "user:ann@example.org",
                "user ann@example.org's",
                "#ann@example.org",
                "$ann@example.org",
                "!ann@example.org!",
                "-ann@example.org",
                "+ann@example.org",
                "- ann@example.org",
                "…ann@example.org…",
                "..ann@example.org..",
                "b'ann@example.org'",
                "E'ann@example.org'",
                "first\nann@example.org",
                "\tann@example.org",
                "\0ann@example.org\0",
                "ann@example.org_2024.csv",
                "ann@example.org@relay.example",
                "ann @ example.org",
                "ann@\r\n example.org",
                "\"ann\"@example.org",
                "联系ann@example.org吧",
                "ann@example.org으로",
                "«ann@example.org»",
                "📧ann@example.org",
                "prvs=1234567890=ann@example.org",
                "bounces-ann=example.org@lists.example",
                "bounces+ann=example.org@lists.example",
                "SRS0=HHH=TT=example.org=ann@relay.example",
                "ann%example.org@relay.example",
                "relay.example!example.org!ann",
            ],
        );
    }

    #[test]
    fn it_is_found_however_it_is_wrapped() {
        found(
            "ann@example.org",
            &[
                "ann%40example.org",
                "?q=ann%40example%2Eorg",
                "?to=x+ann%40example.org+y",
                "%3Cann%40example.org%3E",
                "ann%2540example.org",
                "ann=40example.org",
                "dear=20ann@example.org",
                "ann@exam=\r\nple.org",
                "=?utf-8?q?Ann_=3Cann=40example.org=3E?=",
                "=?utf-8?Q?ann=40exam?= =?utf-8?Q?ple.org?=",
                "=?UTF-8?B?QW5uIDxhbm5AZXhhbXBsZS5vcmc+?=",
                "rfc822;ann+40example.org",
                "ann+AEA-example.org",
                "ann&#64;example.org",
                "ann&#x40;example.org",
                "ann&commat;example&period;org",
                "&lt;ann@example.org&gt;",
                "&amp;lt;ann&amp;#64;example.org",
                r"ann\u0040example.org",
                r"ann\u{40}example.org",
                r"ann\x40example.org",
                r"ann\40example.org",
                r"ann@example\.org",
                r"ann\@example.org",
                r"first\nann@example.org",
                r"first\\nann@example.org",
                r#"{"to":"ann@example.org"}"#,
                r#"{"ann@example.org":true}"#,
                r#"{"a":[{"b":"x\nann@example.org"}]}"#,
                r#"{"m":"{\"to\":\"x\\nann@example.org\"}"}"#,
                r#"{"m":"{\"to\":\"ann\\u0040example.org\"}"#,
                "AUTH PLAIN AGFubkBleGFtcGxlLm9yZwBwdw==",
                "data:text/plain;base64,YW5uQGV4YW1wbGUub3Jn",
                "eyJhbGciOiJub25lIn0.eyJlbWFpbCI6ImFubkBleGFtcGxlLm9yZyJ9.",
                "YW5uQGV4YW1w\r\nbGUub3Jn",
                "ann＠example．org",
                "ａｎｎ@example.org",
                "an\u{200b}n@exa\u{ad}mple.org",
                "\u{202e}ann@example.org",
                "ANN@EXAMPLE。ORG",
            ],
        );
        found("jörg@müller.example", &["JÖRG@MÜLLER.example", "jo\u{308}rg@mu\u{308}ller.example"]);
        found("jörg@müller.example", &["jörg@xn--mller-kva.example", "j%C3%B6rg@m%C3%BCller.example"]);
        found(
            "jörg@müller.example",
            &["j=C3=B6rg=40xn--mller-kva.example", r"j\u00f6rg@m\u00fcller.example"],
        );
        found("jörg@xn--mller-kva.example", &["jörg@müller.example"]);
        found("ada@a.müller.example", &["ada@a.xn--mller-kva.example"]);
        found("\"a b\"@example.org", &[r#""a b"@example.org"#, r#"{"x":"\"a b\"@example.org"}"#]);
        found("\"a b\"@example.org", &[r#"{"m":"{\"x\":\"\\\"a b\\\"@example.org\"}"}"#]);
        found(
            "o'neill@example.org",
            &["o'neill@example.org", "o&#39;neill@example.org", "'o'neill@example.org'"],
        );
        found("a/b=c@example.org", &["a/b=c@example.org", "=a%2Fb%3Dc%40example.org"]);
        found("ann@[192.0.2.1]", &["<ann@[192.0.2.1]>"]);
    }

    #[test]
    fn another_address_is_told_and_not_found() {
        for (text, word) in [
            ("joann@example.org", "joann@example.org"),
            ("jo.ann@example.org", "jo.ann@example.org"),
            ("to jo-ann@example.org!", "jo-ann@example.org"),
            ("jo+ann@example.org", "jo+ann@example.org"),
            ("jo_ann@example.org_", "jo_ann@example.org"),
            ("_ann@example.org", "_ann@example.org"),
            ("o'ann@example.org", "o'ann@example.org"),
            ("éann@example.org", "éann@example.org"),
            ("ann+tag@example.org", "ann+tag@example.org"),
            ("ann@example.org.uk", "ann@example.org.uk"),
            ("ann@example.organic", "ann@example.organic"),
            ("ann@example.org-x", "ann@example.org-x"),
            ("JOANN@Example.org.UK", "joann@example.org.uk"),
            ("x%40y joann%40example.org", "joann@example.org"),
            ("bounces-jo-ann=example.org@lists.example", "bounces-jo-ann=example.org"),
        ] {
            assert_eq!(seen("ann@example.org", text), (false, vec![word.to_owned()]), "{text}");
        }
        for text in [
            "",
            "ann",
            "@example.org",
            "ann@",
            "ann at example.org",
            "ann@sub.example.org",
            "ann@example.com",
            "ann=example.org",
            "host ann=example.org up",
            "sub.example.org!ann",
            "\"jo ann\"@example.org",
            "{\"ann\":\"example.org\"}",
        ] {
            assert_eq!(seen("ann@example.org", text), (false, Vec::new()), "{text}");
        }
        assert!(!Address::parse("straße@example.org").expect("one").is_in("strasse@example.org"));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("{}@example.org", "a".repeat(320));
        for text in
            ["", "ann", "@example.org", "ann@", "a\nb@example.org", "ann@.", "\"\"@example.org", &long]
        {
            assert!(Address::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_hostile_text_is_read_in_bounds() {
        let address = Address::parse("ann@example.org").expect("an address");
        for text in [
            "\\".repeat(65_536),
            "%25".repeat(21_000),
            "=3D".repeat(21_000),
            "&amp;".repeat(13_000),
            "=?utf-8?q?".repeat(6_500),
            "A".repeat(65_536),
            "\"@example.org".repeat(5_000),
            "[".repeat(65_536),
            format!("{}joann@example.org", "\u{301}".repeat(30_000)),
            // Bytes that are no text, each with all that follow it.
            "%FF".repeat(500_000),
            "=FF".repeat(500_000),
            "+FF".repeat(500_000),
            "\\xFF".repeat(500_000),
            "%C3%".repeat(500_000),
            format!("{}{}", "\\".repeat(500_000), "\"@example.org".repeat(5_000)),
        ] {
            address.is_in(&text);
        }
    }

    #[test]
    fn what_is_wrapped_in_too_many_ways_is_told() {
        let address = Address::parse("ann@example.org").expect("an address");
        let look = |text: &str| {
            let seen = address.find(text, &mut Longer::default());
            (seen.is_in, seen.is_unread)
        };
        let wrapped = r"%41=41&#65;\x41+41 ";
        assert_eq!(look(wrapped), (false, false));
        assert_eq!(look(&wrapped.repeat(3000)), (false, true));
        assert_eq!(look(&format!("{}ann%40example.org", wrapped.repeat(3000))), (true, false));
        // Deeper than anybody looks.
        let deep = (0..60)
            .fold("ann@example.org".to_owned(), |text, _| text.replace('%', "%25").replace('@', "%40"));
        assert_eq!(look(&deep), (false, true));
        assert_eq!(look(&serde_json::json!({ "a": [wrapped.repeat(3000)] }).to_string()), (false, true));
    }

    #[test]
    fn of_two_members_of_one_name_both_are_read() {
        found("ann@example.org", &[r#"{"to":"\u0061nn@example.org","to":"x"}"#]);
    }

    #[test]
    fn so_many_longer_words_are_kept_and_the_rows_of_others_counted() {
        let address = Address::parse("ann@example.org").expect("an address");
        let mut longer = Longer::default();
        for n in 0..1000 {
            let row = address.find(&format!("x{n}ann@example.org x{}ann@example.org", n % 10), &mut longer);
            assert!(!row.is_in);
            longer.count(row);
        }
        assert_eq!((longer.words().count(), longer.n_rows_left_out), (MOST_WORDS, 900));
        assert!(longer.words().any(|word| word == ("x3ann@example.org", 100)));
        let row = address.find(&format!("{}ann@example.org", "x".repeat(100_000)), &mut Longer::default());
        assert!(!row.is_in);
    }
}
