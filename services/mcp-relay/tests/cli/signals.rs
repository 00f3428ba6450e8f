//! Tests of how a server ends at signals.

use std::io::{Read, Write};
use std::net::TcpStream;

use nix::sys::signal::Signal;
use serde_json::json;

use super::text;
use crate::server::Server;

/// Starts a call of `sleep` for `tenths` of a second and returns its connection once progress has arrived.
fn begun_sleep(address: &str, tenths: u32) -> TcpStream {
    let arguments = json!({ "seconds": f64::from(tenths) / 10.0, "steps": tenths });
    let call = json!({ "name": "sleep", "arguments": arguments, "_meta": { "progressToken": 1 } });
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call }).to_string();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut read = Vec::new();
    while !text(&read).contains("notifications/progress") {
        let mut some = [0; 4096];
        let count = stream.read(&mut some).unwrap();
        assert_ne!(count, 0, "{}", text(&read));
        read.extend_from_slice(&some[..count]);
    }
    stream
}

#[test]
fn two_signals_at_once_count_as_one_and_a_later_one_ends_the_grace() {
    let env = [("MCP_SERVER_PORT", "0"), ("DEMO_TOOLS", "1")];
    let mut server = Server::start(&[], &env);
    let address = server.address("MCP server listening on http://");
    let mut answer = begun_sleep(&address, 10);
    // Two different signals: the same one twice may be delivered once.
    server.signal(Signal::SIGINT);
    server.signal(Signal::SIGTERM);
    let mut text = String::new();
    answer.read_to_string(&mut text).unwrap();
    assert!(text.contains("slept 1 s in 10 steps"), "{text}");
    assert_eq!(server.wait(), Some(0));

    let mut server = Server::start(&[], &env);
    let address = server.address("MCP server listening on http://");
    let _answer = begun_sleep(&address, 6000);
    server.interrupt_until_it_ends();
    assert_eq!(server.wait(), Some(0));
}
