//! mailtrail: the audit log of a mail server in one binary.

pub mod error;
pub mod http;
pub mod ids;
pub mod ingest;
pub mod messages;
pub mod time;
