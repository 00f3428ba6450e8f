//! `TLS_*`: the ports with TLS, and their files. Loads the files once, so that their problems are reported at the
//! start. Must not know what the ports serve.

use std::path::PathBuf;

use runtime::env::{Reader, parse};
use runtime::tls::{File, ServerFiles};

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
}

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
    let (certificate, key) = match (settings.tls_cert.text(), settings.tls_key.text()) {
        (Some(certificate), Some(key)) => (PathBuf::from(certificate), PathBuf::from(key)),
        (None, Some(_)) => {
            reader.missing(&settings.tls_cert, "the certificate of TLS_KEY");
            return TlsPorts::default();
        }
        (Some(_), None) => {
            reader.missing(&settings.tls_key, "the key of TLS_CERT");
            return TlsPorts::default();
        }
        (None, None) => {
            if settings.tls_client_ca.is_set() {
                reader.reject(&settings.tls_client_ca, "TLS_CERT and TLS_KEY beside it");
            }
            return TlsPorts::default();
        }
    };
    if settings.tls_client_ca.is_set() && !ws {
        reader.reject(&settings.tls_client_ca, "TLS_WS=1, or slaves cannot show certificates");
    }
    let client_roots = settings.tls_client_ca.text().filter(|_| ws);
    let files = ServerFiles { certificate, key, client_roots: client_roots.map(PathBuf::from) };
    for error in files.check() {
        let setting = match error.file {
            File::Certificate => &settings.tls_cert,
            File::Key => &settings.tls_key,
            File::Roots => &settings.tls_client_ca,
        };
        reader.reject(setting, format!("{} ({error})", kind(error.file)));
    }
    let open = ServerFiles { client_roots: None, ..files.clone() };
    TlsPorts { http: http.then(|| open.clone()), ops: ops.then_some(open), ws: ws.then_some(files) }
}

fn kind(file: File) -> &'static str {
    match file {
        File::Certificate => "a PEM file with a certificate and its chain",
        File::Key => "a PEM file with the key of TLS_CERT",
        File::Roots => "a PEM file of the certificates that slaves' certificates come from",
    }
}
