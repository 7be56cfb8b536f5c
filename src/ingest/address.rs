//! Addresses in header fields (RFC 5322 sections 3.4 and 4.4): the first one, in one spelling.

use super::words::{Word, Words, is_atom, utf8};

/// Bytes of an address: 64 for the local part, 255 for the domain (RFC 5321 section 4.5.3.1).
pub const MAX_ADDRESS: usize = 320;
/// Bytes of a field with addresses that are looked at.
const MAX_FIELD: usize = 64 * 1024;

/// The first address in the value of a field: its local part without quotes where it needs none, its domain in lower
/// case. `None` for a null address (`<>`), and where there is none: words before an address without brackets make it
/// no address.
pub fn first(value: &[u8]) -> Option<String> {
    let mut words = Words::of(&value[..value.len().min(MAX_FIELD)]);
    // What may become an address without brackets.
    let mut bare = Spec::default();
    while let Some(word) = words.next() {
        match word {
            Word::Special(b'<') => {
                if let Some(address) = in_brackets(&mut words) {
                    return Some(address);
                }
                // A display name and its brackets belong together: what stands before a comma is over.
                bare.spoil();
            }
            Word::Special(b',' | b';') => match std::mem::take(&mut bare).address() {
                None => {}
                found => return found,
            },
            // What stood before it is the name of a group.
            Word::Special(b':') => bare = Spec::default(),
            word => bare.push(word),
        }
    }
    bare.address()
}

/// Behind `<`, up to `>` or the end: an address, maybe behind a route (section 4.4), which counts for nothing.
fn in_brackets(words: &mut Words<'_>) -> Option<String> {
    let mut spec = Spec::default();
    let mut is_route = false;
    for word in words {
        match word {
            Word::Special(b'>') => break,
            Word::Special(b'@') if spec.is_empty() => is_route = true,
            Word::Special(b':') if is_route => {
                spec = Spec::default();
                is_route = false;
            }
            Word::Special(b',') if is_route => {}
            word => spec.push(word),
        }
    }
    if is_route { None } else { spec.address() }
}

/// `local-part "@" domain`, word by word: white space and comments may stand between any two.
#[derive(Default)]
struct Spec {
    local: Vec<u8>,
    domain: Vec<u8>,
    is_after_at: bool,
    /// Whether the last was a word, after which only a dot or the `@` may come.
    after_word: bool,
    needs_quotes: bool,
    is_spoilt: bool,
}

impl Spec {
    fn is_empty(&self) -> bool {
        !self.is_after_at && self.local.is_empty() && !self.is_spoilt
    }

    fn spoil(&mut self) {
        self.is_spoilt = true;
    }

    fn push(&mut self, word: Word<'_>) {
        if self.is_spoilt || self.local.len() + self.domain.len() > 2 * MAX_ADDRESS {
            return self.spoil();
        }
        let is_word = !matches!(word, Word::Special(_));
        if is_word && self.after_word {
            return self.spoil();
        }
        match word {
            Word::Atom(atom) if self.is_after_at => self.domain.extend_from_slice(atom),
            Word::Atom(atom) => self.local.extend_from_slice(atom),
            Word::Quoted(inside) if !self.is_after_at => {
                self.needs_quotes |= !inside.iter().all(|byte| is_atom(*byte) || *byte == b'.');
                self.local.extend(inside.iter().map(|byte| if *byte == b'\t' { b' ' } else { *byte }));
            }
            Word::Literal(inside) if self.is_after_at && self.domain.is_empty() => {
                self.domain.push(b'[');
                self.domain.extend(inside.iter().filter(|byte| !byte.is_ascii_whitespace()));
                self.domain.push(b']');
            }
            Word::Special(b'.') if !self.is_after_at => self.local.push(b'.'),
            // No empty label.
            Word::Special(b'.') if self.after_word => self.domain.push(b'.'),
            Word::Special(b'@') if !self.is_after_at => self.is_after_at = true,
            _ => self.spoil(),
        }
        self.after_word = is_word;
    }

