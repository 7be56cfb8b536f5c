//! The parts of a message (RFC 2046), and which of them are its text (RFC 8621 section 4.1.4).
//!
//! # Bounds
//!
//! The message is read once, from top to bottom, however its parts nest: what is open is kept in a list, nothing calls
//! itself. Bodies are passed over, only delimiters are looked for in them; a text is decoded when it is known to be one,
//! and up to a bound. Where a bound is met, or the structure is broken, so that another reader may see another text,
//! the text is not guessed: `Texts` says what was in the way.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell};

use memchr::memmem;

use super::charset::Charset;
use super::content::{self, Content};
use super::encoded;
use super::header::{self, Name, Of, line_end, without_line_end};
use super::html;
use crate::messages::TextProblem;

/// Body parts of a message, however they nest.
pub const MAX_PARTS: usize = 10_000;
/// Lines that may be delimiters, each held against each multipart around it.
const MAX_COMPARISONS: usize = 1 << 21;
/// Bytes of a text, decoded; and of everything else that guards look at.
pub const MAX_TEXT: usize = 1 << 20;
/// Bytes of a text before they are characters: UTF-32 takes four for one.
const MAX_ENCODED_TEXT: usize = 4 * MAX_TEXT + 4;

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Texts {
    /// What JMAP gives as `bodyValues` of `textBody`: UTF-8, CR LF as LF. The values of several parts are joined by
    /// one LF. A message with no other text than HTML gives its source. Or what kept it from being read.
    pub body: Result<String, TextProblem>,
    /// What else of it is text: HTML as a person reads it, and types of text that are neither. For content guards.
    pub others: Vec<String>,
    /// What kept those from being read.
    pub others_problem: Option<TextProblem>,
}

/// The value of a field, as it came and without the white space around it.
struct Value<'a> {
    whole: &'a [u8],
    trimmed: &'a [u8],
}

/// The `Content-…` fields of one header.
#[derive(Default)]
pub struct Mime<'a> {
    content_type: Option<Value<'a>>,
    disposition: Option<Value<'a>>,
    encoding: Option<Value<'a>>,
    /// A field stands there twice, and differs.
    is_doubtful: bool,
    read_type: OnceCell<Content>,
}

impl<'a> Mime<'a> {
    pub fn field(&mut self, name: Name, value: &'a [u8]) {
        let known = match name {
            Name::ContentType => &mut self.content_type,
            Name::ContentDisposition => &mut self.disposition,
            Name::ContentTransferEncoding => &mut self.encoding,
            _ => return,
        };
        let trimmed = value.trim_ascii();
        match known {
            None => *known = Some(Value { whole: value, trimmed }),
            Some(known) => self.is_doubtful |= known.trimmed != trimmed,
        }
    }

    /// Of the type as it stands; it does not change any more once it is there.
    fn content(&self) -> Option<&Content> {
        let value = self.content_type.as_ref()?;
        Some(self.read_type.get_or_init(|| content::media_type(value.whole)))
    }

    /// Whether a line is a delimiter of the multipart that this is the header of.
    pub fn is_delimiter(&self, line: &[u8]) -> bool {
        let content = self.content().filter(|content| content.main == "multipart");
        let boundary = content.and_then(|content| content.boundary.as_deref());
        let line = line.trim_ascii_end();
        boundary
            .is_some_and(|boundary| matches!(relation(line, boundary), Relation::Opens | Relation::Closes))
    }
}

/// The header of a part, within the multiparts that are open.
struct PartHeader<'a, 'o> {
    mime: Mime<'a>,
    open: &'o Open,
}

impl<'a> header::Reader<'a> for PartHeader<'a, '_> {
    fn field(&mut self, name: Name, value: &'a [u8]) {
        self.mime.field(name, value);
    }

    fn is_delimiter(&self, line: &[u8]) -> bool {
        self.mime.is_delimiter(line) || matches!(self.open.find(line), Found::Delimiter { .. })
    }
}

