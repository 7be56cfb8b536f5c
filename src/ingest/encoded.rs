//! Bytes that were made fit for the way (RFC 2045 section 6, RFC 2047): base64, quoted-printable, encoded words.
//!
//! Nothing is refused: what is no base64 is passed over, an `=` that begins nothing stays. Each decodes up to a number
//! of bytes and no further.

use super::charset::Charset;

/// RFC 2045 section 6.8: characters that are none of base64 are ignored, padding within it too.
pub fn base64(encoded: &[u8], most: usize) -> Vec<u8> {
    let mut decoded = Vec::with_capacity((encoded.len() / 4 * 3 + 3).min(most));
    let (mut bits, mut n_bits) = (0_u32, 0);
    for byte in encoded {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                // What follows begins anew.
                (bits, n_bits) = (0, 0);
                continue;
            }
            _ => continue,
        };
        bits = bits << 6 | u32::from(value);
        n_bits += 6;
        if n_bits >= 8 {
            n_bits -= 8;
            if decoded.len() == most {
                break;
            }
            decoded.push((bits >> n_bits) as u8);
        }
    }
    decoded
}

/// RFC 2045 section 6.7. An `=` that begins neither a byte nor a soft line break stays as it is, as that section
/// advises.
pub fn quoted_printable(encoded: &[u8], most: usize) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(encoded.len().min(most));
    for line in encoded.split_inclusive(|&byte| byte == b'\n') {
        if decoded.len() >= most {
            break;
        }
        let end =
            line.strip_suffix(b"\n").map_or(line, |text| text.strip_suffix(b"\r").unwrap_or(text)).len();
        let (text, line_end) = line.split_at(end);
        // Blanks before the line end were added on the way.
        let blanks = text.iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let text = &text[..text.len() - blanks];
        let soft_break = text.strip_suffix(b"=");
        hex_escapes(soft_break.unwrap_or(text), &mut decoded, most);
        if soft_break.is_none() {
            decoded.extend_from_slice(line_end);
        }
    }
    decoded.truncate(most);
    decoded
}

/// Up to `most` bytes in `decoded`.
fn hex_escapes(mut rest: &[u8], decoded: &mut Vec<u8>, most: usize) {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    while let Some((&byte, after)) = rest.split_first()
        && decoded.len() < most
    {
        let escaped = match (byte, after) {
            (b'=', &[high, low, ..]) => {
                digit(high).zip(digit(low)).map(|(high, low)| (high << 4 | low) as u8)
            }
            _ => None,
        };
        decoded.push(escaped.unwrap_or(byte));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
}

/// The text of an unstructured field, without its line ends. Encoded words next to each other are put together without
/// the white space between them; one that is not well-formed, or of an unknown character set, stays as it is, and so
/// does one that a text touches (RFC 2047 section 5).
pub fn decode_words(value: &[u8]) -> String {
    decode(value, |rest| rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len()))
}

/// `decode_words`, as the programs of people show it: they decode a word also where a text touches it, and with blanks
/// in it. What a guard looks for is not hidden that way.
pub fn decode_as_shown(value: &[u8]) -> String {
    decode(value, |rest| {
        let ends_at = |&at: &usize| rest[at].is_ascii_whitespace() || encoded_length(&rest[at..]).is_some();
        encoded_length(rest).unwrap_or_else(|| (0..rest.len()).find(ends_at).unwrap_or(rest.len()))
    })
}

/// Bytes of the encoded word that begins here, in whatever character set. Looks at three question marks.
fn encoded_length(rest: &[u8]) -> Option<usize> {
    let inside = rest.strip_prefix(b"=?")?;
    let mut marks = inside.iter().enumerate().filter(|(_, byte)| **byte == b'?').map(|(at, _)| at);
    let (charset, encoding, end) = (marks.next()?, marks.next()?, marks.next()?);
    let is_word = !inside[..charset].iter().any(u8::is_ascii_whitespace)
        && matches!(&inside[charset + 1..encoding], b"B" | b"b" | b"Q" | b"q")
        && inside.get(end + 1) == Some(&b'=');
    is_word.then_some(2 + end + 2)
}

/// `word_length` is of the word that begins with these bytes: none where they begin with white space.
fn decode(value: &[u8], word_length: impl Fn(&[u8]) -> usize) -> String {
    let mut text = String::with_capacity(value.len());
    let decoded =
        |charset: Charset, bytes: &[u8]| charset.decode(bytes, 8 * bytes.len() + 8).unwrap_or_default();
    // Of encoded words next to each other that are of one character set: a character may begin in one and end in the
    // next. Words that are whole stay apart: two of ISO-2022-JP are no text together, for each begins anew.
    let mut open: Option<Open> = None;
    let close = |open: &mut Option<Open>, text: &mut String| {
        if let Some(Open { charset, bytes, .. }) = open.take() {
            text.push_str(&decoded(charset, &bytes));
        }
    };
    let mut at = 0;
    // White space that was not written yet: between two encoded words it is nothing.
    let mut space = 0..0;
    while at < value.len() {
        let is_space = |byte: &u8| byte.is_ascii_whitespace();
        let length = word_length(&value[at..]);
        let word = &value[at..at + length];
        match encoded_word(word) {
            Some((charset, bytes)) => {
                let is_whole = !decoded(charset, &bytes).contains(char::REPLACEMENT_CHARACTER);
                match &mut open {
                    Some(before) if before.charset == charset && !before.is_whole => {
                        before.bytes.extend(bytes);
                        before.is_whole = is_whole;
                    }
                    _ => {
                        if open.is_none() {
                            push_unfolded(&value[space.clone()], &mut text);
                        }
                        close(&mut open, &mut text);
                        open = Some(Open { charset, bytes, is_whole });
                    }
                }
            }
            None if word.is_empty() => {}
            None => {
                close(&mut open, &mut text);
                push_unfolded(&value[space.clone()], &mut text);
                let room = 8 * word.len() + 8;
                text.push_str(&Charset::of_text_without_one().decode(word, room).unwrap_or_default());
            }
        }
        at += length;
        let white = value[at..].iter().position(|byte| !is_space(byte)).unwrap_or(value.len() - at);
        space = at..at + white;
        at += white;
    }
    close(&mut open, &mut text);
    text
}

