//! Foreign protocols become entries.
