//! Foreign protocols become entries.

pub mod authres;
pub mod eml;
