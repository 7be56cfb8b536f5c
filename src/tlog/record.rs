//! What the tree commits to of a row: one line of JSON that anybody can read, hash and compare.
//!
//! `{"v":1,"log":"enforcement","seq":7,…,"salt":"…"}`: members in a fixed order, none that is null, texts as they are
//! stored, numbers as they are stored (times: microseconds since 1970), bytes as lower-case hex, JSON that was
//! recorded as a text. Inner numbers of owners, of texts and of words are named by what they stand for (`rows`).
//!
//! The leaf holds the SHA-256 of the line, and the line holds 128 random bits that stand beside the row and go with
//! it: what is left of an erased row can be compared with no guess.

use rusqlite::types::ValueRef;

use super::merkle::{Hash, leaf_hash};
use crate::error::{Error, Result};

/// A line in the making. Its buffer is used again for the next.
#[derive(Default)]
pub struct Record(Vec<u8>);

/// Whether JSON has another spelling for it.
fn is_escaped(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

impl Record {
    /// Begins the line of a row.
    pub fn begin(&mut self, log: &str, seq: i64) {
        self.0.clear();
        self.0.extend_from_slice(b"{\"v\":1");
        self.text("log", log);
        self.number("seq", seq);
    }

    /// A column as it is stored; null: not at all. Bytes are hex.
    ///
    /// # Errors
    /// `Internal` for a fraction or a text that is no UTF-8: nothing of ours stores one.
    pub fn value(&mut self, name: &str, value: ValueRef<'_>) -> Result<()> {
        match value {
            ValueRef::Null => {}
            ValueRef::Integer(number) => self.number(name, number),
            ValueRef::Text(text) => {
                let text = std::str::from_utf8(text)
                    .map_err(|_| Error::Internal(format!("{name} holds a text that is no UTF-8")))?;
                self.text(name, text);
            }
            ValueRef::Blob(bytes) => self.hex(name, bytes),
            ValueRef::Real(_) => return Err(Error::Internal(format!("{name} holds a fraction"))),
        }
        Ok(())
    }

    pub fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        self.0.push(b'"');
        let mut rest = text.as_bytes();
        // Nearly none has one, and to look at all bytes at once is faster than to look for the first.
        let has_escaped = rest.iter().fold(false, |has, byte| has | is_escaped(*byte));
        while has_escaped && let Some(at) = rest.iter().position(|byte| is_escaped(*byte)) {
            self.0.extend_from_slice(&rest[..at]);
            match rest[at] {
                byte @ (b'"' | b'\\') => self.0.extend_from_slice(&[b'\\', byte]),
                byte => self.0.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            }
            rest = &rest[at + 1..];
        }
        self.0.extend_from_slice(rest);
        self.0.push(b'"');
    }

    fn number(&mut self, name: &str, number: i64) {
        self.name(name);
        // Writing to a vector does not fail, and this way of writing a number is the fastest at hand.
        let _ = serde_json::to_writer(&mut self.0, &number);
    }

    pub fn hex(&mut self, name: &str, bytes: &[u8]) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        self.name(name);
        self.0.push(b'"');
        self.0.extend(
            bytes.iter().flat_map(|byte| [byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)])),
        );
        self.0.push(b'"');
    }

    /// The whole line, without a line end.
    ///
    /// # Errors
    /// `Mismatch` when the row's salt is not 16 bytes: then it is not as it was recorded.
    pub fn end(&mut self, salt: ValueRef<'_>) -> Result<&[u8]> {
        match salt {
            ValueRef::Blob(salt) if salt.len() == 16 => self.hex("salt", salt),
            _ => return Err(Error::Mismatch("the salt is not 16 bytes".into())),
        }
        self.0.push(b'}');
        Ok(&self.0)
    }

    fn name(&mut self, name: &str) {
        self.0.extend_from_slice(b",\"");
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }
}

/// The leaf of a line: it holds the line's SHA-256, so that who has the tree has nothing of the line.
pub fn leaf(line: &[u8]) -> Hash {
    leaf_of(Hash::of(line))
}

/// The leaf that holds this SHA-256.
pub fn leaf_of(commitment: Hash) -> Hash {
    leaf_hash(&commitment.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_json_with_every_text_as_it_was() {
        let text = "a\"b\\c\nd\u{1f}é\u{2028}";
        let mut record = Record::default();
        record.begin("enforcement", 7);
        record.text("message", text);
        record.value("sent_count", ValueRef::Integer(-3)).expect("a number");
        record.value("nothing", ValueRef::Null).expect("nothing");
        record.value("id", ValueRef::Blob(&[0, 255])).expect("bytes");
        let line = record.end(ValueRef::Blob(&[1; 16])).expect("a line");
        let line = String::from_utf8(line.to_vec()).expect("text");
        assert_eq!(
            line,
            "{\"v\":1,\"log\":\"enforcement\",\"seq\":7,\"message\":\"a\\\"b\\\\c\\u000ad\\u001fé\u{2028}\",\
             \"sent_count\":-3,\"id\":\"00ff\",\"salt\":\"01010101010101010101010101010101\"}"
        );
        let read: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(read["message"], text);
        assert!(record.value("part", ValueRef::Real(0.5)).is_err());
        record.begin("enforcement", 8);
        assert!(record.end(ValueRef::Blob(&[1; 15])).is_err());
    }
}
