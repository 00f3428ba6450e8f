//! The export of traces, by OpenTelemetry's own variables. Must not know what is traced.
//!
//! OpenTelemetry Specification, "Environment Variable Specification" and "OpenTelemetry Protocol Exporter". In contrast
//! to the specification, nothing is exported without an endpoint, and an invalid value is a problem rather than a
//! warning.

use std::path::{Path, PathBuf};
use std::time::Duration;

use url::Url;

use crate::env::{Reader, Setting, parse};
use crate::outbound::OutboundRules;
use crate::tls::ClientFiles;

crate::variables! {
    /// OpenTelemetry's variables, as far as they are read.
    pub const TRACES: Every;
    /// Texts of [`TRACES`].
    struct Settings;
    otel_exporter_otlp_endpoint = Says("no traces"), "URL of an OTLP collector, http:// or https://. Over HTTP /v1/traces is added to its path.";
    otel_exporter_otlp_traces_endpoint = Says("OTEL_EXPORTER_OTLP_ENDPOINT"), "The same for traces only; its path stays as it is.";
    otel_exporter_otlp_protocol = Value("http/protobuf"), "http/protobuf or grpc.";
    otel_exporter_otlp_traces_protocol = Says("OTEL_EXPORTER_OTLP_PROTOCOL"), "The same for traces only.";
    otel_exporter_otlp_headers secret = Says("none"), "Headers for the collector: name=value pairs separated by commas, values percent-encoded.";
    otel_exporter_otlp_traces_headers secret = Says("OTEL_EXPORTER_OTLP_HEADERS"), "The same for traces only.";
    otel_exporter_otlp_certificate path = Says("the system's roots"), "PEM file of the authorities that are trusted for an https:// collector.";
    otel_exporter_otlp_traces_certificate = Says("OTEL_EXPORTER_OTLP_CERTIFICATE"), "The same for traces only.";
    otel_exporter_otlp_compression = Value("none"), "gzip or none.";
    otel_exporter_otlp_traces_compression = Says("OTEL_EXPORTER_OTLP_COMPRESSION"), "The same for traces only.";
    otel_exporter_otlp_timeout = Value("10000"), "Time limit in milliseconds for the export of a batch of spans.";
    otel_exporter_otlp_traces_timeout = Says("OTEL_EXPORTER_OTLP_TIMEOUT"), "The same for traces only.";
    otel_service_name = Says("mcp-relay-proxy, mcp-relay-slave or mcp-relay-server"), "service.name of the spans.";
    otel_resource_attributes = Says("none"), "Additional attributes of this process: key=value pairs separated by commas, values percent-encoded.";
    otel_traces_sampler = Value("parentbased_always_on"), "always_on, always_off, traceidratio, or one of them behind parentbased_: which calls are traced.";
    otel_traces_sampler_arg = Value("1"), "The share of traces, 0 to 1, where the sampler is traceidratio or parentbased_traceidratio.";
    otel_traces_exporter = Value("otlp"), "otlp, or none for no traces.";
    otel_sdk_disabled = Value("0"), "1: no traces, whatever the other variables say.";
    otel_bsp_schedule_delay = Value("5000"), "Longest time in milliseconds before ended spans are sent.";
    otel_bsp_max_queue_size = Value("2048"), "Largest number of ended spans that wait for the collector; further ones are dropped and counted.";
    otel_bsp_max_export_batch_size = Value("512"), "Largest number of spans in one batch.";
}

/// The protocol of the export.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OtlpProtocol {
    /// Protobuf over HTTP/1.1.
    #[default]
    Http,
    /// gRPC.
    Grpc,
}

/// The compression of batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OtlpCompression {
    /// No compression.
    #[default]
    None,
    /// gzip.
    Gzip,
}

/// The share of traces that are recorded where no parent span decides it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SampleRatio {
    /// All traces.
    #[default]
    All,
    /// No traces.
    None,
    /// The share that `OTEL_TRACES_SAMPLER_ARG` gives.
    Ratio,
}

/// The meaning of the caller's sampling decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ParentBased {
    /// The decision of a parent span applies to its children.
    #[default]
    Decide,
    /// The caller's decision is ignored.
    Ignored,
}

