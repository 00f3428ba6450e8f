//! Why the proxy itself ends a link. Knows neither sockets nor slaves.

use std::fmt;

use protocol::link::handshake::close;

/// A reason that the slave is told in the close frame. Stored as its number, so 0 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum CloseReason {
    /// `SLAVE_MODE=single`, and another slave came.
    Replaced = 1,
    /// The proxy ends.
    GoingAway,
    /// The slave's code was removed.
    CodeRemoved,
    /// The time of the slave's code is over, or was moved to later.
    CodeExpired,
    /// The slave's code no longer allows its labels.
    LabelsNotAllowed,
}

impl CloseReason {
    const ALL: [Self; 5] =
        [Self::Replaced, Self::GoingAway, Self::CodeRemoved, Self::CodeExpired, Self::LabelsNotAllowed];

    /// Returns the reason with this number.
    pub(super) fn of(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| *reason as u8 == number)
    }

    /// Returns the WebSocket close code.
    pub(super) fn code(self) -> u16 {
        match self {
            Self::Replaced => close::REPLACED,
            Self::GoingAway => close::GOING_AWAY,
            Self::CodeRemoved | Self::CodeExpired | Self::LabelsNotAllowed => close::AUTH_FAILED,
        }
    }

    /// Returns the stable label of the metric.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Replaced | Self::GoingAway => "asked",
            Self::CodeRemoved => "code_removed",
            Self::CodeExpired => "code_expired",
            Self::LabelsNotAllowed => "labels_not_allowed",
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
            Self::LabelsNotAllowed => "its slave code does not allow its labels any more",
        })
    }
}
