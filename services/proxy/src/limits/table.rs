//! The rate limits of clients and tools that are in force, and how much of them is used. Must not know queues; the limits of
//! slaves are kept with the slaves.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use front::calls::CallContext;
use parking_lot::Mutex;
use protocol::mcp::failure::Failure;

use super::client::Client;
use super::day_quotas::DayQuotas;
use super::keyed::KeyedLimiter;
use super::rate_limiter::RateLimiter;
use crate::config::BalanceConfig;
use crate::config::Rate;
use crate::metrics::{self, RefusalReason};
use crate::routes::Routes;

/// Clients that the limit of clients without an entry tells apart.
const MAX_CLIENTS: usize = 50_000;

/// Tools whose limiters are kept.
const MAX_TOOLS: usize = 10_000;

/// The rate limits in force.
#[derive(Default)]
pub(crate) struct RateLimits {
    /// Limiters by the client's name in the `ROUTES` file.
    named: BTreeMap<String, Arc<RateLimiter>>,
    /// The same limiters by the digests of the clients' keys.
    keys: HashMap<[u8; 32], Arc<RateLimiter>>,
    others: Option<Arc<KeyedLimiter<Client>>>,
    tools: Arc<Mutex<HashMap<String, Arc<RateLimiter>>>>,
    /// What was used of the policy's quotas.
    pub(crate) quotas: Arc<DayQuotas>,
}

impl RateLimits {
    /// Returns the limits of the file, else of the variables. Limiters of `before` whose rate is unchanged are kept, with
    /// what is used of them.
    pub(crate) fn new(routes: &Routes, config: &BalanceConfig, before: &Self) -> Self {
        let limiter = |(name, rate): (&String, &Rate)| {
            let known = before.named.get(name).filter(|limiter| limiter.rate() == *rate);
            (name.clone(), known.map_or_else(|| Arc::new(RateLimiter::new(*rate)), Arc::clone))
        };
        let named: BTreeMap<_, _> = routes.limits.clients.iter().map(limiter).collect();
        let digests = |name: &String| routes.clients.get(name).into_iter().flatten();
        let keys =
            named.iter().flat_map(|(name, limiter)| digests(name).map(|key| (*key, Arc::clone(limiter))));
        let others = routes.limits.other_clients.or(config.client).map(|rate| {
            let known = before.others.as_ref().filter(|limiter| limiter.rate() == rate);
            known.map_or_else(|| Arc::new(KeyedLimiter::new(rate, MAX_CLIENTS)), Arc::clone)
        });
        Self {
            keys: keys.collect(),
            named,
            others,
            tools: Arc::clone(&before.tools),
            quotas: Arc::clone(&before.quotas),
        }
    }

    /// Counts one call of this client, or refuses it.
    pub(crate) fn admit(&self, context: &CallContext<'_>) -> Result<(), Failure> {
        if self.keys.is_empty() && self.others.is_none() {
            return Ok(());
        }
        let own = context.key().and_then(|key| {
            let by_name = self.keys.get(&key.identity());
            by_name.or_else(|| self.keys.get(&key.digest()))
        });
        let (until, rate) = match (own, &self.others) {
            (Some(limiter), _) => (limiter.take(), limiter.rate()),
            (None, Some(limiter)) => (limiter.take(&Client::without_session(context)), limiter.rate()),
            (None, None) => return Ok(()),
        };
        let Some(until) = until else { return Ok(()) };
        metrics::record_refusal(RefusalReason::ClientLimit);
        Err(rate_limited(format!("this client may make {rate} calls"), until))
    }

    /// Returns the limiter of a tool. `names` are the clients' and the slaves' name of it.
    pub(crate) fn of_tool(
        &self,
        routes: &Routes,
        config: &BalanceConfig,
        names: [&str; 2],
    ) -> Option<Arc<RateLimiter>> {
        let rate = routes.limits.of_tool(names).or(config.tool)?;
        let mut tools = self.tools.lock();
        if tools.len() >= MAX_TOOLS {
            // Pools hold the limiters of the tools that are offered.
            tools.retain(|_, limiter| Arc::strong_count(limiter) > 1);
        }
        let limiter = tools.entry(names[0].to_owned()).or_insert_with(|| Arc::new(RateLimiter::new(rate)));
        if limiter.rate() != rate {
            *limiter = Arc::new(RateLimiter::new(rate));
        }
        Some(Arc::clone(limiter))
    }
}

/// Counts one call of this tool, or refuses it.
pub(crate) fn admit_to_tool(tool: &str, limiter: Option<&RateLimiter>) -> Result<(), Failure> {
    let Some((until, limiter)) = limiter.and_then(|limiter| Some((limiter.take()?, limiter))) else {
        return Ok(());
    };
    metrics::record_refusal(RefusalReason::ToolLimit);
    Err(rate_limited(format!("{tool} may be called {} times", limiter.rate()), until))
}

fn rate_limited(what: String, until: Instant) -> Failure {
    let wait = until.saturating_duration_since(Instant::now());
    let whole = wait.as_secs() + u64::from(wait > Duration::from_secs(wait.as_secs()));
    Failure::RateLimited { what, retry_after: u32::try_from(whole.max(1)).unwrap_or(u32::MAX) }
}

#[cfg(test)]
mod tests;
