//! Keeps a link to one proxy: dials, carries it until it ends, waits, dials again. Must not know frames.
//!
//! One more proxy is one more [`Dialer`]: what they share stands in [`Links`].

mod connect;
mod patience;

use std::sync::Arc;
use std::time::Instant;

use crate::config::LinkConfig;
use crate::endpoint::Stage;
use crate::link::{self, Ended, Links, Opened};
use crate::metrics;
use connect::Connector;
pub use connect::DialError;
use patience::Patience;

/// Keeps a link to one proxy.
pub(crate) struct Dialer {
    links: Arc<Links>,
    connector: Connector,
    patience: Patience,
}

impl Dialer {
    /// `max_message` is the longest message in bytes that is read from or written to a proxy of the plain dialect.
    pub(crate) fn new(links: Arc<Links>, config: &LinkConfig, max_message: usize) -> Result<Self, DialError> {
        let connector = Connector::new(config.proxy.clone(), &config.tls, max_message)?;
        Ok(Self { links, connector, patience: Patience::new(config.reconnect_max) })
    }

    /// Until links are to close, or the slave drains and nothing is left to deliver. Dropping it cuts the link.
    pub(crate) async fn run(mut self) {
        loop {
            tracing::info!("Connecting to proxy server at {}", self.connector.url());
            let ended = self.once().await;
            metrics::link_ended(ended.kind());
            if self.links.endpoint.stage() >= Stage::Drained {
                return;
            }
            let wait = self.patience.after(&ended);
            report(&ended, wait.as_secs_f64());
            self.links.status.lost(&ended);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.links.endpoint.reached(Stage::Drained) => return,
            }
        }
    }

    /// One link from its beginning to its end.
    async fn once(&mut self) -> Ended {
        let opened = tokio::select! {
            opened = self.open() => match opened {
                Ok(opened) => opened,
                Err(ended) => return ended,
            },
            () = self.links.endpoint.reached(Stage::Drained) => return Ended::Closing,
        };
        let dialect = opened.dialect();
        tracing::info!(dialect, "Authentication successful, ready to receive requests");
        metrics::link_made(dialect);
        let since = Instant::now();
        let ended = link::carry(&self.links, opened).await;
        self.patience.held(since.elapsed());
        ended
    }

    async fn open(&self) -> Result<Opened, Ended> {
        let socket = self.connector.connect().await.map_err(|error| Ended::Lost(error.to_string()))?;
        link::open(socket, &self.links.code, &self.links.hello).await
    }
}

/// What people look for in the log, and what they should check.
fn report(ended: &Ended, seconds: f64) {
    let next = format!("Connection to proxy closed, attempting to reconnect in {seconds:.1} s");
    match ended {
        Ended::Refused(why) => tracing::error!(
            "{next}: the proxy does not accept SLAVE_CODE ({why}). Check that it is one of the codes in the proxy's \
             SLAVE_CODES, without extra whitespace; upper and lower case differ"
        ),
        Ended::Replaced => tracing::warn!(
            "{next}: another slave took this one's place (SLAVE_MODE=single on the proxy, or a second slave with the \
             same instance)"
        ),
        Ended::Lost(why) | Ended::Misbehaved(why) => tracing::warn!("{next}: {why}"),
        Ended::Closing => tracing::info!("{next}"),
    }
}