    fn address(self) -> Option<String> {
        if self.is_spoilt || self.local.is_empty() || self.domain.is_empty() {
            return None;
        }
        let local = utf8(&self.local);
        let local = if self.needs_quotes {
            format!("\"{}\"", local.replace('\\', "\\\\").replace('"', "\\\""))
        } else {
            local
        };
        let domain = utf8(&self.domain).to_lowercase();
        let address = format!("{local}@{}", domain.trim_end_matches('.'));
        (address.len() <= MAX_ADDRESS && !address.contains(char::is_control)).then_some(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_address_is_found_and_has_one_spelling() {
        let long = format!("{}@example.com", "x".repeat(310));
        for (value, expected) in [
            ("A <Al@Example.COM>, b@example.org", "Al@example.com"),
            ("=?utf-8?q?A=40b?= <a@b.c>", "a@b.c"),
            ("\"x@y\" <a@b.c>", "a@b.c"),
            ("a@b.c (x@y)", "a@b.c"),
            ("Friends: a@b.c, d@e.f;", "a@b.c"),
            ("Friends:;, a@b.c", "a@b.c"),
            ("Lee, Ann <a@b.c>", "a@b.c"),
            ("x@y.z <a@b.c>", "a@b.c"),
            ("[list] Ann <a@b.c>", "a@b.c"),
            ("J. Q. Public <a@b.c>", "a@b.c"),
            ("<>, a@b.c", "a@b.c"),
            // Quoted.
            ("\"ann b\"@example.org", "\"ann b\"@example.org"),
            ("<\"ann b\"@example.org>", "\"ann b\"@example.org"),
            ("<\"ann\"@example.org>", "ann@example.org"),
            ("<\"a\\\"\\b\"@x>", "\"a\\\"b\"@x"),
            ("ann.\"b c\"@x", "\"ann.b c\"@x"),
            ("\"a@b\"@x", "\"a@b\"@x"),
            // Comments and white space.
            ("ann(home)@example.org", "ann@example.org"),
            ("Ann <ann@ example.org>", "ann@example.org"),
            ("(a) ann (b) . (c) b (d)\r\n @ (e) example (f) . (g) org (h)", "ann.b@example.org"),
            ("<(a) ann@example.org (b)> (c)", "ann@example.org"),
            // Routes.
            ("<@r.example.net,@s.example.net:ann@example.org>", "ann@example.org"),
            ("Ann <@r : ann@example.org>", "ann@example.org"),
            // Domains.
            ("ann@[IPv6:2001:db8::1]", "ann@[ipv6:2001:db8::1]"),
            ("ann@[192.0.2.1]", "ann@[192.0.2.1]"),
            ("ann@Bücher.Example", "ann@bücher.example"),
            ("ann@example.org.", "ann@example.org"),
            ("用户@例え.jp", "用户@例え.jp"),
            // Not as it should be, and clear all the same.
            ("Ann <ann@example.org>\r\n <bob@example.net>", "ann@example.org"),
            ("Ann <ann@example.org", "ann@example.org"),
            ("\"Ann <ann@example.org>", "ann@example.org"),
            ("Ann (home <ann@example.org>", "ann@example.org"),
            ("ann..b.@example.org", "ann..b.@example.org"),
            // No address.
            ("", ""),
            ("Nobody <>", ""),
            ("MAILER-DAEMON", ""),
            ("a@", ""),
            ("@b", ""),
            ("\"\"@b", ""),
            ("Ann Example ann@example.org", ""),
            ("mailing list team@example.org", ""),
            ("ann@example.org Ann", ""),
            ("ann@example.org bob@example.net", ""),
            ("<ann b@example.org>", ""),
            ("a@b@c", ""),
            ("a@b..c", ""),
            ("a@.b", ""),
            ("<@r.example.net>", ""),
            ("a\u{0}b@c", ""),
            (&long, ""),
        ] {
            assert_eq!(first(value.as_bytes()).unwrap_or_default(), expected, "{value}");
        }
        assert_eq!(first(b"caf\xe9@example.org").as_deref(), Some("caf%E9@example.org"));
    }
}
