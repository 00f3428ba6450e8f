//! The codes that hold now, and what their changes mean for slaves that are linked.
//!
//! A removed or expired code ends its links; one that allows something else changes what the slave may be and offer
//! while the link stays. Must not know sockets.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use protocol::link::handshake::SlaveHello;
use runtime::follow::{ReloadSignal, WatchedFile};
use runtime::secret::SecretSet;
use time::OffsetDateTime;
use tokio::time::{MissedTickBehavior, interval};

use super::close_reason::CloseReason;
use super::facts::Facts;
use super::registry::Registry;
use super::slave::Slave;
use crate::codes::{Codes, CodesFile, CodesFileError, Grant, Invalid, LabelRefused, shown};
use crate::metrics;

/// How often codes are looked at for those whose time has come.
const LOOK: Duration = Duration::from_secs(1);

/// Days before the end of a code from which on the log warns of it, once a day.
const WARN_DAYS: i64 = 7;

/// A file of codes that is followed.
pub(crate) struct CodesSource {
    /// `SLAVE_CODES_FILE`.
    pub(crate) path: PathBuf,
    /// What it said at the start, with its bytes.
    pub(crate) read: (CodesFile, Vec<u8>),
}

/// Why a slave does not get in.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotAllowed {
    #[error("{0}")]
    Code(Invalid),
    #[error("{0}")]
    Labels(#[from] LabelRefused),
}

/// The codes that hold now.
pub(crate) struct Codebook {
    listed: SecretSet,
    current: ArcSwap<Codes>,
}

impl Codebook {
    /// `listed` (`SLAVE_CODES`) hold as long as the process.
    pub(crate) fn new(listed: SecretSet, file: Option<&CodesFile>) -> Arc<Self> {
        let current = ArcSwap::from_pointee(Codes::new(&listed, file));
        Arc::new(Self { listed, current })
    }

    /// What a newcomer may be.
    pub(super) fn judge(&self, code: &str, hello: Option<&SlaveHello>) -> Result<Facts, NotAllowed> {
        let holder = self.current.load().find(code, OffsetDateTime::now_utc()).map_err(NotAllowed::Code)?;
        let said = hello.map(|hello| hello.labels.clone()).unwrap_or_default();
        Ok(Facts::new(holder, said)?)
    }

    /// Holds a linked slave against the codes of now. `true`: it is another than before, or goes.
    pub(super) fn review(&self, slave: &Slave) -> bool {
        let facts = slave.facts();
        let close_reason = match self.current.load().grant(facts.code, OffsetDateTime::now_utc()) {
            Ok(grant) if *grant == *facts.grant => return false,
            Ok(grant) => match facts.renewed(grant) {
                Ok(renewed) => {
                    tracing::info!(
                        slave = slave.name,
                        identity = renewed.identity_or_dash(),
                        labels = ?renewed.labels,
                        "Slave's code allows something else now: the link stays"
                    );
                    slave.become_known(renewed);
                    return true;
                }
                Err(refused) => {
                    tracing::warn!(slave = slave.name, "{refused}");
                    CloseReason::LabelsNotAllowed
                }
            },
            Err(Invalid::Unknown) => CloseReason::CodeRemoved,
            Err(Invalid::Early(_) | Invalid::Expired(_)) => CloseReason::CodeExpired,
        };
        let identity = facts.identity_or_dash();
        tracing::warn!(slave = slave.name, identity, "Slave's link is closed: {close_reason}");
        slave.close(close_reason);
        true
    }

    fn review_all(&self, registry: &Registry) {
        for slave in registry.all() {
            if slave.is_linked() && self.review(&slave) {
                registry.slave_changed(&slave);
            }
        }
    }

