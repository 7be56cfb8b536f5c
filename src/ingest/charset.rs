//! Character sets of mail: what a label means, and bytes as text.
//!
//! Those of the WHATWG, which `encoding_rs` has; and those that mail has besides and the web has not: UTF-7, UTF-16 as
//! RFC 2781 reads it, UTF-32, ISO-2022-KR and -CN, HZ, IBM's code pages. Any other label is unknown, and is told:
//! whoever guesses would show a text that nobody wrote. Within a known one, bytes that mean nothing are U+FFFD.
//!
//! Decoding ends where the text is longer than there is room for, however the bytes unfold.

use std::borrow::Cow;

use encoding_rs::{BIG5, EUC_KR, Encoding, GBK};

use super::code_pages::{ASCII, EBCDIC, EBCDIC_CONTROLS};

/// One character set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// US-ASCII, or none was named: UTF-8 where it is valid, else windows-1252, which the web reads it as.
    Ascii,
    Web(&'static Encoding),
    Utf7,
    /// Without an order of bytes a byte order mark has it, else it is the big end first (RFC 2781 section 4.3).
    Utf16(Option<Order>),
    Utf32(Option<Order>),
    Shifting(Shifting),
    /// A code page of one byte a character, by its number.
    Page(u16),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Big,
    Little,
}

/// Seven-bit character sets that shift between ASCII and two bytes a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shifting {
    /// RFC 1557.
    Iso2022Kr,
    /// RFC 1922.
    Iso2022Cn,
    /// RFC 1843.
    Hz,
}

/// Names that the WHATWG has not, or reads as another character set than mail does.
const NAMES: &[(&[&str], Charset)] = &[
    (
        &[
            "us-ascii",
            "ascii",
            "us",
            "iso646-us",
            "iso-646.irv:1991",
            "ansi-x3.4-1968",
            "ansi-x3.4-1986",
            "iso-ir-6",
            "csascii",
        ],
        Charset::Ascii,
    ),
    (
        &["utf-7", "utf7", "unicode-1-1-utf-7", "x-unicode-2-0-utf-7", "csutf7", "csunicode11utf7"],
        Charset::Utf7,
    ),
    (
        &["utf-16", "utf16", "csutf16", "iso-10646-ucs-2", "ucs-2", "ucs2", "csunicode", "unicode"],
        Charset::Utf16(None),
    ),
    (&["utf-16be", "utf16be", "csutf16be", "unicodefffe"], Charset::Utf16(Some(Order::Big))),
    (&["utf-16le", "utf16le", "csutf16le", "unicodefeff"], Charset::Utf16(Some(Order::Little))),
    (&["utf-32", "utf32", "csutf32", "iso-10646-ucs-4", "ucs-4", "ucs4", "csucs4"], Charset::Utf32(None)),
    (&["utf-32be", "utf32be", "csutf32be"], Charset::Utf32(Some(Order::Big))),
    (&["utf-32le", "utf32le", "csutf32le"], Charset::Utf32(Some(Order::Little))),
    (&["iso-2022-kr", "iso2022kr", "iso2022-kr", "csiso2022kr"], Charset::Shifting(Shifting::Iso2022Kr)),
    (&["iso-2022-cn", "iso2022cn", "iso2022-cn", "csiso2022cn"], Charset::Shifting(Shifting::Iso2022Cn)),
    (&["hz-gb-2312", "hz", "hzgb", "hz-gb"], Charset::Shifting(Shifting::Hz)),
    (&["latin-1", "8859-1"], Charset::Web(encoding_rs::WINDOWS_1252)),
    // EBCDIC by the countries it was for (IANA's aliases).
    (&["ebcdic-cp-us", "ebcdic-cp-ca", "ebcdic-cp-wt", "ebcdic-cp-nl"], Charset::Page(37)),
    (&["ebcdic-int"], Charset::Page(38)),
    (&["ebcdic-be"], Charset::Page(274)),
    (&["ebcdic-br"], Charset::Page(275)),
    (&["ebcdic-cp-dk", "ebcdic-cp-no"], Charset::Page(277)),
    (&["ebcdic-cp-fi", "ebcdic-cp-se"], Charset::Page(278)),
    (&["ebcdic-cp-it"], Charset::Page(280)),
    (&["ebcdic-jp-e"], Charset::Page(281)),
    (&["ebcdic-cp-es"], Charset::Page(284)),
    (&["ebcdic-cp-gb"], Charset::Page(285)),
    (&["ebcdic-jp-kana"], Charset::Page(290)),
    (&["ebcdic-cp-fr"], Charset::Page(297)),
    (&["ebcdic-cp-ar1"], Charset::Page(420)),
    (&["ebcdic-cp-gr"], Charset::Page(423)),
    (&["ebcdic-cp-he"], Charset::Page(424)),
    (&["ebcdic-cp-be", "ebcdic-cp-ch"], Charset::Page(500)),
    (&["cspc8codepage437"], Charset::Page(437)),
    (&["cspc775baltic"], Charset::Page(775)),
    (&["cspc850multilingual"], Charset::Page(850)),
    (&["cspcp852"], Charset::Page(852)),
    (&["pc-multilingual-850+euro"], Charset::Page(858)),
    (&["cp-is"], Charset::Page(861)),
    (&["cspc862latinhebrew"], Charset::Page(862)),
    (&["cp-ar"], Charset::Page(868)),
    (&["cp-gr"], Charset::Page(869)),
    (&["ebcdic-cp-roece", "ebcdic-cp-yu"], Charset::Page(870)),
    (&["ebcdic-cp-is"], Charset::Page(871)),
    (&["ebcdic-cyrillic"], Charset::Page(880)),
    (&["ebcdic-cp-tr"], Charset::Page(905)),
    (&["ebcdic-cp-ar2"], Charset::Page(918)),
];

