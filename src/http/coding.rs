//! gzip (RFC 9110 section 8.4.1.3, RFC 1952): of bodies that come, and of lists that go.
//!
//! A body may unfold to no more than it might have had unfolded, and what it becomes is charged to its sender while it
//! unfolds.
//!
//! Of an answer nothing is kept between two pieces but a checksum and a length: each piece is compressed by itself, and
//! all of them are blocks of one stream. A compressor that lived as long as its answer would hold a quarter of a
//! megabyte for every client that does not read.

use std::io::Read;

use flate2::bufread::GzDecoder;
use flate2::{Compress, Compression, Crc, FlushCompress};

use super::{Body, Method, Request, Response, negotiate};
use crate::error::{Error, Result};

/// How a body is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    Identity,
    Gzip,
    /// Any other, and any two.
    Unknown,
}

/// The only one there is here, as `Accept-Encoding` of a refusal names it.
pub const GZIP: &str = "gzip";

impl Coding {
    pub fn of(headers: &[(String, String)]) -> Self {
        let fields = headers.iter().filter(|(name, _)| name == "content-encoding");
        let mut coding = Self::Identity;
        for name in fields.flat_map(|(_, value)| value.split(',')).map(str::trim) {
            let is_gzip = name.eq_ignore_ascii_case(GZIP) || name.eq_ignore_ascii_case("x-gzip");
            coding = match coding {
                coding if name.is_empty() || name.eq_ignore_ascii_case("identity") => coding,
                Self::Identity if is_gzip => Self::Gzip,
                _ => Self::Unknown,
            };
        }
        coding
    }
}

/// Members of one body: each costs a decoder that is set up anew. bgzip makes one for 64 KiB.
const MEMBERS: usize = 1024;

/// What a body of gzip holds, up to `limit` bytes; `charge` is asked before the room for them is taken.
///
/// # Errors
/// 413 when it is more, 400 when it is not gzip or not whole, and what `charge` says.
pub fn unfold(folded: &[u8], limit: usize, charge: &mut dyn FnMut(usize) -> Result<()>) -> Result<Vec<u8>> {
    const PIECE: usize = 64 * 1024;
    let broken = |error: std::io::Error| Error::http(400, format!("the body is not gzip: {error}"));
    let mut body = Vec::new();
    let mut rest = folded;
    for _ in 0..MEMBERS {
        let mut member = GzDecoder::new(&mut rest);
        loop {
            if body.capacity() - body.len() < PIECE {
                let more = (body.capacity() / 4).max(PIECE);
                charge(more)?;
                body.reserve_exact(body.capacity() - body.len() + more);
            }
            let room = (body.capacity() - body.len()).min(limit + 1 - body.len());
            if (&mut member).take(room as u64).read_to_end(&mut body).map_err(broken)? == 0 {
                break;
            }
            if body.len() > limit {
                let message =
                    format!("the body unfolds to more than {limit} bytes, which this route accepts");
                return Err(Error::http(413, message));
            }
        }
        if rest.is_empty() {
            return Ok(body);
        }
    }
    Err(Error::http(400, format!("the body has more than {MEMBERS} members of gzip")))
}

/// Answers below this stay as they are: they fit a packet, compressed or not.
const WORTH_IT: usize = 1400;

/// Compresses what is worth it for a client that asked for it. What has a validator stays as it is, for that is of its
/// bytes; so does what stands in memory once for everybody.
pub fn fold(request: &Request, response: Response) -> Response {
    let is_list = matches!(request.method, Method::Get | Method::Head)
        && response.status == 200
        && response.header("ETag").is_none();
    let is_long = match &response.body {
        Body::Bytes(bytes) => bytes.len() >= WORTH_IT,
        Body::Stream(_) => true,
        Body::Text(_) => false,
    };
    if !(is_list && is_long) {
        return response;
    }
    let response = response.with("Vary", "Accept, Accept-Encoding");
    if !negotiate::takes_gzip(request) {
        return response;
    }
    let Response { status, mut headers, body } = response;
    headers.push(("Content-Encoding", GZIP.into()));
    let mut folder = Folder::default();
    let body = match body {
        Body::Bytes(bytes) => {
            let mut folded = folder.fold(&bytes);
            folded.extend(folder.end());
            Body::Bytes(folded)
        }
        Body::Stream(pieces) => Body::Stream(Box::new(Folded { pieces, folder: Some(folder) })),
        text @ Body::Text(_) => text,
    };
    Response { status, headers, body }
}

/// A stream of gzip (one member), made of pieces.
#[derive(Default)]
struct Folder {
    has_begun: bool,
    sum: Crc,
}

/// RFC 1952 section 2.3: gzip, deflate, no flags, no time, nothing said of effort, an unknown system.
const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// RFC 1951 section 3.2.6: a last block that holds nothing.
const LAST_BLOCK: [u8; 2] = [3, 0];

