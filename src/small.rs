//! What a person names to be read whole: a setting, a policy, a proof, a line on standard input. Up to a bound, so that a
//! wrong name, such as `/dev/zero` or that of a database, fills no memory.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Bytes of it.
const MOST: u64 = 16 << 20;

pub fn read_file(path: &Path) -> io::Result<String> {
    read(File::open(path)?)
}

/// # Errors
/// `InvalidData` where it is longer, or no UTF-8.
pub fn read(source: impl Read) -> io::Result<String> {
    let mut text = String::new();
    let mut source = source.take(MOST + 1);
    let n_bytes = source.read_to_string(&mut text).map_err(|error| match source.limit() {
        // Cut within a character.
        0 => too_long(),
        _ => error,
    })?;
    if n_bytes as u64 > MOST { Err(too_long()) } else { Ok(text) }
}

fn too_long() -> io::Error {
    let message = format!("it is longer than {} MiB, which nothing is that is read here", MOST >> 20);
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_refused_and_not_held() {
        assert_eq!(read(&b"key"[..]).expect("a text"), "key");
        let most = vec![b'x'; MOST as usize];
        assert_eq!(read(&most[..]).expect("a text").len(), most.len());
        for endless in ["/dev/zero", "/dev/urandom"] {
            let error = read_file(Path::new(endless)).expect_err("no end");
            assert!(
                error.to_string().contains("longer than 16 MiB") || endless.ends_with("urandom"),
                "{error}"
            );
        }
    }
}
