//! TLS of the proxy's ports while it runs: what changes of the files mean to the operator. Knows no connection.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use runtime::follow::ReloadSignal;
use runtime::tls::{Facts, File, ServerFiles, ServerTls, TlsError};

use crate::config::TlsPorts;
use crate::metrics;

/// How long before its end the log warns of a certificate.
const WARN: Duration = Duration::from_hours(14 * 24);

const DAY: Duration = Duration::from_hours(24);

/// TLS of the ports.
#[derive(Default)]
pub(crate) struct Secured {
    /// The clients' port.
    pub(crate) http: Option<Arc<ServerTls>>,
    /// The operators' port.
    pub(crate) ops: Option<Arc<ServerTls>>,
    /// The slaves' port.
    pub(crate) ws: Option<Arc<ServerTls>>,
}

impl Secured {
    /// Reads the files.
    pub(crate) fn load(ports: &TlsPorts) -> Result<Self, TlsError> {
        let mut loaded: Vec<(ServerFiles, Arc<ServerTls>)> = Vec::new();
        // Ports that have the same files have the same TLS: changes are told once.
        let mut load = |files: &Option<ServerFiles>| {
            let Some(files) = files else { return Ok(None) };
            if let Some((_, tls)) = loaded.iter().find(|(known, _)| known == files) {
                return Ok(Some(Arc::clone(tls)));
            }
            let tls = ServerTls::load(files.clone())?;
            loaded.push((files.clone(), Arc::clone(&tls)));
            Ok(Some(tls))
        };
        Ok(Self { http: load(&ports.http)?, ops: load(&ports.ops)?, ws: load(&ports.ws)? })
    }

    /// Follows the files until it is dropped.
    pub(crate) async fn follow(self, hangups: ReloadSignal) {
        let mut distinct: Vec<Arc<ServerTls>> = Vec::new();
        for tls in [self.http, self.ops, self.ws].into_iter().flatten() {
            if !distinct.iter().any(|known| Arc::ptr_eq(known, &tls)) {
                distinct.push(tls);
            }
        }
        join_all(distinct.into_iter().map(|tls| follow(tls, hangups.clone()))).await;
    }
}

async fn follow(tls: Arc<ServerTls>, hangups: ReloadSignal) {
    let mut warned: Option<SystemTime> = None;
    let told = move |news: Option<Result<(), TlsError>>, facts: &Facts| {
        if let Some(news) = news {
            tell(&news);
            warned = None;
        }
        let now = SystemTime::now();
        metrics::set_certificate_expiry(facts.seconds_left(now));
        let due = warned.is_none_or(|before| now.duration_since(before).is_ok_and(|since| since >= DAY));
        if due && facts.ends_within(WARN) {
            warned = Some(now);
            let days = facts.seconds_left(now) / DAY.as_secs_f64();
            tracing::warn!("The certificate of TLS_CERT expires in {days:.1} days");
        }
    };
    tls.follow(hangups, told).await;
}

fn tell(news: &Result<(), TlsError>) {
    match news {
        Ok(()) => {
            tracing::info!("TLS files were read again: new connections get the certificate of now");
            metrics::record_config_reload("tls", "ok");
        }
        Err(error) => {
            let variable = match error.file {
                File::Certificate => "TLS_CERT",
                File::Key => "TLS_KEY",
                File::Roots => "TLS_CLIENT_CA",
            };
            tracing::error!("{variable} cannot be used, the certificate of before stays: {error}");
            metrics::record_config_reload("tls", "failed");
        }
    }
}
