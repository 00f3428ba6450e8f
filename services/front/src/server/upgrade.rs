//! Requests on one path of the clients' port that turn their connection into something else, and what such a connection becomes.
//! Must not know what is said on it, nor who decides.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use axum::http::header::UPGRADE;
use axum::http::{Request, Response, StatusCode};
use bytes::Bytes;
use parking_lot::Mutex;
use runtime::tls::MaybeTlsStream;

use super::open_stream::OpenBody;

/// What becomes of a connection that was upgraded: it gets the stream, and the bytes that were read of it behind the request. Called
/// in a task of the runtime, and must not block.
pub type AfterUpgrade = Box<dyn FnOnce(MaybeTlsStream, Bytes) + Send>;

/// The answer to a request for an upgrade.
pub struct UpgradeAnswer {
    /// The response.
    pub response: Response<String>,
    /// What follows the response, where it is 101; else the connection goes on as one of a client.
    pub then: Option<AfterUpgrade>,
}

/// Decides on requests for upgrades.
pub trait Upgrade: Send + Sync + 'static {
    /// Answers a request of a peer with this address. Must not block.
    fn answer(&self, peer: IpAddr, request: &Request<()>) -> UpgradeAnswer;
}

/// The upgrades of a port: all requests of one path. Cheap to clone.
#[derive(Clone)]
pub struct Upgrades {
    path: &'static str,
    decides: Arc<dyn Upgrade>,
}

impl std::fmt::Debug for Upgrades {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Upgrades({})", self.path)
    }
}

impl Upgrades {
    /// Returns the upgrades of the requests of `path`, with a slash at its end or without.
    pub fn new(path: &'static str, decides: Arc<dyn Upgrade>) -> Self {
        Self { path, decides }
    }

    /// Returns whether a request is for an upgrade: others of the same path are as any.
    pub(super) fn takes<B: http_body::Body>(&self, request: &Request<B>) -> bool {
        let path = request.uri().path();
        path.strip_suffix('/').unwrap_or(path) == self.path
            && request.headers().contains_key(UPGRADE)
            && request.body().is_end_stream()
    }

    /// Answers a request; what follows is left in `pending`.
    pub(super) fn answer<B>(&self, peer: IpAddr, request: Request<B>, pending: &Pending) -> Response<Body> {
        let UpgradeAnswer { response, then } = self.decides.answer(peer, &request.map(|_| ()));
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            *pending.0.upgrade.lock() = then;
        }
        response.map(Body::from)
    }
}

/// What follows on one connection, once its response or the head of it is written. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Pending(Arc<Following>);

#[derive(Default)]
struct Following {
    upgrade: Mutex<Option<AfterUpgrade>>,
    body: Mutex<Option<OpenBody>>,
    /// Whether the head of the response with that body was written, as far as hyper keeps nothing back.
    has_head: AtomicBool,
}

impl Pending {
    /// Takes what follows, if a request was for an upgrade.
    pub(super) fn take(&self) -> Option<AfterUpgrade> {
        self.0.upgrade.lock().take()
    }

    /// Keeps the open body of a response until its head is written.
    pub(super) fn keep(&self, body: OpenBody) {
        *self.0.body.lock() = Some(body);
    }

    /// The head of the response with the open body is with hyper.
    pub(super) fn note_head(&self) {
        self.0.has_head.store(true, Ordering::Relaxed);
    }

    /// Whether hyper waits for the open body of a response.
    pub(super) fn has_head(&self) -> bool {
        self.0.has_head.load(Ordering::Relaxed)
    }

    /// Takes the open body of a response.
    pub(super) fn take_body(&self) -> Option<OpenBody> {
        self.0.body.lock().take()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Empty;

    use super::*;

    struct Yes;

    impl Upgrade for Yes {
        fn answer(&self, _: IpAddr, request: &Request<()>) -> UpgradeAnswer {
            let status = if request.headers().contains_key("x-no") { 400 } else { 101 };
            let response = Response::builder().status(status).body(String::new()).unwrap();
            UpgradeAnswer { response, then: Some(Box::new(|_, _| {})) }
        }
    }

    #[test]
    fn only_requests_of_the_path_that_ask_for_an_upgrade_are_taken() {
        let upgrades = Upgrades::new("/link", Arc::new(Yes));
        let request = |path: &str, header: &str| {
            Request::builder().uri(path).header(header, "websocket").body(Empty::<Bytes>::new()).unwrap()
        };
        for (path, header, taken) in [
            ("/link", "upgrade", true),
            ("/link/", "upgrade", true),
            ("/link?x=1", "upgrade", true),
            ("/link", "x-other", false),
            ("/links", "upgrade", false),
            ("/link/x", "upgrade", false),
            ("/", "upgrade", false),
            ("/LINK", "upgrade", false),
        ] {
            assert_eq!(upgrades.takes(&request(path, header)), taken, "{path} {header}");
        }
        let body = Request::builder().uri("/link").header("upgrade", "websocket").body("x".to_owned());
        assert!(!upgrades.takes(&body.unwrap()), "a body would be taken for the first bytes behind");
    }

    #[test]
    fn what_follows_is_kept_for_a_switch_alone() {
        let (upgrades, peer) = (Upgrades::new("/link", Arc::new(Yes)), IpAddr::from([10, 0, 0, 1]));
        for (header, follows) in [("x-yes", true), ("x-no", false)] {
            let pending = Pending::default();
            let request = Request::builder().uri("/link").header(header, "1").body(()).unwrap();
            upgrades.answer(peer, request, &pending);
            assert_eq!(pending.take().is_some(), follows, "{header}");
            assert!(pending.take().is_none());
        }
    }
}