    /// Reads the file again when it changes and lets codes begin and end in their time, until it is dropped.
    pub(crate) async fn follow(
        self: Arc<Self>,
        registry: Arc<Registry>,
        (source, hangups): (Option<CodesSource>, ReloadSignal),
    ) {
        let mut followed = source.map(|source| WatchedFile::new(source.path, Some(&source.read.1), hangups));
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut before, mut calendar) = (OffsetDateTime::now_utc(), Calendar::default());
        loop {
            tokio::select! {
                content = changed(followed.as_mut()) => {
                    let read = content.map_err(CodesFileError::from).and_then(|c| CodesFile::from_bytes(&c));
                    self.reload(read, &registry);
                }
                _ = looks.tick() => {}
            }
            let (now, codes) = (OffsetDateTime::now_utc(), self.current.load_full());
            if codes.grants().any(|grant| grant.turns(before, now)) {
                self.review_all(&registry);
            }
            before = now;
            calendar.look(&codes, now);
            count_links(&codes, &registry, &mut calendar);
        }
    }

    fn reload(&self, read: Result<CodesFile, CodesFileError>, registry: &Registry) {
        match read {
            Ok(file) => {
                let codes = Codes::new(&self.listed, Some(&file));
                tracing::info!(codes = codes.len(), "SLAVE_CODES_FILE was read again");
                self.current.store(Arc::new(codes));
                metrics::config_reloaded("codes", "ok");
                self.review_all(registry);
            }
            Err(error) => {
                tracing::error!("SLAVE_CODES_FILE cannot be used, the codes of before stay: {error}");
                metrics::config_reloaded("codes", "failed");
            }
        }
    }
}

async fn changed(followed: Option<&mut WatchedFile>) -> std::io::Result<Vec<u8>> {
    match followed {
        Some(followed) => followed.changed().await,
        None => std::future::pending().await,
    }
}

/// What was said and shown about the codes so far.
#[derive(Default)]
struct Calendar {
    /// By identity and end: the number of days left when the log said so.
    warned: HashMap<(String, OffsetDateTime), i64>,
    /// Identities whose end is shown.
    shown: BTreeMap<String, OffsetDateTime>,
    /// Identities whose links are counted.
    counted: Vec<String>,
}

impl Calendar {
    /// Tells of codes that end soon: a gauge for each identity, and a line in the log each day.
    fn look(&mut self, codes: &Codes, now: OffsetDateTime) {
        let mut next: BTreeMap<String, OffsetDateTime> = BTreeMap::new();
        let mut warned = HashMap::new();
        for grant in codes.grants() {
            let Some(end) = grant.not_after() else { continue };
            let name = grant.name().unwrap_or("unnamed").to_owned();
            let days = (end - now).whole_days();
            if end > now && days < WARN_DAYS {
                let key = (name.clone(), end);
                if self.warned.get(&key) != Some(&days) {
                    tracing::warn!(identity = name, "A slave code expires soon: at {}", shown(end));
                }
                warned.insert(key, days);
            }
            next.entry(name).and_modify(|first| *first = sooner(*first, end, now)).or_insert(end);
        }
        self.warned = warned;
        for gone in self.shown.keys().filter(|name| !next.contains_key(*name)) {
            metrics::code_expires(gone, f64::INFINITY);
        }
        for (name, end) in &next {
            metrics::code_expires(name, (*end - now).as_seconds_f64());
        }
        self.shown = next;
    }
}

/// The next end: one that has passed counts only where none is to come.
fn sooner(one: OffsetDateTime, two: OffsetDateTime, now: OffsetDateTime) -> OffsetDateTime {
    match (one > now, two > now) {
        (true, false) => one,
        (false, true) => two,
        (true, true) => one.min(two),
        (false, false) => one.max(two),
    }
}

/// Links that are up, by identity.
fn count_links(codes: &Codes, registry: &Registry, calendar: &mut Calendar) {
    let mut links: BTreeMap<String, u32> =
        std::mem::take(&mut calendar.counted).into_iter().map(|n| (n, 0)).collect();
    links.extend(codes.grants().filter_map(|grant: &Arc<Grant>| Some((grant.name()?.to_owned(), 0))));
    if links.is_empty() {
        return;
    }
    for slave in registry.all().iter().filter(|slave| slave.is_linked()) {
        if let Some(count) = slave.facts().identity().and_then(|name| links.get_mut(name)) {
            *count += 1;
        }
    }
    for (name, count) in &links {
        metrics::identity_links(name, *count);
    }
    calendar.counted = codes.grants().filter_map(|grant| grant.name().map(str::to_owned)).collect();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_end_is_one_to_come_where_there_is_one() {
        let at = |seconds| OffsetDateTime::from_unix_timestamp(seconds).unwrap();
        let now = at(100);
        for (one, two, expected) in [(50, 150, 150), (150, 50, 150), (120, 150, 120), (40, 50, 50)] {
            assert_eq!(sooner(at(one), at(two), now), at(expected), "{one} {two}");
        }
    }
}
