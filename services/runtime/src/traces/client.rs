//! Connections of the exporter to its collector, with the TLS settings of this program.
//!
//! The exporter's thread is outside the async runtime: what it sends is handed to a task of the runtime. Must not know
//! spans.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::uri::Scheme;
use axum::http::{Request, Response, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_http::{HttpClient, HttpError};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};
use tower::Service;

use super::error::TracesError;
use super::export_stats::ExportStats;
use crate::config::TraceConfig;
use crate::io_fault;
use crate::tls::{self, MaybeTlsStream, TlsPeer};

/// Bytes of a collector's response that are read at most.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// Opens connections; to `https` URLs only with a TLS configuration.
#[derive(Clone)]
struct Connector {
    tls: Option<TlsConnector>,
    /// ALPN name of the protocol.
    protocol: &'static str,
    stats: Arc<ExportStats>,
}

impl Connector {
    fn new(
        config: &TraceConfig,
        protocol: &'static str,
        stats: &Arc<ExportStats>,
    ) -> Result<Self, TracesError> {
        let mut connector = Self { tls: None, protocol, stats: Arc::clone(stats) };
        if config.endpoint.scheme() == "https" {
            let mut tls = ClientConfig::clone(&*config.trust.load()?);
            tls.alpn_protocols = vec![protocol.as_bytes().to_vec()];
            connector.tls = Some(TlsConnector::from(Arc::new(tls)));
        }
        Ok(connector)
    }

    /// Connects, and keeps the reason where that fails: the exporter's errors do not have it.
    async fn connect(self, to: Uri) -> io::Result<TokioIo<MaybeTlsStream>> {
        let (stats, protocol) = (Arc::clone(&self.stats), self.protocol);
        let host = to.host().unwrap_or_default().to_owned();
        let connected = self.open(to).await;
        stats.record_connection(connected.as_ref().err().map(|error| reason(error, &host, protocol)));
        connected
    }

    async fn open(self, to: Uri) -> io::Result<TokioIo<MaybeTlsStream>> {
        let host = to.host().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let secure = to.scheme() == Some(&Scheme::HTTPS);
        let port = to.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let stream = TcpStream::connect((bare, port)).await?;
        // Batches are to arrive at once; a socket that refuses the option still works.
        let _ = stream.set_nodelay(true);
        let Some(tls) = self.tls.filter(|_| secure) else {
            return Ok(TokioIo::new(MaybeTlsStream::from(stream)));
        };
        let name = ServerName::try_from(bare.to_owned()).map_err(io::Error::other)?;
        let stream = tls.connect(name, stream).await?;
        Ok(TokioIo::new(MaybeTlsStream::from(tokio_rustls::TlsStream::from(stream))))
    }
}

/// Returns why no connection was opened, and what to do about it.
fn reason(error: &io::Error, host: &str, protocol: &str) -> String {
    let roots = "OTEL_EXPORTER_OTLP_CERTIFICATE";
    let peer = TlsPeer::Server { host, roots, identity: None, plain: "http://", protocol };
    if tls::is_tls(error) || error.kind() == io::ErrorKind::UnexpectedEof {
        return format!("TLS to {host} failed: {}", tls::explain(error, peer));
    }
    format!("no connection to {host}: {} (OTEL_EXPORTER_OTLP_ENDPOINT)", io_fault::describe(error))
}

impl Service<Uri> for Connector {
    type Response = TokioIo<MaybeTlsStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<MaybeTlsStream>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        Box::pin(self.clone().connect(to))
    }
}

impl Connection for MaybeTlsStream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

/// Returns a channel to a gRPC collector, which connects when it is first used.
pub(super) fn channel(config: &TraceConfig, stats: &Arc<ExportStats>) -> Result<Channel, TracesError> {
    let connector = Connector::new(config, "h2", stats)?;
    // Every URL is a URI; an error here is the exporter's to report.
    let endpoint = Endpoint::from_shared(config.endpoint.to_string())
        .map_err(|error| opentelemetry_otlp::ExporterBuildError::InternalFailure(error.to_string()))?;
    Ok(endpoint
        .timeout(config.timeout)
        .connect_timeout(config.timeout)
        .connect_with_connector_lazy(connector))
}

/// HTTP/1.1 client that sends batches.
#[derive(Debug)]
pub(super) struct HttpExport {
    client: Client<Connector, Full<Bytes>>,
    runtime: Handle,
    timeout: Duration,
}

impl HttpExport {
    /// A client of this collector. Must be called in a tokio runtime.
    pub(super) fn new(config: &TraceConfig, stats: &Arc<ExportStats>) -> Result<Self, TracesError> {
        let connector = Connector::new(config, "http/1.1", stats)?;
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { client, runtime: Handle::current(), timeout: config.timeout })
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
        let client = self.client.clone();
        let timeout = self.timeout;
        let task = self.runtime.spawn(async move {
            let exchange = async {
                let (head, body) = client.request(request.map(Full::new)).await?.into_parts();
                let body = Limited::new(body, MAX_RESPONSE_BYTES).collect().await?.to_bytes();
                Ok(Response::from_parts(head, body))
            };
            tokio::time::timeout(timeout, exchange).await?
        });
        Box::pin(async move { task.await? })
    }
}