/// One body part. Parts are kept in a list, the message itself first, and name one another by index.
struct Part {
    kind: Kind,
    /// Index of where the body begins, and of the byte after it.
    body: (usize, usize),
    encoding: Encoding,
    charset: Option<String>,
    is_attachment: bool,
    has_name: bool,
}

/// What RFC 8621 section 4.1.4 tells apart.
enum Kind {
    Plain,
    Html,
    /// Text of another type: of no body, but a person may be shown it.
    OtherText,
    /// Image, audio, video: stands in a body, and has no text.
    Media,
    Multipart {
        subtype: String,
        boundary: Vec<u8>,
        children: Vec<usize>,
    },
    Other,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoding {
    None,
    Base64,
    QuotedPrintable,
    Unknown,
}

/// The multiparts around a place, the outermost first: index and boundary.
#[derive(Default)]
struct Open {
    levels: Vec<(usize, Vec<u8>)>,
    n_comparisons: Cell<usize>,
}

/// What a line is to the multiparts around it.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    /// A delimiter with more behind it, which some take for one (RFC 2046 section 5.1.1 allows it).
    Resembling,
    Delimiter {
        level: usize,
        closes: bool,
    },
}

enum Relation {
    None,
    Resembles,
    Opens,
    Closes,
}

/// Of a line without the white space at its end, which no boundary has either.
fn relation(line: &[u8], boundary: &[u8]) -> Relation {
    match line.strip_prefix(b"--").and_then(|text| text.strip_prefix(boundary)) {
        None => Relation::None,
        Some(b"") => Relation::Opens,
        Some(b"--") => Relation::Closes,
        Some(_) => Relation::Resembles,
    }
}

impl Open {
    /// Of two multiparts that use the same boundary, the inner.
    fn find(&self, line: &[u8]) -> Found {
        if !line.starts_with(b"--") || self.is_exhausted() {
            return Found::Nothing;
        }
        let line = line.trim_ascii_end();
        let mut found = Found::Nothing;
        for (level, (_, boundary)) in self.levels.iter().enumerate().rev() {
            self.n_comparisons.set(self.n_comparisons.get() + 1);
            match relation(line, boundary) {
                Relation::None => {}
                Relation::Resembles => found = Found::Resembling,
                Relation::Opens => return Found::Delimiter { level, closes: false },
                Relation::Closes => return Found::Delimiter { level, closes: true },
            }
        }
        found
    }

    fn is_exhausted(&self) -> bool {
        self.n_comparisons.get() >= MAX_COMPARISONS
    }
}

/// Reads the text of a message whose header has been read: `mime` are its fields, `body` is where its body begins.
pub fn texts(raw: &[u8], mime: &Mime<'_>, body: usize, has_strange_lines: bool) -> Texts {
    let Parts { parts, problem } = Parts::read(raw, mime, body);
    let problem = problem.or_else(|| has_strange_lines.then_some(TextProblem::Structure));
    let bodies = Bodies::of(&parts);
    let mut others = Others { texts: Vec::new(), problem, room: MAX_TEXT };
    // No longer than the room that is left, which is what it was decoded into.
    let mut text: Result<String, TextProblem> = problem.map_or(Ok(String::new()), Err);
    let mut is_first = true;
    for part in bodies.text.iter().map(|index| &parts[*index]).filter(|part| part.is_text()) {
        let Ok(before) = &mut text else { break };
        if !is_first {
            before.push('\n');
        }
        is_first = false;
        match part.text(raw, MAX_TEXT.saturating_sub(before.len())) {
            Ok(more) => {
                if matches!(part.kind, Kind::Html) {
                    others.texts.push(html::text(&more));
                }
                before.push_str(&more);
            }
            Err(problem) => text = Err(problem),
        }
    }
    let in_html = bodies.html.iter().filter(|index| bodies.text.binary_search(index).is_err());
    for part in in_html.map(|index| &parts[*index]).filter(|part| matches!(part.kind, Kind::Html)) {
        others.add(part, raw);
    }
    for part in parts.iter().filter(|part| matches!(part.kind, Kind::OtherText) && !part.is_attachment) {
        others.add(part, raw);
    }
    Texts { body: text, others: others.texts, others_problem: others.problem }
}

