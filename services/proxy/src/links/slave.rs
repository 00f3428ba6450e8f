//! One slave as the proxy knows it, whether its link is up or not. Shared by its link's task and by whoever calls it.

mod batch;
mod held;

use parking_lot::{Mutex, MutexGuard};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use protocol::link::handshake::SlaveHello;
use protocol::link::ids::{CallId, Seq};
use protocol::link::limits::LinkLimits;
use protocol::link::proxy_end::{Deadlines, NotLinked, ProxyEnd};
use protocol::mcp::catalog::Catalog;

use super::call::OpenCall;
use super::close_reason::CloseReason;
use super::condition::{Condition, Health};
use super::facts::{Facts, Standing};
use super::load::{InFlight, Load, Turned};
use super::plain::{OpenPlain, PlainEnd};
use super::portrait::Particulars;
use super::response::{ResponseRx, ResponseTx};
use crate::metrics::{self, LinkMeter, SlaveState};

/// How the link speaks.
pub(super) enum Carrier {
    Native(Box<ProxyEnd<ResponseTx>>),
    Plain(Box<PlainEnd>),
}

/// A slave that has not said what it offers within this time after it came offers nothing.
const FIRST_CATALOG: Duration = Duration::from_secs(10);

/// One slave process (native), or one connection (plain).
pub(crate) struct Slave {
    /// Key in the registry.
    pub(crate) key: u64,
    /// `SLAVE_NAME`, or a made-up one for a plain slave.
    pub(crate) name: String,
    /// `SLAVE_WEIGHT`, in percent.
    pub(crate) weight: u32,
    /// Calls under way and how many it takes.
    pub(crate) load: Arc<Load>,
    /// Counts its calls.
    pub(crate) meter: LinkMeter,
    /// What it is by its code, and what it offers.
    standing: Standing,
    carrier: Mutex<Carrier>,
    /// Wakes the task of the current link.
    pub(super) waker: AtomicWaker,
    /// How it does.
    pub(super) condition: Condition,
    /// What people are told of it besides.
    pub(super) particulars: Particulars,
    /// It said that it takes `peers` frames.
    takes_peers: bool,
    /// Which link is the current one: an older link's task finds another number and goes.
    generation: AtomicU64,
    /// The place it has to itself: another process there means that this one is gone.
    seat: Option<String>,
    place: u64,
    /// Its process is known to be gone, or to go with its link.
    gone: AtomicBool,
    /// It said what it offers.
    offered: AtomicBool,
    since: Instant,
    /// The [`CloseReason`] that the current link's task is asked to close with; 0: none.
    close_with: AtomicU8,
}

impl Slave {
    pub(super) fn native(hello: &SlaveHello, key: u64, limits: LinkLimits) -> Self {
        let carrier = Carrier::Native(Box::new(ProxyEnd::new(limits)));
        let parts = (Load::new(key, hello.capacity), carrier);
        let slave = Self::new(key, hello.slave_name.clone(), parts);
        let place = hello
            .seat
            .as_ref()
            .map_or(key, |seat| BuildHasherDefault::<DefaultHasher>::default().hash_one(seat));
        let weight = if hello.weight == 0 { 100 } else { hello.weight };
        Self {
            seat: hello.seat.clone(),
            takes_peers: hello.linked.is_some(),
            particulars: Particulars::of(&hello.agent),
            place,
            weight,
            ..slave
        }
    }

    /// A slave whose link is up, for tests of what uses slaves.
    #[cfg(test)]
    pub(crate) fn for_test(hello: &SlaveHello, key: u64, limits: LinkLimits, catalog: Catalog) -> Arc<Self> {
        let slave = Self::native(hello, key, limits);
        slave.link_up(hello.window, Instant::now());
        if let Ok(facts) = Facts::new(Default::default(), hello.labels.clone()) {
            slave.become_known(facts);
        }
        slave.offer(catalog);
        Arc::new(slave)
    }

    pub(super) fn plain(key: u64, name: String) -> Self {
        Self::new(key, name, (Load::new(key, 0), Carrier::Plain(Box::new(PlainEnd::new()))))
    }

    fn new(key: u64, name: String, (load, carrier): (Arc<Load>, Carrier)) -> Self {
        Self {
            key,
            meter: LinkMeter::new(&name),
            name,
            weight: 100,
            load,
            standing: Standing::default(),
            carrier: Mutex::new(carrier),
            waker: AtomicWaker::new(),
            condition: Condition::new(),
            particulars: Particulars::default(),
            takes_peers: false,
            generation: AtomicU64::new(0),
            seat: None,
            place: key,
            gone: AtomicBool::new(false),
            offered: AtomicBool::new(false),
            since: Instant::now(),
            close_with: AtomicU8::new(0),
        }
    }

