//! Connections of the exporter to its collector, with the TLS settings of this program.
//!
//! The exporter's thread is outside the async runtime: what it sends is handed to a task of the runtime. Must not know
//! spans.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::{Request, Response, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use opentelemetry_http::{HttpClient, HttpError};
use tokio::runtime::Handle;
use tonic::transport::{Channel, Endpoint};
use tower::Service;

use super::error::TracesError;
use super::export_stats::ExportStats;
use crate::config::TraceConfig;
use crate::http_client::{self, ClientSettings, Connector, HttpStream, Protocols};

/// Bytes of a collector's response that are read at most.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// Longest time that a connection may take; the export's own limit counts as well.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Opens connections to a gRPC collector, and keeps the reason where that fails: the exporter's errors do not have it.
#[derive(Clone)]
struct NotedConnector {
    connector: Connector,
    stats: Arc<ExportStats>,
}

impl NotedConnector {
    async fn connect(self, to: Uri) -> io::Result<TokioIo<HttpStream>> {
        let connected = self.connector.connect(&to).await;
        self.stats.record_connection(connected.as_ref().err().map(|error| noted(error.to_string())));
        connected.map(TokioIo::new).map_err(io::Error::other)
    }
}

/// Adds the variable to set where the reason names none.
fn noted(reason: String) -> String {
    if reason.starts_with("no connection") {
        format!("{reason} (OTEL_EXPORTER_OTLP_ENDPOINT)")
    } else {
        reason
    }
}

/// Returns the settings of a client of this collector.
fn settings(config: &TraceConfig, protocols: Protocols) -> Result<ClientSettings, TracesError> {
    let secure = config.endpoint.scheme() == "https";
    Ok(ClientSettings {
        tls: secure.then(|| config.trust.load()).transpose()?,
        roots: "OTEL_EXPORTER_OTLP_CERTIFICATE",
        identity: None,
        protocols,
        ways: config.ways.clone(),
    })
}

impl Service<Uri> for NotedConnector {
    type Response = TokioIo<HttpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<HttpStream>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        Box::pin(self.clone().connect(to))
    }
}

/// Returns a channel to a gRPC collector, which connects when it is first used.
pub(super) fn channel(config: &TraceConfig, stats: &Arc<ExportStats>) -> Result<Channel, TracesError> {
    let connector = Connector::new(settings(config, Protocols::Http2)?, CONNECT_TIMEOUT);
    let connector = NotedConnector { connector, stats: Arc::clone(stats) };
    // Every URL is a URI; an error here is the exporter's to report.
    let endpoint = Endpoint::from_shared(config.endpoint.to_string())
        .map_err(|error| opentelemetry_otlp::ExporterBuildError::InternalFailure(error.to_string()))?;
    Ok(endpoint
        .timeout(config.timeout)
        .connect_timeout(config.timeout)
        .connect_with_connector_lazy(connector))
}

/// HTTP client that sends batches.
#[derive(Debug)]
pub(super) struct HttpExport {
    client: http_client::HttpClient,
    stats: Arc<ExportStats>,
    runtime: Handle,
    timeout: Duration,
}

impl HttpExport {
    /// A client of this collector. Must be called in a tokio runtime.
    pub(super) fn new(config: &TraceConfig, stats: &Arc<ExportStats>) -> Result<Self, TracesError> {
        let client = http_client::HttpClient::new(settings(config, Protocols::Both)?);
        let (runtime, stats) = (Handle::current(), Arc::clone(stats));
        Ok(Self { client, stats, runtime, timeout: config.timeout })
    }
}

impl HttpClient for HttpExport {
    fn send_bytes<'a, 'f>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'f>>
    where
        'a: 'f,
        Self: 'f,
    {
        let (client, stats) = (self.client.clone(), Arc::clone(&self.stats));
        let timeout = self.timeout;
        let task = self.runtime.spawn(async move {
            let exchange = async {
                let sent = client.send(request.map(Full::new)).await;
                stats.record_connection(match &sent {
                    Err(http_client::HttpError::NoConnection(reason)) => Some(noted(reason.clone())),
                    Ok(_) | Err(http_client::HttpError::Broken(_)) => None,
                });
                let (head, body) = sent?.into_parts();
                let body = Limited::new(body, MAX_RESPONSE_BYTES).collect().await?.to_bytes();
                Ok(Response::from_parts(head, body))
            };
            tokio::time::timeout(timeout, exchange).await?
        });
        Box::pin(async move { task.await? })
    }
}