/// The message without the bodies of its parts that are no text: `texts` finds the same in it.
pub fn without_attachments(raw: &[u8], mime: &Mime<'_>, body: usize) -> Vec<u8> {
    let Parts { parts, .. } = Parts::read(raw, mime, body);
    let is_kept = |part: &Part| {
        matches!(part.kind, Kind::Multipart { .. }) || part.is_any_text() && !part.is_attachment
    };
    let mut kept = Vec::new();
    let mut at = 0;
    for part in parts.iter().filter(|part| !is_kept(part)) {
        kept.extend_from_slice(raw.get(at..part.body.0).unwrap_or_default());
        at = part.body.1.max(part.body.0);
    }
    kept.extend_from_slice(raw.get(at..).unwrap_or_default());
    kept
}

/// What is text besides the text body.
struct Others {
    texts: Vec<String>,
    problem: Option<TextProblem>,
    room: usize,
}

impl Others {
    fn add(&mut self, part: &Part, raw: &[u8]) {
        if self.problem.is_some() {
            return;
        }
        match part.text(raw, self.room) {
            Ok(text) => {
                self.room -= text.len();
                self.texts.push(if matches!(part.kind, Kind::Html) { html::text(&text) } else { text });
            }
            Err(problem) => self.problem = Some(problem),
        }
    }
}

/// The message taken apart.
struct Parts {
    parts: Vec<Part>,
    problem: Option<TextProblem>,
}

impl Parts {
    /// In one pass over the lines that may be delimiters. A multipart that is not closed ends with the one around it.
    fn read(raw: &[u8], mime: &Mime<'_>, body: usize) -> Self {
        let mut this = Self { parts: Vec::new(), problem: None };
        let mut open = Open::default();
        this.add(mime, (body, raw.len()), Kind::Plain, &mut open);
        let dashes = memmem::Finder::new(b"\n--");
        let mut leaf = if open.levels.is_empty() { Some(0) } else { None };
        let mut at = body;
        while !open.levels.is_empty() {
            let Some(line_start) = next_dashes(raw, at, &dashes) else { break };
            at = line_end(raw, line_start);
            let (level, closes) = match open.find(without_line_end(&raw[line_start..at])) {
                Found::Delimiter { level, closes } => (level, closes),
                Found::Resembling if leaf.is_some_and(|leaf: usize| this.parts[leaf].is_any_text()) => {
                    this.tell(TextProblem::Structure);
                    continue;
                }
                _ if open.is_exhausted() => break,
                _ => continue,
            };
            if let Some(leaf) = leaf.take() {
                let Part { body: (start, end), .. } = &mut this.parts[leaf];
                *end = before_line_end(raw, *start, line_start);
            }
            this.close(&mut open, if closes { level } else { level + 1 });
            if closes {
                continue;
            }
            if this.parts.len() == MAX_PARTS {
                this.tell(TextProblem::TooManyParts);
                break;
            }
            if at == raw.len() {
                break;
            }
            let mut header = PartHeader { mime: Mime::default(), open: &open };
            let end = header::read(raw, at, Of::Part, &mut header);
            let mime = header.mime;
            if end.has_strange_lines {
                this.tell(TextProblem::Structure);
            }
            let index = this.parts.len();
            let mut default_kind = Kind::Plain;
            if let Kind::Multipart { subtype, children, .. } = &mut this.parts[open.levels[level].0].kind {
                children.push(index);
                if subtype == "digest" {
                    // message/rfc822: RFC 2046 section 5.1.5.
                    default_kind = Kind::Other;
                }
            }
            let n_open = open.levels.len();
            this.add(&mime, (end.body, raw.len()), default_kind, &mut open);
            leaf = if open.levels.len() == n_open { Some(index) } else { None };
            at = end.body;
        }
        if open.is_exhausted() {
            this.tell(TextProblem::TooManyParts);
        }
        this.close(&mut open, 0);
        this
    }

