//! The tests that use mailtrail from outside, in one binary. Each module is a subject.

mod activity;
mod bad_input;
mod browsers;
mod callers;
mod check;
mod counts;
mod crash;
mod enforcement;
mod every_route;
mod fuzz;
mod http_server;
mod invariants;
mod isolation;
mod mail;
mod messages;
mod model;
mod ops;
mod paging;
mod plans;
mod readme;
mod retention;
mod secrets;
mod streams;
mod support;
mod writer;
