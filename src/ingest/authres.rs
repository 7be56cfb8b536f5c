//! `Authentication-Results`: what a mail server found out about a message, as RFC 8601 writes it down.
//!
//! The parser reads one field value as it stands in the message, folded or not, and says what is in it. Whether the
//! server that wrote it is to be believed is not decided here: anybody can write such a field, `eml` looks at the
//! authserv-id.
//!
//! Strict where a mistake would turn into a verdict, forgiving where servers are known to be careless: a result that
//! cannot be read is left out and counted in `defects`, the results beside it stay. It never guesses a result.
//!
//! # Bounds
//!
//! Time is linear in the length of the value, and so is the memory of `parse`; that of `parse_wanted` has a bound.
//! Comments nest to any depth: the depth is a number, not a stack. There is nothing that panics, whatever the text.

use std::borrow::Cow;
use std::collections::HashSet;

use super::words::{comment_end, quoted_end, unescaped};
use crate::messages::Verdict;

/// One field, as read. The texts are unquoted; methods, results, property types and names are in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthenticationResults {
    /// The server that claims to have written this. Its case is kept; compare it without regard to case.
    pub authserv_id: String,
    /// `Some(1)` when the field says so; other versions are not read at all (`parse`).
    pub version: Option<u32>,
    /// In the order of the field, several of one method among them. Empty after `; none`.
    pub results: Vec<MethodResult>,
    /// How much of the field RFC 8601 does not allow and this parser left out: results that make no sense, text
    /// between the authserv-id and the first semicolon, a field that says neither a result nor `none`.
    pub defects: usize,
}

/// `method[/version]=result [reason=value] [ptype.property=pvalue]…`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MethodResult {
    pub method: String,
    pub version: Option<u32>,
    pub result: String,
    pub reason: Option<String>,
    pub properties: Vec<Property>,
}

/// `header.d=example.com`: type `header`, name `d`. The value may be empty, as that of a null sender is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    pub ptype: String,
    pub name: String,
    pub value: String,
}

impl AuthenticationResults {
    /// The results of one method (lower case), in order.
    pub fn of<'a>(&'a self, method: &'a str) -> impl Iterator<Item = &'a MethodResult> {
        self.results.iter().filter(move |result| result.method == method)
    }
}

impl MethodResult {
    /// The value of the first property of that type and name (lower case).
    pub fn property(&self, ptype: &str, name: &str) -> Option<&str> {
        let property = self.properties.iter().find(|p| p.ptype == ptype && p.name == name);
        property.map(|property| property.value.as_str())
    }

    /// The result in the words of the message log.
    ///
    /// - `pass`, `fail`, `softfail`, `neutral`, `temperror`, `permerror`, `none`: RFC 8601 section 2.7.
    /// - `hardfail` is `Fail`: the word of RFC 5451 for what SPF calls fail.
    /// - `policy` is `Neutral`: the local policy had its say (sections 2.7.1 and 2.7.2), so that it is neither a pass
    ///   nor a test that failed.
    /// - `bestguesspass` is `None`: the domain publishes no record, the pass is the server's guess at one.
    /// - Any other word is `Neutral`: the server looked, and did not say anything to rely on.
    pub fn verdict(&self) -> Verdict {
        match self.result.as_str() {
            "pass" => Verdict::Pass,
            "fail" | "hardfail" => Verdict::Fail,
            "softfail" => Verdict::Softfail,
            "temperror" => Verdict::Temperror,
            "permerror" => Verdict::Permerror,
            "none" | "bestguesspass" => Verdict::None,
            _ => Verdict::Neutral,
        }
    }
}

/// What is kept of a field: whoever needs three properties does not pay for a million.
pub struct Wanted {
    /// The servers that are believed, in lower case. What another has written is not read at all.
    pub believed: HashSet<String>,
    pub methods: &'static [&'static str],
    /// Types and names, the first of each in a result.
    pub properties: &'static [(&'static str, &'static str)],
    /// Results of a field.
    pub most_results: usize,
    /// Bytes of a name and of a value; a longer value is left out.
    pub longest_value: usize,
}

