//! Whether two domains are of one organization, as DMARC's relaxed alignment has it (RFC 7489 section 3.2).

use unicode_normalization::UnicodeNormalization;

/// Whether both names are of one registrable domain by the Public Suffix List. Names that have none (`localhost`, a
/// suffix itself, an IP address) must be equal. Names of other scripts than ours may be written either way: in Unicode
/// or in ASCII (RFC 8616 section 6).
pub fn same_organization(one: &str, other: &str) -> bool {
    let (one, other) = (plain(one), plain(other));
    let is_number = |name: &str| name.rsplit('.').next().is_some_and(|label| label.parse::<u8>().is_ok());
    let registrable = |name: &str| {
        let domain = psl::domain_str(name).filter(|domain| !is_number(domain) && !domain.starts_with('.'));
        domain.map(str::to_owned)
    };
    !one.is_empty()
        && (one == other || registrable(&one).is_some() && registrable(&one) == registrable(&other))
}

/// In lower case and Unicode, without the dot at the end.
fn plain(name: &str) -> String {
    let name = name.trim_end_matches('.').nfkc().collect::<String>().to_lowercase();
    // The full stops that IDNA takes for one (RFC 3490 section 3.1).
    let labels = name.split(['.', '\u{3002}', '\u{ff0e}', '\u{ff61}']);
    let labels: Vec<String> =
        labels.map(|label| from_ascii(label).unwrap_or_else(|| label.to_owned())).collect();
    labels.join(".")
}

/// Labels are no longer (RFC 1035 section 2.3.4).
const MAX_LABEL: usize = 63;

/// The Unicode of a label that begins with `xn--` (RFC 3492 section 6.2); `None` for any other.
fn from_ascii(label: &str) -> Option<String> {
    let encoded = label.strip_prefix("xn--").filter(|label| label.len() <= MAX_LABEL && label.is_ascii())?;
    let (basic, digits) = encoded.rsplit_once('-').unwrap_or(("", encoded));
    let mut characters: Vec<char> = basic.chars().collect();
    let (mut n, mut i, mut bias) = (128_u32, 0_u32, 72_u32);
    let mut digits = digits.bytes();
    while digits.len() > 0 {
        let (before, mut weight) = (i, 1_u32);
        for k in (36_u32..).step_by(36) {
            let digit = match digits.next()? {
                byte @ b'a'..=b'z' => byte - b'a',
                byte @ b'0'..=b'9' => byte - b'0' + 26,
                _ => return None,
            };
            let digit = u32::from(digit);
            i = i.checked_add(digit.checked_mul(weight)?)?;
            let threshold = k.saturating_sub(bias).clamp(1, 26);
            if digit < threshold {
                break;
            }
            weight = weight.checked_mul(36 - threshold)?;
        }
        let length = characters.len() as u32 + 1;
        bias = adapted(i - before, length, before == 0);
        n = n.checked_add(i / length)?;
        i %= length;
        characters.insert(i as usize, char::from_u32(n)?);
        i += 1;
    }
    Some(characters.into_iter().collect::<String>().to_lowercase())
}

/// RFC 3492 section 6.1.
fn adapted(delta: u32, length: u32, is_first: bool) -> u32 {
    let mut delta = if is_first { delta / 700 } else { delta / 2 };
    delta += delta / length;
    let mut k = 0;
    while delta > 455 {
        delta /= 35;
        k += 36;
    }
    k + 36 * delta / (delta + 38)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_align_by_the_public_suffix_list() {
        for (one, other, expected) in [
            ("example.com", "EXAMPLE.com.", true),
            ("a.example.com", "b.c.example.com", true),
            ("example.com", "example.org", false),
            ("a.co.jp", "b.co.jp", false),
            ("x.a.co.jp", "a.co.jp", true),
            ("one.github.io", "two.github.io", false),
            ("localhost", "localhost", true),
            ("co.jp", "co.jp", true),
            ("[192.0.2.1]", "[192.0.2.1]", true),
            ("192.0.2.1", "198.51.2.1", false),
            ("", "", false),
            (".", ".", false),
            ("..com", "a..com", false),
            // Written either way.
            ("bücher.example", "xn--bcher-kva.example", true),
            ("mail.XN--BCHER-KVA.example", "BÜCHER.example", true),
            ("bu\u{308}cher.example", "xn--bcher-kva.example", true),
            ("bücher.example", "xn--bchr-kva.example", false),
            ("a.公司.cn", "b.公司.cn", false),
            ("a.公司.cn", "x.a.xn--55qx5d.cn", true),
            ("a.xn--55qx5d.cn", "b.xn--55qx5d.cn", false),
            ("例え。jp", "xn--r8jz45g.jp", true),
        ] {
            assert_eq!(same_organization(one, other), expected, "{one} {other}");
        }
    }

    /// The samples of RFC 3492 section 7.1, and what is none.
    #[test]
    fn labels_in_ascii_are_read() {
        for (label, expected) in [
            ("xn--egbpdaj6bu4bxfgehfvwxn", Some("ليهمابتكلموشعربي؟")),
            ("xn--ihqwcrb4cv8a8dqg056pqjye", Some("他们为什么不说中文")),
            ("xn--proprostnemluvesky-uyb24dma41a", Some("pročprostěnemluvíčesky")),
            ("xn--2-u9tlzr9756bt3uc0v", Some("ひとつ屋根の下2")),
            ("xn--abc-", Some("abc")),
            ("xn--", Some("")),
            ("abc", None),
            ("xn--é", None),
            ("xn--99999999999", None),
            ("xn--a-?", None),
        ] {
            assert_eq!(from_ascii(label).as_deref(), expected, "{label}");
        }
    }
}