impl Folder {
    fn fold(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut folded = Vec::with_capacity(piece.len() / 4 + 64);
        if !std::mem::replace(&mut self.has_begun, true) {
            folded.extend(HEAD);
        }
        self.sum.update(piece);
        let mut compress = Compress::new(Compression::fast(), false);
        loop {
            let taken = usize::try_from(compress.total_in()).unwrap_or(piece.len());
            // A compressor that is given room does not fail.
            let _ = compress.compress_vec(&piece[taken..], &mut folded, FlushCompress::Sync);
            if folded.len() < folded.capacity() && compress.total_in() == piece.len() as u64 {
                return folded;
            }
            folded.reserve((piece.len() / 8).max(1024));
        }
    }

    fn end(&mut self) -> Vec<u8> {
        let mut end = if self.has_begun { Vec::new() } else { HEAD.to_vec() };
        end.extend(LAST_BLOCK);
        end.extend(self.sum.sum().to_le_bytes());
        end.extend(self.sum.amount().to_le_bytes());
        end
    }
}

/// The pieces of an answer, compressed.
struct Folded {
    pieces: Box<dyn Iterator<Item = Result<Vec<u8>>> + Send>,
    /// Gone with the end of the stream.
    folder: Option<Folder>,
}

impl Iterator for Folded {
    type Item = Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        let folder = self.folder.as_mut()?;
        match self.pieces.next() {
            Some(piece) => Some(piece.map(|piece| folder.fold(&piece))),
            None => self.folder.take().map(|mut folder| Ok(folder.end())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Through our own folder, in pieces of this size.
    fn folded(text: &[u8], size: usize) -> Vec<u8> {
        let mut folder = Folder::default();
        let mut folded: Vec<u8> = text.chunks(size).flat_map(|piece| folder.fold(piece)).collect();
        folded.extend(folder.end());
        folded
    }

    #[test]
    fn what_was_folded_in_pieces_unfolds_to_itself() {
        let mixed: Vec<u8> = (0..300_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for text in [b"".to_vec(), b"a".to_vec(), b"row,".repeat(100_000), mixed] {
            for size in [1000, 4096, 262_144] {
                let folded = folded(&text, size);
                assert_eq!(unfold(&folded, text.len(), &mut |_| Ok(())).expect("it unfolds"), text);
            }
        }
    }

    #[test]
    fn a_body_unfolds_to_its_limit_and_is_charged_meanwhile() {
        let bomb = folded(&vec![0; 10_000_000], 262_144);
        let mut charged = 0;
        let refused = unfold(&bomb, 1_000_000, &mut |bytes| {
            charged += bytes;
            Ok(())
        });
        assert!(matches!(refused, Err(Error::Http { status: 413, .. })), "{refused:?}");
        assert!(charged < 1_500_000, "{charged}");
        let full = unfold(&bomb, 10_000_000, &mut |_| Err(Error::http(503, "no room")));
        assert!(matches!(full, Err(Error::Http { status: 503, .. })), "{full:?}");
    }

    #[test]
    fn what_is_no_whole_gzip_is_refused() {
        let whole = folded(b"some text", 4);
        let mut altered = whole.clone();
        altered[12] ^= 1;
        let two = [whole.clone(), whole.clone()].concat();
        assert_eq!(unfold(&two, 100, &mut |_| Ok(())).expect("two members"), b"some textsome text");
        let many = folded(b"", 1).repeat(MEMBERS + 1);
        let behind = [&whole[..], b"x"].concat();
        for (name, body) in [
            ("empty", &b""[..]),
            ("plain", b"{}"),
            ("cut", &whole[..whole.len() - 1]),
            ("altered", &altered),
            ("more behind it", &behind),
            ("too many members", &many),
        ] {
            let refused = unfold(body, 100, &mut |_| Ok(()));
            assert!(matches!(refused, Err(Error::Http { status: 400, .. })), "{name}: {refused:?}");
        }
    }

    #[test]
    fn the_coding_is_read_from_all_its_fields() {
        for (values, expected) in [
            (&[][..], Coding::Identity),
            (&["identity"][..], Coding::Identity),
            (&["gzip"][..], Coding::Gzip),
            (&["X-GZip"][..], Coding::Gzip),
            (&["identity, gzip"][..], Coding::Gzip),
            (&["gzip", ""][..], Coding::Gzip),
            (&["gzip, gzip"][..], Coding::Unknown),
            (&["gzip", "br"][..], Coding::Unknown),
            (&["br"][..], Coding::Unknown),
            (&["deflate"][..], Coding::Unknown),
        ] {
            let headers: Vec<_> =
                values.iter().map(|value| ("content-encoding".to_owned(), (*value).to_owned())).collect();
            assert_eq!(Coding::of(&headers), expected, "{values:?}");
        }
    }
}
