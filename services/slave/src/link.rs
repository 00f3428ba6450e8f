//! One link: the first messages, then frames (native) or JSON-RPC (plain) until it ends. Must not know how to dial.

mod alarm;
mod auth;
pub(crate) mod board;
pub(crate) mod meter;
mod native;
mod plain;
mod pulse;
pub(crate) mod socket;

use parking_lot::Mutex;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use front::Edge;
use protocol::link::handshake::{ProxyHello, SlaveHello, close};
use protocol::link::ids::LinkId;
use runtime::config::LinkPing;
use runtime::secret::Secret;
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::Message;

use crate::endpoint::Endpoint;
use crate::local::LocalCalls;
pub(crate) use auth::open;
use board::Board;
use native::Native;
use plain::Plain;
use pulse::Pulse;
use socket::Socket;

/// Why a link ended: it decides when to dial again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The proxy does not accept the code, or does so no longer; says why.
    Refused(String),
    /// Another connection took this slave's place.
    Replaced,
    /// A link that a changed code has opened took its place.
    Renewed,
    /// The proxy has a link of this slave already and keeps it.
    AlreadyLinked,
    /// The proxy said goodbye.
    GoingDown,
    /// Anything else that is not our will; says what.
    Lost(String),
    /// The proxy asks to come again no sooner than this.
    Busy(Duration),
    /// The proxy broke the protocol; says how. The socket is closed with 1002.
    Misbehaved(String),
    /// We are going down.
    Closing,
}

impl Ended {
    /// Stable reason for the metric.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Replaced => "replaced",
            Self::Renewed => "renewed",
            Self::AlreadyLinked => "already_linked",
            Self::GoingDown => "going_down",
            Self::Lost(_) => "lost",
            Self::Busy(_) => "busy",
            Self::Misbehaved(_) => "protocol_error",
            Self::Closing => "closing",
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => write!(f, "the proxy does not accept SLAVE_CODE: {why}"),
            Self::Replaced => f.write_str("another slave took this one's place"),
            Self::Renewed => f.write_str("a link with the changed code took its place"),
            Self::AlreadyLinked => f.write_str("it leads to a proxy that is linked already"),
            Self::GoingDown => f.write_str("the proxy is going down"),
            Self::Lost(why) => f.write_str(why),
            Self::Busy(_) => f.write_str(
                "the proxy has too many new connections (HANDSHAKE_RATE) and asks to come again later",
            ),
            Self::Misbehaved(how) => write!(f, "the proxy broke the protocol: {how}"),
            Self::Closing => f.write_str("the slave is going down"),
        }
    }
}

/// Why no link is up, for those who ask whether the slave is ready.
pub(crate) struct Status(Mutex<String>);

impl Default for Status {
    fn default() -> Self {
        Self(Mutex::new("no proxy was reached yet".into()))
    }
}

impl Status {
    /// A link or an attempt ended.
    pub(crate) fn lost(&self, ended: &Ended) {
        *self.0.lock() = ended.to_string();
    }

    /// Why the last link or attempt ended.
    pub(crate) fn why(&self) -> String {
        self.0.lock().clone()
    }
}

/// What every link of this process is made with.
pub(crate) struct Links {
    /// Calls and journals.
    pub(crate) endpoint: Arc<Endpoint>,
    /// Answers a proxy of the plain dialect.
    pub(crate) edge: Arc<Edge<LocalCalls>>,
    /// What the slave says of itself.
    pub(crate) hello: SlaveHello,
    /// `SLAVE_CODE`, or what `SLAVE_CODE_FILE` says now.
    pub(crate) code: ArcSwap<Code>,
    /// `LINK_PING_INTERVAL_MS`, `LINK_PING_TIMEOUT_MS`.
    pub(crate) ping: LinkPing,
    /// Why no link is up.
    pub(crate) status: Status,
    /// The links that are up.
    pub(crate) board: Board,
}

