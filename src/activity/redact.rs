//! Secrets never reach the file: what is told in `metadata` passes here before anything is stored.
//!
//! A member whose name says that it is a secret goes whole, at any depth, and its name is kept: `redacted` of the entry
//! tells the producer what it sent. Where a secret stands in a text, in a list or beside its name (`{"name":
//! "password", "value": …}`, `Authorization: Bearer …`, `https://user:pw@host`, `?token=…`, JSON in a string),
//! `[redacted]` takes the place of the value alone.
//!
//! A name is judged by its words. It is cut where case changes and at whatever is no letter or digit, so that
//! `smtp_pass`, `smtpPassword` and `X-Auth-Token` are seen, and `secretary`, `compass` and `dkim_pass` are not.
//! What tells *about* a secret stays: `password_changed_at`, `tokens_consumed`, `api_key_id`, any boolean.
//!
//! # Bounds
//! The time is linear in the length of texts, which each pattern passes once, and in that of names, of which each word is
//! looked at by itself. A name is read to its end, however long: in what is not read a secret might hide. JSON within a
//! text is read three texts deep; `redacted` holds at most `MOST_NAMES` names of at most `LONGEST_NAME` characters.
//!
//! # What it cannot know
//! A secret under an innocent name, or in a sentence, is recorded as it was given.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::decompose_compatible;

use crate::mask::{holds_key, masked};

/// The metadata of an activity: a JSON object without secrets, as the text it is stored and shown as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    text: String,
    /// Names of the members that were left out.
    redacted: Vec<String>,
}

impl Metadata {
    pub fn redacted(mut metadata: Map<String, Value>) -> Self {
        let mut names = Names::default();
        redact_members(&mut metadata, &mut names, 0);
        Self { text: Value::Object(metadata).to_string(), redacted: names.0 }
    }

    /// As `redacted` made it once, from its two columns.
    pub fn stored(text: String, names: Option<&str>) -> Self {
        let redacted = names.and_then(|names| serde_json::from_str(names).ok()).unwrap_or_default();
        Self { text, redacted }
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Names of the members that were left out, each once, in the order in which they came.
    pub fn names(&self) -> &[String] {
        &self.redacted
    }

    /// `names` as its column has it; `None` when nothing was left out.
    pub fn names_column(&self) -> Option<String> {
        (!self.redacted.is_empty()).then(|| Value::from(self.redacted.as_slice()).to_string())
    }
}

impl Default for Metadata {
    fn default() -> Self {
        Self { text: "{}".to_owned(), redacted: Vec::new() }
    }
}

impl Serialize for Metadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::from_str::<&RawValue>(&self.text)
            .map_err(serde::ser::Error::custom)?
            .serialize(serializer)
    }
}

const MOST_NAMES: usize = 50;
const LONGEST_NAME: usize = 100;

/// Names of members that were left out.
#[derive(Default)]
struct Names(Vec<String>);

impl Names {
    fn add(&mut self, name: &str) {
        let name: String = masked(name).chars().take(LONGEST_NAME).collect();
        if self.0.len() < MOST_NAMES && !self.0.contains(&name) {
            self.0.push(name);
        }
    }
}

/// What stands in a text where a secret stood.
const REDACTED: &str = "[redacted]";
/// Texts within texts that are read as JSON.
const DEEPEST: usize = 3;

fn redact_members(members: &mut Map<String, Value>, names: &mut Names, depth: usize) {
    members.retain(|name, value| {
        let stays = !is_secret(name, value);
        if !stays {
            names.add(name);
        }
        stays
    });
    if tells_of_a_secret(members) {
        for (_, value) in members.iter_mut().filter(|(name, _)| VALUE_NAMES.contains(&lowered(name).as_str()))
        {
            hide(value);
        }
    }
    members.values_mut().for_each(|value| redact_value(value, names, depth));
}

