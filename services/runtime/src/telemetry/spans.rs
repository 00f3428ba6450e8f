//! The spans around a log event, for both formats.

use tracing::Subscriber;
use tracing_subscriber::fmt::format::DefaultFields;
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use crate::printable;

/// Returns the spans around an event, outermost first, as `name{field=value}`.
pub(super) fn spans<S>(context: &FmtContext<'_, S, DefaultFields>) -> Vec<String>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let Some(scope) = context.event_scope() else { return Vec::new() };
    let mut spans = Vec::new();
    for span in scope.from_root() {
        let extensions = span.extensions();
        let fields = extensions.get::<FormattedFields<DefaultFields>>().map_or("", |f| f.fields.as_str());
        spans.push(format!("{}{{{}}}", span.name(), printable::line(fields)));
    }
    spans
}