/// The code that opens links, and which one in turn it is.
pub(crate) struct Code {
    /// As the proxy must have it.
    pub(crate) secret: Secret,
    /// How often it has changed.
    pub(crate) turn: u64,
}

impl Code {
    /// The code that the slave was started with.
    pub(crate) fn first(secret: Secret) -> Self {
        Self { secret, turn: 0 }
    }
}

impl Links {
    /// Another code counts from now on: it opens new links, and links that were opened by an older one are renewed.
    pub(crate) fn change_code(&self, secret: Secret) {
        let turn = self.code.load().turn + 1;
        self.code.store(Arc::new(Code { secret, turn }));
        self.endpoint.code_changed(turn);
    }
}

/// How long the proxy may take to answer the first message.
pub(crate) const AUTH_TIME: Duration = Duration::from_secs(10);

/// A link whose first messages were exchanged.
pub(crate) struct Opened {
    /// The connection.
    pub(crate) socket: Socket,
    /// What a proxy of the native dialect said of itself; `None`: it speaks the plain dialect.
    pub(crate) hello: Option<ProxyHello>,
    /// Messages that came right behind its answer.
    pub(crate) early: Vec<Message>,
}

impl Opened {
    /// Which dialect both speak from now on.
    pub(crate) fn dialect(&self) -> &'static str {
        if self.hello.is_some() { "native" } else { "plain" }
    }
}

/// A link that the endpoint knows of.
pub(crate) struct Entered {
    opened: Opened,
    id: LinkId,
    wake: Arc<Notify>,
    turn: u64,
}

impl Entered {
    /// From now on the proxy counts as linked. `turn` is that of the code that opened the link.
    pub(crate) fn new(
        links: &Links,
        opened: Opened,
        (url, address): (String, SocketAddr),
        turn: u64,
    ) -> Self {
        let (id, wake) = links.endpoint.link_up(opened.hello.as_ref(), turn);
        let (proxy, agent) =
            opened.hello.as_ref().map(|hello| (hello.instance.clone(), hello.agent.clone())).unzip();
        let facts = board::Facts {
            url,
            address,
            proxy,
            agent: agent.unwrap_or_default(),
            dialect: opened.dialect(),
            since: SystemTime::now(),
        };
        links.board.up(id, facts);
        Self { opened, id, wake, turn }
    }

    /// The turn of the code that opened the link.
    pub(crate) fn turn(&self) -> u64 {
        self.turn
    }

    /// Whether the proxy knows of no others: it cannot tell a second link of this slave from another slave's.
    pub(crate) fn is_alone(&self) -> bool {
        self.opened.hello.as_ref().is_none_or(|hello| hello.peers.is_empty())
    }

    /// Which dialect both speak.
    pub(crate) fn dialect(&self) -> &'static str {
        self.opened.dialect()
    }
}

/// Carries calls until the link ends.
pub(crate) async fn carry(links: &Links, entered: Entered) -> Ended {
    let Entered { opened: Opened { socket, hello, early }, id, wake, .. } = entered;
    let pulse = Pulse::new(links.ping);
    let (ended, socket) = match hello {
        Some(_) => Native::new(&links.endpoint, id, socket, early).run(&wake, pulse).await,
        None => Plain::new(links, id, socket, early).run(&wake, pulse).await,
    };
    match ended {
        Ended::GoingDown => links.endpoint.link_over(id),
        _ => links.endpoint.link_down(id),
    }
    links.board.down(id);
    match &ended {
        Ended::Misbehaved(how) => socket.close(close::PROTOCOL_ERROR, how).await,
        Ended::Closing => socket.close(close::GOING_AWAY, "the slave is going down").await,
        Ended::Lost(_)
        | Ended::GoingDown
        | Ended::Busy(_)
        | Ended::Replaced
        | Ended::Renewed
        | Ended::AlreadyLinked
        | Ended::Refused(_) => {}
    }
    ended
}