/// Reads the value of one field: what follows the colon, with or without its folding.
///
/// `None` when it does not say who wrote it (Microsoft 365 leaves the authserv-id out), or is of a version other
/// than 1, which RFC 8601 section 2.2 gives no meaning. Beyond the grammar of that section it takes an empty result
/// (`;;` and a last `;`), a `reason` after properties, words that are no property (`action=none`, passed over), any
/// character in an unquoted value that does not end it, and UTF-8 (RFC 8616).
pub fn parse(value: &str) -> Option<AuthenticationResults> {
    read(value.as_bytes(), None)
}

/// The same of what is wanted alone; `None` also when nobody who is believed has written it.
pub fn parse_wanted(value: &[u8], wanted: &Wanted) -> Option<AuthenticationResults> {
    read(value, Some(wanted))
}

fn read(value: &[u8], wanted: Option<&Wanted>) -> Option<AuthenticationResults> {
    let mut reader = Reader { text: value, at: 0, wanted };
    reader.space().ok()?;
    let authserv_id = match reader.peek() {
        Some(b'"') => reader.quoted().ok()?,
        _ => Cow::Borrowed(reader.run(is_token)),
    };
    if authserv_id.is_empty() || !reader.at_word_end() {
        return None;
    }
    if wanted.is_some_and(|wanted| authserv_id.len() > wanted.longest_value) {
        return None;
    }
    let authserv_id = text(&authserv_id);
    if wanted.is_some_and(|wanted| !wanted.believed.contains(&authserv_id.to_lowercase())) {
        return None;
    }
    let mut field = AuthenticationResults { authserv_id, version: None, results: Vec::new(), defects: 0 };
    if reader.space().is_err() {
        field.defects += 1;
        return Some(field);
    }
    let digits = reader.run(|byte| byte.is_ascii_digit());
    if !digits.is_empty() && reader.at_word_end() {
        if number(digits) != Some(1) {
            return None;
        }
        field.version = Some(1);
    }
    if reader.space().is_err() || !matches!(reader.peek(), None | Some(b';')) {
        field.defects += 1;
        reader.skip_result();
    }

    let mut said_something = false;
    while reader.take(b';') {
        if wanted.is_some_and(|wanted| field.results.len() == wanted.most_results) {
            break;
        }
        match reader.result() {
            Ok(Said::Nothing) => {}
            Ok(Said::NoResults | Said::Unwanted) => said_something = true,
            Ok(Said::Result(result)) => {
                said_something = true;
                field.results.push(result);
            }
            Err(Defect) => {
                said_something = true;
                field.defects += 1;
                reader.skip_result();
            }
        }
    }
    if !said_something {
        field.defects += 1;
    }
    Some(field)
}

/// Something RFC 8601 does not allow; the reader stands somewhere inside it.
#[derive(Debug)]
struct Defect;

/// What stands between two semicolons.
enum Said {
    Nothing,
    /// `none`: no method was tried.
    NoResults,
    /// A result of a method that nobody asked for.
    Unwanted,
    Result(MethodResult),
}

/// A place in the text, which only ever moves forward.
struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    wanted: Option<&'a Wanted>,
}

/// What follows an equals sign: in quotes, behind them, or without.
struct Value<'a>(Cow<'a, [u8]>, &'a [u8]);

