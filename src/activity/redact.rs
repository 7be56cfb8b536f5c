//! Secrets never reach the file: members of `metadata` whose name says password, secret, token, private key or API key
//! are dropped, at any depth, before anything is stored; a key of ours under another name is masked.
//!
//! A name is cut into words where case changes and at anything that is no letter or digit, so that `smtp_pass`,
//! `smtpPassword` and `X-Auth-Token` are seen and `compass` is not.

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::mask::{holds_key, masked};

/// The metadata of an activity: a JSON object without secrets, as the text it is stored and shown as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata(String);

impl Metadata {
    pub fn redacted(mut metadata: Map<String, Value>) -> Self {
        redact(&mut metadata);
        Self(Value::Object(metadata).to_string())
    }

    /// As `redacted` made it once.
    pub fn stored(text: String) -> Self {
        Self(text)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Metadata {
    fn default() -> Self {
        Self("{}".to_owned())
    }
}

impl Serialize for Metadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::from_str::<&RawValue>(&self.0).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

/// Names of a secret as a word of their own.
const WORDS: [&str; 2] = ["pass", "pwd"];
/// Words that end like one and are none.
const ORDINARY: [&str; 5] = ["bypass", "compass", "encompass", "surpass", "trespass"];
/// Names of a secret wherever they stand once the words are joined.
const PARTS: [&str; 6] = ["password", "passwd", "passphrase", "secret", "privatekey", "token"];
/// Name of a secret at the end of the joined words: `api_key` is one, `api_key_id` is none.
const END: &str = "apikey";

fn redact(metadata: &mut Map<String, Value>) {
    metadata.retain(|name, _| !says_secret(name));
    metadata.values_mut().for_each(redact_value);
}

fn redact_value(value: &mut Value) {
    match value {
        Value::Object(members) => redact(members),
        Value::Array(items) => items.iter_mut().for_each(redact_value),
        Value::String(text) if holds_key(text) => *text = masked(text).into_owned(),
        _ => {}
    }
}

fn says_secret(name: &str) -> bool {
    let words = words(name);
    let joined = words.concat();
    // A policy's own member, a number of tokens: `mailbox.policy_update` shows it before and after.
    if joined == "tokenbudget" {
        return false;
    }
    let is_password = |word: &String| {
        WORDS.contains(&word.as_str()) || (word.ends_with("pass") && !ORDINARY.contains(&word.as_str()))
    };
    words.iter().any(is_password) || joined.ends_with(END) || PARTS.iter().any(|part| joined.contains(part))
}

fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && was_lower) {
            words.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
        was_lower = c.is_lowercase() || c.is_numeric();
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn members_that_name_a_secret_go_and_the_rest_stays() {
        for (name, is_secret) in [
            ("password", true),
            ("Password", true),
            ("smtp_pass", true),
            ("smtpPassword", true),
            ("SMTP-PASSWORD", true),
            ("SMTPPass", true),
            ("dbpass", true),
            ("passphrase", true),
            ("client_secret", true),
            ("clientSecrets", true),
            ("token", true),
            ("X-Auth-Token", true),
            ("accesstoken", true),
            ("bounce_token", true),
            ("private_key", true),
            ("privateKey", true),
            ("PRIVATE KEY", true),
            ("pwd", true),
            ("api_key", true),
            ("sendgridApiKey", true),
            ("api_key_id", false),
            ("smtp_host", false),
            ("smtp_user", false),
            ("from_email", false),
            ("compass", false),
            ("bypass_rule", false),
            ("tokenBudget", false),
            ("key_id", false),
            ("public_key", false),
            ("name", false),
            ("", false),
        ] {
            assert_eq!(says_secret(name), is_secret, "{name}");
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

    #[test]
    fn at_any_depth() {
        let Value::Object(mut metadata) = json!({
            "smtp_host": "smtp.mailgun.org",
            "deep": [{ "list": [[{ "Secret": 1, "kept": 2 }]] }, "token", "mt_live_0123456789ab"],
            "password": { "nested": true },
        }) else {
            panic!("an object")
        };
        redact(&mut metadata);
        let expected = json!({ "smtp_host": "smtp.mailgun.org", "deep": [{ "list": [[{ "kept": 2 }]] }, "token", "mt_live_0123…"] });
        assert_eq!(Value::Object(metadata), expected);
    }
}