fn redact_value(value: &mut Value, names: &mut Names, depth: usize) {
    match value {
        Value::Object(members) => redact_members(members, names, depth),
        Value::Array(items) => {
            for item in items {
                redact_pair(item);
                redact_value(item, names, depth);
            }
        }
        Value::String(text) => {
            if let Cow::Owned(redacted) = redact_text(text, names, depth) {
                *text = redacted;
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Members whose text names another thing, which stands beside it.
const NAMING_NAMES: [&str; 12] = [
    "name",
    "field",
    "key",
    "header",
    "param",
    "parameter",
    "property",
    "setting",
    "attribute",
    "option",
    "variable",
    "path",
];
/// Where that other thing stands.
const VALUE_NAMES: [&str; 14] = [
    "value",
    "values",
    "from",
    "to",
    "old",
    "new",
    "before",
    "after",
    "previous",
    "current",
    "old_value",
    "new_value",
    "oldvalue",
    "newvalue",
];

/// `{"name": "password", "value": …}`, `{"field": "password", "from": …, "to": …}`.
fn tells_of_a_secret(members: &Map<String, Value>) -> bool {
    members.iter().any(|(name, value)| {
        NAMING_NAMES.contains(&lowered(name).as_str())
            && value.as_str().is_some_and(|text| says_secret(text.rsplit(['.', '/']).next().unwrap_or(text)))
    })
}

/// `["Authorization", "Bearer …"]` in a list of such.
fn redact_pair(item: &mut Value) {
    if let Some([Value::String(name), value]) = item.as_array_mut().map(Vec::as_mut_slice)
        && says_secret(name)
    {
        hide(value);
    }
}

/// What stands for a value already, as in a change of a setting that is a secret.
const PLACEHOLDERS: [&str; 3] = ["", "(set)", REDACTED];

fn hide(value: &mut Value) {
    let is_harmless = match &*value {
        Value::Null | Value::Bool(_) => true,
        Value::String(text) => PLACEHOLDERS.contains(&text.as_str()),
        _ => false,
    };
    if !is_harmless {
        *value = REDACTED.into();
    }
}

/// Whether a member is to go. A boolean holds no secret, and under a name in the plural a number is how many there are.
fn is_secret(name: &str, value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) => false,
        Value::Number(_) if lowered(name).ends_with('s') => false,
        _ => says_secret(name),
    }
}

/// Words that are a secret, also in the plural, with digits behind them, or as the end of a longer word (`dbpassword`).
const SECRETS: [&str; 16] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "pwd",
    "secret",
    "token",
    "credential",
    "apikey",
    "privatekey",
    "accesskey",
    "secretkey",
    "signingkey",
    "sshkey",
    "authorization",
    "cookie",
];
/// Words that are a secret only as they stand: as the end of a longer word they would be `spin` or `dispass`.
const SHORT_SECRETS: [&str; 8] = ["pin", "otp", "totp", "jwt", "bearer", "cred", "creds", "dsn"];
/// Before `key` or `keys`, these make a secret of it.
const KEY_KINDS: [&str; 25] = [
    "api",
    "private",
    "access",
    "secret",
    "signing",
    "ssh",
    "encryption",
    "decryption",
    "master",
    "auth",
    "service",
    "license",
    "licence",
    "checkpoint",
    "issuer",
    "hmac",
    "shared",
    "webhook",
    "deploy",
    "account",
    "storage",
    "session",
    "recovery",
    "server",
    "client",
];
/// Before `code` or `codes`, these do.
const CODE_KINDS: [&str; 7] = ["mfa", "otp", "recovery", "backup", "verification", "security", "access"];
/// A pass of these is a verdict.
const CHECKS: [&str; 9] = ["dkim", "spf", "dmarc", "arc", "bimi", "test", "tests", "check", "checks"];
/// Words that end like `pass` and are none.
const ORDINARY: [&str; 7] =
    ["bypass", "compass", "encompass", "surpass", "trespass", "overpass", "underpass"];
/// A name that ends in one of these tells about a secret and holds none.
const ABOUT: [&str; 48] = [
    "at",
    "on",
    "date",
    "time",
    "timestamp",
    "count",
    "counts",
    "counter",
    "n",
    "num",
    "number",
    "total",
    "id",
    "ids",
    "hint",
    "type",
    "kind",
    "name",
    "names",
    "enabled",
    "disabled",
    "required",
    "policy",
    "length",
    "size",
    "expiry",
    "expires",
    "expiration",
    "ttl",
    "age",
    "days",
    "lifetime",
    "consumed",
    "used",
    "usage",
    "left",
    "remaining",
    "limit",
    "limits",
    "budget",
    "budgets",
    "changed",
    "updated",
    "created",
    "rotated",
    "revoked",
    "fingerprint",
    "status",
];
/// Likewise a name that begins with one of these.
const COUNTING: [&str; 9] = ["n", "num", "number", "count", "total", "max", "min", "has", "is"];

fn says_secret(name: &str) -> bool {
    let lowered = lowered(name);
    let words = || lowered.split('_');
    if let Some((first, rest)) = lowered.split_once('_')
        && (COUNTING.contains(&first) || rest.rsplit('_').next().is_some_and(|last| ABOUT.contains(&last)))
    {
        return false;
    }
    let mut before = "";
    let mut has_pass = false;
    for whole in words() {
        let word = whole.trim_end_matches(|c: char| c.is_ascii_digit());
        let single = word.strip_suffix('s').unwrap_or(word);
        let is_secret = match single {
            _ if word.ends_with("pass") => {
                has_pass |= !ORDINARY.contains(&word);
                false
            }
            "key" => KEY_KINDS.contains(&before),
            "code" => CODE_KINDS.contains(&before),
            _ => {
                SHORT_SECRETS.contains(&word)
                    || SHORT_SECRETS.contains(&single)
                    || SECRETS.iter().any(|secret| single.ends_with(secret))
            }
        };
        if is_secret {
            return true;
        }
        before = whole;
    }
    has_pass && !words().any(|word| CHECKS.contains(&word))
}

/// A name as the lists above have it: its words in small letters, with a `_` between any two. Compatible forms such as
/// full-width letters are read as what they stand for. `APIKeys`, `apiKeys` and `api-keys` are one.
fn lowered(name: &str) -> String {
    let mut lowered = String::with_capacity(name.len());
    let mut letters = name.chars().flat_map(compatible).nfc().peekable();
    let mut before: Option<char> = None;
    let mut is_between = false;
    while let Some(c) = letters.next() {
        let follows_small = before.is_some_and(|c| c.is_lowercase() || c.is_numeric());
        let begins_word =
            before.is_some_and(char::is_uppercase) && letters.peek().is_some_and(|next| next.is_lowercase());
        is_between |= !c.is_alphanumeric() || (c.is_uppercase() && (follows_small || begins_word));
        if c.is_alphanumeric() {
            if is_between && !lowered.is_empty() {
                lowered.push('_');
            }
            is_between = false;
            lowered.extend(c.to_lowercase());
        }
        before = Some(c);
    }
    lowered
}

/// Characters that one is read as, if it stands for several. None of them that is one for ASCII letters stands for more.
const MOST_FOR_ONE: usize = 4;

/// What a character stands for, as NFKC has it but for its length: of `ﷺ`, which would be eighteen, the beginning.
fn compatible(c: char) -> impl Iterator<Item = char> {
    let mut letters = [None; MOST_FOR_ONE];
    let mut places = letters.iter_mut();
    decompose_compatible(c, |letter| {
        if let Some(place) = places.next() {
            *place = Some(letter);
        }
    });
    letters.into_iter().flatten()
}

/// A pattern of ours, which is right or fails in the first test.
macro_rules! pattern {
    ($text:literal) => {
        LazyLock::new(|| Regex::new($text).expect("a pattern of ours"))
    };
}

/// The password in a URL: `scheme://user:password@host`.
static USERINFO: LazyLock<Regex> = pattern!(r"(?P<before>[A-Za-z][A-Za-z0-9+.-]*://[^\s/?#:@]*:)[^\s/?#]+@");
/// `name=value`, as in a query, a form, a cookie, an environment.
static ASSIGNED: LazyLock<Regex> =
    pattern!(r#"(?P<name>[\p{L}\p{N}_.%\[\]-]+)(?P<is>=["']?)(?P<value>[^\s&;,"']+)"#);
/// `Name: value` on a line of its own, as a header has it.
static HEADER: LazyLock<Regex> =
    pattern!(r"(?m)^(?P<name>[ \t]*[\p{L}\p{N}_.-]+)(?P<is>[ \t]*:[ \t]*)(?P<value>\S.*)$");
/// The same in quotes, as in a command line or a piece of JSON.
static QUOTED: LazyLock<Regex> =
    pattern!(r#"(?P<name>["'][\p{L}\p{N}_. -]+)(?P<is>["']?[ \t]*:[ \t]*["']?)(?P<value>[^"'\n]+)"#);
/// What follows the name of an authentication scheme. Its word begins where no ASCII letter stands before it: Chinese has
/// no blanks, and with a boundary of Unicode the slowest engine would read every text that is not ASCII.
static SCHEME: LazyLock<Regex> = pattern!(
    r"(?i)(?-u:\b)(?P<before>(?:bearer|basic)\s+)[A-Za-z0-9._~+/-]*[0-9._~+/=-][A-Za-z0-9._~+/-]*=*"
);
/// What is a secret by its form: PEM private keys, JSON web tokens, keys of well-known services.
static FORMS: LazyLock<Regex> = pattern!(
    r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)|(?-u:\b)eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?|(?-u:\b)(?:gh[pousr]_|github_pat_|glpat-|xox[abprs]-|(?:sk|rk)_(?:live|test)_|SG\.)[A-Za-z0-9_.-]{16,}"
);

fn redact_text<'t>(text: &'t str, names: &mut Names, depth: usize) -> Cow<'t, str> {
    if depth < DEEPEST
        && text.trim_start().starts_with(['{', '['])
        && let Ok(inner) = crate::http::json::parse(text.as_bytes())
    {
        let mut redacted = inner.clone();
        redact_value(&mut redacted, names, depth + 1);
        return if redacted == inner { Cow::Borrowed(text) } else { Cow::Owned(redacted.to_string()) };
    }
    let mut text = Cow::Borrowed(text);
    if holds_key(&text) {
        text = Cow::Owned(masked(&text).into_owned());
    }
    let hide_named = |found: &Captures<'_>| {
        if says_secret(&found["name"]) && !found["value"].starts_with(REDACTED) {
            format!("{}{}{REDACTED}", &found["name"], &found["is"])
        } else {
            found[0].to_owned()
        }
    };
    let before = format!("${{before}}{REDACTED}");
    text = replaced(text, |text| FORMS.replace_all(text, REDACTED));
    text = replaced(text, |text| USERINFO.replace_all(text, format!("{before}@")));
    text = replaced(text, |text| HEADER.replace_all(text, hide_named));
    text = replaced(text, |text| QUOTED.replace_all(text, hide_named));
    text = replaced(text, |text| SCHEME.replace_all(text, &before));
    replaced(text, |text| ASSIGNED.replace_all(text, hide_named))
}

