//! The status pages in a real browser. Run by `make test-ui`, which installs one.
//!
//! `UI_SCREENSHOTS=folder` keeps pictures of the pages.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod asked;
mod checks;
mod links;
mod operate;
mod proxy;
mod slave;
