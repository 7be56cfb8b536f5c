//! Whether two domains are of one organization, as DMARC's relaxed alignment has it (RFC 7489 section 3.2).

use crate::canonical;

/// Whether both names are of one registrable domain by the Public Suffix List. Names that have none (`localhost`, a
/// suffix itself, an IP address) must be equal. Names of other scripts than ours may be written either way: in Unicode
/// or in ASCII (RFC 8616 section 6).
pub fn same_organization(one: &str, other: &str) -> bool {
    let plain = |name: &str| canonical::domain(name.trim_end_matches('.'));
    let (one, other) = (plain(one), plain(other));
    let is_number = |name: &str| name.rsplit('.').next().is_some_and(|label| label.parse::<u8>().is_ok());
    let registrable = |name: &str| {
        let domain = psl::domain_str(name).filter(|domain| !is_number(domain) && !domain.starts_with('.'));
        domain.map(str::to_owned)
    };
    !one.is_empty()
        && (one == other || registrable(&one).is_some() && registrable(&one) == registrable(&other))
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
            ("bu\u{308}cher.example", "xn--bcher-kva.example", true),
            ("mail.XN--BCHER-KVA.example", "BÜCHER.example", true),
            ("bücher.example", "xn--bchr-kva.example", false),
            ("a.公司.cn", "b.公司.cn", false),
            ("a.公司.cn", "x.a.xn--55qx5d.cn", true),
            ("a.xn--55qx5d.cn", "b.xn--55qx5d.cn", false),
            ("例え。jp", "xn--r8jz45g.jp", true),
        ] {
            assert_eq!(same_organization(one, other), expected, "{one} {other}");
        }
    }
}