/// A text after one more replacement; borrowed still where nothing was replaced.
fn replaced<'t>(text: Cow<'t, str>, replace: impl Fn(&str) -> Cow<'_, str>) -> Cow<'t, str> {
    match replace(&text) {
        Cow::Owned(after) if after != *text => Cow::Owned(after),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Whether a member of this name with a text goes.
    fn goes(name: &str) -> bool {
        is_secret(name, &"x".into())
    }

    #[test]
    fn a_member_that_names_a_secret_goes() {
        for name in [
            "password",
            "Password",
            "passwords",
            "password2",
            "smtp_pass",
            "smtpPassword",
            "SMTP-PASSWORD",
            "SMTPPass",
            "dbpass",
            "passphrase",
            "passcode",
            "password_hash",
            "client_secret",
            "clientSecrets",
            "secret",
            "token",
            "X-Auth-Token",
            "accesstoken",
            "access_tokens",
            "bounce_token",
            "csrf-token",
            "private_key",
            "privateKey",
            "PRIVATE KEY",
            "pwd",
            "api_key",
            "api_keys",
            "apiKeys",
            "APIKeys",
            "sendgridApiKey",
            "access_key",
            "signing_key",
            "ssh_key",
            "secret_key",
            "license_key",
            "Authorization",
            "credentials",
            "aws_credential",
            "cookie",
            "Set-Cookie",
            "bearer",
            "jwt",
            "JWTToken",
            "otp",
            "OTPCode",
            "pin",
            "pin_code",
            "recovery_codes",
            "ｐａｓｓｗｏｒｄ",
            "ＡＰＩ＿ＫＥＹ",
            "dsn",
        ] {
            assert!(goes(name), "{name}");
        }
    }

    #[test]
    fn what_tells_about_a_secret_or_only_looks_like_one_stays() {
        for name in [
            "dkim_pass",
            "spf_pass",
            "pass_count",
            "token_count",
            "tokens_consumed",
            "tokenBudget",
            "max_tokens",
            "secretary",
            "password_changed_at",
            "passwordChangedAt",
            "password_policy",
            "api_key_id",
            "key_id",
            "public_key",
            "key",
            "smtp_host",
            "smtp_user",
            "from_email",
            "compass",
            "bypass_rule",
            "token_type",
            "has_password",
            "secret_name",
            "opinion",
            "spinning",
            "name",
            "postcode",
            "",
        ] {
            assert!(!goes(name), "{name}");
        }
        assert!(!is_secret("password", &true.into()), "a boolean holds none");
        assert!(!is_secret("tokens", &900.into()), "how many there are");
        assert!(is_secret("pin", &1234.into()));
    }

    /// Looked for a verdict at each of its words, this name would take an hour.
    #[test]
    fn a_long_name_is_read_once_and_to_its_end() {
        let passes = "pass-".repeat(1 << 18);
        assert!(goes(&passes));
        assert!(!goes(&format!("{passes}dkim")));
        assert!(goes(&format!("{passes}dkim-token")));
        assert!(goes(&format!("{}smtp-password", "a-".repeat(1 << 18))));
        // What stands for eighteen characters is read as four.
        assert_eq!(lowered("\u{fdfa}Ⅷ").chars().count(), 8);
    }

    /// What is left of an object, and the names that are told.
    fn left(of: Value) -> (Value, Vec<String>) {
        let Value::Object(metadata) = of else { panic!("an object") };
        let metadata = Metadata::redacted(metadata);
        (serde_json::from_str(metadata.as_str()).expect("JSON"), metadata.names().to_vec())
    }

    #[test]
    fn members_go_at_any_depth_and_their_names_are_told_once() {
        let (metadata, names) = left(json!({
            "smtp_host": "smtp.mailgun.org",
            "deep": [{ "list": [[{ "Secret": 1, "kept": 2 }]] }, "token", "mt_live_0123456789ab"],
            "password": { "nested": true },
            "other": { "password": "x" },
        }));
        let expected = json!({
            "smtp_host": "smtp.mailgun.org",
            "deep": [{ "list": [[{ "kept": 2 }]] }, "token", "mt_live_0123…"],
            "other": {},
        });
        assert_eq!(metadata, expected);
        assert_eq!(names, ["password", "Secret"]);
        let many: Map<String, Value> = (0..200).map(|n| (format!("password{n}"), "x".into())).collect();
        assert_eq!(left(Value::Object(many)).1.len(), MOST_NAMES);
    }

    #[test]
    fn beside_its_name_and_in_a_text_the_value_alone_goes() {
        for (given, expected) in [
            (json!({ "name": "password", "value": "x" }), json!({ "name": "password", "value": REDACTED })),
            (
                json!({ "field": "smtp.password", "from": "x", "to": "y", "by": "ada" }),
                json!({ "field": "smtp.password", "from": REDACTED, "to": REDACTED, "by": "ada" }),
            ),
            (
                json!({ "field": "color", "from": "x", "to": "y" }),
                json!({ "field": "color", "from": "x", "to": "y" }),
            ),
            (json!({ "h": ["Authorization: Bearer x"] }), json!({ "h": ["Authorization: [redacted]"] })),
            (
                json!({ "h": [["Authorization", "x"], ["Accept", "y"]] }),
                json!({ "h": [["Authorization", REDACTED], ["Accept", "y"]] }),
            ),
            (
                json!({ "h": "GET / HTTP/1.1\nX-Api-Key: x\nHost: y" }),
                json!({ "h": "GET / HTTP/1.1\nX-Api-Key: [redacted]\nHost: y" }),
            ),
            (
                json!({ "url": "https://user:p:w@host/path?token=abc&page=2#top" }),
                json!({ "url": "https://user:[redacted]@host/path?token=[redacted]&page=2#top" }),
            ),
            (json!({ "url": "https://host:8080/a@b" }), json!({ "url": "https://host:8080/a@b" })),
            (
                json!({ "env": "PATH=/bin DB_PASSWORD=x" }),
                json!({ "env": "PATH=/bin DB_PASSWORD=[redacted]" }),
            ),
            (
                json!({ "c": "curl -H 'X-Api-Key: abc' host" }),
                json!({ "c": "curl -H 'X-Api-Key: [redacted]' host" }),
            ),
            (json!({ "c": "sent with Bearer abc123" }), json!({ "c": "sent with Bearer [redacted]" })),
            (json!({ "c": "令牌eyJhbGciOiJI.eyJzdWIi.c2ln" }), json!({ "c": "令牌[redacted]" })),
            (json!({ "c": "头Bearer abc123" }), json!({ "c": "头Bearer [redacted]" })),
            (json!({ "c": "the bearer of news" }), json!({ "c": "the bearer of news" })),
            (json!({ "body": r#"{"user":"ada","password":"x"}"# }), json!({ "body": r#"{"user":"ada"}"# })),
            (json!({ "body": r#"{ "user": "ada" }"# }), json!({ "body": r#"{ "user": "ada" }"# })),
            (
                json!({ "log": r#"sent {"password": "x"} to"# }),
                json!({ "log": r#"sent {"password": "[redacted]"} to"# }),
            ),
            (
                json!({ "k": "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----" }),
                json!({ "k": REDACTED }),
            ),
            (json!({ "k": "a eyJhbGciOiJI.eyJzdWIi.c2ln b" }), json!({ "k": "a [redacted] b" })),
            (json!({ "k": "password is too short" }), json!({ "k": "password is too short" })),
        ] {
            assert_eq!(left(given.clone()).0, expected, "{given}");
        }
        let (_, names) = left(json!({ "body": r#"{"password":"x"}"# }));
        assert_eq!(names, ["password"]);
    }

    #[test]
    fn what_was_redacted_once_stays_as_it_is() {
        for given in [
            json!({ "h": ["Authorization: Bearer x"], "url": "https://u:p@h/?token=a", "c": "Bearer abc123" }),
            json!({ "name": "password", "value": "x", "q": "password=x&y='z'" }),
        ] {
            let (once, _) = left(given);
            assert_eq!(left(once.clone()), (once, Vec::new()));
        }
    }

    /// A parser that is off by the last bit would change a number each time it is stored again.
    #[test]
    fn numbers_stay_as_they_were_given() {
        let given =
            r#"{"n":[8.888888888888891e+106,0.1,1e-7,-0.0,18446744073709551615,1.7976931348623157e+308]}"#;
        let Ok(Value::Object(metadata)) = crate::http::json::parse(given.as_bytes()) else {
            panic!("an object")
        };
        assert_eq!(Metadata::redacted(metadata).as_str(), given);
    }
}