/// The configuration of the export of spans.
#[derive(Clone, Debug)]
pub struct TraceConfig {
    /// The target of every batch: the whole URL (HTTP), or the server (gRPC).
    pub endpoint: Url,
    /// The protocol.
    pub protocol: OtlpProtocol,
    /// The compression of batches.
    pub compression: OtlpCompression,
    /// The trusted authorities for an `https://` collector.
    pub trust: ClientFiles,
    /// The forward proxies on the way to the collector.
    pub ways: OutboundRules,
    /// Time limit for the export of a batch.
    pub timeout: Duration,
    /// `service.name`, if it was set.
    pub service: Option<String>,
    /// Additional attributes of the resource.
    pub attributes: Vec<(String, String)>,
    /// The meaning of the caller's sampling decision.
    pub parents: ParentBased,
    /// The share of traces where no parent span decides.
    pub share: SampleRatio,
    /// The ratio for [`SampleRatio::Ratio`], from 0 to 1.
    pub ratio: f64,
    /// Longest time before ended spans are exported.
    pub delay: Duration,
    /// Largest number of ended spans that wait for the export.
    pub queue: usize,
    /// Largest number of spans in a batch.
    pub batch: usize,
}

const PROTOCOLS: &[(&str, OtlpProtocol)] =
    &[("http/protobuf", OtlpProtocol::Http), ("grpc", OtlpProtocol::Grpc)];

const COMPRESSIONS: &[(&str, OtlpCompression)] =
    &[("gzip", OtlpCompression::Gzip), ("none", OtlpCompression::None)];

const EXPORTERS: &[(&str, bool)] = &[("otlp", true), ("none", false)];

const SAMPLERS: &[(&str, (ParentBased, SampleRatio))] = &[
    ("always_on", (ParentBased::Ignored, SampleRatio::All)),
    ("always_off", (ParentBased::Ignored, SampleRatio::None)),
    ("traceidratio", (ParentBased::Ignored, SampleRatio::Ratio)),
    ("parentbased_always_on", (ParentBased::Decide, SampleRatio::All)),
    ("parentbased_always_off", (ParentBased::Decide, SampleRatio::None)),
    ("parentbased_traceidratio", (ParentBased::Decide, SampleRatio::Ratio)),
];

impl TraceConfig {
    /// Reads the variables of [`TRACES`], which the reader's tables must contain. `None`: no traces; all set values are
    /// checked even then.
    pub fn read(reader: &mut Reader<'_>, ways: &OutboundRules) -> Option<Self> {
        let settings = Settings::read(reader);
        let general = reader.optional(&settings.otel_exporter_otlp_endpoint, parse::http_url);
        let own = reader.optional(&settings.otel_exporter_otlp_traces_endpoint, parse::http_url);
        check_headers(reader, &settings);
        let protocol = read_protocol(reader, &settings);
        let (parents, share) = reader.value(&settings.otel_traces_sampler, parse::choice(SAMPLERS));
        let config = Self {
            endpoint: Url::parse("http://localhost").ok()?,
            protocol,
            compression: read_compression(reader, &settings),
            trust: ClientFiles {
                roots: read_certificate(reader, &settings),
                extra_roots: ways.extra_roots().map(Path::to_owned),
                identity: None,
            },
            ways: ways.clone(),
            timeout: read_timeout(reader, &settings),
            attributes: reader.optional(&settings.otel_resource_attributes, pairs).unwrap_or_default(),
            parents,
            share,
            ratio: reader.value(&settings.otel_traces_sampler_arg, ratio),
            delay: reader.value(&settings.otel_bsp_schedule_delay, parse::millis(1..=600_000)),
            queue: reader.value(&settings.otel_bsp_max_queue_size, parse::whole(1..=1_000_000, "spans")),
            batch: reader.value(&settings.otel_bsp_max_export_batch_size, parse::whole(1..=100_000, "spans")),
            service: settings.otel_service_name.text().map(str::to_owned),
        };
        let on = reader.value(&settings.otel_traces_exporter, parse::choice(EXPORTERS));
        let disabled = reader.value(&settings.otel_sdk_disabled, parse::flag);
        let endpoint = own.or_else(|| general.map(|url| of_signal(url, protocol)))?;
        (on && !disabled).then_some(Self { endpoint, ..config })
    }
}

