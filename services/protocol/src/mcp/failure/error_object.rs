//! Reading of JSON-RPC error objects, whoever wrote them: code, kind and HTTP status. Must not know who sends the response.

use std::borrow::Cow;

use serde::Deserialize;

use crate::mcp::failure::kind::FailureKind;

/// Kinds whose HTTP status MCP ties to their code (2026-07-28, Streamable HTTP), whoever wrote the error.
const TIED_TO_CODE: [FailureKind; 4] = [
    FailureKind::HeaderMismatch,
    FailureKind::MissingCapability,
    FailureKind::UnsupportedVersion,
    FailureKind::MethodNotFound,
];

/// Returns the JSON-RPC code of an error object; `None` where it has none.
pub fn code_in(error_object: &[u8]) -> Option<i64> {
    #[derive(Deserialize)]
    struct Error {
        code: i64,
    }
    serde_json::from_slice(error_object).ok().map(|Error { code }| code)
}

/// Returns the message of an error object; `None` where it has none.
pub fn message_in(error_object: &[u8]) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Error<'a> {
        #[serde(borrow)]
        message: Cow<'a, str>,
    }
    serde_json::from_slice(error_object).ok().map(|Error { message }| message)
}

/// Returns the kind of an error object that [`Failure::error_object`](super::Failure::error_object) wrote, in whichever
/// process; `None` for any other error.
pub fn kind_in(error_object: &[u8]) -> Option<FailureKind> {
    #[derive(Deserialize)]
    struct Data<'a> {
        #[serde(borrow)]
        kind: Cow<'a, str>,
    }
    #[derive(Deserialize)]
    struct Error<'a> {
        code: i64,
        #[serde(borrow)]
        data: Data<'a>,
    }
    let Error { code, data } = serde_json::from_slice(error_object).ok()?;
    FailureKind::parse(&data.kind).filter(|kind| {
        let spec = kind.spec();
        [spec.code, spec.modern_code].into_iter().any(|known| i64::from(known) == code)
    })
}

/// Returns the HTTP status that a modern client gets with an error object of a backend, which cannot name one itself;
/// 0: 200.
pub fn modern_status(error_object: &[u8]) -> u16 {
    let code = code_in(error_object);
    let tied = TIED_TO_CODE.into_iter().map(FailureKind::spec).find(|spec| code == Some(spec.code.into()));
    tied.map_or(0, |spec| spec.modern)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::era::Era;
    use crate::mcp::failure::reason::Failure;

    #[test]
    fn the_kind_of_our_own_errors_is_found_again_and_of_no_others() {
        for failure in Failure::examples() {
            for era in [Era::Legacy, Era::Modern] {
                assert_eq!(kind_in(failure.error_object(era).as_bytes()), Some(failure.kind()));
            }
        }
        for other in ["", "[]", r#"{"code":-32000,"message":"x"}"#, r#"{"code":1,"data":{"kind":"timeout"}}"#]
        {
            assert_eq!(kind_in(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn only_the_specification_s_codes_have_a_status() {
        for (code, status) in
            [(-32020, 400), (-32021, 400), (-32022, 400), (-32601, 404), (-32602, 0), (-31002, 0)]
        {
            let error = format!(r#"{{"message":"x","code":{code}}}"#);
            assert_eq!(modern_status(error.as_bytes()), status, "{code}");
        }
        assert_eq!(modern_status(b"[]"), 0);
    }

    #[test]
    fn the_message_is_read_whoever_wrote_it() {
        for failure in Failure::examples() {
            assert_eq!(
                message_in(failure.error_object(Era::Modern).as_bytes()),
                Some(failure.to_string().into())
            );
        }
        assert_eq!(message_in(br#"{"message":"a\u000ab","x":1}"#), Some("a\nb".into()));
        assert_eq!(message_in(br#"{"message":5}"#), None);
    }
}
