//! What servers of ours found out about a message: verdicts, and whether they stand for the address in `From`.

use std::collections::HashSet;

use super::authres::{self, MethodResult, Wanted};
use super::domains::same_organization;
use crate::messages::Verdict;

/// Fields that are looked at, topmost first, and results of one method that are kept: more no server writes.
const MAX_FIELDS: usize = 1000;
const MAX_RESULTS: usize = 100;
/// Bytes of a property's value: an address is no longer.
const MAX_VALUE: usize = 998;

const METHODS: &[&str] = &["dkim", "spf", "dmarc"];
const PROPERTIES: &[(&str, &str)] = &[
    ("header", "d"),
    ("header", "i"),
    ("header", "from"),
    ("smtp", "mailfrom"),
    ("smtp", "mfrom"),
    ("smtp", "mail"),
    ("smtp", "helo"),
];

/// The results of the trusted fields. Each method has those of the topmost field that names it: a server writes
/// above what was there, so the topmost is the last word, and the one a sender cannot have written.
pub struct Verification {
    wanted: Wanted,
    n_fields: usize,
    dkim: Vec<MethodResult>,
    spf: Vec<MethodResult>,
    dmarc: Vec<MethodResult>,
}

impl Verification {
    /// Of the fields of these servers, without regard to case; of none, nothing is believed.
    pub fn by(trusted_authserv_ids: &[String]) -> Self {
        let believed: HashSet<String> = trusted_authserv_ids.iter().map(|id| id.to_lowercase()).collect();
        let wanted = Wanted {
            believed,
            methods: METHODS,
            properties: PROPERTIES,
            most_results: METHODS.len() * MAX_RESULTS,
            longest_value: MAX_VALUE,
        };
        Self { wanted, n_fields: 0, dkim: Vec::new(), spf: Vec::new(), dmarc: Vec::new() }
    }

    /// Takes up one `Authentication-Results` field more, topmost first.
    pub fn add(&mut self, value: &[u8]) {
        let has_all = !self.dkim.is_empty() && !self.spf.is_empty() && !self.dmarc.is_empty();
        self.n_fields += 1;
        if has_all || self.n_fields > MAX_FIELDS || self.wanted.believed.is_empty() {
            return;
        }
        let Some(field) = authres::parse_wanted(value, &self.wanted) else { return };
        for (method, found) in [("dkim", &mut self.dkim), ("spf", &mut self.spf), ("dmarc", &mut self.dmarc)]
        {
            if found.is_empty() {
                found.extend(field.of(method).take(MAX_RESULTS).cloned());
            }
        }
    }

    /// Bytes that are kept.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        let strings = |result: &MethodResult| {
            let properties =
                result.properties.iter().map(|p| p.ptype.len() + p.name.len() + p.value.len()).sum::<usize>();
            result.method.len()
                + result.result.len()
                + result.reason.as_ref().map_or(0, String::len)
                + properties
        };
        let results = || [&self.dkim, &self.spf, &self.dmarc].into_iter().flatten();
        results().map(|result| size_of::<MethodResult>() + strings(result)).sum()
    }

    /// Pass if one signature passes; else the first result other than `none`, which is one on a signature.
    pub fn dkim(&self) -> Option<Verdict> {
        let verdicts = || self.dkim.iter().map(MethodResult::verdict);
        verdicts()
            .find(|&verdict| verdict == Verdict::Pass)
            .or_else(|| verdicts().find(|&verdict| verdict != Verdict::None))
            .or_else(|| verdicts().next())
    }

    pub fn spf(&self) -> Option<Verdict> {
        self.spf_result().map(MethodResult::verdict)
    }

    pub fn dmarc(&self) -> Option<Verdict> {
        self.dmarc.first().map(MethodResult::verdict)
    }

    /// The result for the envelope sender where there is one beside that for the greeting (RFC 7208 section 2.4).
    fn spf_result(&self) -> Option<&MethodResult> {
        self.spf.iter().find(|result| envelope_domain(result).is_some()).or(self.spf.first())
    }

    /// Relaxed alignment (RFC 7489 section 3.1) of the domain of `From`. `None` without any results.
    ///
    /// `dmarc=pass` says it by itself, unless it names another domain: a message with two senders may look to the
    /// server as if it were from the one, and to us from the other.
    pub fn aligned(&self, from: &str) -> Option<bool> {
        if self.dkim.is_empty() && self.spf.is_empty() && self.dmarc.is_empty() {
            return None;
        }
        let passed = |result: &&MethodResult| result.verdict() == Verdict::Pass;
        let by_dkim = self.dkim.iter().filter(passed).filter_map(signing_domain);
        let by_spf = self.spf_result().filter(passed).and_then(spf_domain);
        let by_dmarc = self.dmarc.first().filter(passed);
        let by_dmarc = by_dmarc.map(|result| result.property("header", "from").map_or(from, domain_of));
        Some(by_dkim.chain(by_spf).chain(by_dmarc).any(|domain| same_organization(domain, from)))
    }
}

/// `header.d`, or the domain of `header.i` (RFC 6376 section 3.5: it is that of `d` or below it).
fn signing_domain(result: &MethodResult) -> Option<&str> {
    result.property("header", "d").or_else(|| result.property("header", "i").map(domain_of))
}

/// The domain of the envelope sender; for a null sender, that of the greeting (RFC 7489 section 3.1.2).
fn spf_domain(result: &MethodResult) -> Option<&str> {
    envelope_domain(result).or_else(|| result.property("smtp", "helo").map(domain_of))
}

/// Of an address or a bare domain, in angle brackets or not. `mfrom` is what sid-milter writes, `mail` what Gmail did:
/// RFC 5451 named the property after the command.
fn envelope_domain(result: &MethodResult) -> Option<&str> {
    let names = ["mailfrom", "mfrom", "mail"];
    let sender = names.into_iter().find_map(|name| result.property("smtp", name))?;
    let domain = domain_of(sender.trim_matches(['<', '>']));
    (!domain.is_empty()).then_some(domain)
}

/// What follows the last `@`, or all of it.
pub fn domain_of(address: &str) -> &str {
    address.rsplit_once('@').map_or(address, |(_, domain)| domain)
}