/// Returns the endpoint of traces for the general endpoint: over HTTP each signal has a path below it.
fn of_signal(mut url: Url, protocol: OtlpProtocol) -> Url {
    if protocol == OtlpProtocol::Http {
        let path = format!("{}/v1/traces", url.path().trim_end_matches('/'));
        url.set_path(&path);
    }
    url
}

/// Reads a pair of variables with the same form: the variable for traces takes precedence over the variable for all
/// signals.
fn read_pair<T: Default>(
    reader: &mut Reader<'_>,
    general: &Setting,
    own: &Setting,
    parse: impl Fn(&str) -> Result<T, String>,
) -> T {
    let general = reader.value(general, &parse);
    reader.optional(own, parse).unwrap_or(general)
}

fn read_protocol(reader: &mut Reader<'_>, settings: &Settings) -> OtlpProtocol {
    let (general, own) =
        (&settings.otel_exporter_otlp_protocol, &settings.otel_exporter_otlp_traces_protocol);
    read_pair(reader, general, own, |text| parse::choice(PROTOCOLS)(text))
}

fn read_compression(reader: &mut Reader<'_>, settings: &Settings) -> OtlpCompression {
    let (general, own) =
        (&settings.otel_exporter_otlp_compression, &settings.otel_exporter_otlp_traces_compression);
    read_pair(reader, general, own, |text| parse::choice(COMPRESSIONS)(text))
}

fn read_timeout(reader: &mut Reader<'_>, settings: &Settings) -> Duration {
    let (general, own) = (&settings.otel_exporter_otlp_timeout, &settings.otel_exporter_otlp_traces_timeout);
    read_pair(reader, general, own, |text| parse::millis(1..=600_000)(text))
}

fn read_certificate(reader: &mut Reader<'_>, settings: &Settings) -> Option<PathBuf> {
    let check = |text: &str| {
        let files = ClientFiles { roots: Some(PathBuf::from(text)), ..ClientFiles::default() };
        match files.check().first() {
            Some(error) => Err(format!("a PEM file of certificates: {error}")),
            None => Ok(PathBuf::from(text)),
        }
    };
    let general = reader.optional(&settings.otel_exporter_otlp_certificate, check);
    reader.optional(&settings.otel_exporter_otlp_traces_certificate, check).or(general)
}

/// Checks the headers. The exporter itself reads them from the environment and silently leaves out invalid ones.
fn check_headers(reader: &mut Reader<'_>, settings: &Settings) {
    reader.optional(&settings.otel_exporter_otlp_headers, headers);
    reader.optional(&settings.otel_exporter_otlp_traces_headers, headers);
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

/// Parses `key=value` pairs as in W3C Baggage, without properties.
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

/// Decodes percent-encoding; `None` where the encoding is invalid or the result is not UTF-8.
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
        let config = TraceConfig::read(&mut reader, &OutboundRules::default());
        reader.finish(config)
    }

    fn on(pairs: &[(&str, &str)]) -> TraceConfig {
        read(pairs).unwrap().config.expect("traces")
    }

    #[test]
    fn nothing_is_exported_without_an_endpoint_or_where_traces_are_switched_off() {
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
    fn the_path_of_the_signal_is_added_to_the_general_endpoint_over_http_only() {
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
    fn variables_for_traces_take_precedence_over_general_ones() {
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
        assert_eq!((config.parents, config.share), (ParentBased::Decide, SampleRatio::Ratio));
        assert!((config.ratio - 0.25).abs() < f64::EPSILON);
        let pair = |k: &str, v: &str| (k.to_owned(), v.to_owned());
        assert_eq!(config.attributes, [pair("team", "a b"), pair("env", "prod")]);
    }

    #[test]
    fn every_bad_value_is_a_problem_even_where_traces_are_off_and_headers_stay_secret() {
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
    fn percent_encoding_is_decoded_or_refused() {
        assert_eq!(decoded("a%20b%c3%a4").as_deref(), Some("a bä"));
        for bad in ["%", "%2", "%zz", "%ff"] {
            assert_eq!(decoded(bad), None, "{bad}");
        }
    }
}
