//! `TLS_*`: which port speaks TLS with what. The files are tried, so that what is wrong is told at the start.

use std::path::PathBuf;

use runtime::env::{Reader, parse};
use runtime::tls::{File, ServerFiles};

use super::Raw;

/// What each port has; `None`: it is plain.
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
    /// The same, where there is an ops port or none.
    pub(super) fn for_ops(self, has_ops: bool) -> Self {
        Self { ops: self.ops.filter(|_| has_ops), ..self }
    }
}

pub(super) fn read(reader: &mut Reader<'_>, raw: &Raw) -> TlsPorts {
    let http = reader.value("TLS_HTTP", raw.tls_http.as_deref(), parse::flag);
    let ops = reader.optional("TLS_OPS", raw.tls_ops.as_deref(), parse::flag).unwrap_or(http);
    let ws = reader.value("TLS_WS", raw.tls_ws.as_deref(), parse::flag);
    let (certificate, key) = match (raw.tls_cert.as_deref(), raw.tls_key.as_deref()) {
        (Some(certificate), Some(key)) => (PathBuf::from(certificate), PathBuf::from(key)),
        (None, Some(_)) => {
            reader.missing("TLS_CERT", "the certificate of TLS_KEY");
            return TlsPorts::default();
        }
        (Some(_), None) => {
            reader.missing("TLS_KEY", "the key of TLS_CERT");
            return TlsPorts::default();
        }
        (None, None) => {
            if let Some(roots) = raw.tls_client_ca.as_deref() {
                reader.bad("TLS_CLIENT_CA", roots, "TLS_CERT and TLS_KEY beside it".into());
            }
            return TlsPorts::default();
        }
    };
    let client_roots = raw.tls_client_ca.as_deref().filter(|roots| {
        if !ws {
            reader.bad("TLS_CLIENT_CA", roots, "TLS_WS=1, or slaves cannot show certificates".into());
        }
        ws
    });
    let files = ServerFiles { certificate, key, client_roots: client_roots.map(PathBuf::from) };
    for error in files.check() {
        let (name, value) = match error.file {
            File::Certificate => ("TLS_CERT", raw.tls_cert.as_deref()),
            File::Key => ("TLS_KEY", raw.tls_key.as_deref()),
            File::Roots => ("TLS_CLIENT_CA", raw.tls_client_ca.as_deref()),
        };
        let expected = format!("{} ({error})", kind(error.file));
        reader.bad(name, value.unwrap_or_default(), expected);
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
