//! The registration of links: which slave a new link belongs to, and what that means for other slaves. Must not know sockets.
//!
//! A link belongs to a known slave process only by proof: its code's identity, its instance and the secret that this process issued
//! to it. Whatever a hello says without that proof makes a new process and changes no other slave of another identity.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use protocol::link::handshake::SlaveHello;
use protocol::link::ids::InstanceId;
use protocol::mcp::request_state::process_digest;

use super::close_reason::CloseReason;
use super::registry::Registry;
use super::resume::ResumeKey;
use super::slave::{Process, Slave};
use crate::access::{Grant, Identity, shown_name};
use crate::config::SlaveMode;
use crate::metrics;

/// A slave whose link has just been registered.
pub(super) struct Registered {
    pub(super) slave: Arc<Slave>,
    /// Number of the link.
    pub(super) generation: u64,
    /// Whether the slave process was known.
    pub(super) resumed: bool,
}

/// The reason that a link is not registered.
#[derive(Debug, thiserror::Error)]
pub(super) enum RegistrationError {
    /// `MAX_SLAVES` are linked.
    #[error("{0} slaves are connected already (MAX_SLAVES)")]
    AtCapacity(usize),
    /// The slave's code has as many links as it may have.
    #[error(
        "{0} slaves are connected with this code already (limits.links of its entry, else MAX_LINKS_PER_CODE)"
    )]
    CodeAtCapacity(usize),
    /// No secret can be made for the slave.
    #[error("the system's random source failed: {0}")]
    Random(#[from] getrandom::Error),
}

impl RegistrationError {
    /// Returns the stable label of the metric.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::AtCapacity(_) | Self::Random(_) => "full",
            Self::CodeAtCapacity(_) => "code_full",
        }
    }
}

impl Registry {
    /// Registers the new link of an authenticated slave. A link of a known process replaces its older one.
    pub(super) fn register(
        &self,
        hello: Option<&SlaveHello>,
        grant: Grant,
    ) -> Result<Registered, RegistrationError> {
        let now = Instant::now();
        let (slave, resumed) = self.find_or_insert(hello, &grant)?;
        if resumed {
            report_reconnect(&slave);
        } else {
            self.bound_awaited(grant.identity(), self.catalogs().max_links(&grant), now);
        }
        slave.set_grant(grant);
        self.restore_hold(&slave);
        let generation = slave.link_up(hello.map_or(0, |hello| hello.window), now);
        // Peers may have changed since the proxy's hello was written.
        slave.send_peers(&self.peers().known().encode());
        self.tell_known_grants(&slave);
        if self.draining.load(Ordering::Acquire) {
            slave.send_drain();
        }
        if self.mode == SlaveMode::Single {
            self.close_others(&slave);
        }
        self.supersede(&slave, now);
        self.publish_change(&slave);
        Ok(Registered { slave, generation, resumed })
    }

    /// Returns whether the slave says that it is linked to this process, and a process of its identity and instance is. That
    /// link stays as it is: whoever says so without a right to it learns nothing and changes nothing.
    pub(super) fn is_linked_here(&self, hello: &SlaveHello, identity: &Identity) -> bool {
        let own = self.fleet().own();
        let says_so =
            hello.linked.iter().flatten().filter_map(|id| InstanceId::parse(id)).any(|id| id == own);
        says_so && self.lock().values().any(|slave| slave.is_linked() && slave.claims_match(hello, identity))
    }

    /// Returns the slave of this hello, and whether it was known already.
    fn find_or_insert(
        &self,
        hello: Option<&SlaveHello>,
        grant: &Grant,
    ) -> Result<(Arc<Slave>, bool), RegistrationError> {
        let mut slaves = self.lock();
        let known = hello.and_then(|hello| {
            let own = self.fleet().own().to_string();
            slaves.values().find(|slave| slave.is_resumed_by(hello, grant.identity(), &own)).cloned()
        });
        let linked = slaves.values().filter(|slave| slave.is_linked()).count();
        let replaces =
            self.mode == SlaveMode::Single || known.as_ref().is_some_and(|slave| slave.is_linked());
        if linked >= self.max_slaves && !replaces {
            return Err(RegistrationError::AtCapacity(linked));
        }
        if !replaces {
            self.check_code(slaves.values(), grant)?;
        }
        if let Some(slave) = known {
            return Ok((slave, true));
        }
        let key = free_key(&slaves)?;
        let name = match hello {
            Some(hello) => shown_name(grant.identity(), &hello.slave_name),
            None => plain_name(&slaves, grant.identity()),
        };
        metrics::admit_slave(&grant.identity().to_string(), &name);
        let slave = Arc::new(match hello {
            Some(hello) => self.new_native(key, name, hello, grant.identity())?,
            None => Slave::plain(key, name, random_prefix()?, self.limits().grace),
        });
        slaves.insert(slave.key, Arc::clone(&slave));
        Ok((slave, false))
    }