/// What may stand before the number of a code page.
const BEFORE_NUMBERS: [&str; 13] = [
    "x-ibm-", "x-ibm", "csibm", "ibm-", "ibm", "ccsid", "x-cp", "cp-", "cp", "windows-", "windows", "dos-",
    "ms",
];

/// Code pages that are others' character sets, in the words of the WHATWG or of `NAMES`.
const NUMBERS: &[(u16, &str)] = &[
    (367, "us-ascii"),
    (813, "iso-8859-7"),
    (819, "iso-8859-1"),
    (874, "windows-874"),
    (912, "iso-8859-2"),
    (915, "iso-8859-5"),
    (916, "iso-8859-8"),
    (920, "iso-8859-9"),
    (923, "iso-8859-15"),
    (932, "shift_jis"),
    (936, "gbk"),
    (943, "shift_jis"),
    (949, "euc-kr"),
    (950, "big5"),
    (970, "euc-kr"),
    (1089, "iso-8859-6"),
    (1200, "utf-16le"),
    (1201, "utf-16be"),
    (1208, "utf-8"),
    (1361, "replacement"),
    (1386, "gbk"),
    (1392, "gb18030"),
    (10000, "macintosh"),
    (10007, "x-mac-cyrillic"),
    (12000, "utf-32le"),
    (12001, "utf-32be"),
    (20127, "us-ascii"),
    (20866, "koi8-r"),
    (20932, "euc-jp"),
    (20936, "gbk"),
    (21866, "koi8-u"),
    (28591, "iso-8859-1"),
    (28592, "iso-8859-2"),
    (28593, "iso-8859-3"),
    (28594, "iso-8859-4"),
    (28595, "iso-8859-5"),
    (28596, "iso-8859-6"),
    (28597, "iso-8859-7"),
    (28598, "iso-8859-8"),
    (28599, "iso-8859-9"),
    (28603, "iso-8859-13"),
    (28605, "iso-8859-15"),
    (38598, "iso-8859-8-i"),
    (50220, "iso-2022-jp"),
    (50221, "iso-2022-jp"),
    (50222, "iso-2022-jp"),
    (50225, "iso-2022-kr"),
    (51932, "euc-jp"),
    (51936, "gbk"),
    (51949, "euc-kr"),
    (52936, "hz-gb-2312"),
    (54936, "gb18030"),
    (65000, "utf-7"),
    (65001, "utf-8"),
];

impl Charset {
    /// That of a text for which none was named (RFC 2045 section 5.2).
    pub fn of_text_without_one() -> Self {
        Self::Ascii
    }

