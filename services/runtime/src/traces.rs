//! Traces: spans, and the exporter that sends them to an OTLP collector.
//!
//! Off, a span costs one look at a static ([`is_on`]). On, ended spans go into a bounded queue that a thread of its own
//! empties: a collector that is slow or gone costs spans, never time. Knows nothing of what is traced.

mod client;
mod losses;
mod span;

use std::sync::OnceLock;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{
    ExporterBuildError, SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, ShouldSample,
};

use crate::config::{OtlpCompression, OtlpProtocol, ParentBased, SampleRatio, TraceConfig};
use crate::tls::TlsError;
pub use losses::METRICS;
use losses::{CountingExporter, CountingProcessor, ExportStats};
pub use span::{Kind, Parent, Span, TraceContext};

/// How long the last spans may take to leave at the end.
const FLUSH: Duration = Duration::from_secs(2);

static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// Traces could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// The exporter refuses its settings.
    #[error("the OTLP exporter cannot be set up: {0}")]
    Exporter(#[from] ExporterBuildError),
    /// No TLS for an `https://` collector.
    #[error("TLS for the OTLP collector cannot be set up: {0}")]
    Tls(#[from] TlsError),
    /// They are set up already.
    #[error("traces are set up already")]
    Twice,
}

/// Whether spans are made.
pub fn is_on() -> bool {
    TRACER.get().is_some()
}

fn tracer() -> Option<&'static SdkTracer> {
    TRACER.get()
}

/// The exporter of this process.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// Spans are made from now on, by the name of `service` unless the configuration has another. Needs a tokio
    /// runtime; blocks for the trusted certificates.
    pub fn start(config: &TraceConfig, service: (&'static str, &'static str)) -> Result<Self, TracesError> {
        let losses = ExportStats::new(config.queue);
        let exporter = CountingExporter::new(exporter(config)?, losses.clone());
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(config.queue)
            .with_max_export_batch_size(config.batch.min(config.queue))
            .with_scheduled_delay(config.delay)
            .build();
        let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
        let provider = SdkTracerProvider::builder()
            .with_sampler(sampler(config))
            .with_resource(resource(config, service))
            .with_span_processor(CountingProcessor::new(processor, losses))
            .build();
        TRACER.set(provider.tracer("mcp-relay")).map_err(|_| TracesError::Twice)?;
        let (host, port) =
            (config.endpoint.host_str().unwrap_or_default(), config.endpoint.port_or_known_default());
        tracing::info!(host, port, protocol = ?config.protocol, "Traces are sent to an OTLP collector");
        Ok(Self { provider })
    }

    /// Sends what is left, for 2 s at most.
    pub async fn finish(self) {
        let provider = self.provider;
        let last = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(FLUSH));
        if !matches!(tokio::time::timeout(FLUSH, last).await, Ok(Ok(Ok(())))) {
            tracing::warn!("The last spans could not be sent within {} s", FLUSH.as_secs());
        }
    }
}

fn exporter(config: &TraceConfig) -> Result<SpanExporter, TracesError> {
    let gzip = config.compression == OtlpCompression::Gzip;
    let compression = opentelemetry_otlp::Compression::Gzip;
    let endpoint = config.endpoint.as_str();
    Ok(match config.protocol {
        OtlpProtocol::Http => {
            let client = client::HttpExport::new(config)?;
            let builder = SpanExporter::builder().with_http().with_http_client(client);
            let builder = builder.with_endpoint(endpoint).with_timeout(config.timeout);
            if gzip { builder.with_compression(compression).build()? } else { builder.build()? }
        }
        OtlpProtocol::Grpc => {
            let channel = client::channel(config)?;
            let builder = SpanExporter::builder().with_tonic().with_channel(channel);
            let builder = builder.with_endpoint(endpoint).with_timeout(config.timeout);
            if gzip { builder.with_compression(compression).build()? } else { builder.build()? }
        }
    })
}

fn sampler(config: &TraceConfig) -> Box<dyn ShouldSample> {
    let own = match config.share {
        SampleRatio::All => Sampler::AlwaysOn,
        SampleRatio::None => Sampler::AlwaysOff,
        SampleRatio::Ratio => Sampler::TraceIdRatioBased(config.ratio),
    };
    match config.parents {
        ParentBased::Ignored => Box::new(own),
        ParentBased::Decide => Box::new(Sampler::ParentBased(Box::new(own))),
    }
}

/// What is said of this process. Later attributes of one key win: the operator's before ours.
fn resource(config: &TraceConfig, (name, version): (&'static str, &'static str)) -> Resource {
    // Without random numbers the processes of one service cannot be told apart, in traces only.
    let instance = getrandom::u64().map(|number| format!("{number:016x}")).unwrap_or_default();
    let ours = [("service.name", name), ("service.version", version), ("service.instance.id", &instance)];
    let sdk = [("telemetry.sdk.name", "opentelemetry"), ("telemetry.sdk.language", "rust")];
    let all = ours.into_iter().chain(sdk).map(|(key, value)| KeyValue::new(key, value.to_owned()));
    let given = config.attributes.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    let service = config.service.clone().map(|name| KeyValue::new("service.name", name));
    Resource::builder_empty().with_attributes(all.chain(given).chain(service)).build()
}
