//! TLS of the proxy's ports: loads the files, follows their changes, and reports both to the operator. Must not know
//! connections.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use runtime::follow::ReloadSignal;
use runtime::tls::{CertificateInfo, File, ServerFiles, ServerTls, TlsError};
use serde_json::{Value, json};

use crate::config::TlsPorts;
use crate::metrics;

/// Time before a certificate expires from which on the log warns of it.
const EXPIRY_WARNING: Duration = Duration::from_hours(14 * 24);

/// Time between two warnings of the same certificate.
const WARNING_INTERVAL: Duration = Duration::from_hours(24);

/// The TLS state of each port; `None`: the port is plain.
#[derive(Default)]
pub(crate) struct TlsState {
    /// The clients' port.
    pub(crate) http: Option<Arc<ServerTls>>,
    /// The operators' port.
    pub(crate) ops: Option<Arc<ServerTls>>,
    /// The slaves' port.
    pub(crate) ws: Option<Arc<ServerTls>>,
}

/// The port of the operators' endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpsEndpoints {
    OwnPort,
    ClientsPort,
}

/// The ports with TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SecuredPorts {
    clients: bool,
    slaves: bool,
    operators: bool,
}

impl SecuredPorts {
    /// Returns the ports with `on` or `off` for the status document.
    pub(crate) fn to_json(self) -> Value {
        let word = |on| if on { "on" } else { "off" };
        json!({ "clients": word(self.clients), "slaves": word(self.slaves), "operators": word(self.operators) })
    }
}

impl TlsState {
    /// Loads the files of all ports.
    pub(crate) fn load(ports: &TlsPorts) -> Result<Self, TlsError> {
        let mut loaded: Vec<(ServerFiles, Arc<ServerTls>)> = Vec::new();
        // Ports with the same files share one TLS state: changes are reported once.
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

    /// Returns which ports are encrypted. `ops` is the port of the operators' endpoints.
    pub(crate) fn ports(&self, ops: OpsEndpoints) -> SecuredPorts {
        let clients = self.http.is_some();
        let operators = match ops {
            OpsEndpoints::OwnPort => self.ops.is_some(),
            OpsEndpoints::ClientsPort => clients,
        };
        SecuredPorts { clients, slaves: self.ws.is_some(), operators }
    }

    /// Returns the TLS state of each port that has one, with the port's name.
    pub(crate) fn by_port(&self) -> Vec<(&'static str, Arc<ServerTls>)> {
        let ports = [("clients", &self.http), ("slaves", &self.ws), ("operators", &self.ops)];
        ports.into_iter().filter_map(|(port, tls)| Some((port, Arc::clone(tls.as_ref()?)))).collect()
    }

    /// Follows changes of the files. Runs until the future is dropped.
    pub(crate) async fn follow(self, reload: ReloadSignal) {
        let mut distinct: Vec<Arc<ServerTls>> = Vec::new();
        for tls in [self.http, self.ops, self.ws].into_iter().flatten() {
            if !distinct.iter().any(|known| Arc::ptr_eq(known, &tls)) {
                distinct.push(tls);
            }
        }
        join_all(distinct.into_iter().map(|tls| follow(tls, reload.clone()))).await;
    }
}

async fn follow(tls: Arc<ServerTls>, reload: ReloadSignal) {
    let mut warned: Option<SystemTime> = None;
    let on_check = move |reloaded: Option<Result<(), TlsError>>, certificate: &CertificateInfo| {
        if let Some(reloaded) = reloaded {
            report_reload(&reloaded);
            warned = None;
        }
        let now = SystemTime::now();
        metrics::set_certificate_expiry(certificate.seconds_left(now));
        let due = warned
            .is_none_or(|before| now.duration_since(before).is_ok_and(|since| since >= WARNING_INTERVAL));
        if due && certificate.ends_within(EXPIRY_WARNING) {
            warned = Some(now);
            tracing::warn!(
                "The certificate of TLS_CERT {}: put a new one into its file, which is read again by itself",
                certificate.expiry_text(now)
            );
        }
    };
    tls.follow(reload, on_check).await;
}

fn report_reload(reloaded: &Result<(), TlsError>) {
    match reloaded {
        Ok(()) => {
            tracing::info!("TLS files were read again: new connections get the certificate of now");
            metrics::record_config_reload("tls", "ok");
        }
        Err(error) => {
            let variable = match error.file {
                File::Certificate => "TLS_CERT",
                File::Key => "TLS_KEY",
                File::Roots => "A file of authorities (TLS_CLIENT_CA, TLS_HTTP_CLIENT_CA)",
            };
            tracing::error!("{variable} cannot be used, the certificate of before stays: {error}");
            metrics::record_config_reload("tls", "failed");
        }
    }
}