    /// That of a label; `None` when it is not known.
    pub fn find(label: &str) -> Option<Self> {
        let label = label
            .trim_matches(|c: char| c.is_ascii_whitespace() || matches!(c, '"' | '\''))
            .to_ascii_lowercase();
        let dashed = label.replace(['_', ' '], "-");
        let named = NAMES.iter().find(|(names, _)| names.contains(&&*dashed));
        named
            .map(|(_, charset)| *charset)
            .or_else(|| Self::of_the_web(&label))
            .or_else(|| Self::of_the_web(&dashed))
            .or_else(|| {
                let digits =
                    BEFORE_NUMBERS.iter().find_map(|before| dashed.strip_prefix(before)).unwrap_or(&dashed);
                Self::of_number(digits)
            })
    }

    fn of_the_web(label: &str) -> Option<Self> {
        let encoding = Encoding::for_label(label.as_bytes())?;
        (encoding != encoding_rs::REPLACEMENT).then_some(Self::Web(encoding))
    }

    fn of_number(digits: &str) -> Option<Self> {
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let number: u16 = digits.parse().ok()?;
        if let Some((_, label)) = NUMBERS.iter().find(|(known, _)| *known == number) {
            return Self::find(label);
        }
        let has_page = |pages: &[(u16, &str)]| pages.iter().any(|(known, _)| *known == number);
        if has_page(ASCII) || has_page(EBCDIC) {
            return Some(Self::Page(number));
        }
        Self::of_the_web(&format!("windows-{number}"))
    }

    /// The text of `bytes`; `None` when it has more than `room` bytes.
    pub fn decode(self, bytes: &[u8], room: usize) -> Option<String> {
        match self {
            Self::Ascii => match std::str::from_utf8(bytes) {
                Ok(text) => (text.len() <= room).then(|| text.to_owned()),
                Err(_) => web(encoding_rs::WINDOWS_1252, bytes, room),
            },
            Self::Web(encoding) => web(encoding, bytes, room),
            Self::Utf7 => utf7(bytes, room),
            Self::Utf16(order) => {
                let (order, bytes) = ordered(order, bytes, [&[0xfe, 0xff], &[0xff, 0xfe]]);
                let units = bytes.chunks(2).map(|unit| match (<[u8; 2]>::try_from(unit), order) {
                    (Ok(unit), Order::Big) => u16::from_be_bytes(unit),
                    (Ok(unit), Order::Little) => u16::from_le_bytes(unit),
                    // Half a character, which stands for none.
                    (Err(_), _) => 0xfffd,
                });
                collect(char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)), room)
            }
            Self::Utf32(order) => {
                let (order, bytes) = ordered(order, bytes, [&[0, 0, 0xfe, 0xff], &[0xff, 0xfe, 0, 0]]);
                let characters = bytes.chunks(4).map(|unit| match (<[u8; 4]>::try_from(unit), order) {
                    (Ok(unit), Order::Big) => u32::from_be_bytes(unit),
                    (Ok(unit), Order::Little) => u32::from_le_bytes(unit),
                    (Err(_), _) => 0xfffd,
                });
                let characters = characters.map(|n| char::from_u32(n).unwrap_or(char::REPLACEMENT_CHARACTER));
                collect(characters, room)
            }
            Self::Shifting(set) => shifting(set, bytes, room),
            Self::Page(number) => {
                let table = page(number);
                collect(bytes.iter().map(|byte| table[usize::from(*byte)]), room)
            }
        }
    }
}

fn web(encoding: &'static Encoding, bytes: &[u8], room: usize) -> Option<String> {
    const PIECE: usize = 16 * 1024;
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let mut text = String::new();
    let mut rest = bytes;
    loop {
        text.reserve(PIECE.min(4 * rest.len() + 16));
        let (result, n_read, _) = decoder.decode_to_string(rest, &mut text, true);
        rest = &rest[n_read..];
        if text.len() > room {
            return None;
        }
        if result == encoding_rs::CoderResult::InputEmpty {
            return Some(text);
        }
    }
}

fn collect(characters: impl Iterator<Item = char>, room: usize) -> Option<String> {
    let mut text = String::new();
    for character in characters {
        text.push(character);
        if text.len() > room {
            return None;
        }
    }
    Some(text)
}

fn ordered<'a>(order: Option<Order>, bytes: &'a [u8], marks: [&[u8]; 2]) -> (Order, &'a [u8]) {
    if let Some(order) = order {
        return (order, bytes);
    }
    let marks = marks.into_iter().zip([Order::Big, Order::Little]);
    let mut marked = marks.filter_map(|(mark, order)| Some((order, bytes.strip_prefix(mark)?)));
    marked.next().unwrap_or((Order::Big, bytes))
}

