//! The tests that use mailtrail from outside, in one binary. Each module is a subject.

mod activity;
mod bad_input;
mod enforcement;
mod http_server;
mod isolation;
mod mail;
mod messages;
mod readme;
mod support;
