//! One keep-alive connection of an MCP client: sends a formatted request, reads the response and checks it. Knows no load.

use std::time::Duration;

use memchr::memmem;
use protocol::mcp::era::Era;
use serde_json::{Value, json};

use crate::error::{BenchError, Result};
use crate::request::{RequestBuilder, Template, echo_text, fresh_id};
use crate::response::{Body, Response};
use crate::tls::{Stream, Target};

/// Size of the read buffer, in bytes.
const READ_BUFFER: usize = 256 * 1024;

/// One connection, with its session where the era has one.
#[derive(Debug)]
pub(crate) struct Client {
    stream: Stream,
    buffer: Box<[u8]>,
    response: Response,
    builder: RequestBuilder,
}

/// The request of `echo` of one client, and the expected answer, byte for byte.
#[derive(Debug)]
pub(crate) struct Echo {
    request: Template,
    answer: Template,
}

/// Compares a body with the expected one without keeping it.
struct Compare<'a> {
    left: &'a [u8],
    equal: bool,
}

impl Body for Compare<'_> {
    fn take(&mut self, piece: &[u8]) {
        let rest = self.left.strip_prefix(piece);
        self.equal &= rest.is_some();
        self.left = rest.unwrap_or_default();
    }
}

impl Client {
    /// Connects, and opens a session if the era has sessions.
    pub(crate) async fn open(target: &Target, era: Era) -> Result<Self> {
        let stream = target.connect().await?;
        let mut client = Self {
            stream,
            buffer: vec![0; READ_BUFFER].into_boxed_slice(),
            response: Response::default(),
            builder: RequestBuilder { address: target.address, era, session: None },
        };
        if era == Era::Legacy {
            client.new_session().await?;
        }
        Ok(client)
    }

    /// Opens a session (legacy); an earlier one is abandoned.
    pub(crate) async fn new_session(&mut self) -> Result<()> {
        self.new_session_with(&json!({})).await
    }

    /// The same with these capabilities.
    pub(crate) async fn new_session_with(&mut self, capabilities: &Value) -> Result<()> {
        self.builder.session = None;
        let mut initialize = self.builder.initialize(capabilities);
        let mut body = Vec::new();
        self.exchange(initialize.with_id(&fresh_id()), &mut body).await?;
        let head = self.response.head();
        self.builder.session.clone_from(&head.session);
        if head.status != 200 || head.session.is_none() {
            return Err(wrong("initialize", &format!("status {}, {}", head.status, text(&body))));
        }
        self.exchange(&self.builder.initialized(), &mut Vec::new()).await?;
        match self.response.head().status {
            202 => Ok(()),
            status => Err(wrong("notifications/initialized", &format!("status {status}, not 202"))),
        }
    }

    /// Calls `echo` once, checks the answer by its JSON, and returns the request with the expected answer of later calls.
    pub(crate) async fn learn_echo(&mut self, len: usize) -> Result<Echo> {
        let mut request = self.builder.echo(len);
        let id = fresh_id();
        let mut body = Vec::new();
        self.exchange(request.with_id(&id), &mut body).await?;
        let id = text(&id);
        let head = self.response.head();
        let value: Value = serde_json::from_slice(&body).unwrap_or_default();
        let right = head.status == 200
            && head.json
            && value["id"].as_u64() == id.parse().ok()
            && value["result"]["content"][0]["text"] == echo_text(&id, len);
        let answer = Template::new(body.clone(), id.as_bytes());
        if !right || answer.id_count() < 2 {
            return Err(wrong("echo", &format!("status {}, {}", head.status, text(&body))));
        }
        Ok(Echo { request, answer })
    }

    /// Calls `echo`; an error unless the answer equals the expected one with this request's id.
    pub(crate) async fn echo(&mut self, echo: &mut Echo) -> Result<()> {
        let id = fresh_id();
        let mut body = Compare { left: echo.answer.with_id(&id), equal: true };
        self.exchange(echo.request.with_id(&id), &mut body).await?;
        let status = self.response.head().status;
        if status == 200 && body.equal && body.left.is_empty() {
            return Ok(());
        }
        Err(wrong("echo", &format!("status {status} and a body other than the first answer's with this id")))
    }

    /// Requests a result of `bytes` bytes, reads it without pause, and returns the length of the body, at least `bytes`.
    pub(crate) async fn payload(&mut self, bytes: usize) -> Result<usize> {
        let mut request = self.builder.payload(bytes);
        let mut body = CountingBody::default();
        self.exchange(request.with_id(&fresh_id()), &mut body).await?;
        let status = self.response.head().status;
        if status == 200 && body.length >= bytes && body.last == Some(b'}') {
            return Ok(body.length);
        }
        Err(wrong(
            "payload",
            &format!("status {status} and {} bytes where {bytes} were asked for", body.length),
        ))
    }

    /// Returns the builder of this client's requests.
    pub(crate) fn builder(&self) -> &RequestBuilder {
        &self.builder
    }

