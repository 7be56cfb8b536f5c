//! Foreign protocols become entries.
//!
//! One raw message: `eml` has its facts, `header` its fields, `words` what structured fields are made of, and a file each
//! for addresses, identifiers, times, `Authentication-Results` and `Content-…`; `parts` takes it apart and finds its
//! text, `charset`, `encoded` and `html` make that readable.

pub mod address;
pub mod authres;
pub mod charset;
mod code_pages;
pub mod content;
pub mod domains;
pub mod eml;
pub mod encoded;
pub mod header;
pub mod html;
pub mod identifiers;
pub mod parts;
pub mod received;
pub mod verification;
pub mod words;
