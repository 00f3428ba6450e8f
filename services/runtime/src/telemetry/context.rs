//! The call that log lines are about: lines that are written while a [`LogContext`] is entered have its ids as fields.
//!
//! The context is a thread-local cell rather than a tracing span: a span costs its creation and formatting for every
//! request, logged or not, and a span below `LOG_LEVEL` would be missing from the warnings inside it.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::pin::pin;

use crate::call_lines::Lines;

thread_local! {
    static CURRENT: Cell<Option<LogContext>> = const { Cell::new(None) };
}

/// A request, and the trace that it is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogContext {
    request: u128,
    trace: Option<u128>,
    lines: Lines,
}

/// Guard of an entered context, which is left when the guard is dropped. Must not be held across an `await`.
#[must_use = "the context is left when the guard is dropped"]
#[derive(Debug)]
pub struct Guard {
    previous: Option<LogContext>,
    of_this_thread: PhantomData<*const ()>,
}

impl LogContext {
    /// A request. `request` is the instance that named it and its number there, 64 bits each.
    pub fn new(request: u128, trace: Option<u128>) -> Self {
        Self { request, trace, lines: Lines::Off }
    }

    /// Returns the same request with these lines.
    #[must_use]
    pub fn with_lines(self, lines: Lines) -> Self {
        Self { lines, ..self }
    }

    /// Returns whether the lines of the request are written.
    pub fn lines(self) -> Lines {
        self.lines
    }

    /// Returns the same request as part of this trace.
    #[must_use]
    pub fn in_trace(self, trace: Option<u128>) -> Self {
        Self { trace, ..self }
    }

    /// Returns the request's id as log lines have it.
    pub fn request(self) -> String {
        Id(self.request).to_string()
    }

    /// Returns the trace's id as log lines have it.
    pub fn trace(self) -> Option<String> {
        self.trace.map(|trace| format!("{trace:032x}"))
    }

    /// Enters the context: lines of this thread have its ids until the guard is dropped.
    pub fn enter(self) -> Guard {
        Guard { previous: CURRENT.replace(Some(self)), of_this_thread: PhantomData }
    }

    /// Runs `future` in the context. Cancel safe if `future` is.
    pub async fn in_scope<F: Future>(self, future: F) -> F::Output {
        let mut future = pin!(future);
        std::future::poll_fn(|cx| {
            let _entered = self.enter();
            future.as_mut().poll(cx)
        })
        .await
    }

    /// Returns the context that is entered on this thread.
    pub(super) fn current() -> Option<Self> {
        CURRENT.get()
    }

    /// Returns names and values of the fields.
    pub(super) fn fields(self) -> impl Iterator<Item = (&'static str, String)> {
        let request = self.request();
        let trace = self.trace().map(|trace| (TRACE_ID, trace));
        std::iter::once((REQUEST_ID, request)).chain(trace)
    }
}

/// Field of the request's id.
const REQUEST_ID: &str = "request_id";

/// Field of the trace's id.
const TRACE_ID: &str = "trace_id";

impl fmt::Display for LogContext {
    /// Writes the fields as text lines have them.
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
        CURRENT.set(self.previous);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_nest_and_are_left_in_order() {
        let (one, two) = (LogContext::new(1, None), LogContext::new(2, Some(3)));
        let outer = one.enter();
        {
            let _inner = two.enter();
            assert_eq!(LogContext::current(), Some(two));
        }
        assert_eq!(LogContext::current(), Some(one));
        drop(outer);
        assert_eq!(LogContext::current(), None);
    }

    #[tokio::test]
    async fn a_future_is_in_its_context_only_while_it_is_polled() {
        let context = LogContext::new(0x7 << 64 | 0xa, None);
        let seen = context
            .in_scope(async {
                tokio::task::yield_now().await;
                LogContext::current()
            })
            .await;
        assert_eq!(seen, Some(context));
        assert_eq!(LogContext::current(), None);
        assert_eq!(context.fields().collect::<Vec<_>>(), [(REQUEST_ID, "7-a".to_owned())]);
    }
}
