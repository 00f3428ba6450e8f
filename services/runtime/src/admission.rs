//! Admission of peers: networks that peers are counted by, shares of what the process has, and short refusals.
//!
//! Must not know protocols: which limits hold, and what a refusal says, is the caller's.

mod network;
mod refusals;
mod shares;

pub use network::Network;
pub use refusals::{Refusals, answer_and_close, unavailable};
pub use shares::{Exhausted, Limits, Share, Shares};
