//! Streams that stay open: how their connection is used, and how it ends.

use std::time::Duration;

use harness::relay::Setup;
use harness::wait;
use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Reads until `text` ends with this.
async fn read_until(stream: &mut TcpStream, text: &mut String, end: &str) {
    wait::within(&format!("{end:?}"), wait::TIMEOUT, async {
        while !text.ends_with(end) {
            let mut byte = [0];
            stream.read_exact(&mut byte).await.unwrap();
            text.push(char::from(byte[0]));
        }
    })
    .await;
}

#[tokio::test]
async fn a_stream_has_its_connection_alone_and_ends_whole_with_the_proxy() {
    for (version, is_chunked) in [("1.1", true), ("1.0", false)] {
        let mut proxy = Setup::proxy().start_proxy().await;
        let mut stream = TcpStream::connect(proxy.http).await.unwrap();
        let head = format!("GET /mcp HTTP/{version}\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n");
        // A second request, though the answer to the first says that none is taken: it spoils nothing.
        for _ in 0..2 {
            stream.write_all(head.as_bytes()).await.unwrap();
        }
        let mut text = String::new();
        read_until(&mut stream, &mut text, "\r\n\r\n").await;
        assert!(text.starts_with(&format!("HTTP/{version} 200 ")), "{text}");
        assert_eq!(text.contains("connection: close\r\n"), is_chunked, "{text}");
        assert_eq!(text.contains("transfer-encoding: chunked\r\n"), is_chunked, "{text}");
        let comment = if is_chunked { "3\r\n:\n\n\r\n" } else { ":\n\n" };
        let mut body = String::new();
        read_until(&mut stream, &mut body, comment).await;
        assert_eq!(body, comment);
        proxy.signal(Signal::SIGTERM);
        let mut rest = String::new();
        if is_chunked {
            read_until(&mut stream, &mut rest, "\r\n\r\n").await;
            assert_eq!(rest, "0\r\n\r\n");
        }
        // The second request was not answered: the system may reset the connection.
        assert_eq!(stream.read(&mut [0]).await.unwrap_or_default(), 0, "nothing follows");
        assert!(proxy.exit(Duration::from_secs(10)).await.success());
    }
}
