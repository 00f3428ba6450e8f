//! Traces: spans, and the exporter that sends them to an OTLP collector. Must not know what is traced.
//!
//! While traces are off, a span costs one load of a static ([`is_on`]). While they are on, ended spans go into a bounded
//! queue that a thread of its own empties: a slow or missing collector costs spans, but never time.
//!
//! Spans of calls are [`Span`]s: they have parents in other processes, start times in the past, and cost nothing while
//! they are not sampled. Spans of rare events are spans of the `tracing` crate with the target [`TARGET`], which
//! `tracing-opentelemetry` exports.

mod client;
mod error;
mod export_stats;
mod layer;
mod span;
mod tracer;

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, ShouldSample,
};

use crate::config::{OtlpCompression, OtlpProtocol, ParentBased, SampleRatio, TraceConfig};
pub use error::TracesError;
pub use export_stats::METRICS;
use export_stats::{CountingExporter, CountingProcessor, ExportStats};
pub use layer::TARGET;
pub(crate) use layer::{is_exported, layer};
pub use span::{Kind, Parent, Span, TraceContext};
pub use tracer::is_on;

/// How long the export of the last spans may take.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// The export of this process's spans.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
    host: String,
    port: Option<u16>,
    protocol: OtlpProtocol,
}

impl Traces {
    /// Starts recording spans. `service` is the name of this process, unless the configuration has another one.
    /// Must be called in a tokio runtime and before logging is set up; blocks to read the trusted certificates.
    pub fn start(
        config: &TraceConfig,
        service: &'static str,
        version: &'static str,
    ) -> Result<Self, TracesError> {
        let stats = ExportStats::new(config.queue);
        let exporter = CountingExporter::new(exporter(config, &stats)?, stats.clone());
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(config.queue)
            .with_max_export_batch_size(config.batch.min(config.queue))
            .with_scheduled_delay(config.delay)
            .build();
        let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
        let provider = SdkTracerProvider::builder()
            .with_sampler(sampler(config))
            .with_resource(resource(config, service, version))
            .with_span_processor(CountingProcessor::new(processor, stats))
            .build();
        if !tracer::set(provider.tracer("mcp-relay")) {
            return Err(TracesError::Twice);
        }
        let host = config.endpoint.host_str().unwrap_or_default().to_owned();
        let (port, protocol) = (config.endpoint.port_or_known_default(), config.protocol);
        Ok(Self { provider, host, port, protocol })
    }

    /// Logs where spans are sent.
    pub fn announce(&self) {
        let Self { host, port, protocol, .. } = self;
        tracing::info!(host, port, protocol = ?protocol, "Traces are sent to an OTLP collector");
    }

    /// Exports the remaining spans, for 2 s at most.
    pub async fn finish(self) {
        let provider = self.provider;
        let last = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(FLUSH_TIMEOUT));
        if !matches!(tokio::time::timeout(FLUSH_TIMEOUT, last).await, Ok(Ok(Ok(())))) {
            tracing::warn!("The last spans could not be sent within {} s", FLUSH_TIMEOUT.as_secs());
        }
    }
}

fn exporter(config: &TraceConfig, stats: &Arc<ExportStats>) -> Result<SpanExporter, TracesError> {
    let gzip = config.compression == OtlpCompression::Gzip;
    let compression = opentelemetry_otlp::Compression::Gzip;
    let endpoint = config.endpoint.as_str();
    Ok(match config.protocol {
        OtlpProtocol::Http => {
            let client = client::HttpExport::new(config, stats)?;
            let builder = SpanExporter::builder().with_http().with_http_client(client);
            let builder = builder.with_endpoint(endpoint).with_timeout(config.timeout);
            if gzip { builder.with_compression(compression).build()? } else { builder.build()? }
        }
        OtlpProtocol::Grpc => {
            let channel = client::channel(config, stats)?;
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

/// Returns the attributes of this process. Of attributes with the same key the last one counts: the operator's.
fn resource(config: &TraceConfig, name: &'static str, version: &'static str) -> Resource {
    // Without random numbers, traces do not tell the processes of a service apart.
    let instance = getrandom::u64().map(|number| format!("{number:016x}")).unwrap_or_default();
    let ours = [("service.name", name), ("service.version", version), ("service.instance.id", &instance)];
    let sdk = [("telemetry.sdk.name", "opentelemetry"), ("telemetry.sdk.language", "rust")];
    let all = ours.into_iter().chain(sdk).map(|(key, value)| KeyValue::new(key, value.to_owned()));
    let given = config.attributes.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    let service = config.service.clone().map(|name| KeyValue::new("service.name", name));
    Resource::builder_empty().with_attributes(all.chain(given).chain(service)).build()
}
