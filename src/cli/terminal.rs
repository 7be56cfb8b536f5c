//! Standard output and standard error: all that a command writes goes through here.
//!
//! Senders, clients and whoever wrote a file choose some of it. Into a file or a pipe it goes as it is. A terminal obeys
//! control characters, and turns what stands behind some others around: there each is shown as `\u202e`, which also
//! leaves JSON what it is.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};

use textwrap::core::Word;
use textwrap::{WordSeparator, WordSplitter, WrapAlgorithm};

use crate::error::{Error, Result};

/// Writes a line to standard output. A reader that went away (`| head`) is success.
pub fn print(line: &str) -> Result<()> {
    write_out(format!("{line}\n").as_bytes())
}

/// Writes a piece of what is text as a whole.
pub fn write_out(bytes: &[u8]) -> Result<()> {
    /// What a terminal has not got yet: a character, or a line end, that goes on in the next piece.
    static REST: Mutex<Vec<u8>> = Mutex::new(Vec::new());
    let mut out = std::io::stdout().lock();
    let shown = match out.is_terminal() {
        false => Cow::Borrowed(bytes),
        true => {
            let mut rest = REST.lock().unwrap_or_else(PoisonError::into_inner);
            Cow::Owned(next_piece(&mut rest, bytes).into_bytes())
        }
    };
    match out.write_all(&shown).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        result => result.map_err(Error::io("cannot write to standard output")),
    }
}

/// Says something on standard error, in lines that fit the terminal. Where that is gone there is nobody to tell.
pub fn tell(line: &str) {
    let mut err = std::io::stderr().lock();
    let line = match columns_of(&err) {
        Some(columns) => Cow::Owned(wrapped(&visible(line), columns)),
        None => Cow::Borrowed(line),
    };
    let _ = writeln!(err, "{line}");
}

/// Says a line of JSON on standard error, which is one line however narrow the terminal.
pub fn tell_json(line: &str) {
    let mut err = std::io::stderr().lock();
    let line = if err.is_terminal() { visible(line) } else { Cow::Borrowed(line) };
    let _ = writeln!(err, "{line}");
}

/// Breaks lines between words where they are wider than the terminal. What stands in backticks is to be copied, and is
/// never broken here; a word that is wider than the terminal neither.
pub fn wrapped(text: &str, columns: usize) -> String {
    let options = textwrap::Options::new(columns)
        .word_separator(WordSeparator::Custom(|line| Box::new(words(line).into_iter().map(Word::from))))
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit)
        .break_words(false);
    textwrap::fill(text, options)
}

/// The words of a line, each with the blanks behind it.
fn words(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let (mut begin, mut is_command, mut is_blank) = (0, false, true);
    for (at, c) in line.char_indices() {
        if c != ' ' && is_blank && at > begin && !is_command && !line[begin..at].trim().is_empty() {
            words.push(&line[begin..at]);
            begin = at;
        }
        is_blank = c == ' ';
        is_command ^= c == '`';
    }
    words.push(&line[begin..]);
    words
}

/// Columns of the terminal that standard output is; `None`: it is none.
pub fn width() -> Option<usize> {
    columns_of(&std::io::stdout())
}

fn columns_of(end: &(impl IsTerminal + AsFd)) -> Option<usize> {
    let size = end.is_terminal().then(|| rustix::termios::tcgetwinsize(end));
    size.map(|size| size.ok().map_or(80, |size| usize::from(size.ws_col)))
        .map(|width| if width == 0 { 80 } else { width })
}

/// Says how far something is, over what was said of it before.
/// Into a file or a pipe it goes as a line, and only the last of them.
pub fn tell_over(line: &str, is_last: bool) {
    let mut err = std::io::stderr().lock();
    if err.is_terminal() {
        let _ = write!(err, "\r{}{}", visible(line), if is_last { "\n" } else { "" });
    } else if is_last {
        let _ = writeln!(err, "{line}");
    }
}

/// What a terminal is to get of a piece, and keeps in `rest` what goes on in the next.
fn next_piece(rest: &mut Vec<u8>, bytes: &[u8]) -> String {
    rest.extend_from_slice(bytes);
    let whole = rest.len() - unfinished(rest);
    let text = String::from_utf8_lossy(&rest[..whole]);
    let shown = visible(&text).into_owned();
    rest.drain(..whole);
    shown
}

