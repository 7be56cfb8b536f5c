//! One test binary: a module for each subject.

mod http_server;
