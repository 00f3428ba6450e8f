//! Tables of messages that a call may have and may not have.

use super::*;
use crate::mcp::depth::MAX_DEPTH;
use crate::mcp::era::Era;
use crate::mcp::scan::ScanFault;

/// Checks a message whole, cut everywhere once, and byte by byte; the verdict must be the same.
fn check(shape: MessageShape, message: &str, token: &str) -> Result<(), MessageFault> {
    let token = ProgressToken::parse(token);
    let rules = CallRules { era: Era::Legacy, label: None, token: token.as_ref() };
    let verdict = MessageCheck::whole(shape, message.as_bytes(), rules);
    let in_pieces = |pieces: &[&[u8]]| {
        let mut check = MessageCheck::new(shape);
        pieces.iter().try_for_each(|piece| check.feed(piece, rules))?;
        check.finish(rules)
    };
    for cut in 0..=message.len() {
        let (head, tail) = message.as_bytes().split_at(cut);
        assert_eq!(in_pieces(&[head, tail]), verdict, "{message} cut at {cut}");
    }
    assert_eq!(
        in_pieces(&message.as_bytes().chunks(1).collect::<Vec<_>>()),
        verdict,
        "{message} byte by byte"
    );
    verdict
}

fn event(message: &str) -> Result<(), MessageFault> {
    check(MessageShape::Event, message, r#""t\u00e9""#)
}

#[test]
fn events_that_a_call_may_have() {
    for message in [
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"té","progress":1}}"#,
        r#"{"params":{"progress":{"progressToken":7},"progressToken":"\u0074\u00e9"},"method":"notifications/progress","jsonrpc":"2.0"}"#,
        r#" { "method" : "notif\u0069cations/message", "jsonrpc":"2.0", "params":{"level":"info","data":[{"id":1,"result":2}]}} "#,
        r#"{"jsonrpc":"2.0","method":"notifications/message","x":{"id":3},"params":{"progressToken":3}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/message"}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/elicitation/complete","params":{"elicitationId":"e"}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/com.example/What_is-next"}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/message","ids":1,"i":2,"":3,"ſ":4,"params":{"ID":5,"progressTokens":6}}"#,
    ] {
        assert_eq!(event(message), Ok(()), "{message}");
    }
    let progress = |token: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token}}}}}"#
        )
    };
    for token in ["1", "-1", "\"\"", "\"1\"", r#""\ud83d\ude00""#, r#""\ud83d""#, "1.5e3"] {
        assert_eq!(check(MessageShape::Event, &progress(token), token), Ok(()), "{token}");
        for other in ["10", "2", "null", "\"x\"", "[1]", "{}", "\"11\"", r#""\ud83d\ude01""#] {
            let fault = Err(MessageFault::ProgressToken);
            assert_eq!(check(MessageShape::Event, &progress(other), token), fault, "{other} for {token}");
        }
        assert_eq!(check(MessageShape::Event, &progress(token), "null"), Err(MessageFault::ProgressToken));
    }
}