/// Bytes at the end that are the beginning of a character, or of a line end.
fn unfinished(bytes: &[u8]) -> usize {
    if bytes.ends_with(b"\r") {
        return 1;
    }
    let n_last = bytes.len().min(3);
    (1..=n_last)
        .rev()
        .find(|n| {
            std::str::from_utf8(&bytes[bytes.len() - n..])
                .is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
        })
        .unwrap_or(0)
}

/// Lines of text as a terminal may have them.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| is_obeyed(c) && c != '\n') {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' | '\t' => shown.push(c),
            '\r' if chars.peek() == Some(&'\n') => shown.push(c),
            c => push(&mut shown, c),
        }
    }
    Cow::Owned(shown)
}

/// One line of them: tabs and line ends are shown too.
pub fn visible_line(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_obeyed) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().fold(String::with_capacity(text.len() + 16), |mut shown, c| {
        push(&mut shown, c);
        shown
    }))
}

fn push(shown: &mut String, c: char) {
    if !is_obeyed(c) {
        return shown.push(c);
    }
    for unit in c.encode_utf16(&mut [0; 2]) {
        let _ = write!(shown, "\\u{unit:04x}");
    }
}

/// Control characters (C1 too), what turns the direction of a text, what is not seen and makes two texts look alike,
/// and other line ends. Joiners stay: whole scripts are written with them.
fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown_and_json_stays_json() {
        for (text, expected) in [
            ("plain, jörg, 日本, 👩‍👧", "plain, jörg, 日本, 👩‍👧"),
            ("one\ttwo\nthree\r\n", "one\ttwo\nthree\r\n"),
            ("over\rwritten", "over\\u000dwritten"),
            ("\u{1b}[31m \u{9b}31m \u{9d}0;title\u{9c}", "\\u001b[31m \\u009b31m \\u009d0;title\\u009c"),
            ("a\u{202e}b\u{2066}c\u{feff}\u{2028}", "a\\u202eb\\u2066c\\ufeff\\u2028"),
            ("\u{e0041}\u{7f}\0", "\\udb40\\udc41\\u007f\\u0000"),
        ] {
            assert_eq!(visible(text), expected, "{text:?}");
        }
        assert_eq!(visible_line("a\tb\r\nc"), "a\\u0009b\\u000d\\u000ac");
        let value = serde_json::json!({ "name": "\u{9b}31m \u{202e} \u{e0041}" });
        let read: serde_json::Value = serde_json::from_str(&visible(&value.to_string())).expect("JSON");
        assert_eq!(read, value);
    }

    #[test]
    fn lines_break_between_words_and_never_in_a_command() {
        for (columns, expected) in [
            (80, "hint: make one with `mailtrail init --email A@B`, or name another\n\n  as it is"),
            (40, "hint: make one with\n`mailtrail init --email A@B`, or name\nanother\n\n  as it is"),
            (10, "hint: make\none with\n`mailtrail init --email A@B`,\nor name\nanother\n\n  as it is"),
        ] {
            let text = "hint: make one with `mailtrail init --email A@B`, or name another\n\n  as it is";
            assert_eq!(wrapped(text, columns), expected, "{columns}");
        }
        assert_eq!(wrapped("日本 日本 日本", 9), "日本 日本\n日本");
    }

    #[test]
    fn pieces_may_be_cut_anywhere() {
        let text = "é\u{9b}日\r\n👩\u{202e}x\r\n\ry";
        let expected = visible(text).into_owned();
        for size in 1..=text.len() {
            let mut rest = Vec::new();
            let shown: String =
                text.as_bytes().chunks(size).map(|piece| next_piece(&mut rest, piece)).collect();
            assert_eq!((shown, rest.len()), (expected.clone(), 0), "pieces of {size}");
        }
        // A byte that is no text is not obeyed either, and holds nothing up.
        assert_eq!(next_piece(&mut Vec::new(), b"\x9b31m \xff\xc3"), "\u{fffd}31m \u{fffd}");
    }
}
