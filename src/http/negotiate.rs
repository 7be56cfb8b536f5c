//! What a client would like best: `Accept` (RFC 9110 section 12.5.1) and `Accept-Encoding` (section 12.5.3).

use super::Request;

/// One thing that a client names, with its weight in thousandths.
struct Wish<'a> {
    name: &'a str,
    weight: u16,
}

/// Everything the fields of this (lower-case) name ask for, in their order.
fn wishes<'a>(request: &'a Request, field: &'a str) -> impl Iterator<Item = Wish<'a>> {
    let fields = request.headers.iter().filter(move |(name, _)| name == field);
    let ranges = fields.flat_map(|(_, value)| value.split(','));
    ranges.filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().filter(|name| !name.is_empty())?;
        let weight = parts.find_map(|part| {
            let (name, value) = part.split_once('=')?;
            name.trim().eq_ignore_ascii_case("q").then(|| weight(value.trim()))
        });
        Some(Wish { name, weight: weight.unwrap_or(1000) })
    })
}

/// `0` to `1` with up to three decimals (section 12.4.2); what is none of these counts as not wished for.
fn weight(text: &str) -> u16 {
    match text.parse::<f32>() {
        Ok(weight) if (0.0..=1.0).contains(&weight) && text.len() <= 5 => (weight * 1000.0).round() as u16,
        _ => 0,
    }
}

/// Which of the media types on offer the client would like best; the first where it does not matter, or where none is
/// acceptable: section 12.4.1 lets a server answer in its own way then. Of two that are as welcome, the one goes first
/// that was named more exactly, then the one that was named first.
pub fn media_type<T: Copy>(request: &Request, offers: &[(&str, T)]) -> Option<T> {
    let mut best: Option<(u16, usize, usize, T)> = None;
    for (offer, value) in offers {
        // The most exact range that covers an offer says how welcome it is.
        let named = wishes(request, "accept")
            .enumerate()
            .filter_map(|(at, wish)| Some((exactness(wish.name, offer)?, at, wish.weight)))
            .reduce(|one, other| if other.0 > one.0 { other } else { one });
        let Some((exactness, at, weight)) = named.filter(|(.., weight)| *weight > 0) else { continue };
        let is_better = best.is_none_or(|(most, exact, first, _)| {
            (weight, exactness, std::cmp::Reverse(at)) > (most, exact, std::cmp::Reverse(first))
        });
        if is_better {
            best = Some((weight, exactness, at, *value));
        }
    }
    best.map(|(.., value)| value)
}

/// How exactly a range names a type; `None`: it does not.
fn exactness(range: &str, offer: &str) -> Option<usize> {
    if range.eq_ignore_ascii_case(offer) {
        return Some(2);
    }
    if range == "*/*" {
        return Some(0);
    }
    let kind = range.strip_suffix("/*")?;
    offer.split('/').next()?.eq_ignore_ascii_case(kind).then_some(1)
}

/// Whether the client says that it takes gzip.
pub fn takes_gzip(request: &Request) -> bool {
    let weight_of = |wanted: &[&str]| {
        let mut named = wishes(request, "accept-encoding")
            .filter(|wish| wanted.iter().any(|wanted| wish.name.eq_ignore_ascii_case(wanted)));
        named.next().map(|wish| wish.weight)
    };
    weight_of(&["gzip", "x-gzip"]).or_else(|| weight_of(&["*"])).is_some_and(|weight| weight > 0)
}

#[cfg(test)]
mod tests {
    use super::super::{Line, Method, Peer, Query};
    use super::*;

    fn request(field: &str, values: &[&str]) -> Request {
        Request {
            id: String::new(),
            method: Method::Get,
            path: "/".into(),
            parameters: Vec::new(),
            query: Query::default(),
            headers: values.iter().map(|value| (field.to_owned(), (*value).to_owned())).collect(),
            body: Vec::new(),
            peer: Peer::Local,
            asker: crate::store::Asker::default(),
            line: Line::default(),
        }
    }

    #[test]
    fn the_most_welcome_type_is_chosen() {
        let offers = [
            ("application/json", "json"),
            ("text/csv", "csv"),
            ("application/x-ndjson", "ndjson"),
            ("application/ndjson", "ndjson"),
        ];
        for (values, expected) in [
            (&[][..], None),
            (&["*/*"][..], Some("json")),
            (&["text/csv"][..], Some("csv")),
            (&["Text/CSV"][..], Some("csv")),
            (&["text/csv;q=0, application/json"][..], Some("json")),
            (&["text/csv;q=0, */*"][..], Some("json")),
            (&["text/csv ; Q=0.0"][..], None),
            (&["application/json;q=0.5, text/csv;q=0.6"][..], Some("csv")),
            (&["application/json, text/csv"][..], Some("json")),
            (&["text/csv, application/json"][..], Some("csv")),
            (&["text/csv, */*"][..], Some("csv")),
            (&["text/*"][..], Some("csv")),
            (&["application/*"][..], Some("json")),
            (&["application/json;q=0, application/*"][..], Some("ndjson")),
            (&["application/ndjson"][..], Some("ndjson")),
            (&["text/html, application/xhtml+xml, */*;q=0.8"][..], Some("json")),
            (&["image/png", "text/csv"][..], Some("csv")),
            (&["text/csv;header=absent;q=0.2, application/json;q=0.1"][..], Some("csv")),
            (&["text/csv;q=1.5, application/json;q=0.1"][..], Some("json")),
            (&["text/csv;q=nan", "application/json;q=0.001"][..], Some("json")),
            (&["image/png"][..], None),
            (&[",,"][..], None),
        ] {
            assert_eq!(media_type(&request("accept", values), &offers), expected, "{values:?}");
        }
    }

    #[test]
    fn gzip_is_taken_by_who_says_so() {
        for (values, expected) in [
            (&[][..], false),
            (&["gzip"][..], true),
            (&["br, GZIP;q=0.1"][..], true),
            (&["x-gzip"][..], true),
            (&["*"][..], true),
            (&["gzip;q=0, *"][..], false),
            (&["*;q=0"][..], false),
            (&["gzip;q=0"][..], false),
            (&["br", "gzip"][..], true),
            (&["identity"][..], false),
        ] {
            assert_eq!(takes_gzip(&request("accept-encoding", values)), expected, "{values:?}");
        }
    }
}