/// Bytes of encoded words that are not decoded yet; whether the last of them is a text by itself.
struct Open {
    charset: Charset,
    bytes: Vec<u8>,
    is_whole: bool,
}

fn push_unfolded(space: &[u8], text: &mut String) {
    text.extend(space.iter().filter(|byte| !matches!(byte, b'\r' | b'\n')).map(|byte| char::from(*byte)));
}

/// `=?charset?B?…?=` or `=?charset?Q?…?=`, maybe with a language behind the character set (RFC 2231 section 5).
fn encoded_word(word: &[u8]) -> Option<(Charset, Vec<u8>)> {
    let inside = word.strip_prefix(b"=?")?.strip_suffix(b"?=")?;
    let mut parts = inside.splitn(3, |byte| *byte == b'?');
    let (charset, encoding, encoded) = (parts.next()?, parts.next()?, parts.next()?);
    let charset = charset.split(|byte| *byte == b'*').next()?;
    let charset = Charset::find(std::str::from_utf8(charset).ok()?)?;
    let bytes = match encoding {
        b"B" | b"b" => base64(encoded, encoded.len()),
        b"Q" | b"q" => {
            let spaced: Vec<u8> =
                encoded.iter().map(|byte| if *byte == b'_' { b' ' } else { *byte }).collect();
            let mut decoded = Vec::with_capacity(spaced.len());
            hex_escapes(&spaced, &mut decoded, spaced.len());
            decoded
        }
        _ => return None,
    };
    Some((charset, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_decoded_up_to_its_bound() {
        for (encoded, decoded) in [
            ("", ""),
            ("w6k=\n!w6k=\n", "éé"),
            ("aGk", "hi"),
            ("aGk=aGk=", "hihi"),
            ("aG\r\n k", "hi"),
            ("a", ""),
        ] {
            assert_eq!(base64(encoded.as_bytes(), 100), decoded.as_bytes(), "{encoded}");
        }
        assert_eq!(base64(b"aGVsbG8=", 3), b"hel");
    }

    #[test]
    fn quoted_printable_is_decoded_up_to_its_bound() {
        let encoded = b"=c3=A9 = x=3 \t\r\n=\r\ny= \nz=";
        assert_eq!(quoted_printable(encoded, 100), "é = x=3\r\nyz".as_bytes());
        assert_eq!(quoted_printable(encoded, 3), "é ".as_bytes());
    }

    #[test]
    fn encoded_words_are_decoded() {
        for (value, expected) in [
            ("plain\r\n text", "plain text"),
            ("=?utf-8?q?a_b=20c?=", "a b c"),
            (" =?UTF-8?B?w6k=?= x =?iso-8859-1*fr?Q?=e9?=", " é x é"),
            ("=?utf-8?q?a?=\r\n  =?utf-8?q?b?= c", "ab c"),
            ("=?utf-8?q?=C3?= =?utf-8?q?=A9?=", "é"),
            ("=?utf-8?q?a?= =?iso-8859-1?q?=e9?=", "aé"),
            ("=?utf-8?q?a=C3?= =?utf-8?q?=A9=C3?= =?utf-8?q?=A9?=", "aéé"),
            ("=?iso-2022-jp?B?GyRCTkobKEI=?= =?iso-2022-jp?B?GyRCTkobKEI=?=", "諒諒"),
            ("=?nonsense?q?a?= =?utf-8?x?a?= =?utf-8?q?a", "=?nonsense?q?a?= =?utf-8?x?a?= =?utf-8?q?a"),
            ("x=?utf-8?q?a?=", "x=?utf-8?q?a?="),
            ("", ""),
        ] {
            assert_eq!(decode_words(value.as_bytes()), expected, "{value}");
            if !value.starts_with("x=?") {
                assert_eq!(decode_as_shown(value.as_bytes()), expected, "{value}, as it is shown");
            }
        }
    }

    #[test]
    fn what_people_see_of_encoded_words_is_decoded() {
        for (value, expected) in [
            ("x=?utf-8?q?a?=", "xa"),
            ("=?utf-8?B?d2lyZQ==?=. Mail", "wire. Mail"),
            ("w=?utf-8?q?ir?==?us-ascii?Q?e_it?=!", "wire it!"),
            ("(=?utf-8?q?wire?=)\r\n =?utf-8?q?it?=", "(wire) it"),
            ("=?utf-8?q?wire the money?=  now", "wire the money  now"),
            ("=?nonsense?q?a b?= =?utf-8?q?c?=", "=?nonsense?q?a b?= c"),
            ("=?utf-8 ?q?a?= =?=?utf-8?q?b?=", "=?utf-8 ?q?a?= =?b"),
            ("=?utf-8?q?a", "=?utf-8?q?a"),
            (" =?", " =?"),
        ] {
            assert_eq!(decode_as_shown(value.as_bytes()), expected, "{value}");
        }
    }
}