/// RFC 2152. A shifted sequence ends with any character that is none of base64, and with the text.
fn utf7(bytes: &[u8], room: usize) -> Option<String> {
    let mut text = String::new();
    let mut at = 0;
    while at < bytes.len() && text.len() <= room {
        let byte = bytes[at];
        at += 1;
        if byte != b'+' {
            text.push(if byte.is_ascii() { char::from(byte) } else { char::REPLACEMENT_CHARACTER });
            continue;
        }
        let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
        let shifted = bytes[at..].iter().take_while(|byte| is_base64(byte)).count();
        // Two bytes each: what is longer than there is room for is not taken apart.
        let units = super::encoded::base64(&bytes[at..at + shifted], 2 * room + 2);
        let units = units.chunks_exact(2).map(|unit| u16::from_be_bytes([unit[0], unit[1]]));
        text.extend(char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)));
        at += shifted;
        let is_closed = bytes.get(at) == Some(&b'-');
        if shifted == 0 {
            text.push('+');
        }
        at += usize::from(is_closed);
    }
    (text.len() <= room).then_some(text)
}

/// What two bytes of a shifting character set mean.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pairs {
    Korean,
    Chinese,
    /// Planes 1 and 2 of CNS 11643.
    Cns(usize),
}

fn shifting(set: Shifting, bytes: &[u8], room: usize) -> Option<String> {
    let mut text = String::new();
    // What SO shifts to, what a single shift takes from, and whether we are shifted.
    let mut designated = if set == Shifting::Iso2022Kr { Some(Pairs::Korean) } else { None };
    let mut single = None;
    let mut is_shifted = false;
    let mut rest = bytes;
    while let Some((&byte, after)) = rest.split_first() {
        if text.len() > room {
            return None;
        }
        let sequence = match set {
            Shifting::Hz => hz_sequence(rest),
            _ => iso_2022_sequence(set, rest),
        };
        if let Some((length, meaning)) = sequence {
            rest = &rest[length..];
            match meaning {
                Meaning::Designate(pairs) => designated = Some(pairs),
                Meaning::DesignateSingle(pairs) => single = Some(pairs),
                Meaning::Single => {
                    if let (Some(pairs), [high, low, after @ ..]) = (single, rest) {
                        text.push_str(&pair(pairs, *high, *low));
                        rest = after;
                    }
                }
                Meaning::Shift(shifted) => {
                    is_shifted = shifted;
                    if set == Shifting::Hz {
                        designated = Some(Pairs::Chinese);
                    }
                }
                Meaning::Character(character) => text.push(character),
                Meaning::Nothing => {}
            }
        } else if byte == b'\n' {
            // Each line begins in ASCII; in ISO-2022-CN it designates anew.
            is_shifted = false;
            if set == Shifting::Iso2022Cn {
                (designated, single) = (None, None);
            }
            text.push('\n');
            rest = after;
        } else if let (true, Some(pairs), 0x21..=0x7e, [low @ 0x21..=0x7e, ..]) =
            (is_shifted, designated, byte, after)
        {
            text.push_str(&pair(pairs, byte, *low));
            rest = &after[1..];
        } else {
            text.push(if byte.is_ascii() { char::from(byte) } else { char::REPLACEMENT_CHARACTER });
            rest = after;
        }
    }
    (text.len() <= room).then_some(text)
}

enum Meaning {
    Designate(Pairs),
    DesignateSingle(Pairs),
    /// The next two bytes alone.
    Single,
    Shift(bool),
    Character(char),
    Nothing,
}

fn iso_2022_sequence(set: Shifting, rest: &[u8]) -> Option<(usize, Meaning)> {
    let is_chinese = set == Shifting::Iso2022Cn;
    match rest {
        [0x0e, ..] => Some((1, Meaning::Shift(true))),
        [0x0f, ..] => Some((1, Meaning::Shift(false))),
        [0x1b, b'$', b')', b'C', ..] if !is_chinese => Some((4, Meaning::Designate(Pairs::Korean))),
        [0x1b, b'$', b')', b'A', ..] if is_chinese => Some((4, Meaning::Designate(Pairs::Chinese))),
        [0x1b, b'$', b')', b'G', ..] if is_chinese => Some((4, Meaning::Designate(Pairs::Cns(0)))),
        [0x1b, b'$', b'*', b'H', ..] if is_chinese => Some((4, Meaning::DesignateSingle(Pairs::Cns(1)))),
        [0x1b, b'N', ..] if is_chinese => Some((2, Meaning::Single)),
        _ => None,
    }
}

