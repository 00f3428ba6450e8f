//! Table of the children of a pool: which runs for whom, and which of them calls use. Must not know processes, tasks or the clock.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::key::ChildKey;
use crate::backends::stdio::sharing::ChildRules;

/// The children of a pool. A child in it takes calls; one that is to end is taken out first.
pub(super) struct Leases<C> {
    rules: ChildRules,
    children: HashMap<ChildKey, Leased<C>>,
    /// The last child's number.
    last: u64,
}

struct Leased<C> {
    number: u64,
    child: C,
    /// Calls that use it.
    uses: usize,
    /// When the last call began or ended.
    used: Instant,
}

/// What a call gets.
#[derive(Debug)]
pub(super) enum Taken<C> {
    /// The child that runs for its key.
    Running(C),
    /// A new child, and the one that has to end for it.
    New {
        /// The new child, which has to be started.
        child: C,
        /// The child that was idle for the longest time, which is out of the table.
        gives_way: Option<C>,
    },
    /// Nothing: as many children as there may be have calls.
    Full,
}

/// What an idle time has come to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Idle {
    /// The child was idle for long enough, and is out of the table.
    Over,
    /// The child was out before.
    Gone,
    /// The child may be idle for long enough at this time.
    NotBefore(Instant),
}

impl<C: Clone> Leases<C> {
    /// Returns an empty table.
    pub(super) fn new(rules: ChildRules) -> Self {
        Self { rules, children: HashMap::new(), last: 0 }
    }

    /// Takes the child of this key for a call, which has to be given back. `new` makes one with a number, where there is none.
    pub(super) fn take(&mut self, key: &ChildKey, now: Instant, new: impl FnOnce(u64) -> C) -> Taken<C> {
        if let Some(leased) = self.children.get_mut(key) {
            leased.uses += 1;
            leased.used = now;
            return Taken::Running(leased.child.clone());
        }
        let mut gives_way = None;
        if self.children.len() >= self.rules.most.get() {
            let Some(longest) = self.longest_idle() else { return Taken::Full };
            gives_way = self.children.remove(&longest).map(|leased| leased.child);
        }
        self.last += 1;
        let child = new(self.last);
        let leased = Leased { number: self.last, child: child.clone(), uses: 1, used: now };
        self.children.insert(key.clone(), leased);
        Taken::New { child, gives_way }
    }

    fn longest_idle(&self) -> Option<ChildKey> {
        let idle = self.children.iter().filter(|(_, leased)| leased.uses == 0);
        // Of several at the same time it is the oldest, so that the choice is no chance.
        idle.min_by_key(|(_, leased)| (leased.used, leased.number)).map(|(key, _)| key.clone())
    }

    /// Gives a child back whose call has ended. Returns the child if it was for this call alone: it is out of the table.
    pub(super) fn give_back(&mut self, key: &ChildKey, number: u64, now: Instant) -> Option<C> {
        let leased = self.get_mut(key, number)?;
        leased.uses = leased.uses.saturating_sub(1);
        leased.used = now;
        if key.is_of_call() { self.remove(key, number) } else { None }
    }

    /// Lets the idle time of a child begin anew.
    pub(super) fn touch(&mut self, key: &ChildKey, number: u64, now: Instant) {
        if let Some(leased) = self.get_mut(key, number) {
            leased.used = now;
        }
    }

    /// Takes a child out: it takes no more calls. `None`: it was out before.
    pub(super) fn remove(&mut self, key: &ChildKey, number: u64) -> Option<C> {
        self.get_mut(key, number)?;
        self.children.remove(key).map(|leased| leased.child)
    }

    /// Returns the child of this key, which no call takes by that.
    pub(super) fn get(&self, key: &ChildKey) -> Option<C> {
        self.children.get(key).map(|leased| leased.child.clone())
    }

    /// Returns the children of a session.
    pub(super) fn of_session(&self, session: &str) -> Vec<C> {
        let of_session = self.children.iter().filter(|(key, _)| key.is_of_session(session));
        of_session.map(|(_, leased)| leased.child.clone()).collect()
    }

    /// Takes the children of a session out, whether calls use them or not.
    pub(super) fn end_session(&mut self, session: &str) -> Vec<C> {
        let ended = self.children.extract_if(|key, _| key.is_of_session(session));
        ended.map(|(_, leased)| leased.child).collect()
    }

    /// Takes a child out if it was idle for long enough.
    pub(super) fn expire(&mut self, key: &ChildKey, number: u64, now: Instant) -> Idle {
        let idle: Duration = self.rules.idle;
        let Some(leased) = self.get_mut(key, number) else { return Idle::Gone };
        let at = if leased.uses > 0 { now + idle } else { leased.used + idle };
        if at > now {
            return Idle::NotBefore(at);
        }
        self.remove(key, number);
        Idle::Over
    }

    fn get_mut(&mut self, key: &ChildKey, number: u64) -> Option<&mut Leased<C>> {
        self.children.get_mut(key).filter(|leased| leased.number == number)
    }
}

#[cfg(test)]
mod tests;
