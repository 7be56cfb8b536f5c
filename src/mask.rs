//! What looks like an API key is cut short before it is shown or stored where nobody expects one.
//!
//! Clients put keys into the wrong places: a query, a path, an id of a request, a member that is no key. Refusals
//! repeat what came, and log lines may. So every refusal and every log line passes here, and what is left of a key is
//! as much as its hint has: enough to find it and revoke it. Passwords have no form to be known by; they are never
//! repeated in the first place (`http::json::Fields::secret`).

use std::borrow::Cow;

/// What stands in every key between its vendor and its digits.
const MARK: &str = "_live_";
/// Digits that a hint shows.
const SHOWN: usize = 4;

/// The text without the keys in it.
pub fn masked(text: &str) -> Cow<'_, str> {
    let mut masked = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(MARK) {
        let (before, after) = rest.split_at(at + MARK.len());
        let n_digits = after.bytes().take_while(u8::is_ascii_hexdigit).count();
        masked.push_str(before);
        masked.push_str(&after[..n_digits.min(SHOWN)]);
        if n_digits > SHOWN {
            masked.push('…');
        }
        rest = &after[n_digits..];
    }
    if masked.is_empty() {
        return Cow::Borrowed(text);
    }
    masked.push_str(rest);
    Cow::Owned(masked)
}

/// Characters of somebody else's text that a refusal repeats.
const SHOWN_OF_A_TEXT: usize = 60;

/// The same of what came before anybody knew from whom: it is logged.
const SHOWN_OF_A_STRANGER: usize = 32;

/// The beginning of a text: enough of it to be known again, however long it is.
pub fn cut(text: &str) -> &str {
    beginning(text, SHOWN_OF_A_TEXT)
}

/// What somebody sent, in quotation marks, for a refusal.
pub fn quoted(text: &str) -> String {
    in_marks(text, SHOWN_OF_A_TEXT)
}

/// What a stranger sent, in quotation marks.
pub fn glimpse(text: &str) -> String {
    in_marks(text, SHOWN_OF_A_STRANGER)
}

fn beginning(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).map_or(text, |(at, _)| &text[..at])
}

fn in_marks(text: &str, most: usize) -> String {
    let shown = beginning(text, most);
    format!("{shown:?}{}", if shown.len() < text.len() { "…" } else { "" })
}

/// Whether there is something to mask.
pub fn holds_key(text: &str) -> bool {
    matches!(masked(text), Cow::Owned(masked) if masked != text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_cut_to_their_hint_and_the_rest_stays() {
        let key = format!("mt_live_{}", "0123456789ab".repeat(4));
        for (text, expected) in [
            (String::new(), String::new()),
            ("plain".into(), "plain".into()),
            ("mt_live_".into(), "mt_live_".into()),
            ("mt_live_0123 (hint)".into(), "mt_live_0123 (hint)".into()),
            (key.clone(), "mt_live_0123…".into()),
            (key.to_uppercase().replace("MT_LIVE_", "tc_live_"), "tc_live_0123…".into()),
            (format!("a{key}{key}z"), "amt_live_0123…mt_live_0123…z".into()),
            (format!("é{}é", &key[..20]), "émt_live_0123…é".into()),
        ] {
            assert_eq!(masked(&text), expected);
            assert_eq!(holds_key(&text), text != expected);
        }
    }
}
