//! `TLS_*`: the ports with TLS, and their files. Loads the files once, so that their problems are reported at the
//! start. Must not know what the ports serve.

use std::path::PathBuf;

use runtime::env::{Reader, Setting, parse};
use runtime::tls::{CertificateUse, File, Presenting, ServerFiles};

use super::variables::Settings;

/// The TLS files of each port; `None`: the port is plain.
#[derive(Clone, Debug, Default)]
pub struct TlsPorts {
    /// The clients' port.
    pub http: Option<ServerFiles>,
    /// The operators' port.
    pub ops: Option<ServerFiles>,
    /// The slaves' port.
    pub ws: Option<ServerFiles>,
    /// What clients' certificates are good for; `None`: they are asked for none.
    pub client_certificates: Option<CertificateUse>,
}

/// Forms of `TLS_HTTP_CLIENT_CERT`.
const CERTIFICATE_USES: &[(&str, CertificateUse)] =
    &[("accepted", CertificateUse::Accepted), ("required", CertificateUse::Required)];

impl TlsPorts {
    /// Returns the same files, with those of the operators' port only where there is one.
    pub(super) fn for_ops(self, has_ops: bool) -> Self {
        Self { ops: self.ops.filter(|_| has_ops), ..self }
    }
}

pub(super) fn read(reader: &mut Reader<'_>, settings: &Settings) -> TlsPorts {
    let http = reader.value(&settings.tls_http, parse::flag);
    let ops = reader.optional(&settings.tls_ops, parse::flag).unwrap_or(http);
    let ws = reader.value(&settings.tls_ws, parse::flag);
    let certificates = reader.value(&settings.tls_http_client_cert, parse::choice(CERTIFICATE_USES));
    let Some((certificate, key)) = certificate_and_key(reader, settings) else { return TlsPorts::default() };
    for (setting, is_on, expected) in [
        (&settings.tls_client_ca, ws, "TLS_WS=1, or slaves cannot show certificates"),
        (&settings.tls_http_client_ca, http, "TLS_HTTP=1, or clients cannot show certificates"),
    ] {
        if setting.is_set() && !is_on {
            reader.reject(setting, expected);
        }
    }
    let of_port = |setting: &Setting, is_on: bool, presenting| ServerFiles {
        certificate: certificate.clone(),
        key: key.clone(),
        client_roots: setting.text().filter(|_| is_on).map(PathBuf::from),
        other_roots: None,
        presenting,
    };
    let slaves = of_port(&settings.tls_client_ca, ws, Presenting::Required);
    for error in slaves.check() {
        let setting = match error.file {
            File::Certificate => &settings.tls_cert,
            File::Key => &settings.tls_key,
            File::Roots => &settings.tls_client_ca,
        };
        reader.reject(setting, format!("{} ({error})", kind(error.file)));
    }
    let mut clients = of_port(&settings.tls_http_client_ca, http, Presenting::Optional);
    for error in clients.check().into_iter().filter(|error| error.file == File::Roots) {
        reader.reject(&settings.tls_http_client_ca, format!("{} ({error})", kind(error.file)));
    }
    let operators = ServerFiles { client_roots: None, ..clients.clone() };
    // Slaves that come to the clients' port show there what they show at their own.
    let is_shared = settings.slaves_on_client_port.text().is_some_and(|text| parse::flag(text) == Ok(true));
    clients.other_roots = slaves.client_roots.clone().filter(|_| is_shared);
    TlsPorts {
        client_certificates: clients.client_roots.as_ref().map(|_| certificates),
        http: http.then_some(clients),
        ops: ops.then_some(operators),
        ws: ws.then_some(slaves),
    }
}

/// Returns `TLS_CERT` and `TLS_KEY`; `None`: there is no TLS, or a problem was recorded.
fn certificate_and_key(reader: &mut Reader<'_>, settings: &Settings) -> Option<(PathBuf, PathBuf)> {
    match (settings.tls_cert.text(), settings.tls_key.text()) {
        (Some(certificate), Some(key)) => return Some((PathBuf::from(certificate), PathBuf::from(key))),
        (None, Some(_)) => reader.missing(&settings.tls_cert, "the certificate of TLS_KEY"),
        (Some(_), None) => reader.missing(&settings.tls_key, "the key of TLS_CERT"),
        (None, None) => {
            for setting in [&settings.tls_client_ca, &settings.tls_http_client_ca] {
                if setting.is_set() {
                    reader.reject(setting, "TLS_CERT and TLS_KEY beside it");
                }
            }
        }
    }
    None
}

fn kind(file: File) -> &'static str {
    match file {
        File::Certificate => "a PEM file with a certificate and its chain",
        File::Key => "a PEM file with the key of TLS_CERT",
        File::Roots => "a PEM file of authorities' certificates",
    }
}