impl Value<'_> {
    fn text(&self) -> String {
        text(&self.0) + &text(self.1)
    }

    fn length(&self) -> usize {
        self.0.len() + self.1.len()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn lower(bytes: &[u8]) -> String {
    text(bytes).to_ascii_lowercase()
}

fn number(digits: &[u8]) -> Option<u32> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

impl<'a> Reader<'a> {
    /// One result, after its semicolon, up to the next semicolon or the end.
    fn result(&mut self) -> Result<Said, Defect> {
        self.space()?;
        if self.at_end_of_result() {
            return Ok(Said::Nothing);
        }
        let method = self.keyword()?;
        self.space()?;
        if method.eq_ignore_ascii_case(b"none") && self.at_end_of_result() {
            return Ok(Said::NoResults);
        }
        let mut version = None;
        if self.take(b'/') {
            self.space()?;
            version = Some(number(self.run(|byte| byte.is_ascii_digit())).ok_or(Defect)?);
            self.space()?;
        }
        if !self.take(b'=') {
            return Err(Defect);
        }
        self.space()?;
        let result = self.keyword()?;
        if !self.at_word_end() {
            return Err(Defect);
        }
        let is_wanted = |method: &[u8]| {
            let methods = self.wanted.map(|wanted| wanted.methods);
            methods
                .is_none_or(|methods| methods.iter().any(|name| name.as_bytes().eq_ignore_ascii_case(method)))
        };
        if !is_wanted(method) {
            self.skip_result();
            return Ok(Said::Unwanted);
        }
        let mut result = MethodResult {
            method: lower(method),
            version,
            result: lower(result),
            reason: None,
            properties: Vec::new(),
        };
        loop {
            self.space()?;
            if self.at_end_of_result() {
                return Ok(Said::Result(result));
            }
            self.property(&mut result)?;
        }
    }

    /// `reason=value` or `ptype.property=pvalue` goes into `result`; another word, with or without a value, nowhere.
    fn property(&mut self, result: &mut MethodResult) -> Result<(), Defect> {
        let word = self.run(is_keyword);
        if word.is_empty() {
            return Err(Defect);
        }
        self.space()?;
        let mut name = None;
        if self.take(b'.') {
            self.space()?;
            name = Some(self.run(|byte| is_keyword(byte) || byte == b'.'));
            self.space()?;
        }
        if !self.take(b'=') {
            return Ok(());
        }
        let value = self.value()?;
        match name {
            Some(name) if !name.is_empty() && self.wants(word, name, &value, result) => {
                result.properties.push(Property {
                    ptype: lower(word),
                    name: lower(name),
                    value: value.text(),
                });
            }
            None if self.wanted.is_none()
                && word.eq_ignore_ascii_case(b"reason")
                && result.reason.is_none() =>
            {
                result.reason = Some(value.text());
            }
            _ => {}
        }
        Ok(())
    }

    fn wants(&self, ptype: &[u8], name: &[u8], value: &Value<'_>, result: &MethodResult) -> bool {
        let Some(wanted) = self.wanted else { return true };
        let is = |known: &str, got: &[u8]| known.as_bytes().eq_ignore_ascii_case(got);
        value.length() <= wanted.longest_value
            && wanted.properties.iter().any(|(known, its_name)| is(known, ptype) && is(its_name, name))
            && !result.properties.iter().any(|known| is(&known.ptype, ptype) && is(&known.name, name))
    }

    /// What follows an equals sign: a quoted string, one with `@domain` after it, or all up to the next space.
    fn value(&mut self) -> Result<Value<'a>, Defect> {
        let before = self.at;
        self.space()?;
        // `smtp.mailfrom= smtp.helo=mx.example.com`: a null sender. No value looks like a property unless quoted.
        if self.at > before && self.at_property() {
            return Ok(Value(Cow::Borrowed(b""), b""));
        }
        let mut value = Value(Cow::Borrowed(b""), b"");
        if self.peek() == Some(b'"') {
            value.0 = self.quoted()?;
            if self.peek() == Some(b'@') {
                value.1 = self.run(is_value);
            }
        } else {
            value.1 = self.run(is_value);
        }
        if self.at_word_end() { Ok(value) } else { Err(Defect) }
    }

    /// The name of a method or a result. With dots, which RFC 8601 does not give them, as the wild does.
    fn keyword(&mut self) -> Result<&'a [u8], Defect> {
        match self.run(|byte| is_keyword(byte) || byte == b'.') {
            b"" => Err(Defect),
            word => Ok(word),
        }
    }

    /// The inside of a quoted string whose opening quote comes next (RFC 5322 section 3.2.4): without the escapes,
    /// and without the line ends of its folding.
    fn quoted(&mut self) -> Result<Cow<'a, [u8]>, Defect> {
        match quoted_end(self.text, self.at) {
            Some(end) => {
                let inside = &self.text[self.at + 1..end - 1];
                self.at = end;
                Ok(unescaped(inside))
            }
            None => {
                self.at = self.text.len();
                Err(Defect)
            }
        }
    }

    /// Passes over white space, line ends and comments, however they nest. A comment without an end takes the rest.
    fn space(&mut self) -> Result<(), Defect> {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
                b'(' => match comment_end(self.text, self.at) {
                    Some(end) => self.at = end,
                    None => {
                        self.at = self.text.len();
                        return Err(Defect);
                    }
                },
                _ => break,
            }
        }
        Ok(())
    }

    /// Moves to the next semicolon that is not inside a comment or a quoted string, or to the end.
    fn skip_result(&mut self) {
        while !self.at_end_of_result() {
            let before = self.at;
            let _ = match self.peek() {
                Some(b'"') => self.quoted().map(drop),
                _ => self.space(),
            };
            if self.at == before {
                self.at += 1;
            }
        }
    }

    /// Whether `word.word=` comes next. Looks at no more than the word, which is then read over once.
    fn at_property(&self) -> bool {
        let mut ahead = Reader { text: self.text, at: self.at, wanted: None };
        !ahead.run(is_keyword).is_empty()
            && ahead.take(b'.')
            && !ahead.run(is_keyword).is_empty()
            && ahead.take(b'=')
            && !matches!(ahead.peek(), None | Some(b';' | b'=' | b' ' | b'\t' | b'\r' | b'\n'))
    }

    fn at_end_of_result(&self) -> bool {
        matches!(self.peek(), None | Some(b';'))
    }

    fn at_word_end(&self) -> bool {
        matches!(self.peek(), None | Some(b';' | b'(' | b' ' | b'\t' | b'\r' | b'\n'))
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn run(&mut self, class: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = &self.text[self.at..];
        let length = rest.iter().position(|byte| !class(*byte)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }
}

/// A token of RFC 2045 section 5.1, or UTF-8.
fn is_token(byte: u8) -> bool {
    byte > b' ' && byte != 0x7f && !br#"()<>@,;:\"/[]?="#.contains(&byte)
}

/// A token that ends at a dot.
fn is_keyword(byte: u8) -> bool {
    is_token(byte) && byte != b'.'
}

/// What an unquoted value may hold: more than a token, since servers write addresses, IPv6 addresses and base64.
fn is_value(byte: u8) -> bool {
    byte > b' ' && byte != 0x7f && !matches!(byte, b';' | b'(' | b'"')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `id[/version] | method[/version]=result[ reason="…"][ type.name=value]… | … [ !defects]`
    fn show(value: &str) -> String {
        let Some(field) = parse(value) else { return "-".into() };
        let mut shown = field.authserv_id;
        if let Some(version) = field.version {
            shown += &format!("/{version}");
        }
        for result in &field.results {
            shown += &format!(" | {}", result.method);
            if let Some(version) = result.version {
                shown += &format!("/{version}");
            }
            shown += &format!("={}", result.result);
            if let Some(reason) = &result.reason {
                shown += &format!(" reason={reason:?}");
            }
            for property in &result.properties {
                shown += &format!(" {}.{}={}", property.ptype, property.name, property.value);
            }
        }
        if field.defects > 0 {
            shown += &format!(" !{}", field.defects);
        }
        shown
    }

    #[test]
    fn fields_are_read() {
        for (value, expected) in [
            // RFC 8601, appendix B.
            (" example.org 1; none", "example.org/1"),
            (
                " example.com;\r\n          spf=pass smtp.mailfrom=example.net",
                "example.com | spf=pass smtp.mailfrom=example.net",
            ),
            (
                " example.com;\r\n auth=pass (cram-md5) smtp.auth=sender@example.net;\r\n spf=pass \
                 smtp.mailfrom=example.net",
                "example.com | auth=pass smtp.auth=sender@example.net | spf=pass smtp.mailfrom=example.net",
            ),
            (
                " foo.example.net (foobar) 1 (baz);\r\n dkim (Because I like it) / 1 (One yay) = (wait for it) fail\r\n \
                 policy (A dot can go here) . (like that) expired\r\n (this surprised me) = (as I wasn't expecting it) \
                 1362471462",
                "foo.example.net/1 | dkim/1=fail policy.expired=1362471462",
            ),
            (
                " example.com; dkim=pass reason=\"good signature\" header.i=@mail-router.example.net; dkim=fail \
                 reason=\"bad signature\" header.i=@newyork.example.com",
                "example.com | dkim=pass reason=\"good signature\" header.i=@mail-router.example.net | dkim=fail \
                 reason=\"bad signature\" header.i=@newyork.example.com",
            ),
            // Quoting.
            ("\"mx \\\"1\\\"\"; none", "mx \"1\""),
            (
                "mx; spf=pass smtp.mailfrom=\"a;b (c\"@example.com smtp.helo=x",
                "mx | spf=pass smtp.mailfrom=a;b (c@example.com smtp.helo=x",
            ),
            ("mx; dkim=fail reason=\"folded\r\n here\"", "mx | dkim=fail reason=\"folded here\""),
            // Comments.
            ("(a(b(c)))mx(\\))(d);(;)spf(e)=(f)pass(g)", "mx | spf=pass"),
            ("mx; spf=pass (sender is (really) ok; dkim=fail) smtp.helo=h", "mx | spf=pass smtp.helo=h"),
            // Null senders and things that look like it.
            (
                "mx; spf=none smtp.mailfrom= smtp.helo=h.example",
                "mx | spf=none smtp.mailfrom= smtp.helo=h.example",
            ),
            ("mx; spf=none smtp.mailfrom=; dkim=none", "mx | spf=none smtp.mailfrom= | dkim=none"),
            ("mx; spf=none smtp.mailfrom=<>", "mx | spf=none smtp.mailfrom=<>"),
            ("mx; dkim=pass header.b= ab.cd== header.d=x", "mx | dkim=pass header.b=ab.cd== header.d=x"),
            // The wild.
            ("mx; iprev=pass policy.iprev=2001:db8::1", "mx | iprev=pass policy.iprev=2001:db8::1"),
            ("mx; dmarc=pass action=none header.from=a.example;", "mx | dmarc=pass header.from=a.example"),
            (
                "mx; dmarc=fail header.from=a reason=\"No SPF\"",
                "mx | dmarc=fail reason=\"No SPF\" header.from=a",
            ),
            ("mx; DKIM=PASS Header.D=Example.com", "mx | dkim=pass header.d=Example.com"),
            (
                "mx.例え.jp; spf=pass smtp.mailfrom=用户@例え.jp",
                "mx.例え.jp | spf=pass smtp.mailfrom=用户@例え.jp",
            ),
            // Not by the grammar: left out, the rest stays.
            ("mx", "mx !1"),
            ("mx;", "mx !1"),
            ("mx; none; spf=pass", "mx | spf=pass"),
            (
                "mta508.mail  from=y.jp; domainkeys=pass (ok); dkim=pass (ok); header.i=@y.jp",
                "mta508.mail | domainkeys=pass | dkim=pass !2",
            ),
            ("mx; dkim; spf=pass", "mx | spf=pass !1"),
            ("mx; dkim=; spf=pass", "mx | spf=pass !1"),
            ("mx; dkim/=pass; spf=pass", "mx | spf=pass !1"),
            ("mx; dkim/99999999999=pass; spf=pass", "mx | spf=pass !1"),
            ("mx; =pass; spf=pass", "mx | spf=pass !1"),
            ("mx; dkim=pass@; spf=pass", "mx | spf=pass !1"),
            ("mx; dkim=pass @x \"a;b\" (;) é; spf=pass", "mx | spf=pass !1"),
            ("mx; dkim=pass header.d=\"a\"b; spf=pass", "mx | spf=pass !1"),
            ("mx; dkim=pass (no end; spf=pass", "mx !1"),
            ("mx; dkim=pass header.d=\"no end; spf=pass", "mx !1"),
            ("mx (no end; spf=pass", "mx !1"),
            ("mx; spf=pass (\\", "mx !1"),
            ("mx; spf=pass (\\é", "mx !1"),
            // Nobody, or another version.
            ("", "-"),
            (" ; none", "-"),
            ("(only a comment)", "-"),
            ("\"no end; none", "-"),
            ("\"\"; none", "-"),
            ("spf=pass (sender IP is 192.0.2.1) smtp.mailfrom=x; dkim=pass", "-"),
            ("mx 2; dkim=pass", "-"),
            ("mx 99999999999; dkim=pass", "-"),
        ] {
            assert_eq!(show(value), expected, "{value}");
        }
    }

    #[test]
    fn result_words_become_verdicts() {
        for (word, expected) in [
            ("pass", Verdict::Pass),
            ("PASS", Verdict::Pass),
            ("fail", Verdict::Fail),
            ("hardfail", Verdict::Fail),
            ("softfail", Verdict::Softfail),
            ("neutral", Verdict::Neutral),
            ("policy", Verdict::Neutral),
            ("temperror", Verdict::Temperror),
            ("permerror", Verdict::Permerror),
            ("none", Verdict::None),
            ("bestguesspass", Verdict::None),
            ("passed", Verdict::Neutral),
        ] {
            let field = parse(&format!("mx; spf={word}")).unwrap();
            assert_eq!(field.results[0].verdict(), expected, "{word}");
        }
    }

    #[test]
    fn a_method_finds_its_results_and_their_properties() {
        let field = parse("mx; dkim=fail header.d=a; spf=pass; dkim=pass header.d=b header.d=c").unwrap();
        let domains: Vec<_> = field.of("dkim").map(|result| result.property("header", "d")).collect();
        assert_eq!(domains, [Some("a"), Some("b")]);
        assert_eq!(field.results[1].property("smtp", "mailfrom"), None);
    }

    #[test]
    fn hostile_values_take_linear_time() {
        let length = 1 << 20;
        for (start, repeated) in [
            ("mx; a=b ", "("),
            ("mx; a=b ", "()"),
            ("mx; a=b ", "(\\"),
            ("mx; a=b ", "\""),
            ("mx; a=b ", "\\"),
            ("mx", ";"),
            ("mx", ";a=b"),
            ("mx; a=b ", "c.d= "),
            ("mx; a=b c.d= ", "e"),
            ("mx; a=b ", "c.d=\"\" "),
            ("mx", ";\"(\""),
            ("mx; a=b", ";(\";"),
            ("", "é"),
        ] {
            let began = std::time::Instant::now();
            parse(&(start.to_owned() + &repeated.repeat(length / repeated.len())));
            assert!(began.elapsed().as_secs() < 5, "{start}{repeated}…");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(value in "\\PC*", pieces in "(mx|;| |=|\\.|\"|\\\\|\\(|\\)|none|dkim|/|1|@|é|\r\n ){0,40}") {
            parse(&value);
            parse(&pieces);
        }
    }
}
