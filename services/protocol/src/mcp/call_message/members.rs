//! The members that identify a message, by their keys. Must not know how a key was read.

/// Member of a message or error object that the check looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Member {
    Jsonrpc,
    Method,
    Params,
    Id,
    Result,
    Error,
    Code,
    Message,
    /// `progressToken` of `params`.
    Token,
    Other,
}

impl Member {
    /// Returns the member of a key.
    pub(super) fn of(key: &[u8]) -> Self {
        match key {
            b"jsonrpc" => Self::Jsonrpc,
            b"method" => Self::Method,
            b"params" => Self::Params,
            b"id" => Self::Id,
            b"result" => Self::Result,
            b"error" => Self::Error,
            b"code" => Self::Code,
            b"message" => Self::Message,
            _ => Self::Other,
        }
    }

    /// Returns the member's bit in a set.
    pub(super) const fn bit(self) -> u16 {
        1 << self as u8
    }
}

/// Members that make a message a request or a response.
pub(super) const NOT_OF_A_NOTIFICATION: u16 = Member::Id.bit() | Member::Result.bit() | Member::Error.bit();

/// Members that a request has not.
pub(super) const NOT_OF_A_REQUEST: u16 = Member::Result.bit() | Member::Error.bit();

/// Members of a notification, in small letters.
const NAMES: [&[u8]; 6] = [b"jsonrpc", b"method", b"params", b"id", b"result", b"error"];

/// Letters other than ASCII's that readers without regard to case take for `s` and `k`.
const LONG_S: &[u8] = "\u{17f}".as_bytes();
const KELVIN: &[u8] = "\u{212a}".as_bytes();

/// Returns whether a reader that does not regard case takes the key for this name, given in small letters.
pub(super) fn folds_to(key: &[u8], name: &[u8]) -> bool {
    let mut rest = key;
    for wanted in name {
        let other = match wanted {
            b's' => rest.strip_prefix(LONG_S),
            b'k' => rest.strip_prefix(KELVIN),
            _ => None,
        };
        rest = match (other, rest) {
            (Some(rest), _) => rest,
            (None, [first, rest @ ..]) if first.eq_ignore_ascii_case(wanted) => rest,
            _ => return false,
        };
    }
    rest.is_empty()
}

/// Returns whether a reader that does not regard case takes the key for a member of a notification.
pub(super) fn is_disguised(key: &[u8]) -> bool {
    NAMES.iter().any(|name| folds_to(key, name))
}

/// Returns whether a number's text has neither fraction nor exponent.
pub(super) fn is_integer(number: &[u8]) -> bool {
    !number.is_empty() && number.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-')
}