fn hz_sequence(rest: &[u8]) -> Option<(usize, Meaning)> {
    match rest {
        [b'~', b'{', ..] => Some((2, Meaning::Shift(true))),
        [b'~', b'}', ..] => Some((2, Meaning::Shift(false))),
        [b'~', b'~', ..] => Some((2, Meaning::Character('~'))),
        [b'~', b'\n', ..] => Some((2, Meaning::Nothing)),
        [b'~', b'\r', b'\n', ..] => Some((3, Meaning::Nothing)),
        _ => None,
    }
}

fn pair(pairs: Pairs, high: u8, low: u8) -> Cow<'static, str> {
    let decoded = |encoding: &'static Encoding, bytes: [u8; 2]| {
        let (text, _) = encoding.decode_without_bom_handling(&bytes);
        Cow::Owned(text.into_owned())
    };
    match pairs {
        Pairs::Korean => decoded(EUC_KR, [high | 0x80, low | 0x80]),
        Pairs::Chinese => decoded(GBK, [high | 0x80, low | 0x80]),
        Pairs::Cns(plane) => {
            let Some(place) = place_of(high, low) else { return Cow::Borrowed("\u{fffd}") };
            match (numeral_of_cns(plane, place), big5_of_cns(plane, place)) {
                (Some(numeral), _) => Cow::Owned(numeral.into()),
                (None, Some(bytes)) => decoded(BIG5, bytes),
                (None, None) => Cow::Borrowed("\u{fffd}"),
            }
        }
    }
}

/// Big5 has the characters of CNS 11643 in the same order, but for some: runs of places, each with its first place
/// in the plane, its first in Big5, and its length.
const CNS_IN_BIG5: [&[(u16, u16, u16)]; 2] = [
    &[
        (0, 0, 5),
        (6, 6, 15),
        (21, 23, 2),
        (24, 22, 1),
        (29, 29, 44),
        (73, 74, 1),
        (74, 73, 1),
        (75, 75, 22),
        (98, 98, 1),
        (100, 100, 27),
        (127, 128, 1),
        (128, 127, 1),
        (129, 129, 19),
        (148, 149, 1),
        (149, 148, 1),
        (150, 150, 4),
        (155, 21, 1),
        (156, 158, 2),
        (158, 158, 76),
        (282, 234, 29),
        (312, 264, 1),
        (314, 266, 142),
        (3290, 471, 1412),
        (4702, 1884, 424),
        (5126, 1883, 1),
        (5127, 2308, 1876),
        (7003, 4571, 1),
        (7004, 4184, 387),
        (7391, 4572, 525),
        (7916, 5286, 1),
        (7917, 5097, 105),
        (8023, 5203, 83),
        (8106, 5287, 84),
        (8190, 5517, 1),
        (8191, 5371, 54),
        (8245, 5426, 1),
        (8246, 5425, 1),
        (8247, 5427, 90),
        (8337, 5518, 354),
    ],
    &[
        (0, 6280, 10),
        (10, 6291, 33),
        (43, 6372, 1),
        (44, 6324, 48),
        (92, 6373, 46),
        (138, 6586, 1),
        (139, 6419, 167),
        (306, 6587, 1840),
        (2146, 9074, 1),
        (2147, 8428, 108),
        (2255, 8537, 537),
        (2792, 8427, 1),
        (2793, 9075, 100),
        (2893, 8536, 1),
        (2894, 9175, 399),
        (3293, 9575, 1637),
        (4930, 11761, 1),
        (4931, 11212, 146),
        (5077, 11899, 1),
        (5078, 11358, 287),
        (5365, 12508, 1),
        (5366, 11645, 116),
        (5482, 11762, 137),
        (5619, 11900, 104),
        (5723, 12425, 1),
        (5724, 12004, 222),
        (5946, 12227, 198),
        (6144, 12426, 82),
        (6226, 12509, 86),
        (6312, 12226, 1),
        (6313, 12595, 8),
        (6321, 12604, 153),
        (6474, 12758, 56),
        (6530, 13114, 1),
        (6531, 12814, 113),
        (6644, 12603, 1),
        (6645, 12927, 142),
        (6787, 12757, 1),
        (6788, 13069, 45),
        (6833, 13115, 71),
        (6904, 13380, 1),
        (6905, 13186, 194),
        (7099, 13381, 490),
        (7589, 13914, 1),
        (7590, 13871, 43),
        (7633, 13915, 1),
        (7634, 13917, 11),
        (7645, 13916, 1),
        (7646, 13928, 4),
    ],
];

