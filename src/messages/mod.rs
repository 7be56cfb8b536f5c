//! The message log: one entry for each inbound message, in Mailbuttons' words.

/// What an authentication method said of a message (RFC 8601, reduced to the words Mailbuttons' clients know).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    Fail,
    Softfail,
    Neutral,
    Temperror,
    Permerror,
    None,
}
