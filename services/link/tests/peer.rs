//! [`link::Connection`] against tungstenite as its peer, in both roles, over a stream that splits reads and writes.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use link::{Connection, ConnectionError, Message, Role};
use proptest::prelude::*;
use protocol::link::frame::{Flags, Frame, FrameKind};
use protocol::link::ids::CallId;
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Theirs;
use tokio_tungstenite::tungstenite::protocol::frame::Frame as WsFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role as TheirRole};

const MAX_MESSAGE: usize = 1 << 20;

type Peer = WebSocketStream<DuplexStream>;

/// A connection in this role and its peer, over a pipe that holds so many bytes.
async fn pair(role: Role, pipe: usize) -> (Connection<DuplexStream>, Peer) {
    let (ours, theirs) = duplex(pipe);
    let their_role = match role {
        Role::Client => TheirRole::Server,
        Role::Server => TheirRole::Client,
    };
    (
        Connection::new(ours, role, MAX_MESSAGE),
        WebSocketStream::from_raw_socket(theirs, their_role, None).await,
    )
}

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(test)
}

fn roles() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Client), Just(Role::Server)]
}

/// Lengths around every limit of the header format, and of our own thresholds.
fn lengths() -> impl Strategy<Value = usize> {
    prop_oneof![0_usize..300, 124_usize..=127, 4094_usize..=4098, 65_534_usize..=65_537, Just(200_000_usize),]
}

fn payload(len: usize) -> Bytes {
    (0..len).map(|index| u8::try_from(index % 251).unwrap_or_default()).collect()
}

#[derive(Clone, Debug)]
enum Sent {
    Binary(usize),
    Text(usize),
    Frames(Vec<usize>),
    Ping,
}

fn sent() -> impl Strategy<Value = Sent> {
    prop_oneof![
        lengths().prop_map(Sent::Binary),
        lengths().prop_map(Sent::Text),
        prop::collection::vec(0_usize..60_000, 1..6).prop_map(Sent::Frames),
        Just(Sent::Ping),
    ]
}

fn frames(lens: &[usize]) -> Vec<Frame> {
    let frame = |(index, len): (usize, &usize)| Frame {
        kind: FrameKind::End,
        flags: Flags::NONE,
        aux: 0,
        call: CallId(index as u128 + 1),
        seq: 0,
        payload: payload(*len),
    };
    lens.iter().enumerate().map(frame).collect()
}

fn expected(sent: &Sent) -> Theirs {
    match sent {
        Sent::Binary(len) => Theirs::Binary(payload(*len)),
        Sent::Text(len) => Theirs::text("x".repeat(*len)),
        Sent::Frames(lens) => {
            let mut batch = bytes::BytesMut::new();
            for frame in frames(lens) {
                frame.encode(&mut batch);
            }
            Theirs::Binary(batch.freeze())
        }
        Sent::Ping => Theirs::Ping(Bytes::from_static(b"?")),
    }
}

