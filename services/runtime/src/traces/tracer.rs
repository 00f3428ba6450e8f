//! The tracer of this process. Must not know what is traced.

use std::sync::OnceLock;

use opentelemetry_sdk::trace::SdkTracer;

static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// Whether spans are recorded. Costs one load of a static.
pub fn is_on() -> bool {
    TRACER.get().is_some()
}

pub(super) fn get() -> Option<&'static SdkTracer> {
    TRACER.get()
}

/// Sets the tracer, once. `false` if one is set already.
pub(super) fn set(tracer: SdkTracer) -> bool {
    TRACER.set(tracer).is_ok()
}
