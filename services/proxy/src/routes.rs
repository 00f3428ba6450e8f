//! Which slaves a call should go to: the operator's rules (`ROUTES`) and the built-in ones for reviews.
//!
//! A rule looks at tool, client, headers and one argument, and names slaves by their labels. Must not know how a
//! slave is chosen among those that a rule allows, nor how calls travel.

mod balance;
mod explain;
mod file;
mod follow;
mod pointer;
mod pool;
mod question;
mod review;
mod rule;
mod selector;
mod text;

pub(crate) use balance::PoolRule;
pub use explain::{Asked, Considered, Explanation, Seen, Tier, explain};
pub(crate) use explain::{Offer, explain_among};
pub use file::{Routes, RoutesError, RoutesFile, client_digest};
pub(crate) use follow::follow;
pub(crate) use pool::{PoolRoutes, Route, Tiers};
pub(crate) use question::{Question, Who};

/// Where a running proxy explains its routes: POST [`Asked`], get [`Explanation`].
pub const EXPLAIN: &str = "/api/v1/routes/explain";
