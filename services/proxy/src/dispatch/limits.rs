//! Rate limits of clients and tools, and what of them is used. Knows nothing of queues; slaves keep their own.

use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use front::Principal;
use front::calls::CallContext;
use governor::RateLimiter;
use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use protocol::mcp::failure::Failure;

use super::client::Client;
use crate::config::BalanceConfig;
use crate::links::{Pace, Slave};
use crate::metrics::{self, RefusalReason};
use crate::rate::Rate;
use crate::routes::Routes;

/// Clients that one limit tells apart. Beyond, those that were quiet are forgotten; if all were busy, all are.
const MOST_CLIENTS: usize = 50_000;

/// Tools whose use is remembered while they are not on offer.
const MOST_TOOLS: usize = 10_000;

type Keyed = RateLimiter<Client, HashMapStateStore<Client>, DefaultClock>;

/// One limit for each of many clients.
struct Many {
    rate: Rate,
    limiter: ArcSwap<Keyed>,
    most: usize,
}

impl Many {
    fn new(rate: Rate, most: usize) -> Self {
        Self { rate, limiter: ArcSwap::from_pointee(Keyed::hashmap(rate.quota())), most }
    }

    /// Uses one call of the client's limit, or says when there will be one.
    fn take(&self, client: Client) -> Option<Instant> {
        let limiter = self.limiter.load();
        if limiter.len() >= self.most {
            limiter.retain_recent();
            if limiter.len() > self.most / 2 {
                self.limiter.store(Arc::new(Keyed::hashmap(self.rate.quota())));
            }
        }
        let refused = limiter.check_key(&client).err()?;
        Some(Instant::now() + refused.wait_time_from(DefaultClock::default().now()))
    }
}

/// The limits in force.
#[derive(Default)]
pub(super) struct Limits {
    /// By the client's name.
    named: BTreeMap<String, Arc<Pace>>,
    /// The same by the digests of their keys.
    keys: HashMap<[u8; 32], Arc<Pace>>,
    others: Option<Arc<Many>>,
    tools: Arc<Mutex<HashMap<String, Arc<Pace>>>>,
}

impl Limits {
    /// What file and variables say. Where a limit is that of `before`, what of it is used counts on.
    pub(super) fn new(routes: &Routes, config: &BalanceConfig, before: &Self) -> Self {
        let pace = |(name, rate): (&String, &Rate)| {
            let known = before.named.get(name).filter(|pace| pace.rate() == *rate);
            (name.clone(), known.map_or_else(|| Arc::new(Pace::new(*rate)), Arc::clone))
        };
        let named: BTreeMap<String, Arc<Pace>> = routes.limits.clients.iter().map(pace).collect();
        let digests = |name: &String| routes.clients.get(name).into_iter().flatten();
        let keys = named.iter().flat_map(|(name, pace)| digests(name).map(|key| (*key, Arc::clone(pace))));
        let others = routes.limits.other_clients.or(config.client).map(|rate| {
            let known = before.others.as_ref().filter(|many| many.rate == rate);
            known.map_or_else(|| Arc::new(Many::new(rate, MOST_CLIENTS)), Arc::clone)
        });
        Self { keys: keys.collect(), named, others, tools: Arc::clone(&before.tools) }
    }

    /// Whether this client may make one more call; if so, it is counted.
    pub(super) fn admit(&self, asker: &CallContext<'_>) -> Result<(), Failure> {
        if self.keys.is_empty() && self.others.is_none() {
            return Ok(());
        }
        let own = if asker.who == Principal::ANYONE { None } else { self.keys.get(&asker.who.digest()) };
        let (until, rate) = match (own, &self.others) {
            (Some(pace), _) => (pace.take(), pace.rate()),
            (None, Some(many)) => (many.take(Client::by_origin(asker)), many.rate),
            (None, None) => return Ok(()),
        };
        let Some(until) = until else { return Ok(()) };
        metrics::record_refusal(RefusalReason::ClientLimit);
        Err(refusal(format!("this client may make {rate} calls"), until))
    }

    /// The limit of a tool, with what of it is used. `names`: as clients and as slaves call it.
    pub(super) fn of_tool(
        &self,
        (routes, config): (&Routes, &BalanceConfig),
        names: [&str; 2],
    ) -> Option<Arc<Pace>> {
        let rate = routes.limits.of_tool(names).or(config.tool)?;
        let mut tools = self.tools.lock();
        if tools.len() >= MOST_TOOLS {
            // Those on offer are held by their pools.
            tools.retain(|_, pace| Arc::strong_count(pace) > 1);
        }
        let pace = tools.entry(names[0].to_owned()).or_insert_with(|| Arc::new(Pace::new(rate)));
        if pace.rate() != rate {
            *pace = Arc::new(Pace::new(rate));
        }
        Some(Arc::clone(pace))
    }
}

/// Whether the tool may be called once more; if so, it is counted.
pub(super) fn admit_to(tool: &str, pace: Option<&Pace>) -> Result<(), Failure> {
    let Some((until, pace)) = pace.and_then(|pace| Some((pace.take()?, pace))) else { return Ok(()) };
    metrics::record_refusal(RefusalReason::ToolLimit);
    Err(refusal(format!("{tool} may be called {} times", pace.rate()), until))
}

/// Gives the slave its limit; one that is as before counts on.
pub(super) fn limit(slave: &Slave, routes: &Routes, config: &BalanceConfig) {
    let rate = routes.limits.of_slave(&slave.name, &slave.facts().labels).or(config.slave);
    if slave.load.pace().map(|pace| pace.rate()) != rate {
        slave.load.set_pace(rate.map(|rate| Arc::new(Pace::new(rate))));
    }
}

fn refusal(what: String, until: Instant) -> Failure {
    let wait = until.saturating_duration_since(Instant::now());
    let whole = wait.as_secs() + u64::from(wait > Duration::from_secs(wait.as_secs()));
    Failure::RateLimited { what, retry_after: u32::try_from(whole.max(1)).unwrap_or(u32::MAX) }
}

#[cfg(test)]
mod tests;
