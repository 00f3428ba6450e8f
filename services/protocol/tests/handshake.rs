//! First messages, as properties over any text: versions are chosen, names and limits are checked, and codes never appear in `Debug`
//! or errors.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use protocol::link::handshake::{
    Auth, AuthReply, HandshakeError, MAX_RESUME, PROTOCOL_NAME, ProxyHello, ResumeProof, SlaveHello,
    VERSIONS, check_slave_name, choose_version, nonce_text,
};
use protocol::link::ids::InstanceId;
use protocol::link::limits::{MAX_AUTH, MIN_WINDOW};
use serde_json::{Value, json};

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z\"\\\\]{0,6}".prop_map(Value::from),
        Just(Value::from("auth")),
        Just(Value::from(PROTOCOL_NAME)),
        Just(Value::from("auth_success")),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        let key = prop::sample::select(vec![
            "type",
            "slaveCode",
            "protocol",
            "name",
            "version",
            "versions",
            "instance",
            "window",
            "nonce",
            "resume",
            "fleet",
            "slaveName",
            "labels",
            "capacity",
            "message",
            "graceMs",
            "x",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key.prop_map(String::from), inner, 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn hello() -> impl Strategy<Value = SlaveHello> {
    let labels = prop::collection::btree_map("[a-z]{1,8}", "[ -~]{0,8}", 0..4);
    let resume = prop::collection::btree_map(any::<u64>(), any::<u8>(), 0..MAX_RESUME);
    let numbers = (prop::collection::vec(any::<u16>(), 0..5), any::<u64>(), any::<u32>(), MIN_WINDOW..);
    (numbers, "[A-Za-z0-9._-]{1,63}", labels, any::<bool>(), resume).prop_map(
        |((versions, instance, capacity, window), slave_name, labels, probe, resume)| SlaveHello {
            name: PROTOCOL_NAME.into(),
            versions,
            instance: InstanceId(instance).to_string(),
            nonce: nonce_text([7; 32]),
            resume: resume
                .into_iter()
                .map(|(proxy, proof)| (InstanceId(proxy).to_string(), ResumeProof::new(&[proof; 32])))
                .collect(),
            slave_name,
            labels,
            capacity,
            window,
            agent: "test/1".into(),
            probe,
            ..SlaveHello::default()
        },
    )
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in "\\PC{0,80}", value in json_value()) {
        for text in [text, value.to_string()] {
            let _ = (Auth::parse(&text), AuthReply::parse(&text));
        }
    }

    #[test]
    fn accepted_messages_obey_the_rules(value in json_value()) {
        if let Ok(auth) = Auth::parse(&value.to_string()) {
            prop_assert_eq!(&value["type"], "auth");
            prop_assert_eq!(&value["slaveCode"], &Value::from(auth.slave_code.0));
            if let Some(hello) = auth.protocol {
                prop_assert_eq!(check_slave_name(&hello.slave_name), Ok(()));
                prop_assert!(hello.window >= MIN_WINDOW && InstanceId::parse(&hello.instance).is_some());
            }
        }
        if let Ok(AuthReply::AuthSuccess { protocol: Some(hello), .. }) = AuthReply::parse(&value.to_string()) {
            prop_assert!(VERSIONS.contains(&hello.version) && hello.window >= MIN_WINDOW);
        }
    }

    #[test]
    fn a_hello_round_trips_with_members_of_a_later_version(hello in hello(), code in "[!-~]{1,40}", later in json_value()) {
        let mut auth = serde_json::to_value(Auth::new(code.clone(), hello.clone())).unwrap();
        auth["later"] = later.clone();
        auth["protocol"]["later"] = later;
        let read = Auth::parse(&auth.to_string()).unwrap();
        prop_assert_eq!(&read.slave_code.0, &code);
        prop_assert_eq!(read.protocol, Some(hello));
    }

    #[test]
    fn a_code_is_never_shown(code in "[A-Za-z0-9]{12,40}", hello in hello()) {
        let auth = Auth::new(code.clone(), hello);
        let shown = format!("{auth:?}");
        prop_assert!(!shown.contains(&code));
        let spoiled = format!("{{\"type\":\"auth\",\"slaveCode\":[\"{code}\"]}}");
        prop_assert!(!Auth::parse(&spoiled).unwrap_err().to_string().contains(&code));
    }

    #[test]
    fn the_newest_common_version_is_chosen_or_the_link_is_plain(offered in prop::collection::vec(0u16..6, 0..6)) {
        let best = offered.iter().copied().filter(|v| VERSIONS.contains(v)).max();
        prop_assert_eq!(choose_version(&offered), best);
    }

    #[test]
    fn a_proxy_of_an_unknown_version_or_name_is_plain(version in any::<u16>(), name in "[a-z-]{0,12}", window in any::<u32>()) {
        let hello = ProxyHello {
            name: name.clone(),
            version,
            instance: InstanceId(1).to_string(),
            grace_ms: 1,
            window,
            agent: String::new(),
            ..ProxyHello::default()
        };
        let text = serde_json::to_string(&AuthReply::success(Some(hello.clone()))).unwrap();
        let usable = name == PROTOCOL_NAME && VERSIONS.contains(&version) && window >= MIN_WINDOW;
        prop_assert_eq!(AuthReply::parse(&text).unwrap(), AuthReply::success(usable.then_some(hello)));
    }

    #[test]
    fn a_message_beyond_the_limit_is_not_parsed(extra in 1usize..1000) {
        let text = " ".repeat(MAX_AUTH + extra);
        prop_assert_eq!(Auth::parse(&text).unwrap_err(), HandshakeError::TooLong(MAX_AUTH + extra));
    }
}

#[test]
fn a_usable_proxy_hello_is_native() {
    let hello = ProxyHello {
        name: PROTOCOL_NAME.into(),
        version: VERSIONS[0],
        instance: InstanceId(9).to_string(),
        grace_ms: 30_000,
        window: MIN_WINDOW,
        agent: "mcp-relay/0".into(),
        ..ProxyHello::default()
    };
    let reply = AuthReply::success(Some(hello));
    assert_eq!(AuthReply::parse(&serde_json::to_string(&reply).unwrap()).unwrap(), reply);
}

#[test]
fn a_window_below_two_chunks_is_refused_on_both_sides() {
    let slave = json!({
        "type": "auth", "slaveCode": "c",
        "protocol": {
            "name": PROTOCOL_NAME, "versions": VERSIONS, "instance": InstanceId(1).to_string(), "nonce": nonce_text([7; 32]), "slaveName": "s",
            "labels": BTreeMap::<String, String>::new(), "window": MIN_WINDOW - 1,
        },
    });
    assert!(
        matches!(Auth::parse(&slave.to_string()), Err(HandshakeError::BadHello(why)) if why.contains("131072"))
    );
}
