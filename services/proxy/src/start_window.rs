//! The start window: the first seconds of a proxy, in which slaves find it. Until it is over the proxy is not ready without a
//! slave, and calls that no slave can take wait. Must not know calls or slaves.

use std::time::{Duration, Instant};

/// The start window of one proxy process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StartWindow {
    /// `None`: there is no window.
    end: Option<Instant>,
}

impl StartWindow {
    /// A window that begins now and lasts `START_WINDOW`; none where no code exists, as no slave could come.
    pub(crate) fn begin(now: Instant, duration: Duration, codes: usize) -> Self {
        Self { end: Some(now + duration).filter(|_| codes > 0 && !duration.is_zero()) }
    }

    /// Returns the end of the window, unless it is over.
    pub(crate) fn end(self, now: Instant) -> Option<Instant> {
        self.end.filter(|end| now < *end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_open_for_its_time_and_only_where_a_code_and_a_time_exist() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let window = StartWindow::begin(now, 15 * second, 1);
        assert_eq!(window.end(now), Some(now + 15 * second));
        assert_eq!(window.end(now + 14 * second), Some(now + 15 * second));
        assert_eq!(window.end(now + 15 * second), None);
        assert_eq!(StartWindow::begin(now, 15 * second, 0).end(now), None);
        assert_eq!(StartWindow::begin(now, Duration::ZERO, 1).end(now), None);
    }
}