    fn tell(&mut self, problem: TextProblem) {
        self.problem.get_or_insert(problem);
    }

    fn add(&mut self, mime: &Mime<'_>, body: (usize, usize), default_kind: Kind, open: &mut Open) {
        let default = Content::default();
        let content = mime.content().unwrap_or(&default);
        let word = |value: &Option<Value<'_>>| {
            value.as_ref().map(|value| content::word(value.whole)).unwrap_or_default()
        };
        let (disposition, encoding) = (word(&mime.disposition), word(&mime.encoding));
        let kind = match (&*content.main, &*content.sub) {
            ("text", "plain") => Kind::Plain,
            ("text", "html") => Kind::Html,
            ("text", _) => Kind::OtherText,
            ("image" | "audio" | "video", _) => Kind::Media,
            ("multipart", subtype) => Kind::Multipart {
                subtype: subtype.to_owned(),
                boundary: content.boundary.clone().unwrap_or_default(),
                children: Vec::new(),
            },
            // No type, or no valid one: RFC 2045 section 5.2.
            ("", _) => default_kind,
            _ => Kind::Other,
        };
        if mime.is_doubtful || content.is_doubtful || disposition.is_doubtful || encoding.is_doubtful {
            self.tell(TextProblem::Structure);
        }
        if let Kind::Multipart { boundary, .. } = &kind {
            if boundary.is_empty() {
                self.tell(TextProblem::Structure);
            } else {
                open.levels.push((self.parts.len(), boundary.clone()));
            }
        }
        let encoding = match &*encoding.main {
            "" | "7bit" | "8bit" | "binary" | "7-bit" | "8-bit" | "none" => Encoding::None,
            "base64" => Encoding::Base64,
            "quoted-printable" => Encoding::QuotedPrintable,
            _ => Encoding::Unknown,
        };
        self.parts.push(Part {
            kind,
            body,
            encoding,
            charset: content.charset.clone(),
            is_attachment: disposition.main == "attachment",
            has_name: content.has_name || disposition.has_name,
        });
    }

    /// Leaves the multiparts from a level on. One of which no delimiter came has lost its parts.
    fn close(&mut self, open: &mut Open, level: usize) {
        for (index, _) in open.levels.drain(level.min(open.levels.len())..) {
            if matches!(&self.parts[index].kind, Kind::Multipart { children, .. } if children.is_empty()) {
                self.problem.get_or_insert(TextProblem::Structure);
            }
        }
    }
}

/// Where the next line begins that starts with two dashes, from a beginning of a line on.
fn next_dashes(raw: &[u8], at: usize, dashes: &memmem::Finder<'_>) -> Option<usize> {
    let rest = raw.get(at..)?;
    if rest.starts_with(b"--") {
        return Some(at);
    }
    dashes.find(rest).map(|offset| at + offset + 1)
}

/// Where the line before `at` ends, without its line end, which belongs to the delimiter.
fn before_line_end(raw: &[u8], start: usize, at: usize) -> usize {
    let body = &raw[start.min(at)..at];
    let body = body.strip_suffix(b"\n").unwrap_or(body);
    start + body.strip_suffix(b"\r").unwrap_or(body).len()
}

impl Part {
    fn is_text(&self) -> bool {
        matches!(self.kind, Kind::Plain | Kind::Html)
    }

    fn is_any_text(&self) -> bool {
        self.is_text() || matches!(self.kind, Kind::OtherText)
    }