async fn send(connection: &mut Connection<DuplexStream>, sent: &Sent) {
    let out = connection.outgoing();
    match sent {
        Sent::Binary(len) => out.send_binary(payload(*len)),
        Sent::Text(len) => out.send_text("x".repeat(*len).into()),
        Sent::Frames(lens) => out.send_frames(&mut frames(lens)),
        Sent::Ping => out.send_ping(b"?"),
    }
    connection.flush().await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn what_we_send_arrives_whole_at_tungstenite(
        role in roles(),
        pipe in 1_usize..9000,
        messages in prop::collection::vec(sent(), 1..8),
    ) {
        run(async {
            let (mut ours, mut theirs) = pair(role, pipe).await;
            let sending = async {
                for message in &messages {
                    send(&mut ours, message).await;
                }
                ours
            };
            let receiving = async {
                let mut received = Vec::new();
                while received.len() < messages.len() {
                    received.push(theirs.next().await.unwrap().unwrap());
                }
                received
            };
            let (_ours, received) = tokio::join!(sending, receiving);
            let expected: Vec<_> = messages.iter().map(expected).collect();
            assert!(received == expected, "{messages:?}");
        });
    }

    #[test]
    fn fragments_with_pings_between_arrive_as_one_message(
        role in roles(),
        pipe in 1_usize..9000,
        len in lengths(),
        text in any::<bool>(),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..6),
    ) {
        run(async {
            let (mut ours, mut theirs) = pair(role, pipe).await;
            let whole = if text { Bytes::from("é".repeat(len / 2)) } else { payload(len) };
            let mut at: Vec<_> = cuts.iter().map(|(index, ping)| (index.index(whole.len() + 1), *ping)).collect();
            at.sort_unstable();
            let message = whole.clone();
            let sending = async {
                let mut from = 0;
                for (to, ping) in at {
                    let opcode = if from == 0 && to == 0 { continue } else { opcode(text, from == 0) };
                    theirs.send(Theirs::Frame(WsFrame::message(message.slice(from..to), opcode, false))).await.unwrap();
                    from = to;
                    if ping {
                        theirs.send(Theirs::Ping(Bytes::from_static(b"now"))).await.unwrap();
                    }
                }
                let last = WsFrame::message(message.slice(from..), opcode(text, from == 0), true);
                theirs.send(Theirs::Frame(last)).await.unwrap();
                theirs
            };
            let receiving = async {
                loop {
                    match ours.recv().await.unwrap() {
                        Message::Ping(payload) => assert_eq!(payload, "now"),
                        Message::Binary(bytes) => break bytes,
                        Message::Text(text) => break Bytes::from(text),
                        other => panic!("{other:?}"),
                    }
                }
            };
            let (_theirs, received) = tokio::join!(sending, receiving);
            assert!(received == whole);
        });
    }

    #[test]
    fn hostile_bytes_never_panic_and_end_in_an_error(role in roles(), bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        run(async {
            let (ours, mut raw) = duplex(64);
            let mut ours = Connection::new(ours, role, 4096);
            let writing = async {
                let _ = raw.write_all(&bytes).await;
                let _ = raw.shutdown().await;
                // The answers to pings have to go somewhere.
                let _ = tokio::io::copy(&mut raw, &mut tokio::io::sink()).await;
            };
            let reading = async {
                while let Ok(message) = ours.recv().await {
                    let (Message::Binary(payload) | Message::Ping(payload) | Message::Pong(payload)) = message else { continue };
                    assert!(payload.len() <= 4096);
                }
                drop(ours);
            };
            tokio::join!(writing, reading);
        });
    }
}

fn opcode(text: bool, first: bool) -> OpCode {
    OpCode::Data(match (text, first) {
        (_, false) => Data::Continue,
        (true, true) => Data::Text,
        (false, true) => Data::Binary,
    })
}

/// What a connection of this role makes of these raw bytes.
async fn received(role: Role, bytes: &[u8]) -> Result<Message, ConnectionError> {
    let (ours, mut raw) = duplex(1 << 16);
    raw.write_all(bytes).await.unwrap();
    Connection::new(ours, role, 1000).recv().await
}