    pub(super) fn carrier(&self) -> MutexGuard<'_, Carrier> {
        // The state machines never panic; should one, its links are closed by their own checks.
        self.carrier.lock()
    }

    /// Whether calls can be sent to it now, degraded or not.
    pub(crate) fn is_ready(&self) -> bool {
        self.condition.takes_calls()
    }

    /// Whether another slave should be chosen where one can take the call: it answers late or reports a fault.
    pub(crate) fn is_degraded(&self) -> bool {
        self.condition.is_degraded()
    }

    /// Whether its link is up.
    pub(crate) fn is_linked(&self) -> bool {
        self.condition.is_linked()
    }

    /// Where it stands.
    pub(super) fn state(&self) -> SlaveState {
        self.condition.state()
    }

    /// Where it stands and why.
    pub(crate) fn health(&self) -> Health {
        self.condition.health()
    }

    /// Takes no new calls from now on: it said so.
    pub(super) fn set_draining(&self) {
        self.condition.draining();
    }

    /// A new link takes over; an older one's task ends by itself. Returns the link's number.
    pub(super) fn link_up(&self, window: u32, now: Instant) -> u64 {
        let mut carrier = self.carrier();
        if let Carrier::Native(end) = &mut *carrier {
            if self.is_linked() {
                end.link_down(now);
            }
            end.link_up(window);
        }
        let generation = self.generation.fetch_add(1, Ordering::AcqRel) + 1;
        self.close_with.store(0, Ordering::Release);
        self.gone.store(false, Ordering::Release);
        self.condition.link_up();
        drop(carrier);
        self.waker.wake();
        generation
    }

    /// The link with this number is gone. `false`: another has taken over before.
    pub(super) fn link_down(&self, generation: u64, now: Instant) -> bool {
        let mut carrier = self.carrier();
        if !self.is_current(generation) {
            return false;
        }
        self.condition.link_down();
        match &mut *carrier {
            Carrier::Native(end) => {
                end.link_down(now);
                if self.gone.load(Ordering::Acquire) {
                    end.give_up(now);
                }
            }
            Carrier::Plain(end) => end.link_down(),
        }
        true
    }

    /// A number for its seat, which a restarted process has again; without a seat, for the process.
    pub(crate) fn place(&self) -> u64 {
        self.place
    }

    /// Whether both have the same place to themselves, so that at most one of them lives.
    pub(super) fn shares_seat(&self, other: &Self) -> bool {
        self.seat.is_some() && self.seat == other.seat && self.key != other.key
    }

    /// Its process is known to be gone: calls that it had are lost at once, or as soon as its link is seen to be down.
    /// Returns whether nothing of it is waited for any more.
    pub(super) fn bury(&self, now: Instant) -> bool {
        let mut carrier = self.carrier();
        self.gone.store(true, Ordering::Release);
        if self.is_linked() {
            return false;
        }
        if let Carrier::Native(end) = &mut *carrier {
            end.give_up(now);
        }
        true
    }

    pub(super) fn is_current(&self, generation: u64) -> bool {
        self.generation.load(Ordering::Acquire) == generation
    }

    /// What it is by its code.
    pub(crate) fn facts(&self) -> Arc<Facts> {
        self.standing.facts()
    }

    /// What it offers, as far as its code allows it.
    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        self.standing.catalog()
    }

    /// Its code allows this.
    pub(super) fn become_known(&self, facts: Facts) {
        self.tell_left_out(&self.standing.become_known(facts));
        self.condition.has_tools(self.catalog().tools.len());
    }

    /// It offers this from now on, as far as its code allows it.
    pub(super) fn offer(&self, catalog: Catalog) {
        self.tell_left_out(&self.standing.offer(catalog));
        self.offered.store(true, Ordering::Release);
        let catalog = self.catalog();
        // One that says nothing of it is still no better for that.
        let report =
            catalog.degraded.as_deref().map(|why| if why.is_empty() { "it does not say what" } else { why });
        self.condition.offers(catalog.tools.len(), report.unwrap_or_default());
    }

    /// Its first catalog is on its way: until then it is waited for.
    pub(crate) fn awaited_until(&self) -> Option<Instant> {
        let awaited = self.is_linked() && !self.offered.load(Ordering::Acquire);
        awaited.then(|| self.since + FIRST_CATALOG)
    }

    fn tell_left_out(&self, tools: &[String]) {
        metrics::tools_left_out(&self.name, tools.len());
        if !tools.is_empty() {
            tracing::warn!(
                slave = self.name,
                ?tools,
                "Slave's code does not allow these tools: they are left out"
            );
        }
    }

    /// Asks the link's task to close for this reason.
    pub(super) fn close(&self, close_reason: CloseReason) {
        self.close_with.store(close_reason as u8, Ordering::Release);
        self.waker.wake();
    }

    pub(super) fn asked_to_close(&self) -> Option<CloseReason> {
        CloseReason::of(self.close_with.load(Ordering::Acquire))
    }

    /// A place for one more call. `None`: it takes no calls at all now.
    pub(crate) fn try_enter(&self) -> Option<Result<InFlight, Turned>> {
        self.is_ready().then(|| self.load.try_enter())
    }

    /// Sends a call to the place that it got here. The answer goes to `slot`.
    pub(crate) fn open(
        &self,
        (call, place): (&OpenCall, InFlight),
        slot: &Arc<ResponseRx>,
        now: Instant,
    ) -> Result<(), NotLinked> {
        let sink = ResponseTx::new(Arc::clone(slot), place);
        match &mut *self.carrier() {
            Carrier::Native(end) => {
                end.open(call.id, &call.header, call.message.clone(), sink)?;
                end.set_deadline(call.id, Deadlines { silence: call.silence, last: call.last }, now);
            }
            Carrier::Plain(end) => {
                let give_up = call.last.min(now + call.silence);
                let (name, era) = (call.name.as_deref(), call.era);
                let open = OpenPlain { id: call.id, message: &call.message, name, era, give_up };
                end.open(&open, sink)?;
            }
        }
        self.waker.wake();
        Ok(())
    }

    /// Stops a call: nobody wants it any more.
    pub(crate) fn cancel(&self, id: CallId) {
        match &mut *self.carrier() {
            Carrier::Native(end) => end.cancel(id),
            Carrier::Plain(end) => end.forget(id),
        }
        self.waker.wake();
    }

    /// Lets a call run on without a reader.
    pub(crate) fn abandon(&self, id: CallId, now: Instant) {
        match &mut *self.carrier() {
            Carrier::Native(end) => end.abandon(id, now),
            Carrier::Plain(end) => end.forget(id),
        }
        self.waker.wake();
    }

    /// The reader has taken everything below `seq`, `bytes` more than before.
    pub(crate) fn taken(&self, id: CallId, seq: Seq, bytes: usize) {
        let wake = match &mut *self.carrier() {
            Carrier::Native(end) => {
                end.taken(id, seq, bytes, Instant::now());
                end.wants_to_send()
            }
            Carrier::Plain(_) => false,
        };
        if wake {
            self.waker.wake();
        }
    }

    /// Tells the slave a fact about a client session.
    pub(crate) fn session(&self, facts: &Bytes) {
        if let Carrier::Native(end) = &mut *self.carrier() {
            end.session(facts.clone());
            self.waker.wake();
        }
    }

    /// Tells the slave which proxies there are, if it wants to know.
    pub(super) fn peers(&self, peers: &Bytes) {
        if self.takes_peers
            && let Carrier::Native(end) = &mut *self.carrier()
        {
            end.peers(peers.clone());
            self.waker.wake();
        }
    }

    /// Tells the slave that this proxy is going down.
    pub(super) fn drain(&self) {
        if let Carrier::Native(end) = &mut *self.carrier() {
            end.drain();
            self.waker.wake();
        }
    }

    /// Calls that have not come to their end here.
    pub(super) fn calls(&self) -> usize {
        match &*self.carrier() {
            Carrier::Native(end) => end.calls(),
            Carrier::Plain(end) => end.calls(),
        }
    }

    /// Looks after the calls of a slave without a link: those that took too long, and all when the grace is over.
    /// Returns how many timed out, and when to look again; `None`: forget the slave.
    pub(super) fn look_after(&self, now: Instant) -> (usize, Option<Instant>) {
        match &mut *self.carrier() {
            Carrier::Native(end) => {
                let late = end.time_out(now);
                if end.expire(now) {
                    return (late, None);
                }
                (late, end.poll_timeout())
            }
            Carrier::Plain(_) => (0, None),
        }
    }
}
