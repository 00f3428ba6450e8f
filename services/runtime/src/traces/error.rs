//! Why traces could not be set up. Must not know exporters.

use opentelemetry_otlp::ExporterBuildError;

use crate::tls::TlsError;

/// Why traces could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// The exporter refuses its settings.
    #[error("the OTLP exporter cannot be set up: {0}")]
    Exporter(#[from] ExporterBuildError),
    /// TLS for an `https://` collector cannot be set up.
    #[error("TLS for the OTLP collector cannot be set up: {0}")]
    Tls(#[from] TlsError),
    /// Traces are set up already.
    #[error("traces are set up already")]
    Twice,
}
