//! Tests of the built binary through real sockets: one subject for each module, one claim for each test.
//!
//! One executable, so that waiting tests run side by side. Every test has its own processes and ports.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod access;
mod audit;
mod audit_identity;
mod backends;
mod bad_answers;
mod bad_peers;
mod balance;
mod catalogs;
mod certainty;
mod codes;
mod configuration;
mod confinement;
mod demo;
mod edges;
mod ejection;
mod eras;
mod fleets;
mod floods;
mod health;
mod hostile_text;
mod identity;
mod ingress;
mod link_faults;
mod link_loss;
mod load;
mod log_lines;
mod main_job;
mod many_proxies;
mod names;
mod odd_slaves;
mod ops_port;
mod plain_dialect;
mod reload;
mod repeats;
mod review;
mod rolling_update;
mod routes;
mod secrets;
mod series;
mod several_slaves;
mod shutdown;
mod states;
mod status;
mod tls;
mod traces;
mod without_slave;
