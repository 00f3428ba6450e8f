//! The reasons for which the proxy itself closes a link. Must not know sockets or slaves.

use std::fmt;

use protocol::link::handshake::close;

/// A reason that the close frame gives to the slave. Stored as its number, where 0 stands for no reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum CloseReason {
    /// Another slave connected under `SLAVE_MODE=single`.
    Replaced = 1,
    /// The proxy shuts down.
    GoingAway,
    /// The slave's code was removed.
    CodeRemoved,
    /// The slave's code has expired, or its validity now begins later.
    CodeExpired,
    /// The slave went on sending answers that its calls may not have.
    BadAnswers,
    /// The slave's code names other certificates than the slave's.
    CertificateNotAllowed,
}

impl CloseReason {
    const ALL: [Self; 6] = [
        Self::Replaced,
        Self::GoingAway,
        Self::CodeRemoved,
        Self::CodeExpired,
        Self::BadAnswers,
        Self::CertificateNotAllowed,
    ];

    /// Returns the reason with this number.
    pub(super) fn of(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| *reason as u8 == number)
    }

    /// Returns the WebSocket close code.
    pub(super) fn code(self) -> u16 {
        match self {
            Self::Replaced => close::REPLACED,
            Self::GoingAway => close::GOING_AWAY,
            Self::CodeRemoved | Self::CodeExpired | Self::CertificateNotAllowed => close::AUTH_FAILED,
            Self::BadAnswers => close::PROTOCOL_ERROR,
        }
    }

    /// Returns the stable label of the metric.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Replaced | Self::GoingAway => "asked",
            Self::CodeRemoved => "code_removed",
            Self::CodeExpired => "code_expired",
            Self::BadAnswers => "bad_answers",
            Self::CertificateNotAllowed => "certificate_not_allowed",
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Replaced => "replaced by a new slave",
            Self::GoingAway => "the proxy is going down",
            Self::CodeRemoved => "its slave code was removed",
            Self::CodeExpired => "its slave code is not valid any more",
            Self::BadAnswers => "it went on sending malformed answers",
            Self::CertificateNotAllowed => "its slave code needs another client certificate now",
        })
    }
}
