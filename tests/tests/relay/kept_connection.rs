//! `mcp-relay call --during`: many calls of a client go over one connection, as ports of a machine are few.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Forwards connections to `target` and counts them.
async fn counted(target: SocketAddr) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, count) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counter = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::Relaxed);
            let mut to = tokio::net::TcpStream::connect(target).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut from, &mut to).await });
        }
    });
    (address, count)
}

#[tokio::test]
async fn a_client_that_calls_without_a_pause_keeps_its_connection() {
    let (proxy, _slave) = harness::relay::pair().await;
    let (address, connections) = counted(proxy.http).await;
    for era in ["modern", "legacy"] {
        connections.store(0, Ordering::Relaxed);
        let url = format!("http://{address}");
        let args = ["call", "echo", "--during", "1", "--parallel", "2", "--era", era];
        let args = args.map(str::to_owned).into_iter();
        let args =
            args.chain(["--arguments".to_owned(), r#"{"text":"x"}"#.to_owned(), "--url".to_owned(), url]);
        let output =
            tokio::process::Command::new(harness::process::binary()).args(args).output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let calls: usize = said.split(' ').next().unwrap().parse().unwrap();
        assert!(said.ends_with(" calls answered, 0 failed\n") && calls > 4, "{said}");
        let opened = connections.load(Ordering::Relaxed);
        assert!(opened <= 4, "{opened} connections for {calls} calls, {era}");
    }
}
