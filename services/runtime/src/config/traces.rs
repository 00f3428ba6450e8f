//! Where traces go, by OpenTelemetry's own variables. Knows nothing of what is traced.
//!
//! OpenTelemetry Specification, "Environment Variable Specification" and "OpenTelemetry Protocol Exporter". Unlike
//! there, nothing is exported without an endpoint, and a value that cannot be used is a problem, not a warning.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use url::Url;

use crate::env::Fallback::{Says, Value};
use crate::env::Group::Every;
use crate::env::{Reader, Var, parse};
use crate::tls::ClientFiles;

/// OpenTelemetry's variables, as far as they are read.
#[rustfmt::skip]
pub const TRACES: &[Var] = &[
    Var::new(Every, "OTEL_EXPORTER_OTLP_ENDPOINT", Says("no traces"), "URL of an OTLP collector, http:// or https://. Over HTTP /v1/traces is added to its path."),
    Var::new(Every, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", Says("OTEL_EXPORTER_OTLP_ENDPOINT"), "The same for traces only; its path stays as it is."),
    Var::new(Every, "OTEL_EXPORTER_OTLP_PROTOCOL", Value("http/protobuf"), "http/protobuf or grpc."),
    Var::new(Every, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", Says("OTEL_EXPORTER_OTLP_PROTOCOL"), "The same for traces only."),
    Var::new(Every, "OTEL_EXPORTER_OTLP_HEADERS", Says("none"), "Headers for the collector: name=value pairs separated by commas, values percent-encoded.").secret(),
    Var::new(Every, "OTEL_EXPORTER_OTLP_TRACES_HEADERS", Says("OTEL_EXPORTER_OTLP_HEADERS"), "The same for traces only.").secret(),
    Var::new(Every, "OTEL_EXPORTER_OTLP_CERTIFICATE", Says("the system's roots"), "PEM file of authorities that are trusted for an https:// collector."),
    Var::new(Every, "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", Says("OTEL_EXPORTER_OTLP_CERTIFICATE"), "The same for traces only."),
    Var::new(Every, "OTEL_EXPORTER_OTLP_COMPRESSION", Value("none"), "gzip or none."),
    Var::new(Every, "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", Says("OTEL_EXPORTER_OTLP_COMPRESSION"), "The same for traces only."),
    Var::new(Every, "OTEL_EXPORTER_OTLP_TIMEOUT", Value("10000"), "Milliseconds that the collector may take for a batch of spans."),
    Var::new(Every, "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", Says("OTEL_EXPORTER_OTLP_TIMEOUT"), "The same for traces only."),
    Var::new(Every, "OTEL_SERVICE_NAME", Says("mcp-relay-proxy, mcp-relay-slave or mcp-relay-server"), "service.name of the spans."),
    Var::new(Every, "OTEL_RESOURCE_ATTRIBUTES", Says("none"), "More attributes of this process: key=value pairs separated by commas, values percent-encoded."),
    Var::new(Every, "OTEL_TRACES_SAMPLER", Value("parentbased_always_on"), "always_on, always_off, traceidratio, or one of them behind parentbased_: which calls are traced."),
    Var::new(Every, "OTEL_TRACES_SAMPLER_ARG", Value("1"), "The share of traces, 0 to 1, where the sampler is traceidratio or parentbased_traceidratio."),
    Var::new(Every, "OTEL_TRACES_EXPORTER", Value("otlp"), "otlp, or none for no traces."),
    Var::new(Every, "OTEL_SDK_DISABLED", Value("0"), "1: no traces, whatever else is set."),
    Var::new(Every, "OTEL_BSP_SCHEDULE_DELAY", Value("5000"), "Milliseconds after which ended spans are sent at the latest."),
    Var::new(Every, "OTEL_BSP_MAX_QUEUE_SIZE", Value("2048"), "Ended spans that may wait for the collector; those beyond it are dropped and counted."),
    Var::new(Every, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", Value("512"), "Spans that are sent at once, at most."),
];

/// How spans travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OtlpProtocol {
    /// Protobuf over HTTP/1.1.
    #[default]
    Http,
    /// gRPC.
    Grpc,
}

/// How batches are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OtlpCompression {
    /// As they are.
    #[default]
    None,
    /// gzip.
    Gzip,
}

/// Which traces are recorded where no parent says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Share {
    /// All.
    #[default]
    All,
    /// None.
    None,
    /// As many as `OTEL_TRACES_SAMPLER_ARG` says.
    Ratio,
}

/// Whether the caller's decision counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parents {
    /// What a parent decided holds for its children.
    #[default]
    Decide,
    /// Every span is decided anew.
    Ignored,
}

