//! The slaves that share the calls of one tool. Must not know calls.

use std::sync::Arc;

use super::offer::Schema;
use super::policies::Policies;
use crate::access::{PoolDomain, Precedence};
use crate::balance::outliers::OutlierDetector;
use crate::balance::pool::PoolBalance;
use crate::limits::rate_limiter::RateLimiter;
use crate::limits::table::RateLimits;
use crate::links::Slave;
use crate::metrics::CallMeter;
use crate::routes::{PoolRoutes, Routes};

/// The slaves that share the calls of one tool, and how its calls are routed, balanced and limited.
pub(super) struct Pool {
    /// Slaves of one domain that offer the tool with the same input schema.
    pub(super) members: Arc<[Arc<Slave>]>,
    pub(super) routes: PoolRoutes<Slave>,
    /// Domain and own name of the tool. A call that has to move or wait goes to pools of the same provider only, also where the
    /// clients' name has become another's meanwhile.
    pub(super) provider: Arc<str>,
    /// Input schema of the tool. `None`: it equals no other.
    pub(super) schema: Option<Schema>,
    /// The slaves' own name of the tool, which differs from the clients' after a collision.
    pub(super) own_name: Arc<str>,
    pub(super) meter: CallMeter,
    /// How often one call may be run again.
    pub(super) max_retries: u8,
    /// Detector of members on which what runs the tool fails.
    pub(super) outliers: Arc<OutlierDetector>,
    pub(super) balance: PoolBalance,
    pub(super) limit: Option<Arc<RateLimiter>>,
}

/// Settings that all pools are built with.
pub(super) struct PoolSettings<'a> {
    pub(super) precedence: &'a Precedence,
    pub(super) routes: &'a Routes,
    pub(super) policies: &'a Policies,
    pub(super) limits: &'a RateLimits,
}

/// Members and names of a pool to be built.
pub(super) struct PoolParts<'a> {
    /// The slaves' name of the tool.
    pub(super) own_name: &'a str,
    /// The clients' name of the tool.
    pub(super) shown_name: &'a str,
    /// With whom the slaves may share the calls.
    pub(super) domain: &'a PoolDomain,
    pub(super) schema: Option<Schema>,
    pub(super) members: Vec<Arc<Slave>>,
    /// Kept from the pool of before.
    pub(super) outliers: Arc<OutlierDetector>,
    pub(super) max_retries: u8,
}

impl Pool {
    pub(super) fn new(parts: PoolParts<'_>, settings: &PoolSettings<'_>) -> Self {
        let PoolParts { own_name, shown_name, domain, schema, members, outliers, max_retries } = parts;
        let PoolSettings { routes, policies, limits, .. } = settings;
        let names = [shown_name, own_name];
        let code = members.first().map(|slave| slave.grant().identity().to_string()).unwrap_or_default();
        let members: Arc<[Arc<Slave>]> = members.into();
        Self {
            routes: PoolRoutes::new(routes, names, &members),
            balance: PoolBalance::new(routes, policies.balance.queue, names, &members),
            limit: limits.of_tool(routes, &policies.balance, names),
            members,
            provider: format!("{domain:?} {own_name}").into(),
            schema,
            own_name: own_name.into(),
            meter: CallMeter::new(&code, shown_name),
            outliers,
            max_retries,
        }
    }
}
