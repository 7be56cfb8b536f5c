//! The tests that use mailtrail from outside, in one binary. Each module is a subject.

mod check;
mod enforcement;
mod http_server;
mod mail;
mod readme;
mod support;
