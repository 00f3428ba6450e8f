//! The keys of an issuer while the process runs: read, kept, and read again. Must not know tokens.

use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::watch;

use super::algorithm::SigningAlgorithm;
use super::discovery::Discovered;
use super::fetch::Fetcher;
use super::issuer::{Issuer, KeyLocation};
use super::jwks::KeySet;

/// Bytes of a file of keys.
const MAX_FILE_SIZE: u64 = 512 * 1024;

/// Least time between two readings that tokens ask for: a token with the id of a key that does not exist costs no more.
const LEAST_INTERVAL: Duration = Duration::from_secs(5);

/// Time after which keys are read again, whatever tokens come.
const REFRESH_INTERVAL: Duration = Duration::from_mins(5);

/// Time between two looks at a file.
const FILE_INTERVAL: Duration = Duration::from_secs(1);

/// Time for which keys stay in force while they cannot be read again.
const STALE_AFTER: Duration = Duration::from_hours(24);

/// The keys of one issuer.
#[derive(Debug)]
pub(super) struct KeySource {
    current: ArcSwapOption<KeySet>,
    times: Mutex<Times>,
    /// Held while keys are read: whoever needs them meanwhile waits for that reading.
    reading: tokio::sync::Mutex<()>,
    /// Tells whoever holds tokens that keys have changed.
    changes: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Times {
    tried: Option<Instant>,
    read: Option<Instant>,
    /// The last failure, which is logged once.
    failure: Option<String>,
}

impl KeySource {
    pub(super) fn new(changes: watch::Sender<()>) -> Self {
        Self {
            current: ArcSwapOption::empty(),
            times: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
            changes,
        }
    }

    /// Returns the keys as they are now; `None` if there are none.
    pub(super) fn current(&self) -> Option<Arc<KeySet>> {
        let is_stale = self.times.lock().read.is_none_or(|read| read.elapsed() >= STALE_AFTER);
        if is_stale { None } else { self.current.load_full() }
    }

    /// Returns the keys, read again where none could have made such a signature; `None` if there are none at all.
    pub(super) async fn for_signature(
        &self,
        issuer: &Issuer,
        fetcher: &Fetcher,
        key_id: Option<&str>,
        algorithm: SigningAlgorithm,
    ) -> Option<Arc<KeySet>> {
        let fits = |keys: &Arc<KeySet>| keys.has_candidate(key_id, algorithm);
        if let Some(keys) = self.current().filter(fits) {
            return Some(keys);
        }
        let reading = self.reading.lock().await;
        if let Some(keys) = self.current().filter(fits) {
            return Some(keys);
        }
        let may_read = self.times.lock().tried.is_none_or(|tried| tried.elapsed() >= least_interval(issuer));
        if may_read {
            self.read(issuer, fetcher).await;
        }
        drop(reading);
        self.current()
    }

    /// Reads the keys again whenever it is time. Runs until the future is dropped.
    pub(super) async fn follow(&self, issuer: &Issuer, fetcher: &Fetcher) {
        let (interval, retry) = match issuer.keys() {
            KeyLocation::File(_) => (FILE_INTERVAL, FILE_INTERVAL),
            KeyLocation::Discovery | KeyLocation::Url(_) => (REFRESH_INTERVAL, LEAST_INTERVAL),
        };
        loop {
            let reading = self.reading.lock().await;
            let is_fresh = self.times.lock().read.is_some_and(|read| read.elapsed() < interval);
            if !is_fresh {
                self.read(issuer, fetcher).await;
            }
            drop(reading);
            let failed = self.times.lock().failure.is_some();
            tokio::time::sleep(if failed { retry } else { interval }).await;
        }
    }

    async fn read(&self, issuer: &Issuer, fetcher: &Fetcher) {
        let read = match issuer.keys() {
            KeyLocation::File(path) => read_file(path).await,
            KeyLocation::Url(url) => {
                fetcher.get(url).await.map(|text| text.to_vec()).map_err(|error| error.to_string())
            }
            KeyLocation::Discovery => discover(issuer, fetcher).await,
        };
        let parsed = read.and_then(|text| KeySet::parse(&text));
        let mut times = self.times.lock();
        times.tried = Some(Instant::now());
        match parsed {
            Ok(keys) => {
                times.read = times.tried;
                if times.failure.take().is_some() {
                    tracing::info!(issuer = issuer.identifier(), "The issuer's keys can be read again");
                }
                drop(times);
                self.current.store(Some(Arc::new(keys)));
                self.changes.send_replace(());
            }
            Err(failure) => {
                let is_new = times.failure.as_ref() != Some(&failure);
                times.failure = Some(failure.clone());
                drop(times);
                if is_new {
                    let kept = if self.current().is_some() { ", those of before stay" } else { "" };
                    tracing::error!(
                        issuer = issuer.identifier(),
                        "AUTH_ISSUERS: the issuer's keys cannot be read{kept}: {failure}"
                    );
                }
            }
        }
    }
}

fn least_interval(issuer: &Issuer) -> Duration {
    match issuer.keys() {
        KeyLocation::File(_) => FILE_INTERVAL,
        KeyLocation::Discovery | KeyLocation::Url(_) => LEAST_INTERVAL,
    }
}

async fn discover(issuer: &Issuer, fetcher: &Fetcher) -> Result<Vec<u8>, String> {
    let url = Discovered::fetch(fetcher, issuer.identifier()).await?.keys()?;
    let text = fetcher.get(&url).await.map_err(|error| format!("its jwks_uri: {error}"))?;
    Ok(text.to_vec())
}

async fn read_file(path: &std::path::Path) -> Result<Vec<u8>, String> {
    let unreadable =
        |error: std::io::Error| format!("jwks_file cannot be read: {}", crate::io_fault::describe(&error));
    if tokio::fs::metadata(path).await.map_err(unreadable)?.len() > MAX_FILE_SIZE {
        return Err(format!("jwks_file is larger than {MAX_FILE_SIZE} bytes"));
    }
    tokio::fs::read(path).await.map_err(unreadable)
}