    /// Checks that the code of this grant may have another link besides those of `slaves`.
    fn check_code<'a>(
        &self,
        slaves: impl Iterator<Item = &'a Arc<Slave>>,
        grant: &Grant,
    ) -> Result<(), RegistrationError> {
        let of_code = |slave: &&Arc<Slave>| slave.is_linked() && slave.grant().identity() == grant.identity();
        let linked = slaves.filter(of_code).count();
        let is_full = linked >= self.catalogs().max_links(grant);
        if is_full { Err(RegistrationError::CodeAtCapacity(linked)) } else { Ok(()) }
    }

    fn new_native(
        &self,
        key: u64,
        name: String,
        hello: &SlaveHello,
        identity: &Identity,
    ) -> Result<Slave, getrandom::Error> {
        let process = Process {
            instance: hello.instance.clone(),
            secret: ResumeKey::random()?,
            seat: hello.seat.clone(),
            state: process_digest(&hello.instance),
        };
        let host_slot = hello.seat.as_ref().map_or(key, |seat| self.slots.hash_one((identity, seat)));
        Ok(Slave::native(key, name, host_slot, process, hello, self.limits().clone()))
    }

    fn close_others(&self, newest: &Arc<Slave>) {
        for slave in self.all() {
            if slave.key != newest.key && slave.is_linked() {
                tracing::info!(slave = slave.name, "Replaced by a new slave (SLAVE_MODE=single)");
                slave.close(CloseReason::Replaced);
            }
        }
    }

    /// Forgets the idle slaves of a code that are awaited, if the code has as many slaves as it may have: so a code cannot fill the memory by
    /// links that come and go.
    fn bound_awaited(&self, identity: &Identity, most: usize, now: Instant) {
        let of_code = self.all().into_iter().filter(|slave| slave.grant().identity() == identity);
        let is_awaited = |slave: &Arc<Slave>| slave.awaited_until(now).is_some();
        let of_code: Vec<_> = of_code.filter(|slave| slave.is_linked() || is_awaited(slave)).collect();
        if of_code.len() < most {
            return;
        }
        for slave in of_code.iter().filter(|slave| is_awaited(slave) && slave.calls() == 0) {
            slave.awaited.end();
            self.forget(slave);
        }
    }

    /// Marks earlier processes of the same host slot as dead: their calls are lost, without waiting for the grace.
    fn supersede(&self, newest: &Slave, now: Instant) {
        for slave in self.all() {
            if slave.shares_host_slot(newest) {
                let (calls, lost) = (slave.calls(), slave.mark_dead(now));
                if lost {
                    tracing::info!(slave = slave.name, calls, "The slave was restarted: its calls are lost");
                    self.forget(&slave);
                }
            }
        }
    }
}

/// Returns a random key that no slave has.
fn free_key(slaves: &BTreeMap<u64, Arc<Slave>>) -> Result<u64, getrandom::Error> {
    loop {
        let key = getrandom::u64()?;
        if !slaves.contains_key(&key) {
            return Ok(key);
        }
    }
}

/// Returns the random part of the ids of one plain link.
fn random_prefix() -> Result<u128, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(u128::from_be_bytes(bytes))
}

/// Returns the name of a plain slave: that of its code, else that of a lost one that it may be, else a number.
fn plain_name(slaves: &BTreeMap<u64, Arc<Slave>>, identity: &Identity) -> String {
    if let Some(name) = identity.name() {
        return name.to_owned();
    }
    let linked: BTreeSet<&str> =
        slaves.values().filter(|slave| slave.is_linked()).map(|slave| slave.name.as_str()).collect();
    let mut lost = slaves.values().filter(|slave| slave.is_lost_plain_of(identity));
    if let Some(lost) = lost.find(|slave| !linked.contains(slave.name.as_str())) {
        return lost.name.clone();
    }
    let names: BTreeSet<&str> = slaves.values().map(|slave| slave.name.as_str()).collect();
    // Among one more name than there are slaves, at least one is free.
    let mut free =
        (1..=names.len() + 1).map(|n| format!("plain{n}")).filter(|name| !names.contains(name.as_str()));
    free.next().unwrap_or_default()
}

fn report_reconnect(slave: &Slave) {
    let replaced = slave.is_linked();
    if replaced {
        tracing::info!(slave = slave.name, "The same slave connects again: its older link is replaced");
    }
    let reason = if replaced { "replaced" } else { slave.health.disconnect_kind() };
    metrics::record_reconnect(&slave.name, reason);
}

#[cfg(test)]
pub(super) mod tests;
