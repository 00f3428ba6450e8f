//! Why the proxy itself ends a link. Knows neither sockets nor slaves.

use std::fmt;

use protocol::link::handshake::close;

/// A reason that the slave is told in the close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Farewell {
    /// `SLAVE_MODE=single`, and another came.
    Replaced = 1,
    /// The proxy ends.
    GoingAway,
    /// Its code is none any more.
    CodeRemoved,
    /// Its code's time is over, or was moved to later.
    CodeExpired,
    /// Its code no longer allows its labels.
    LabelsNotAllowed,
}

impl Farewell {
    const ALL: [Self; 5] =
        [Self::Replaced, Self::GoingAway, Self::CodeRemoved, Self::CodeExpired, Self::LabelsNotAllowed];

    /// By its number.
    pub(super) fn of(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|farewell| *farewell as u8 == number)
    }

    /// The WebSocket close code.
    pub(super) fn code(self) -> u16 {
        match self {
            Self::Replaced => close::REPLACED,
            Self::GoingAway => close::GOING_AWAY,
            Self::CodeRemoved | Self::CodeExpired | Self::LabelsNotAllowed => close::AUTH_FAILED,
        }
    }

    /// Stable reason for the metric.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Replaced | Self::GoingAway => "asked",
            Self::CodeRemoved => "code_removed",
            Self::CodeExpired => "code_expired",
            Self::LabelsNotAllowed => "labels_not_allowed",
        }
    }
}

impl fmt::Display for Farewell {
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
