//! The reasons for which a link to a proxy ends or cannot be established, on which the next dial depends. Must not know
//! how to dial.

use std::fmt;
use std::time::Duration;

use link::{CloseFrame, ConnectionError};
use protocol::link::handshake::close;

/// The reason for the end of a link or of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DisconnectReason {
    /// The proxy does not accept the code, or no longer accepts it; with the proxy's reason.
    Refused(String),
    /// Another connection replaced this slave's link.
    Replaced,
    /// A link that was opened with a changed code replaced this one.
    Renewed,
    /// The proxy has a link of this slave already and keeps it.
    AlreadyLinked,
    /// The proxy closed the link because it shuts down.
    GoingDown,
    /// The connection failed for any other reason, which is given.
    Lost(String),
    /// The proxy rejects new connections for at least this time.
    Busy(Duration),
    /// The proxy violated the protocol in the given way. The connection is closed with 1002.
    ProtocolError(String),
    /// This slave closes the link because it shuts down.
    Closing,
}

impl DisconnectReason {
    /// Returns the stable label of the metric.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Replaced => "replaced",
            Self::Renewed => "renewed",
            Self::AlreadyLinked => "already_linked",
            Self::GoingDown => "going_down",
            Self::Lost(_) => "lost",
            Self::Busy(_) => "busy",
            Self::ProtocolError(_) => "protocol_error",
            Self::Closing => "closing",
        }
    }

    /// Reads the proxy's close frame.
    pub(super) fn from_close(frame: Option<CloseFrame>) -> Self {
        let Some(CloseFrame { code, reason }) = frame else {
            return Self::Lost("the proxy closed the connection without a reason".into());
        };
        match code {
            close::REPLACED => Self::Replaced,
            close::AUTH_FAILED => Self::Refused(reason.to_string()),
            close::ALREADY_LINKED => Self::AlreadyLinked,
            close::GOING_AWAY => Self::GoingDown,
            code => Self::Lost(format!("the proxy closed the connection ({code} {reason})")),
        }
    }

    /// Returns the reason for a proxy that was silent for this time.
    pub(super) fn silence(time: Duration) -> Self {
        let seconds = time.as_secs_f64();
        Self::Lost(format!("nothing was heard from the proxy for {seconds:.1} s (LINK_PING_TIMEOUT_MS)"))
    }

    /// Returns code and reason of the close frame to the proxy; `None`: the connection is dropped without one.
    pub(super) fn close_frame(&self) -> Option<(u16, &str)> {
        match self {
            Self::ProtocolError(how) => Some((close::PROTOCOL_ERROR, how)),
            Self::Closing => Some((close::GOING_AWAY, "the slave is going down")),
            Self::Lost(_)
            | Self::GoingDown
            | Self::Busy(_)
            | Self::Replaced
            | Self::Renewed
            | Self::AlreadyLinked
            | Self::Refused(_) => None,
        }
    }
}

impl From<ConnectionError> for DisconnectReason {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::TooLong { .. } => {
                Self::Lost(format!("the proxy sent too long a message ({error}): MAX_BODY_BYTES"))
            }
            error if error.is_violation() => Self::ProtocolError(error.to_string()),
            error => Self::Lost(error.to_string()),
        }
    }
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => write!(f, "the proxy does not accept SLAVE_CODE: {why}"),
            Self::Replaced => f.write_str("another slave took this one's place"),
            Self::Renewed => f.write_str("a link with the changed code took its place"),
            Self::AlreadyLinked => f.write_str("it leads to a proxy that is linked already"),
            Self::GoingDown => f.write_str("the proxy is going down"),
            Self::Lost(why) => f.write_str(why),
            Self::Busy(_) => f.write_str(
                "the proxy has too many new connections (HANDSHAKE_RATE) and asks to come again later",
            ),
            Self::ProtocolError(how) => write!(f, "the proxy broke the protocol: {how}"),
            Self::Closing => f.write_str("the slave is going down"),
        }
    }
}
