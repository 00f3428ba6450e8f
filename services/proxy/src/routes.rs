//! Routing rules: which slaves a call should go to, by the operator's rules (`ROUTES`) and the built-in ones for reviews.
//!
//! A rule looks at tool, client, headers and one argument, and names slaves by their labels. Must not know what a slave
//! is beyond its labels, how one is picked among those that a rule allows, nor how calls travel.

mod explain;
mod explain_limits;
mod file;
mod follow;
mod labelled;
mod limit_rules;
mod match_input;
mod pointer;
mod pool;
mod pool_rule;
mod review;
mod review_number;
mod route;
mod rule;
mod selector;
mod text;

pub use explain::{ExplainRequest, Explanation, Observed, Priority, RuleCheck, explain};
pub(crate) use explain::{Observable, Offered, explain_with_slaves};
pub use explain_limits::{LimitsRequest, RateLimit, explain_limits};
pub use file::{Routes, RoutesError, RoutesFile, client_digest};
pub(crate) use follow::follow;
pub(crate) use labelled::Labelled;
pub(crate) use match_input::{ClientIdentity, MatchInput};
pub(crate) use pool::PoolRoutes;
pub(crate) use route::{Narrowed, Priorities, Route};

/// Path of the operators' endpoint that explains routes: the body of a POST is an [`ExplainRequest`], the answer an
/// [`Explanation`].
pub const EXPLAIN_PATH: &str = "/api/v1/routes/explain";
