//! An OpenTelemetry collector in this process, which receives and keeps spans over gRPC or HTTP. Knows nothing of the relay.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::wait;

/// A received span.
#[derive(Clone, Debug)]
pub struct Span {
    /// `service.name` of its process.
    pub service: String,
    /// Its name.
    pub name: String,
    /// `server`, `client` or `internal`.
    pub kind: &'static str,
    /// Hex.
    pub trace: String,
    /// Hex.
    pub id: String,
    /// Hex; empty: none.
    pub parent: String,
    /// Attributes as text.
    pub attributes: BTreeMap<String, String>,
    /// Resource attributes as text.
    pub resource: BTreeMap<String, String>,
    /// Whether its status is an error.
    pub failed: bool,
    /// Trace ids of the spans that it is linked to.
    pub links: Vec<String>,
}

impl Span {
    /// Returns an attribute, empty if it is missing.
    pub fn get(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }
}

#[derive(Clone, Default)]
struct Kept {
    spans: Arc<Mutex<Vec<Span>>>,
    /// All received bytes, to search for what must not be there.
    raw: Arc<Mutex<Vec<u8>>>,
    /// Headers of the requests, names and values.
    headers: Arc<Mutex<Vec<(String, String)>>>,
}

/// A collector on a free loopback port. Dropping it stops the collector.
pub struct Collector {
    /// Listening address.
    pub address: SocketAddr,
    kept: Kept,
    serving: JoinHandle<()>,
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Collector {
    /// Starts a collector that speaks gRPC.
    pub async fn grpc() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let kept = Kept::default();
        let service =
            TraceServiceServer::new(kept.clone()).accept_compressed(tonic::codec::CompressionEncoding::Gzip);
        let incoming = tonic::transport::server::TcpIncoming::from(listener);
        let serving = tokio::spawn(async move {
            let _ =
                tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming).await;
        });
        Self { address, kept, serving }
    }

    /// Starts a collector that speaks HTTP with protobuf on `/v1/traces`.
    pub async fn http() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let kept = Kept::default();
        let keeper = kept.clone();
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let kept = keeper.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| take(kept.clone(), request));
                    let builder = hyper::server::conn::http1::Builder::new();
                    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, kept, serving }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All spans so far.
    pub fn spans(&self) -> Vec<Span> {
        self.kept.spans.lock().unwrap().clone()
    }

    /// All received bytes, read as lossy text.
    pub fn raw(&self) -> String {
        String::from_utf8_lossy(&self.kept.raw.lock().unwrap()).into_owned()
    }

    /// Whether a request had this header.
    pub fn had_header(&self, name: &str, value: &str) -> bool {
        self.kept.headers.lock().unwrap().iter().any(|(n, v)| n == name && v == value)
    }

    /// Waits until `check` returns a value for the spans of this trace.
    pub async fn trace<T>(&self, id: &str, check: impl Fn(&[Span]) -> Option<T>) -> T {
        wait::until(&format!("spans of trace {id}"), async || {
            let spans: Vec<Span> = self.spans().into_iter().filter(|span| span.trace == id).collect();
            check(&spans)
        })
        .await
    }
}

#[tonic::async_trait]
impl TraceService for Kept {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        for entry in request.metadata().iter() {
            if let tonic::metadata::KeyAndValueRef::Ascii(name, value) = entry {
                let value = value.to_str().unwrap_or_default().to_owned();
                self.headers.lock().unwrap().push((name.to_string(), value));
            }
        }
        self.record(request.into_inner());
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

async fn take(kept: Kept, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    for (name, value) in &head.headers {
        let value = value.to_str().unwrap_or_default().to_owned();
        kept.headers.lock().unwrap().push((name.to_string(), value));
    }
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let status = match ExportTraceServiceRequest::decode(body) {
        Ok(spans) if head.uri.path() == "/v1/traces" => {
            kept.record(spans);
            200
        }
        _ => 400,
    };
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = hyper::StatusCode::from_u16(status).expect("a status");
    Ok(response)
}

impl Kept {
    fn record(&self, request: ExportTraceServiceRequest) {
        self.raw.lock().unwrap().extend(request.encode_to_vec());
        let mut spans = self.spans.lock().unwrap();
        for of_resource in request.resource_spans {
            let resource = texts(of_resource.resource.map(|r| r.attributes).unwrap_or_default());
            let service = resource.get("service.name").cloned().unwrap_or_default();
            for span in of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                spans.push(Span {
                    service: service.clone(),
                    name: span.name,
                    kind: ["", "internal", "server", "client"]
                        .get(usize::try_from(span.kind).unwrap_or(0))
                        .copied()
                        .unwrap_or(""),
                    trace: hex(&span.trace_id),
                    id: hex(&span.span_id),
                    parent: hex(&span.parent_span_id),
                    attributes: texts(span.attributes),
                    resource: resource.clone(),
                    failed: span.status.is_some_and(|status| status.code == 2),
                    links: span.links.iter().map(|link| hex(&link.trace_id)).collect(),
                });
            }
        }
    }
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |attribute: KeyValue| {
        let value = match attribute.value.and_then(|value| value.value) {
            Some(Value::StringValue(text)) => text,
            Some(Value::IntValue(number)) => number.to_string(),
            Some(other) => format!("{other:?}"),
            None => String::new(),
        };
        (attribute.key, value)
    };
    attributes.into_iter().map(text).collect()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