    /// Sends a request; an error unless the answer is JSON of at least so many bytes that contains `words`.
    pub(crate) async fn ask(&mut self, request: &mut Template, words: &str, bytes: usize) -> Result<()> {
        let mut body = Vec::with_capacity(bytes + 1024);
        self.exchange(request.with_id(&fresh_id()), &mut body).await?;
        let head = self.response.head();
        let right = head.status == 200 && head.json && body.len() >= bytes;
        if right && memmem::find(&body, words.as_bytes()).is_some() {
            return Ok(());
        }
        Err(wrong(words, &format!("status {}, {} bytes: {}", head.status, body.len(), text(&body))))
    }

    /// Sends a call whose tool asks its client once, accepts over another connection of the same session, and reads the result.
    pub(crate) async fn ask_and_accept(
        &mut self,
        replies: &mut Self,
        request: &mut Template,
        words: &str,
    ) -> Result<()> {
        self.stream.write(request.with_id(&fresh_id())).await?;
        self.response.reset();
        let mut body = Vec::new();
        let mut answered = false;
        loop {
            let read = self.stream.read(&mut self.buffer).await?;
            let is_over = read == 0 || self.response.feed(&self.buffer[..read], &mut body)?;
            if let Some(id) = question(&body).filter(|_| !answered) {
                answered = true;
                let accepted = json!({ "action": "accept", "content": { "yes": true } });
                replies.builder.session.clone_from(&self.builder.session);
                let reply = replies.builder.reply(&id, &accepted);
                let mut nothing = Vec::new();
                replies.exchange(&reply, &mut nothing).await?;
                if replies.response.head().status != 202 {
                    return Err(wrong("a reply", &text(&nothing)));
                }
            }
            if is_over {
                break;
            }
        }
        if answered && memmem::find(&body, words.as_bytes()).is_some() {
            return Ok(());
        }
        Err(wrong(words, &text(&body)))
    }

    /// Opens a stream of changes (modern), also of these resources, and waits until it is acknowledged. The connection serves nothing else from then on.
    pub(crate) async fn listen(&mut self, resources: &[&str]) -> Result<()> {
        self.stream.write(&self.builder.listen(resources)).await?;
        self.response.reset();
        let mut body = Vec::new();
        while memmem::find(&body, b"notifications/subscriptions/acknowledged").is_none() {
            let read = self.stream.read(&mut self.buffer).await?;
            if read == 0 || self.response.feed(&self.buffer[..read], &mut body)? {
                let head = self.response.head();
                return Err(wrong(
                    "subscriptions/listen",
                    &format!("status {}, {}", head.status, text(&body)),
                ));
            }
        }
        // Nothing more is read, and there are thousands of them.
        self.buffer = Box::default();
        Ok(())
    }

    /// Sends a request and reads its response into `body`.
    async fn exchange(&mut self, request: &[u8], body: &mut impl Body) -> Result<()> {
        self.stream.write(request).await?;
        self.response.reset();
        loop {
            let read = self.stream.read(&mut self.buffer).await?;
            if read == 0 {
                return Err(BenchError::BadResponse("connection closed before the end of the response"));
            }
            if self.response.feed(&self.buffer[..read], body)? {
                return Ok(());
            }
        }
    }
}

/// Returns the id of a server's request among the whole events of a stream.
fn question(body: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(body).ok()?;
    let whole = text.rfind("\n\n").map_or("", |end| &text[..end]);
    let mut messages = whole.lines().filter_map(|line| line.strip_prefix("data: "));
    messages.find_map(|json| {
        let message: Value = serde_json::from_str(json).ok()?;
        message.get("method").and(message.get("id")).cloned()
    })
}

/// Counts a body too large to keep.
#[derive(Default)]
struct CountingBody {
    length: usize,
    last: Option<u8>,
}

impl Body for CountingBody {
    fn take(&mut self, piece: &[u8]) {
        self.length += piece.len();
        self.last = piece.last().copied().or(self.last);
    }
}

/// Calls `echo` until the answer is right, which shows that the whole path works. Fails with the last problem.
pub(crate) async fn wait_for_echo(target: &Target, within: Duration) -> Result<()> {
    let deadline = tokio::time::Instant::now() + within;
    loop {
        let problem = match ask_once(target).await {
            Ok(()) => return Ok(()),
            Err(problem) => problem,
        };
        if tokio::time::Instant::now() > deadline {
            let what = format!("a first right answer to echo on port {}", target.address.port());
            return Err(BenchError::TooLate { what, within, detail: format!("; last: {problem}") });
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn ask_once(target: &Target) -> Result<()> {
    Client::open(target, Era::Legacy).await?.learn_echo(100).await.map(drop)
}

fn wrong(from: &str, what: &str) -> BenchError {
    BenchError::WrongAnswer { from: from.to_owned(), what: what.chars().take(400).collect() }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
