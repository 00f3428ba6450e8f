//! Errors that prevent a measurement. Slow results are no errors: they are reported as numbers.

use std::time::Duration;

/// The reason why the benchmark stops without numbers. Every text names the operation.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// The operating system refused something.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Its answer.
        source: std::io::Error,
    },
    /// A peer gave a wrong answer.
    #[error("wrong answer from {from}: {what}")]
    WrongAnswer {
        /// Which request.
        from: String,
        /// What came instead.
        what: String,
    },
    /// A response that the generator cannot parse.
    #[error("unreadable HTTP response: {0}")]
    BadResponse(&'static str),
    /// Something did not happen in time.
    #[error("{what} did not happen within {within:?}{detail}")]
    TooLate {
        /// What was waited for.
        what: String,
        /// For how long.
        within: Duration,
        /// The last thing seen, with a separator; may be empty.
        detail: String,
    },
    /// A process that the benchmark needs did not start or ended early.
    #[error("{0}")]
    Process(String),
    /// The proxy asks a slave to come again after this time.
    #[error("the proxy is busy: come again after {0:?}")]
    Busy(Duration),
    /// A simulated slave could not link.
    #[error("a simulated slave could not link: {0}")]
    Link(String),
}

/// Shorthand for this crate.
pub(crate) type Result<T> = std::result::Result<T, BenchError>;

/// Names the operation that an [`std::io::Error`] belongs to.
pub(crate) trait Doing<T> {
    /// Says what was being done.
    fn doing(self, what: &str) -> Result<T>;
}

impl<T> Doing<T> for std::io::Result<T> {
    fn doing(self, what: &str) -> Result<T> {
        self.map_err(|source| BenchError::Io { what: what.to_owned(), source })
    }
}