#[tokio::test]
async fn violations_of_the_protocol_are_named() {
    let masked: [(&[u8], &str); 9] = [
        (&[0x82, 0x01, b'x'], "not masked"),
        (&[0xc2, 0x80, 0, 0, 0, 0], "reserved bits"),
        (&[0xa2, 0x80, 0, 0, 0, 0], "reserved bits"),
        (&[0x83, 0x80, 0, 0, 0, 0], "opcode"),
        (&[0x09, 0x80, 0, 0, 0, 0], "fragmented"),
        (&[0x89, 0xfe, 0, 126, 0, 0, 0, 0], "too long"),
        (&[0x80, 0x80, 0, 0, 0, 0], "continuation"),
        (&[0x02, 0x80, 0, 0, 0, 0, 0x82, 0x80, 0, 0, 0, 0], "within another"),
        (&[0x88, 0x81, 0, 0, 0, 0, 3], "one byte"),
    ];
    for (bytes, what) in masked {
        let error = received(Role::Server, bytes).await.unwrap_err();
        assert!(error.is_violation() && error.to_string().contains(what), "{what}: {error}");
    }
    let error = received(Role::Server, &[0x88, 0x82, 0, 0, 0, 0, 3, 237]).await.unwrap_err();
    assert!(error.to_string().contains("close code"), "1005 must not be sent: {error}");
    let error = received(Role::Client, &[0x82, 0x80, 0, 0, 0, 0]).await.unwrap_err();
    assert!(error.to_string().contains("is masked"), "{error}");
    let error = received(Role::Client, &[0x81, 0x02, 0xc3, 0x28]).await.unwrap_err();
    assert!(matches!(error, ConnectionError::InvalidUtf8), "{error}");
}

#[tokio::test]
async fn a_message_beyond_the_limit_is_refused_by_its_header() {
    for bytes in
        [&[0x82, 0x7e, 0x03, 0xe9][..], &[0x82, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]]
    {
        let error = received(Role::Client, bytes).await.unwrap_err();
        assert!(matches!(error, ConnectionError::TooLong { limit: 1000, .. }), "{error}");
    }
    let mut fragments = vec![0x02, 0x7e, 0x03, 0xe8];
    fragments.extend([7; 1000]);
    fragments.extend([0x80, 0x01, 7]);
    let error = received(Role::Client, &fragments).await.unwrap_err();
    assert!(matches!(error, ConnectionError::TooLong { size: 1001, .. }), "{error}");
}

#[tokio::test]
async fn the_peer_reads_our_close_code_and_a_short_reason() {
    for role in [Role::Client, Role::Server] {
        let (ours, mut theirs) = pair(role, 1 << 16).await;
        let long = "é".repeat(100);
        let (frame, ()) = tokio::join!(async { theirs.next().await }, ours.close(4001, &long));
        let Some(Ok(Theirs::Close(Some(CloseFrame { code, reason })))) = frame else { panic!("{frame:?}") };
        assert_eq!((code, reason.as_str()), (CloseCode::from(4001), &long[..122]));
    }
}

#[tokio::test]
async fn the_peer_s_close_is_handed_on_and_answered() {
    for role in [Role::Client, Role::Server] {
        let (mut ours, mut theirs) = pair(role, 1 << 16).await;
        let frame = CloseFrame { code: CloseCode::Away, reason: "bye".into() };
        theirs.close(Some(frame)).await.unwrap();
        let Message::Close(Some(frame)) = ours.recv().await.unwrap() else { panic!("a close frame") };
        assert_eq!((frame.code, frame.reason.as_str()), (1001, "bye"));
        assert!(matches!(ours.recv().await, Err(ConnectionError::Closed)));
        let (answer, ()) = tokio::join!(async { theirs.next().await }, ours.close(1002, "not sent"));
        let Some(Ok(Theirs::Close(Some(CloseFrame { code: CloseCode::Away, .. })))) = answer else {
            panic!("{answer:?}")
        };
    }
}

#[tokio::test]
async fn only_the_newest_ping_of_a_peer_that_does_not_read_is_answered() {
    let (mut ours, mut theirs) = pair(Role::Server, 1 << 20).await;
    for number in 0..1000_u32 {
        theirs.feed(Theirs::Ping(number.to_be_bytes().to_vec().into())).await.unwrap();
    }
    theirs.send(Theirs::text("end")).await.unwrap();
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    // Reading without writing, as while the socket is full.
    while let std::task::Poll::Ready(Ok(message)) = ours.poll_recv(&mut cx) {
        if matches!(message, Message::Text(_)) {
            break;
        }
    }
    ours.flush().await.unwrap();
    assert_eq!(theirs.next().await.unwrap().unwrap(), Theirs::Pong(999_u32.to_be_bytes().to_vec().into()));
}