/// Of 94 rows of 94.
fn place_of(high: u8, low: u8) -> Option<u16> {
    let (row, column) = (u16::from(high.checked_sub(0x21)?), u16::from(low.checked_sub(0x21)?));
    (row < 94 && column < 94).then_some(row * 94 + column)
}

/// Numbers in circles, in brackets and Roman, and pictures of control characters, which the Big5 of the web has not.
fn numeral_of_cns(plane: usize, place: u16) -> Option<char> {
    let first = match (plane, place) {
        (0, 470..480) => 0x2460 - 470,
        (0, 480..490) => 0x2474 - 480,
        (0, 490..500) => 0x2170 - 490,
        (0, 3102..3134) => 0x2400 - 3102,
        (0, 3134) => 0x2421 - 3134,
        _ => return None,
    };
    char::from_u32(first + u32::from(place))
}

fn big5_of_cns(plane: usize, place: u16) -> Option<[u8; 2]> {
    let runs = CNS_IN_BIG5[plane];
    let &(first, in_big5, _) =
        runs.iter().find(|(first, _, length)| (*first..first + length).contains(&place))?;
    let place = in_big5 + (place - first);
    // 157 places a row: 0x40 to 0x7E, 0xA1 to 0xFE.
    let (row, column) = ((place / 157) as u8, (place % 157) as u8);
    Some([0xa1 + row, if column < 63 { 0x40 + column } else { 0xa1 - 63 + column }])
}

