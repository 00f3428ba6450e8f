//! TLS of the proxy's ports while it runs: what changes of the files mean to the operator. Knows no connection.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use runtime::follow::Hangups;
use runtime::tls::{Facts, File, ServerFiles, ServerTls, TlsError};

use crate::config::TlsPorts;
use crate::metrics;

/// How long before its end the log warns of a certificate.
const WARN: Duration = Duration::from_hours(14 * 24);

const DAY: Duration = Duration::from_hours(24);

/// TLS of both ports.
#[derive(Default)]
pub(crate) struct Secured {
    /// The clients' port.
    pub(crate) http: Option<Arc<ServerTls>>,
    /// The slaves' port.
    pub(crate) ws: Option<Arc<ServerTls>>,
}

impl Secured {
    /// Reads the files.
    pub(crate) fn load(ports: &TlsPorts) -> Result<Self, TlsError> {
        let load = |files: &Option<ServerFiles>| files.clone().map(ServerTls::load).transpose();
        let http = load(&ports.http)?;
        // Ports that have the same files have the same TLS: changes are told once.
        let ws = match &http {
            Some(tls) if ports.http == ports.ws => Some(Arc::clone(tls)),
            _ => load(&ports.ws)?,
        };
        Ok(Self { http, ws })
    }

    /// Follows the files until it is dropped.
    pub(crate) async fn follow(self, hangups: Hangups) {
        let same = matches!((&self.http, &self.ws), (Some(http), Some(ws)) if Arc::ptr_eq(http, ws));
        let ws = self.ws.filter(|_| !same);
        tokio::join!(follow(self.http, hangups.clone()), follow(ws, hangups));
    }
}

async fn follow(tls: Option<Arc<ServerTls>>, hangups: Hangups) {
    let Some(tls) = tls else { return };
    let mut warned: Option<SystemTime> = None;
    let told = move |news: Option<Result<(), TlsError>>, facts: &Facts| {
        if let Some(news) = news {
            tell(&news);
            warned = None;
        }
        let now = SystemTime::now();
        metrics::certificate_expires(facts.seconds_left(now));
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
            metrics::config_reloaded("tls", "ok");
        }
        Err(error) => {
            let variable = match error.file {
                File::Certificate => "TLS_CERT",
                File::Key => "TLS_KEY",
                File::Roots => "TLS_CLIENT_CA",
            };
            tracing::error!("{variable} cannot be used, the certificate of before stays: {error}");
            metrics::config_reloaded("tls", "failed");
        }
    }
}
