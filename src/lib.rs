//! mailtrail: the audit log of a mail server in one binary.
//!
//! Three vendors' audit APIs from one SQLite file. Each log is a **slice** (`enforcement`, `messages`, `activity`):
//! its types, its SQL and its handlers in one folder. Below them is a thin floor that knows no slice: `store` (many
//! readers, one writer with group commit), `http` (strict reading, typed parameters), `auth` and `owners`.
//!
//! A request: `http/server` → `routes` (route, caller) → `enforcement/api` (parse) → `store.read` →
//! `enforcement/sql` (list and total in one snapshot) → envelope → back. A write goes the same way in, to
//! `store.write(|tx| sql::record(tx, …))`: row, counts and leaf in one transaction, answered after the commit.
//!
//! Invariants, which a test holds against the `use` lines:
//! - a slice never names another slice
//! - `store`, `tlog` and `http` never name a slice
//! - only `http/server` (and the files below it) names tiny_http
//! - only `cli/` prints or exits
//! - nothing below a handler or a job asks the clock
//! - SQL stands only in `sql.rs`, `owners/`, `auth/`, `store/` and `tlog/`
//! - rows of a log are written by its `record` (and `append`) and removed by its `prune`, nowhere else

#![forbid(unsafe_code)]

pub mod error;
pub mod time;
pub mod ids;
pub mod line;
pub mod imports;
pub mod canonical;
pub mod mask;
pub mod seldom;
pub mod small;
pub mod config;
pub mod metrics;
pub mod privileges;
pub mod data_directory;
pub mod checkpoints;
pub mod witness;
pub mod app;
pub mod retried;
pub mod routes;
pub mod ops;
pub mod openapi;
pub mod http;
pub mod auth;
pub mod owners;
pub mod export;
pub mod follow;
pub mod kept;
pub mod proofs;
pub mod store;
pub mod taken;
pub mod tlog;
pub mod enforcement;
pub mod messages;
pub mod activity;
pub mod ingest;
pub mod erasure;
pub mod jobs;
pub mod admin;
pub mod serve;
pub mod cli;
