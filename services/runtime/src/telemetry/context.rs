//! What log lines are about: every line that is written while a subject is entered carries its ids as fields.
//!
//! A cell of the thread rather than a tracing span: a span is made, formatted and dropped for every request whether
//! anything is logged or not, and one below `LOG_LEVEL` would be missing from the warnings inside it.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::pin::pin;

thread_local! {
    static NOW: Cell<Option<LogContext>> = const { Cell::new(None) };
}

/// One request, and the trace that it is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogContext {
    request: u128,
    trace: Option<u128>,
}

/// While it lives, lines of this thread are about the subject. It must not live across an `await`.
#[must_use = "the subject is left when this is dropped"]
#[derive(Debug)]
pub struct Guard {
    before: Option<LogContext>,
    of_this_thread: PhantomData<*const ()>,
}

impl LogContext {
    /// `request`: the instance that named it and its number there, 64 bits each.
    pub fn new(request: u128, trace: Option<u128>) -> Self {
        Self { request, trace }
    }

    /// The same request, as part of this trace.
    #[must_use]
    pub fn in_trace(self, trace: Option<u128>) -> Self {
        Self { trace, ..self }
    }

    /// The request's id as lines have it.
    pub fn request(self) -> String {
        Id(self.request).to_string()
    }

    /// The trace's id as lines have it.
    pub fn trace(self) -> Option<String> {
        self.trace.map(|trace| format!("{trace:032x}"))
    }

    /// Lines of this thread are about it from now on.
    pub fn enter(self) -> Guard {
        Guard { before: NOW.replace(Some(self)), of_this_thread: PhantomData }
    }

    /// Every line that `future` writes is about it.
    pub async fn during<F: Future>(self, future: F) -> F::Output {
        let mut future = pin!(future);
        std::future::poll_fn(|cx| {
            let _entered = self.enter();
            future.as_mut().poll(cx)
        })
        .await
    }

    /// What lines are about now.
    pub(super) fn now() -> Option<Self> {
        NOW.get()
    }

    /// Its fields: names, and values as they are written.
    pub(super) fn fields(self) -> impl Iterator<Item = (&'static str, String)> {
        let request = self.request();
        let trace = self.trace().map(|trace| (TRACE_ID, trace));
        std::iter::once((REQUEST_ID, request)).chain(trace)
    }
}

/// The field that names the request.
const REQUEST_ID: &str = "request_id";

/// The field that names the trace.
const TRACE_ID: &str = "trace_id";

impl fmt::Display for LogContext {
    /// As text lines have it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, value)) in self.fields().enumerate() {
            let space = if at > 0 { " " } else { "" };
            write!(f, "{space}{name}={value}")?;
        }
        Ok(())
    }
}

struct Id(u128);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.0 >> 64, self.0 & u128::from(u64::MAX))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        NOW.set(self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_nest_and_are_left_in_order() {
        let (one, two) = (LogContext::new(1, None), LogContext::new(2, Some(3)));
        let outer = one.enter();
        {
            let _inner = two.enter();
            assert_eq!(LogContext::now(), Some(two));
        }
        assert_eq!(LogContext::now(), Some(one));
        drop(outer);
        assert_eq!(LogContext::now(), None);
    }

    #[tokio::test]
    async fn a_future_is_about_its_subject_only_while_it_is_polled() {
        let subject = LogContext::new(0x7 << 64 | 0xa, None);
        let seen = subject
            .during(async {
                tokio::task::yield_now().await;
                LogContext::now()
            })
            .await;
        assert_eq!(seen, Some(subject));
        assert_eq!(LogContext::now(), None);
        assert_eq!(subject.fields().collect::<Vec<_>>(), [(REQUEST_ID, "7-a".to_owned())]);
    }
}
