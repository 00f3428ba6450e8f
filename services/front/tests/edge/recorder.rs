//! A metrics recorder for the counter of requests that the edge answers itself. Must not know what a test checks.

use std::sync::{Arc, Mutex};

use metrics::{
    Counter, CounterFn, Gauge, Histogram, Key, KeyName, Label, Metadata, Recorder, SharedString, Unit,
};

/// Metrics recorder that notes the increments of the counter of answered requests.
pub(crate) struct AnswerRecorder(pub(crate) Arc<Mutex<Vec<String>>>);

impl Recorder for AnswerRecorder {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        if key.name() != "mcp_relay_edge_requests_total" {
            return Counter::noop();
        }
        let label = |name| key.labels().find(|label| label.key() == name).map_or("", Label::value);
        let text = format!("{} {}", label("method"), label("kind"));
        Counter::from_arc(Arc::new(AnsweredCounter { text, answered: Arc::clone(&self.0) }))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

struct AnsweredCounter {
    text: String,
    answered: Arc<Mutex<Vec<String>>>,
}

impl CounterFn for AnsweredCounter {
    fn increment(&self, _: u64) {
        self.answered.lock().unwrap().push(self.text.clone());
    }

    fn absolute(&self, _: u64) {}
}
