//! The slaves that share the calls of one tool, prompt or resource. Must not know calls.

use std::sync::Arc;

use policy::Policy;
use protocol::mcp::kind::Kind;

use super::offer::Schema;
use super::permission::PoolAccess;
use super::policies::Policies;
use crate::access::{PoolDomain, Precedence};
use crate::balance::outliers::OutlierDetector;
use crate::balance::pool::PoolBalance;
use crate::limits::rate_limiter::RateLimiter;
use crate::limits::table::RateLimits;
use crate::links::Slave;
use crate::metrics::CallMeter;
use crate::routes::{PoolRoutes, Routes};

/// The slaves that share the calls of one tool, prompt or resource, and how these are routed, balanced and limited.
pub(super) struct Pool {
    /// Kind of what they offer; `None`: requests that name nothing.
    pub(super) kind: Option<Kind>,
    /// Slaves of one domain that offer the same.
    pub(super) members: Arc<[Arc<Slave>]>,
    pub(super) routes: PoolRoutes<Slave>,
    /// Domain, kind and own name. A call that has to move or wait goes to pools of the same provider only, also where the
    /// clients' name has become another's meanwhile.
    pub(super) provider: Arc<str>,
    /// What tells it from others of its name. `None`: it equals no other.
    pub(super) schema: Option<Schema>,
    /// The slaves' own name, which differs from the clients' after a collision.
    pub(super) own_name: Arc<str>,
    pub(super) meter: CallMeter,
    /// How often one call may be run again.
    pub(super) max_retries: u8,
    /// Detector of members on which what runs the tool fails.
    pub(super) outliers: Arc<OutlierDetector>,
    pub(super) balance: PoolBalance,
    pub(super) limit: Option<Arc<RateLimiter>>,
    /// Who may use it; `None`: there is no policy.
    pub(super) access: Option<PoolAccess>,
}

/// Settings that all pools are built with.
pub(super) struct PoolSettings<'a> {
    pub(super) precedence: &'a Precedence,
    pub(super) routes: &'a Routes,
    pub(super) policies: &'a Policies,
    pub(super) limits: &'a RateLimits,
    /// `POLICY`.
    pub(super) policy: Option<&'a Arc<Policy>>,
}

/// Members and names of a pool to be built.
pub(super) struct PoolParts<'a> {
    pub(super) kind: Option<Kind>,
    /// Method by which the pool's requests are counted; tools are counted by name.
    pub(super) method: &'static str,
    /// The slaves' name.
    pub(super) own_name: &'a str,
    /// The clients' name.
    pub(super) shown_name: &'a str,
    /// With whom the slaves may share the calls.
    pub(super) domain: &'a PoolDomain,
    pub(super) schema: Option<Schema>,
    pub(super) members: Vec<Arc<Slave>>,
    /// Kept from the pool of before.
    pub(super) outliers: Arc<OutlierDetector>,
    pub(super) max_retries: u8,
    pub(super) access: Option<PoolAccess>,
}

impl Pool {
    pub(super) fn new(parts: PoolParts<'_>, settings: &PoolSettings<'_>) -> Self {
        let PoolParts {
            kind,
            method,
            own_name,
            shown_name,
            domain,
            schema,
            members,
            outliers,
            max_retries,
            access,
        } = parts;
        let PoolSettings { routes, policies, limits, .. } = settings;
        // Rules of routes and limits name tools: of other requests only those hold that name none.
        let is_tool = kind == Some(Kind::Tool);
        let names = if is_tool { [shown_name, own_name] } else { ["", ""] };
        let code = members.first().map(|slave| slave.grant().identity().to_string()).unwrap_or_default();
        let members: Arc<[Arc<Slave>]> = members.into();
        Self {
            routes: PoolRoutes::new(routes, names, &members),
            balance: PoolBalance::new(routes, policies.balance.queue, names, &members),
            limit: is_tool.then(|| limits.of_tool(routes, &policies.balance, names)).flatten(),
            kind,
            members,
            provider: format!("{domain:?} {kind:?} {own_name}").into(),
            schema,
            own_name: own_name.into(),
            meter: if is_tool { CallMeter::of_tool(&code, shown_name) } else { CallMeter::of_method(method) },
            outliers,
            max_retries,
            access,
        }
    }
}

impl Pool {
    /// Returns the slaves' name of what a request names: their own name of a tool or prompt, else the request's.
    pub(super) fn own_name_of(&self, named: &str) -> Arc<str> {
        match self.kind {
            Some(Kind::Tool | Kind::Prompt) => Arc::clone(&self.own_name),
            _ => named.into(),
        }
    }
}
