//! What the tree commits to of a row: one line of JSON that anybody can read, hash and compare.
//!
//! `{"v":1,"log":"enforcement","seq":7,…,"salt":"…"}`: members in a fixed order, none that is null, texts as they are
//! stored, numbers as they are stored (times: microseconds since 1970), bytes as lower-case hex, JSON that was
//! recorded as a text. Inner numbers of owners, of texts and of words are named by what they stand for (`rows`).
//!
//! The leaf holds the SHA-256 of the line, and the line holds 128 random bits that stand beside the row and go with
//! it: what is left of an erased row can be compared with no guess.

use std::fmt::Write;

use rusqlite::types::ValueRef;

use super::merkle::{Hash, leaf_hash};
use crate::error::{Error, Result};

/// A line in the making. Its buffer is used again for the next.
#[derive(Default)]
pub struct Record(String);

impl Record {
    /// Begins the line of a row.
    pub fn begin(&mut self, log: &str, seq: i64) {
        self.0.clear();
        let _ = write!(self.0, "{{\"v\":1,\"log\":\"{log}\",\"seq\":{seq}");
    }

    /// A column as it is stored; null: not at all. Bytes are hex.
    ///
    /// # Errors
    /// `Internal` for a fraction or a text that is no UTF-8: nothing of ours stores one.
    pub fn value(&mut self, name: &str, value: ValueRef<'_>) -> Result<()> {
        match value {
            ValueRef::Null => {}
            ValueRef::Integer(number) => {
                self.name(name);
                let _ = write!(self.0, "{number}");
            }
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
        self.0.push('"');
        let mut rest = text;
        while let Some(at) = rest.bytes().position(|byte| byte < b' ' || matches!(byte, b'"' | b'\\')) {
            self.0.push_str(&rest[..at]);
            match rest.as_bytes()[at] {
                b'"' => self.0.push_str("\\\""),
                b'\\' => self.0.push_str("\\\\"),
                byte => {
                    let _ = write!(self.0, "\\u{byte:04x}");
                }
            }
            rest = &rest[at + 1..];
        }
        self.0.push_str(rest);
        self.0.push('"');
    }

    pub fn hex(&mut self, name: &str, bytes: &[u8]) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        self.name(name);
        self.0.push('"');
        for byte in bytes {
            self.0.push(char::from(DIGITS[usize::from(byte >> 4)]));
            self.0.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        self.0.push('"');
    }

    /// The whole line, without a line end.
    ///
    /// # Errors
    /// `Mismatch` when the row's salt is not 16 bytes: then it is not as it was recorded.
    pub fn end(&mut self, salt: ValueRef<'_>) -> Result<&str> {
        match salt {
            ValueRef::Blob(salt) if salt.len() == 16 => self.hex("salt", salt),
            _ => return Err(Error::Mismatch("the salt is not 16 bytes".into())),
        }
        self.0.push('}');
        Ok(&self.0)
    }

    fn name(&mut self, name: &str) {
        self.0.push_str(",\"");
        self.0.push_str(name);
        self.0.push_str("\":");
    }
}

/// The leaf of a line: it holds the line's SHA-256, so that who has the tree has nothing of the line.
pub fn leaf(line: &str) -> Hash {
    leaf_of(Hash::of(line.as_bytes()))
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
        let line = record.end(ValueRef::Blob(&[1; 16])).expect("a line").to_owned();
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