/// Where and how spans are exported.
#[derive(Clone, Debug)]
pub struct TraceConfig {
    /// Where every batch goes: the whole URL (HTTP), or the server (gRPC).
    pub endpoint: Url,
    /// How.
    pub protocol: OtlpProtocol,
    /// Compressed or not.
    pub compression: OtlpCompression,
    /// Whom an `https://` collector must be certified by.
    pub trust: ClientFiles,
    /// How long a batch may take.
    pub timeout: Duration,
    /// `service.name`, if it was set.
    pub service: Option<String>,
    /// More attributes of the resource.
    pub attributes: Vec<(String, String)>,
    /// Who decides.
    pub parents: Parents,
    /// What is decided where nobody has.
    pub share: Share,
    /// From 0 to 1.
    pub ratio: f64,
    /// How often a batch goes out at least.
    pub delay: Duration,
    /// Spans that may wait.
    pub queue: usize,
    /// Spans of one batch.
    pub batch: usize,
}

#[derive(Default, Deserialize)]
#[serde(default)]
#[allow(clippy::struct_field_names, reason = "they are the variables' names")]
struct Raw {
    otel_exporter_otlp_endpoint: Option<String>,
    otel_exporter_otlp_traces_endpoint: Option<String>,
    otel_exporter_otlp_protocol: Option<String>,
    otel_exporter_otlp_traces_protocol: Option<String>,
    otel_exporter_otlp_headers: Option<String>,
    otel_exporter_otlp_traces_headers: Option<String>,
    otel_exporter_otlp_certificate: Option<String>,
    otel_exporter_otlp_traces_certificate: Option<String>,
    otel_exporter_otlp_compression: Option<String>,
    otel_exporter_otlp_traces_compression: Option<String>,
    otel_exporter_otlp_timeout: Option<String>,
    otel_exporter_otlp_traces_timeout: Option<String>,
    otel_service_name: Option<String>,
    otel_resource_attributes: Option<String>,
    otel_traces_sampler: Option<String>,
    otel_traces_sampler_arg: Option<String>,
    otel_traces_exporter: Option<String>,
    otel_sdk_disabled: Option<String>,
    otel_bsp_schedule_delay: Option<String>,
    otel_bsp_max_queue_size: Option<String>,
    otel_bsp_max_export_batch_size: Option<String>,
}

const PROTOCOLS: &[(&str, OtlpProtocol)] =
    &[("http/protobuf", OtlpProtocol::Http), ("grpc", OtlpProtocol::Grpc)];

const COMPRESSIONS: &[(&str, OtlpCompression)] =
    &[("gzip", OtlpCompression::Gzip), ("none", OtlpCompression::None)];

const EXPORTERS: &[(&str, bool)] = &[("otlp", true), ("none", false)];

const SAMPLERS: &[(&str, (Parents, Share))] = &[
    ("always_on", (Parents::Ignored, Share::All)),
    ("always_off", (Parents::Ignored, Share::None)),
    ("traceidratio", (Parents::Ignored, Share::Ratio)),
    ("parentbased_always_on", (Parents::Decide, Share::All)),
    ("parentbased_always_off", (Parents::Decide, Share::None)),
    ("parentbased_traceidratio", (Parents::Decide, Share::Ratio)),
];

impl TraceConfig {
    /// Reads the variables of [`TRACES`], which the reader's tables must contain. `None`: no traces. Everything that
    /// is set is checked, also where it does not matter.
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let raw: Raw = reader.fill();
        let general = ("OTEL_EXPORTER_OTLP_ENDPOINT", raw.otel_exporter_otlp_endpoint.as_deref());
        let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", raw.otel_exporter_otlp_traces_endpoint.as_deref());
        let general = reader.optional(general.0, general.1, parse::http_url);
        let own = reader.optional(own.0, own.1, parse::http_url);
        check_headers(reader, &raw);
        let protocol = read_protocol(reader, &raw);
        let (parents, share) =
            reader.value("OTEL_TRACES_SAMPLER", raw.otel_traces_sampler.as_deref(), parse::choice(SAMPLERS));
        let batch = raw.otel_bsp_max_export_batch_size.as_deref();
        let config = Self {
            endpoint: Url::parse("http://localhost").ok()?,
            protocol,
            compression: read_compression(reader, &raw),
            trust: ClientFiles { roots: read_certificate(reader, &raw), identity: None },
            timeout: read_timeout(reader, &raw),
            attributes: reader
                .optional("OTEL_RESOURCE_ATTRIBUTES", raw.otel_resource_attributes.as_deref(), pairs)
                .unwrap_or_default(),
            parents,
            share,
            ratio: reader.value("OTEL_TRACES_SAMPLER_ARG", raw.otel_traces_sampler_arg.as_deref(), ratio),
            delay: reader.value(
                "OTEL_BSP_SCHEDULE_DELAY",
                raw.otel_bsp_schedule_delay.as_deref(),
                parse::millis(1..=600_000),
            ),
            queue: reader.value(
                "OTEL_BSP_MAX_QUEUE_SIZE",
                raw.otel_bsp_max_queue_size.as_deref(),
                parse::whole(1..=1_000_000, "spans"),
            ),
            batch: reader.value("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", batch, parse::whole(1..=100_000, "spans")),
            service: raw.otel_service_name,
        };
        let on = reader.value(
            "OTEL_TRACES_EXPORTER",
            raw.otel_traces_exporter.as_deref(),
            parse::choice(EXPORTERS),
        );
        let disabled = reader.value("OTEL_SDK_DISABLED", raw.otel_sdk_disabled.as_deref(), parse::flag);
        let endpoint = own.or_else(|| general.map(|url| of_signal(url, protocol)))?;
        (on && !disabled).then_some(Self { endpoint, ..config })
    }
}

