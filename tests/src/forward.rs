//! A forward proxy that does what a test chooses: opens tunnels, passes requests on, asks for credentials, refuses, or answers with
//! anything. Knows HTTP/1.1; nothing of the relay.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// What the proxy does with each connection.
#[derive(Clone, Debug)]
pub enum Script {
    /// It passes all on.
    Pass,
    /// It asks for these Basic credentials, `user:password`, and passes on what has them.
    Ask(&'static str),
    /// It answers a whole head with these bytes, and closes.
    Say(Vec<u8>),
    /// It closes the connection when a head is whole.
    Close,
    /// It never answers.
    Hang,
}

/// A running forward proxy. Dropping it ends it with all tunnels.
pub struct ForwardProxy {
    /// Its address.
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    task: AbortHandle,
}

impl Drop for ForwardProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ForwardProxy {
    /// Starts a proxy on a free port that knows these servers, `host:port`, and no others.
    pub async fn start(script: Script, servers: &[(&str, SocketAddr)]) -> Self {
        Self::start_on(([127, 0, 0, 1], 0).into(), script, servers).await
    }

    /// Starts a proxy on this address.
    pub async fn start_on(address: SocketAddr, script: Script, servers: &[(&str, SocketAddr)]) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let servers: HashMap<String, SocketAddr> =
            servers.iter().map(|(name, address)| ((*name).to_owned(), *address)).collect();
        let (servers, seen) = (Arc::new(servers), Arc::default());
        let of_task = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, script.clone(), Arc::clone(&servers), Arc::clone(&of_task)));
            }
        });
        Self { address, seen, task: task.abort_handle() }
    }

    /// Returns the URL of the proxy, with this user information.
    pub fn url(&self, userinfo: &str) -> String {
        let at = if userinfo.is_empty() { "" } else { "@" };
        format!("http://{userinfo}{at}{}", self.address)
    }

    /// Returns the heads of the requests so far.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// Returns how many requests begin with this text.
    pub fn count(&self, begin: &str) -> usize {
        self.seen().iter().filter(|head| head.starts_with(begin)).count()
    }
}

async fn serve(
    mut stream: TcpStream,
    script: Script,
    servers: Arc<HashMap<String, SocketAddr>>,
    seen: Arc<Mutex<Vec<String>>>,
) -> io::Result<()> {
    let mut read = Vec::new();
    while !read.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut read).await? == 0 {
            return Ok(());
        }
    }
    let head = String::from_utf8_lossy(&read).split("\r\n\r\n").next().unwrap_or_default().to_owned();
    seen.lock().unwrap().push(head.clone());
    match script {
        Script::Pass => pass(stream, &head, &read, &servers).await,
        Script::Ask(credentials) => {
            let expected = format!("Basic {}", STANDARD.encode(credentials));
            let is_right = |line: &str| {
                let Some((name, value)) = line.split_once(": ") else { return false };
                name.eq_ignore_ascii_case("proxy-authorization") && value == expected
            };
            if head.lines().any(is_right) {
                return pass(stream, &head, &read, &servers).await;
            }
            let answer = "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n";
            stream.write_all(answer.as_bytes()).await?;
            stream.shutdown().await
        }
        Script::Say(bytes) => {
            stream.write_all(&bytes).await?;
            stream.shutdown().await
        }
        Script::Close => Ok(()),
        Script::Hang => {
            // Until the other side gives up.
            let _ = stream.read_to_end(&mut read).await;
            Ok(())
        }
    }
}

/// Opens the tunnel of a CONNECT, or passes a request with a whole URL on as it stands.
async fn pass(
    mut stream: TcpStream,
    head: &str,
    read: &[u8],
    servers: &HashMap<String, SocketAddr>,
) -> io::Result<()> {
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let is_tunnel = method == "CONNECT";
    let authority = target.split("://").last().unwrap_or_default().split('/').next().unwrap_or_default();
    let authority = if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
    let Some(address) = servers.get(&authority) else {
        let answer =
            "HTTP/1.1 503 Service Unavailable\r\nX-Squid-Error: ERR_DNS_FAIL 0\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(answer.as_bytes()).await?;
        return stream.shutdown().await;
    };
    let mut server = TcpStream::connect(address).await?;
    if is_tunnel {
        stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    } else {
        server.write_all(read).await?;
    }
    copy_bidirectional(&mut stream, &mut server).await.map(|_| ())
}