/// What each byte of a code page means.
fn page(number: u16) -> [char; 256] {
    let mut table = [char::REPLACEMENT_CHARACTER; 256];
    let mut put = |from: usize, characters: &mut dyn Iterator<Item = char>| {
        table[from..].iter_mut().zip(characters).for_each(|(place, character)| *place = character);
    };
    let find = |pages: &[(u16, &'static str)]| {
        pages.iter().find(|(known, _)| *known == number).map(|(_, page)| *page)
    };
    if let Some(upper) = find(ASCII) {
        put(0, &mut (0..0x80).map(char::from));
        put(0x80, &mut upper.chars());
        // Arabic, with its own sign for it.
        if number == 864 {
            put(usize::from(b'%'), &mut std::iter::once('\u{66a}'));
        }
    } else if let Some(middle) = find(EBCDIC) {
        put(0, &mut EBCDIC_CONTROLS.chars());
        put(0x40, &mut middle.chars());
        put(0xff, &mut std::iter::once('\u{9f}'));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_decoded() {
        for (label, bytes, expected) in [
            ("us-ascii", &b"caf\xc3\xa9"[..], "café"),
            ("US-ASCII", b"caf\xe9", "café"),
            ("ISO_8859-1", b"caf\xe9", "café"),
            ("iso 8859-15", b"\xa4", "€"),
            ("latin-1", b"\xe9", "é"),
            ("utf-8", b"caf\xe9", "caf\u{fffd}"),
            ("utf_8", b"\xc3\xa9", "é"),
            ("windows1252", b"\x80", "€"),
            ("\"iso-2022-jp\"", b"\x1b$B%O\x1b(B", "ハ"),
            ("gb2312", b"\xc4\xe3", "你"),
            ("cp932", b"\x83n", "ハ"),
            ("ms949", b"\xc7\xd1", "한"),
            ("cp950", b"\xa7\x41", "你"),
            ("65001", b"\xc3\xa9", "é"),
            // UTF-7.
            ("utf-7", b"caf+AOk-\n", "café\n"),
            ("UNICODE-1-1-UTF-7", b"1 +- 1 +AOk.", "1 + 1 é."),
            ("utf-7", b"ok +AGIAdQB5", "ok buy"),
            ("utf-7", b"ok +AGIAdQB", "ok bu"),
            ("utf-7", b"+2D3cqQ-!", "💩!"),
            ("utf-7", b"+2D3-x +", "\u{fffd}x +"),
            // UTF-16 and UTF-32.
            ("utf-16", b"\0h\0i", "hi"),
            ("utf-16", b"\xff\xfeh\0i\0", "hi"),
            ("utf-16", b"\xfe\xff\0h\0i", "hi"),
            ("utf-16le", b"h\0i\0", "hi"),
            ("utf-16be", b"\xd8\x3d\xdc\xa9\0", "💩\u{fffd}"),
            ("utf-16", b"\xd8\x3d\0h", "\u{fffd}h"),
            ("utf-32be", b"\0\0\0h\0\0\0i", "hi"),
            ("utf-32", b"\0\0\0h\0\0\0i\0", "hi\u{fffd}"),
            ("utf-32", b"\xff\xfe\0\0h\0\0\0", "h"),
            ("utf-32le", b"h\0\0\0\0\0\x20\0", "h\u{fffd}"),
            // Those that shift.
            ("iso-2022-kr", b"Please\n", "Please\n"),
            ("iso-2022-kr", b"\x1b$)C\x0eGQ\x0f a\n\x0eGQ\nab", "한 a\n한\nab"),
            ("iso-2022-cn", b"\x1b$)A\x0eDc\x0fa\r\n\x0eDc", "你a\r\nDc"),
            ("iso-2022-cn", b"\x1b$)G\x0eD!\x0fa\x1b$*H\x1bN!!b", "一a乂b"),
            ("hz-gb-2312", b"a~{Dc~}~~b~\nc", "a你~bc"),
            ("hz", b"~{Dc\nab", "你\nab"),
            ("iso-2022-kr", b"\xe9", "\u{fffd}"),
            // IBM's.
            ("ibm437", b"caf\x82", "café"),
            ("437", b"caf\x82", "café"),
            ("CP-850", b"\x9b", "ø"),
            ("IBM00858", b"\xd5", "€"),
            ("cp852", b"\x88", "ł"),
            ("ibm864", b"5%", "5٪"),
            ("IBM037", b"\xc8\x89\x5a\x25", "Hi!\n"),
            ("ebcdic-cp-us", b"\xc8\x89", "Hi"),
            ("ibm-1047", b"\xc8\x89", "Hi"),
            ("cp1140", b"\x9f", "€"),
        ] {
            let charset = Charset::find(label).unwrap_or_else(|| panic!("{label}"));
            assert_eq!(charset.decode(bytes, 100).as_deref(), Some(expected), "{label}");
        }
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        for label in [
            "",
            "nonsense",
            "x-unknown",
            "unknown-8bit",
            "replacement",
            "iso-2022-cn-ext",
            "cp99999",
            "ibm",
            "cp0",
            "ebcdic",
        ] {
            assert_eq!(Charset::find(label), None, "{label}");
        }
    }

    #[test]
    fn decoding_ends_where_there_is_no_more_room() {
        for (label, bytes) in [
            ("us-ascii", &b"aaaaaa"[..]),
            ("us-ascii", b"\xe9\xe9\xe9"),
            ("iso-8859-1", b"\xe9\xe9\xe9"),
            ("utf-7", b"+AOkA6QDp"),
            ("utf-7", b"aaaaaa"),
            ("utf-16", b"\0a\0a\0a\0a\0a\0a"),
            ("utf-32", b"\0\0\0a\0\0\0a\0\0\0a\0\0\0a\0\0\0a\0\0\0a"),
            ("hz", b"~{DcDc"),
            ("cp437", b"\x82\x82\x82"),
        ] {
            let charset = Charset::find(label).unwrap();
            assert_eq!(charset.decode(bytes, 5), None, "{label}");
            assert!(charset.decode(bytes, 6).is_some_and(|text| text.len() == 6), "{label}");
        }
        let large = vec![0xff; 1 << 22];
        assert_eq!(Charset::find("utf-8").unwrap().decode(&large, 1 << 20), None);
    }

    #[test]
    fn every_page_has_its_place() {
        for (pages, length) in [(ASCII, 128), (EBCDIC, 191)] {
            for (number, characters) in pages {
                assert_eq!(characters.chars().count(), length, "{number}");
            }
        }
        assert_eq!(EBCDIC_CONTROLS.chars().count(), 64);
    }
}