/// Events that a call with the token `té` may not have.
const FORBIDDEN: &[(&str, MessageFault)] = &[
    (r#"{"jsonrpc":"2.0","id":8,"result":{}}"#, MessageFault::NotANotification),
    (r#"{"jsonrpc":"2.0","\u0069d":8,"result":{}}"#, MessageFault::NotANotification),
    (r#"{"jsonrpc":"2.0","method":"notifications/message","id":null}"#, MessageFault::NotANotification),
    (
        r#"{"jsonrpc":"2.0","method":"notifications/message","params":{},"error":{}}"#,
        MessageFault::NotANotification,
    ),
    (r#"{"jsonrpc":"2.0","id":1,"method":"elicitation/create","params":{}}"#, MessageFault::NotANotification),
    (r#"{"jsonrpc":"2.0","method":"elicitation/create","params":{}}"#, MessageFault::Method),
    (
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#,
        MessageFault::Method,
    ),
    (
        r#"{"jsonrpc":"2.0","method":"notifications/progress ","params":{"progressToken":"té"}}"#,
        MessageFault::Method,
    ),
    (r#"{"jsonrpc":"2.0","method":7,"params":{}}"#, MessageFault::Method),
    (r#"{"jsonrpc":"2.0","method":{"a":"notifications/message"}}"#, MessageFault::Method),
    (r#"{"jsonrpc":"2.0","method":"notifications/message","method":"x"}"#, MessageFault::NotANotification),
    (r#"{"jsonrpc":"2.0","jsonrpc":"2.0","method":"notifications/message"}"#, MessageFault::NotANotification),
    (r#"{"jsonrpc":"2","method":"notifications/message"}"#, MessageFault::NotANotification),
    (r#"{"jsonrpc":2.0,"method":"notifications/message"}"#, MessageFault::NotANotification),
    (r#"{"method":"notifications/message"}"#, MessageFault::NotANotification),
    (r#"{"jsonrpc":"2.0"}"#, MessageFault::NotANotification),
    (r#"{"jsonrpc":"2.0","method":"notifications/message","params":[1]}"#, MessageFault::NotANotification),
    (r#"[{"jsonrpc":"2.0","method":"notifications/message"}]"#, MessageFault::NotANotification),
    ("\"x\"", MessageFault::NotANotification),
    ("1", MessageFault::NotANotification),
    ("{}", MessageFault::NotANotification),
    (r#"{"jsonrpc":"2.0","method":"notifications/message","ID":2}"#, MessageFault::NotANotification),
    (
        r#"{"jsonrpc":"2.0","method":"notifications/message","re\u017fult":{}}"#,
        MessageFault::NotANotification,
    ),
    (
        r#"{"jsonrpc":"2.0","method":"notifications/message","Method":"elicitation/create"}"#,
        MessageFault::NotANotification,
    ),
    (
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"té","progressTo\u212aen":1}}"#,
        MessageFault::NotANotification,
    ),
    (
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t","progress":1}}"#,
        MessageFault::ProgressToken,
    ),
    (
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1}}"#,
        MessageFault::ProgressToken,
    ),
    (r#"{"jsonrpc":"2.0","method":"notifications/progress"}"#, MessageFault::ProgressToken),
    (
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"x":{"progressToken":"té"}}}"#,
        MessageFault::ProgressToken,
    ),
    (
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"té","progressToken":"té"}}"#,
        MessageFault::NotANotification,
    ),
    (
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1},"params":{"progressToken":"té"}}"#,
        MessageFault::NotANotification,
    ),
];

#[test]
fn notifications_that_have_ways_of_their_own_are_no_call_s_in_any_spelling() {
    let is_refused = |method: &str| {
        let params = r#"{"progressToken":"té"}"#;
        let message = format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#);
        assert_eq!(event(&message), Err(MessageFault::Method), "{method}");
    };
    for name in NEVER_OF_A_CALL {
        let name = if name.ends_with('/') { format!("{name}x") } else { name.to_owned() };
        if !CALL_EVENTS.iter().any(|event| event.method == name) {
            is_refused(&name);
        }
        is_refused(&name.to_ascii_uppercase().replace("NOTIFICATIONS/", "notifications/"));
    }
    for name in ["notifications/", "notifications/x y", "notifications/é", "Notifications/x", "x", ""] {
        is_refused(name);
    }
}

#[test]
fn events_that_a_call_may_not_have() {
    for (message, fault) in FORBIDDEN {
        assert_eq!(event(message), Err(*fault), "{message}");
    }
    for message in
        ["", "bytes that are no JSON", "{}{}", r#"{"jsonrpc":"2.0","method":"notifications/message"}, "#]
    {
        assert!(matches!(event(message), Err(MessageFault::Scan(_))), "{message}");
    }
}

#[test]
fn ends_are_one_object() {
    use MessageFault::{NotAResult, NotAnError};
    let result = |text: &str| check(MessageShape::Result, text, "1");
    for text in ["{}", r#" {"content":[],"x":1.0e+2,"id":8,"id":8} "#] {
        assert_eq!(result(text), Ok(()), "{text}");
    }
    for text in ["[]", "1", "null", "\"x\""] {
        assert_eq!(result(text), Err(NotAResult), "{text}");
    }
    for text in ["", "{", "{},\"id\":8", "{} {}", "{}}", "{\"a\":1", "{\n}"] {
        assert!(matches!(result(text), Err(MessageFault::Scan(_))), "{text}");
    }
    let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
    assert_eq!(result(&deep), Err(MessageFault::Scan(ScanFault::TooDeep)));

    let error = |text: &str| check(MessageShape::Error, text, "1");
    for text in [r#"{"code":-32000,"message":"x"}"#, r#"{"data":{"code":"x"},"message":"","co\u0064e":0}"#] {
        assert_eq!(error(text), Ok(()), "{text}");
    }
    for text in [
        "[]",
        "{}",
        r#"{"code":1}"#,
        r#"{"message":"x"}"#,
        r#"{"code":"1","message":"x"}"#,
        r#"{"code":1.5,"message":"x"}"#,
        r#"{"code":1,"message":null}"#,
        r#"{"code":1,"code":2,"message":"x"}"#,
        r#"{"data":{"code":1,"message":"x"}}"#,
    ] {
        assert_eq!(error(text), Err(NotAnError), "{text}");
    }
}

#[test]
fn the_token_is_read_from_the_client_s_request() {
    let message = |meta: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"x"{meta}}}}}"#)
    };
    let of = |meta: &str| ProgressToken::of_request(message(meta).as_bytes());
    assert_eq!(of(r#","_meta":{"progressToken":"\u0061"}"#), ProgressToken::parse("\"a\""));
    assert_eq!(of(r#","_meta":{"progressToken":7}"#), ProgressToken::parse("7"));
    assert_ne!(ProgressToken::parse("7"), ProgressToken::parse("\"7\""));
    for none in ["", r#","_meta":{}"#, r#","_meta":{"progressToken":[1]}"#] {
        assert_eq!(of(none), None, "{none}");
    }
    assert_eq!(ProgressToken::of_request(b"nonsense"), None);
}

#[test]
fn every_fault_has_a_name() {
    for fault in [
        ScanFault::Syntax.into(),
        ScanFault::TooDeep.into(),
        MessageFault::NotAResult,
        MessageFault::NotAnError,
        MessageFault::NotANotification,
        MessageFault::Method,
        MessageFault::ProgressToken,
    ] {
        assert!(MessageFault::NAMES.contains(&fault.as_str()), "{fault:?}");
    }
}
