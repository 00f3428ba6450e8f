//! The calls of this process that are parked: each waits for its client's retry, for a limited time and in limited number. Must not know
//! what a call does.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use protocol::mcp::failure::Failure;
use tokio::time::Instant;

use super::retry::RequestDigest;
use super::seal::{Seal, Ticket};
use crate::metrics::{self, ParkedEnd};

/// Calls that may be parked in all.
const MAX_PARKED: usize = 4096;

/// Calls of one client that may be parked.
const MAX_OF_CLIENT: usize = 64;

/// Seconds after which it is worth trying again where too many are parked.
const RETRY_AFTER: u32 = 30;

/// What a parked call is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Binding {
    /// The client, as [`CallHeader::client`](protocol::link::header::CallHeader::client) has it.
    pub(super) client: Option<String>,
    pub(super) request: RequestDigest,
}

struct ParkedCall<C> {
    call: Arc<C>,
    binding: Binding,
}

/// The parked calls, each a `C`.
pub(crate) struct ParkedTable<C> {
    seal: Option<Seal>,
    /// `PARKED_TTL`: the longest time that a call is parked.
    ttl: Duration,
    began: Instant,
    calls: Mutex<HashMap<u128, ParkedCall<C>>>,
}

impl<C> ParkedTable<C> {
    /// Returns an empty table with a random key. A call is parked for `ttl` at most.
    pub(crate) fn new(ttl: Duration) -> Arc<Self> {
        // Without random numbers nothing can be parked, and calls that would have to be fail.
        let seal = Seal::random().ok();
        Arc::new(Self { seal, ttl, began: Instant::now(), calls: Mutex::default() })
    }

    /// Parks a call. Returns its ticket, and the state for its client.
    ///
    /// # Errors
    /// Too many calls are parked, of this client or in all.
    pub(super) fn add(&self, call: &Arc<C>, binding: Binding) -> Result<(Ticket, String, Instant), Failure> {
        let seal = self.seal.as_ref().ok_or(Failure::Internal)?;
        let id = getrandom::u64().and_then(|high| Ok((high, getrandom::u64()?)));
        let (high, low) = id.map_err(|_| Failure::Internal)?;
        let until = Instant::now() + self.ttl;
        let expires_ms = u64::try_from((until - self.began).as_millis()).unwrap_or(u64::MAX);
        let ticket = Ticket { id: u128::from(high) << 64 | u128::from(low), expires_ms };
        let state = seal.seal(ticket)?;
        let mut calls = self.calls.lock();
        let of_client = calls.values().filter(|one| one.binding.client == binding.client).count();
        if calls.len() >= MAX_PARKED || of_client >= MAX_OF_CLIENT {
            metrics::record_parked_end(ParkedEnd::Refused);
            return Err(Failure::Busy {
                what: format!(
                    "calls that wait for input: {} in all, {of_client} of this client (at most {MAX_PARKED} and {MAX_OF_CLIENT})",
                    calls.len()
                ),
                retry_after: RETRY_AFTER,
            });
        }
        calls.insert(ticket.id, ParkedCall { call: Arc::clone(call), binding });
        metrics::set_parked(calls.len());
        Ok((ticket, state, until))
    }

    /// Takes the call of a state out of the table, once, if the state came back from the client and with the request that it is bound to.
    ///
    /// # Errors
    /// The call is not there any more, or the state is not for this client and request; then it stays.
    pub(super) fn take(&self, state: &str, from: &Binding) -> Result<Arc<C>, Failure> {
        let ticket = self.seal.as_ref().and_then(|seal| seal.open(state)).ok_or(Failure::StateLost)?;
        let mut calls = self.calls.lock();
        let Some(parked) = calls.get(&ticket.id) else {
            let age = Instant::now().duration_since(self.began).as_millis();
            let why = if age >= u128::from(ticket.expires_ms) {
                "has expired: begin anew without requestState and inputResponses"
            } else {
                "was used already: each is good for one retry"
            };
            return Err(Failure::InvalidParams(format!("params.requestState {why}")));
        };
        if parked.binding.client != from.client {
            return Err(Failure::InvalidParams("params.requestState was given to another client".into()));
        }
        if parked.binding.request != from.request {
            return Err(Failure::InvalidParams(
                "params.requestState belongs to another request: retry with the same name and arguments"
                    .into(),
            ));
        }
        let parked = calls.remove(&ticket.id).ok_or(Failure::Internal)?;
        metrics::set_parked(calls.len());
        Ok(parked.call)
    }

    /// Removes a call whose time is over. Returns whether it was there.
    pub(super) fn remove(&self, id: u128) -> bool {
        let mut calls = self.calls.lock();
        let removed = calls.remove(&id).is_some();
        metrics::set_parked(calls.len());
        removed
    }

    /// Returns the number of parked calls.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.calls.lock().len()
    }
}
