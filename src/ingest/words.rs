//! The words of structured fields (RFC 5322 section 3.2): what stands between white space and comments, which may stand
//! between any two of them.
//!
//! A comment or a quoted string without an end is none: its first character stands for itself, and the reading goes on
//! behind it, once a field at most for each of the two, so that the time stays linear.

use std::borrow::Cow;

/// One word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word<'a> {
    /// Characters that mean nothing by themselves, bytes of any other character set than ASCII among them.
    Atom(&'a [u8]),
    /// The inside of a quoted string, without its escapes and line ends.
    Quoted(Cow<'a, [u8]>),
    /// The inside of square brackets.
    Literal(&'a [u8]),
    /// One of `()<>[]:;@\,."`, or a control character.
    Special(u8),
}

/// Bytes between square brackets that are looked at for a domain (RFC 5321 section 4.1.3).
const MAX_LITERAL: usize = 256;

/// Finds where comments and quoted strings of one value end.
#[derive(Default)]
pub struct Spans {
    no_comments: bool,
    no_quotes: bool,
}

impl Spans {
    /// The index after the comment or the quoted string that begins at `at`; `None` if none does, or has no end.
    pub fn end(&mut self, value: &[u8], at: usize) -> Option<usize> {
        match value.get(at)? {
            b'(' if !self.no_comments => {
                let end = comment_end(value, at);
                self.no_comments = end.is_none();
                end
            }
            b'"' if !self.no_quotes => {
                let end = quoted_end(value, at);
                self.no_quotes = end.is_none();
                end
            }
            _ => None,
        }
    }
}

/// Reads the words of one value, in order.
pub struct Words<'a> {
    value: &'a [u8],
    at: usize,
    spans: Spans,
}

impl<'a> Words<'a> {
    pub fn of(value: &'a [u8]) -> Self {
        Self { value, at: 0, spans: Spans::default() }
    }

    /// Passes over white space and comments; says whether there were any.
    pub fn space(&mut self) -> bool {
        let start = self.at;
        while let Some(byte) = self.value.get(self.at) {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
                b'(' => match self.spans.end(self.value, self.at) {
                    Some(end) => self.at = end,
                    None => break,
                },
                _ => break,
            }
        }
        self.at > start
    }

    pub fn peek(&self) -> Option<u8> {
        self.value.get(self.at).copied()
    }

    pub fn accept(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// The bytes from here on as far as they are of a class.
    pub fn run(&mut self, class: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = &self.value[self.at..];
        let length = rest.iter().position(|byte| !class(*byte)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    /// The quoted string that begins here, if one does.
    pub fn quoted(&mut self) -> Option<Cow<'a, [u8]>> {
        if self.peek() != Some(b'"') {
            return None;
        }
        let end = self.spans.end(self.value, self.at)?;
        let inside = &self.value[self.at + 1..end - 1];
        self.at = end;
        Some(unescaped(inside))
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = Word<'a>;

    fn next(&mut self) -> Option<Word<'a>> {
        self.space();
        let first = self.peek()?;
        if is_atom(first) {
            return Some(Word::Atom(self.run(is_atom)));
        }
        if let Some(quoted) = self.quoted() {
            return Some(Word::Quoted(quoted));
        }
        if first == b'[' {
            let rest = &self.value[self.at + 1..];
            let rest = &rest[..rest.len().min(MAX_LITERAL)];
            if let Some(length) =
                rest.iter().position(|byte| matches!(byte, b']' | b'[')).filter(|end| rest[*end] == b']')
            {
                self.at += length + 2;
                return Some(Word::Literal(&rest[..length]));
            }
        }
        self.at += 1;
        Some(Word::Special(first))
    }
}

/// What an atom may hold (RFC 5322 section 3.2.3), and UTF-8 (RFC 6532).
pub fn is_atom(byte: u8) -> bool {
    byte > b' ' && byte != 0x7f && !br#"()<>[]:;@\,.""#.contains(&byte)
}

/// The index after the comment that begins at `start`, however deep comments nest in it; `None` if it has no end.
pub fn comment_end(value: &[u8], start: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut is_escaped = false;
    for (offset, byte) in value[start..].iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'(' => depth += 1,
            b')' if depth == 1 => return Some(start + offset + 1),
            b')' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The index after the quoted string that begins at `start`; `None` if it has no end.
pub fn quoted_end(value: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', value.get(at..)?)?;
        if value[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// Without the backslashes before other characters, and without line ends.
pub fn unescaped(inside: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr3(b'\\', b'\r', b'\n', inside).is_none() {
        return Cow::Borrowed(inside);
    }
    let mut plain = Vec::with_capacity(inside.len());
    let mut bytes = inside.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => plain.extend(bytes.next()),
            b'\r' | b'\n' => {}
            byte => plain.push(*byte),
        }
    }
    Cow::Owned(plain)
}

/// As UTF-8; bytes that are not, are written as `%E9`, so that two that differ stay two.
pub fn utf8(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push('%');
            text.extend(
                [byte >> 4, byte & 15].map(|digit| char::from(b"0123456789ABCDEF"[usize::from(digit)])),
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Atoms as they are, `"quoted"`, `[literal]`, specials behind an apostrophe.
    fn show(value: &str) -> String {
        let shown: Vec<String> = Words::of(value.as_bytes())
            .map(|word| match word {
                Word::Atom(atom) => utf8(atom),
                Word::Quoted(inside) => format!("\"{}\"", utf8(&inside)),
                Word::Literal(inside) => format!("[{}]", utf8(inside)),
                Word::Special(byte) => format!("'{}", byte as char),
            })
            .collect();
        shown.join(" ")
    }

    #[test]
    fn values_are_taken_apart() {
        for (value, expected) in [
            (" a(b(c)d)e\r\n\tf", "a e f"),
            ("a.b@[IPv6:::1] <c>", "a '. b '@ [IPv6:::1] '< c '>"),
            ("\"a \\\"b\\\\\r\n c\" é", "\"a \"b\\ c\" é"),
            // Without an end.
            ("(a b (c <d>", "'( a b '( c '< d '>"),
            ("\"a (b) c", "'\" a c"),
            ("\"a\" \"b", "\"a\" '\" b"),
            ("[a [b] c", "'[ a [b] c"),
            ("(a\\)", "'( a '\\ ')"),
            ("\\", "'\\"),
            ("", ""),
        ] {
            assert_eq!(show(value), expected, "{value}");
        }
    }

    #[test]
    fn bytes_that_are_no_utf8_stay_apart() {
        assert_eq!(utf8(b"caf\xc3\xa9 \xe9\xff\x80%"), "café %E9%FF%80%");
    }
}