/// The general endpoint is where all signals go: over HTTP each has a path below it.
fn of_signal(mut url: Url, protocol: OtlpProtocol) -> Url {
    if protocol == OtlpProtocol::Http {
        let path = format!("{}/v1/traces", url.path().trim_end_matches('/'));
        url.set_path(&path);
    }
    url
}

fn read_protocol(reader: &mut Reader<'_>, raw: &Raw) -> OtlpProtocol {
    let general = raw.otel_exporter_otlp_protocol.as_deref();
    let general = reader.value("OTEL_EXPORTER_OTLP_PROTOCOL", general, parse::choice(PROTOCOLS));
    let own = raw.otel_exporter_otlp_traces_protocol.as_deref();
    reader.optional("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", own, parse::choice(PROTOCOLS)).unwrap_or(general)
}

fn read_compression(reader: &mut Reader<'_>, raw: &Raw) -> OtlpCompression {
    let general = raw.otel_exporter_otlp_compression.as_deref();
    let general = reader.value("OTEL_EXPORTER_OTLP_COMPRESSION", general, parse::choice(COMPRESSIONS));
    let own = raw.otel_exporter_otlp_traces_compression.as_deref();
    let own = reader.optional("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", own, parse::choice(COMPRESSIONS));
    own.unwrap_or(general)
}

fn read_timeout(reader: &mut Reader<'_>, raw: &Raw) -> Duration {
    let general = raw.otel_exporter_otlp_timeout.as_deref();
    let general = reader.value("OTEL_EXPORTER_OTLP_TIMEOUT", general, parse::millis(1..=600_000));
    let own = raw.otel_exporter_otlp_traces_timeout.as_deref();
    let own = reader.optional("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", own, parse::millis(1..=600_000));
    own.unwrap_or(general)
}

fn read_certificate(reader: &mut Reader<'_>, raw: &Raw) -> Option<PathBuf> {
    let check = |text: &str| {
        let files = ClientFiles { roots: Some(PathBuf::from(text)), identity: None };
        match files.check().first() {
            Some(error) => Err(format!("a PEM file of certificates: {error}")),
            None => Ok(PathBuf::from(text)),
        }
    };
    let general = raw.otel_exporter_otlp_certificate.as_deref();
    let general = reader.optional("OTEL_EXPORTER_OTLP_CERTIFICATE", general, check);
    let own = raw.otel_exporter_otlp_traces_certificate.as_deref();
    reader.optional("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", own, check).or(general)
}

/// The exporter takes the headers from the environment by itself, and leaves out those that it cannot read.
fn check_headers(reader: &mut Reader<'_>, raw: &Raw) {
    let general = raw.otel_exporter_otlp_headers.as_deref();
    reader.optional("OTEL_EXPORTER_OTLP_HEADERS", general, headers);
    let own = raw.otel_exporter_otlp_traces_headers.as_deref();
    reader.optional("OTEL_EXPORTER_OTLP_TRACES_HEADERS", own, headers);
}

fn headers(text: &str) -> Result<(), String> {
    let expected = || "name=value pairs separated by commas, each name that of an HTTP header".to_owned();
    for (name, value) in pairs(text).map_err(|_| expected())? {
        let value_is_good = value.bytes().all(|b| b == b'\t' || (0x20..0x7f).contains(&b));
        if parse::header_name(&name).is_err() || !value_is_good {
            return Err(expected());
        }
    }
    Ok(())
}