    /// The decoded text of a text part, if it has no more than `room` bytes.
    fn text(&self, raw: &[u8], room: usize) -> Result<String, TextProblem> {
        let encoded = raw.get(self.body.0..self.body.1).unwrap_or_default();
        let bytes = match self.encoding {
            Encoding::None => Cow::Borrowed(&encoded[..encoded.len().min(MAX_ENCODED_TEXT)]),
            Encoding::Base64 => Cow::Owned(encoded::base64(encoded, MAX_ENCODED_TEXT)),
            Encoding::QuotedPrintable => Cow::Owned(encoded::quoted_printable(encoded, MAX_ENCODED_TEXT)),
            Encoding::Unknown => return Err(TextProblem::TransferEncoding),
        };
        if bytes.len() == MAX_ENCODED_TEXT {
            return Err(TextProblem::TooLong);
        }
        let charset = match &self.charset {
            None => Charset::of_text_without_one(),
            Some(label) => Charset::find(label).ok_or(TextProblem::Charset)?,
        };
        // CR LF becomes LF: as many bytes more as there are lines.
        let text = charset.decode(&bytes, 2 * room).ok_or(TextProblem::TooLong)?;
        let text =
            if memchr::memchr(b'\r', text.as_bytes()).is_some() { text.replace("\r\n", "\n") } else { text };
        if text.len() <= room { Ok(text) } else { Err(TextProblem::TooLong) }
    }
}

/// `textBody` and `htmlBody` of JMAP, as indexes of parts, each in rising order.
#[derive(Default)]
struct Bodies {
    text: Vec<usize>,
    html: Vec<usize>,
}

/// A multipart being gone through, or the message itself in none.
struct Level<'p> {
    subtype: &'p str,
    children: &'p [usize],
    position: usize,
    /// The lists of `parseStructure` that are not null.
    wants_text: bool,
    wants_html: bool,
    in_alternative: bool,
    /// How long the lists were before it.
    before: (usize, usize),
}

impl Bodies {
    /// `parseStructure` of RFC 8621 section 4.1.4, statement by statement, with a list of what is open for its calls of
    /// itself.
    fn of(parts: &[Part]) -> Self {
        let mut bodies = Self::default();
        let mut levels = vec![Level {
            subtype: "mixed",
            children: &[0],
            position: 0,
            wants_text: true,
            wants_html: true,
            in_alternative: false,
            before: (0, 0),
        }];
        while let Some(level) = levels.last_mut() {
            let Some(&index) = level.children.get(level.position) else {
                bodies.fill_alternative(level);
                levels.pop();
                continue;
            };
            let position = level.position;
            level.position += 1;
            let part = &parts[index];
            if let Kind::Multipart { subtype, children, .. } = &part.kind {
                let inner = Level {
                    subtype,
                    children,
                    position: 0,
                    in_alternative: level.in_alternative || subtype == "alternative",
                    before: (bodies.text.len(), bodies.html.len()),
                    ..*level
                };
                levels.push(inner);
            } else {
                bodies.take(level, position, index, part);
            }
        }
        bodies
    }

    fn take(&mut self, level: &mut Level<'_>, position: usize, index: usize, part: &Part) {
        let is_media = matches!(part.kind, Kind::Media);
        let is_inline = !part.is_attachment
            && !matches!(part.kind, Kind::Other | Kind::OtherText)
            && (position == 0 || (level.subtype != "related" && (is_media || !part.has_name)));
        if !is_inline {
            return;
        }
        if level.subtype == "alternative" {
            match part.kind {
                Kind::Plain if level.wants_text => self.text.push(index),
                Kind::Html if level.wants_html => self.html.push(index),
                _ => {}
            }
            return;
        }
        if level.in_alternative {
            match part.kind {
                Kind::Plain => level.wants_html = false,
                Kind::Html => level.wants_text = false,
                _ => {}
            }
        }
        if level.wants_text {
            self.text.push(index);
        }
        if level.wants_html {
            self.html.push(index);
        }
    }

    fn fill_alternative(&mut self, level: &Level<'_>) {
        if level.subtype != "alternative" || !level.wants_text || !level.wants_html {
            return;
        }
        let (n_texts, n_htmls) = (self.text.len(), self.html.len());
        if n_texts == level.before.0 {
            self.text.extend_from_slice(&self.html[level.before.1..]);
        }
        if n_htmls == level.before.1 {
            self.html.extend_from_slice(&self.text[level.before.0..n_texts]);
        }
    }
}
