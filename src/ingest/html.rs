//! HTML as the text that a person reads, for content guards: without tags, comments, scripts and style sheets, its
//! character references resolved, so that no tag or reference within a word hides the word.
//!
//! It is no rendering: what a style sheet hides is there, and of an image or a field of a form nothing is. The time is
//! linear in the length of the source, and the text is at most twice as long.

/// Elements that are no text.
const PASSED_OVER: [&str; 4] = ["script", "style", "template", "title"];
/// Elements that stand within a line.
const INLINE: [&str; 31] = [
    "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "del", "dfn", "em", "font", "i", "ins",
    "kbd", "label", "mark", "nobr", "q", "s", "samp", "small", "span", "strike", "strong", "sub", "sup",
    "tt", "u", "wbr",
];

/// The text of a document or of a piece of one.
pub fn text(source: &str) -> String {
    let mut text = String::new();
    let mut rest = source;
    while let Some(at) = memchr::memchr(b'<', rest.as_bytes()) {
        let (before, tag) = rest.split_at(at);
        text.push_str(before);
        let after = &tag[1..];
        if after.starts_with("!--") {
            rest = after_end(&after[1..], "-->");
        } else if after.starts_with(['!', '?']) {
            rest = after_end(after, ">");
        } else if after.trim_start_matches('/').starts_with(|c: char| c.is_ascii_alphabetic()) {
            let is_end = after.starts_with('/');
            let name_start = after.trim_start_matches('/');
            let length = name_start.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(name_start.len());
            let name = name_start[..length].to_ascii_lowercase();
            rest = after_tag(&name_start[length..]);
            if !INLINE.contains(&&*name) {
                text.push('\n');
            }
            if !is_end && PASSED_OVER.contains(&&*name) {
                rest = before_end_tag(rest, &name);
            }
        } else {
            text.push('<');
            rest = after;
        }
    }
    text.push_str(rest);
    // In the text alone: a tag that a reference spells is none.
    let resolved = htmlize::unescape(&text);
    resolved.chars().map(|c| if c == '\u{a0}' { ' ' } else { c }).filter(|c| !is_invisible(*c)).collect()
}

/// Soft hyphens, and what joins or parts without being seen.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}' | '\r')
}

fn after_end<'a>(text: &'a str, end: &str) -> &'a str {
    memchr::memmem::find(text.as_bytes(), end.as_bytes()).map_or("", |at| &text[at + end.len()..])
}

/// Behind the `>` that is in no attribute's value.
fn after_tag(attributes: &str) -> &str {
    let bytes = attributes.as_bytes();
    let mut at = 0;
    let mut after_equals = false;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'>' => return &attributes[at + 1..],
            b'=' => after_equals = true,
            b'"' | b'\'' if after_equals => {
                match memchr::memchr(*byte, &bytes[at + 1..]) {
                    Some(length) => at += length + 1,
                    None => return "",
                }
                after_equals = false;
            }
            byte => after_equals &= byte.is_ascii_whitespace(),
        }
        at += 1;
    }
    ""
}

/// From the end tag of an element on, or nothing if it has none.
fn before_end_tag<'a>(text: &'a str, name: &str) -> &'a str {
    let mut rest = text;
    while let Some(at) = memchr::memmem::find(rest.as_bytes(), b"</") {
        let after = &rest.as_bytes()[at + 2..];
        if after.get(..name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name.as_bytes())) {
            return &rest[at..];
        }
        rest = &rest[at + 2..];
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_what_a_person_reads() {
        for (source, expected) in [
            ("plain & simple", "plain & simple"),
            ("wi<b>re</b> the <!-- not > this -->mo<span class='a>b'>n</span>ey", "wire the money"),
            ("&#119;ire &#x74;he&nbsp;m&shy;oney &eacute; &amp;lt;b&gt;", "wire the money é &lt;b>"),
            ("&#119ire", "wire"),
            ("a<br>b<p>c</p>d", "a\nb\nc\nd"),
            ("<script>if (a < b) \"</p>\"</SCRIPT>x<style>y</style>z", "\n\nx\n\nz"),
            ("<a title=\"</a>x>\" href=y>link</a>", "link"),
            ("<a title = 'x>' b>c", "c"),
            ("a < b <3 </ >", "a < b <3 </ >"),
            ("wi\u{200b}re", "wire"),
            ("<!doctype html><html><head><title>t</title></head><body>x", "\n\n\n\n\n\nx"),
            ("a<b", "a"),
            ("a<!-- b", "a"),
            ("a<script>b", "a\n"),
            ("a<x y=\"z>b", "a\n"),
            ("", ""),
        ] {
            let text = text(source);
            assert_eq!(text, expected, "{source}");
            assert!(text.len() <= 2 * source.len());
        }
    }
}