/// `key=value` pairs as in W3C Baggage, without properties.
fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let expected = || "key=value pairs separated by commas, values percent-encoded".to_owned();
    parse::list(text)
        .map(|part| {
            let (key, value) = part.split_once('=').ok_or_else(expected)?;
            let (key, value) = (key.trim(), decoded(value.trim()).ok_or_else(expected)?);
            if key.is_empty() { Err(expected()) } else { Ok((key.to_owned(), value)) }
        })
        .collect()
}

/// Percent-decoding; `None` where it is not done properly or gives no UTF-8.
fn decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            let (digits, after) = rest.split_at_checked(2)?;
            out.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = after;
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

fn ratio(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|n| (0.0..=1.0).contains(n));
    number.ok_or_else(|| "a number from 0 to 1".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::{Loaded, Problems, Snapshot};

    fn read(pairs: &[(&str, &str)]) -> Result<Loaded<Option<TraceConfig>>, Problems> {
        let snapshot = Snapshot::of(pairs.iter().copied());
        let tables = [TRACES];
        let mut reader = Reader::new("test", &snapshot, &tables);
        let config = TraceConfig::read(&mut reader);
        reader.finish(config)
    }

    fn on(pairs: &[(&str, &str)]) -> TraceConfig {
        read(pairs).unwrap().config.expect("traces")
    }

    #[test]
    fn nothing_is_exported_without_an_endpoint_or_where_it_is_switched_off() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
        for pairs in [
            vec![],
            vec![("OTEL_TRACES_SAMPLER", "always_on"), ("OTEL_SERVICE_NAME", "x")],
            vec![endpoint, ("OTEL_SDK_DISABLED", "true")],
            vec![endpoint, ("OTEL_TRACES_EXPORTER", "none")],
        ] {
            assert!(read(&pairs).unwrap().config.is_none(), "{pairs:?}");
        }
    }

    #[test]
    fn the_general_endpoint_gets_the_signal_s_path_over_http_only() {
        let general = |url, protocol| {
            let pairs = [("OTEL_EXPORTER_OTLP_ENDPOINT", url), ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)];
            on(&pairs).endpoint.to_string()
        };
        assert_eq!(general("http://c:4318", "http/protobuf"), "http://c:4318/v1/traces");
        assert_eq!(general("http://c:4318/otel/", "http/protobuf"), "http://c:4318/otel/v1/traces");
        assert_eq!(general("http://c:4317", "grpc"), "http://c:4317/");
        let own = on(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://t/api"),
        ]);
        assert_eq!(own.endpoint.as_str(), "https://t/api");
    }

    #[test]
    fn values_of_traces_alone_go_before_general_ones() {
        let config = on(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1000"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "2000"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "none"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
            ("OTEL_RESOURCE_ATTRIBUTES", "team=a%20b, env = prod"),
        ]);
        assert_eq!((config.protocol, config.compression), (OtlpProtocol::Grpc, OtlpCompression::None));
        assert_eq!(config.timeout, Duration::from_secs(2));
        assert_eq!((config.parents, config.share), (Parents::Decide, Share::Ratio));
        assert!((config.ratio - 0.25).abs() < f64::EPSILON);
        let pair = |k: &str, v: &str| (k.to_owned(), v.to_owned());
        assert_eq!(config.attributes, [pair("team", "a b"), pair("env", "prod")]);
    }

    #[test]
    fn every_bad_value_is_a_problem_also_where_traces_are_off_and_headers_stay_secret() {
        let bad = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "unix:///x"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "udp"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization canary"),
            ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a b=canary"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/no/such/ca"),
            ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "/no/such/ca"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "lz4"),
            ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "lz4"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "0"),
            ("OTEL_RESOURCE_ATTRIBUTES", "team"),
            ("OTEL_TRACES_SAMPLER", "sometimes"),
            ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
            ("OTEL_TRACES_EXPORTER", "jaeger"),
            ("OTEL_SDK_DISABLED", "maybe"),
            ("OTEL_BSP_SCHEDULE_DELAY", "0"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "x"),
        ];
        let problems = read(&bad).unwrap_err();
        let names: Vec<&str> = problems.list.iter().map(|problem| problem.name.as_str()).collect();
        // Any text is a name.
        let can_be_wrong = TRACES.iter().map(|var| var.name).filter(|name| *name != "OTEL_SERVICE_NAME");
        assert_eq!(names, can_be_wrong.collect::<Vec<_>>());
        assert!(!problems.to_string().contains("canary"), "{problems}");
    }

    #[test]
    fn percent_encoding_is_undone_or_refused() {
        assert_eq!(decoded("a%20b%c3%a4").as_deref(), Some("a bä"));
        for bad in ["%", "%2", "%zz", "%ff"] {
            assert_eq!(decoded(bad), None, "{bad}");
        }
    }
}
