//! [`link::LinkDriver`] with an end that echoes: keep-alive, gathering, back-pressure and closing, in virtual time.

use std::task::Context;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use link::{CloseFrame, Connection, ConnectionError, KeepAliveConfig, LinkDriver, LinkEnd, Outgoing, Role};
use protocol::link::liveness::RttEstimator;
use tokio::io::{DuplexStream, duplex};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role as TheirRole;
use tokio_tungstenite::tungstenite::{Message as Theirs, Utf8Bytes};

/// Sends back what it gets; counts how often it was asked.
#[derive(Default)]
struct Echo {
    queue: Vec<Bytes>,
    busy: bool,
    rounds: usize,
    /// The round that read the last message.
    read_in: usize,
    /// Messages that were answered in a later round than that.
    delayed: usize,
    /// Rounds that ended without a write so that others could add to the batch.
    gathers: usize,
    received: usize,
    trips: usize,
}

#[derive(Debug, PartialEq)]
enum Stop {
    Closed(Option<u16>),
    Failed(String),
    Silent,
}

impl LinkEnd for Echo {
    type Stop = Stop;

    fn register(&mut self, _: &mut Context<'_>, _: Instant) -> Result<(), Stop> {
        self.rounds += 1;
        Ok(())
    }

    fn on_binary(&mut self, batch: Bytes, _: Instant) -> Result<(), Stop> {
        self.received += 1;
        self.read_in = self.rounds;
        self.queue.push(batch);
        Ok(())
    }

    fn on_text(&mut self, _: Utf8Bytes, _: Instant) -> Result<(), Stop> {
        Err(Stop::Failed("text".into()))
    }

    fn on_pong(&mut self, _: &[u8], _: Instant) -> Result<(), Stop> {
        Ok(())
    }

    fn on_round_trip(&mut self, _: &RttEstimator, answered: Option<Duration>, _: Instant) {
        self.trips += usize::from(answered.is_some());
    }

    fn on_read(&mut self, _: Instant) -> Result<(), Stop> {
        Ok(())
    }

    fn wants_to_send(&mut self) -> bool {
        !self.queue.is_empty()
    }

    fn is_busy(&self) -> bool {
        self.busy
    }

    fn gather(&mut self) {
        self.gathers += 1;
    }

    fn transmit(&mut self, out: &mut Outgoing, _: Instant) -> Result<bool, Stop> {
        if self.queue.is_empty() {
            return Ok(false);
        }
        self.delayed += usize::from(self.rounds > self.read_in);
        out.send_binary(self.queue.remove(0));
        Ok(true)
    }

    fn on_timer(&mut self, _: Instant) -> Result<Option<Instant>, Stop> {
        Ok(None)
    }

    fn on_close(&mut self, frame: Option<CloseFrame>) -> Stop {
        Stop::Closed(frame.map(|frame| frame.code))
    }

    fn on_error(&mut self, error: ConnectionError) -> Stop {
        Stop::Failed(error.to_string())
    }

    fn on_silence(&mut self, _: Duration) -> Stop {
        Stop::Silent
    }
}

const CONFIG: KeepAliveConfig = KeepAliveConfig {
    interval: Duration::from_millis(40),
    timeout: Duration::from_millis(200),
    measure_after: Duration::ZERO,
    measure_interval: Duration::from_millis(40),
    late: Duration::from_secs(1),
};

async fn pair(pipe: usize, busy: bool) -> (LinkDriver<DuplexStream, Echo>, WebSocketStream<DuplexStream>) {
    let (ours, theirs) = duplex(pipe);
    let connection = Connection::new(ours, Role::Server, 1 << 20);
    let echo = Echo { busy, ..Echo::default() };
    let peer = WebSocketStream::from_raw_socket(theirs, TheirRole::Client, None).await;
    (LinkDriver::new(connection, echo, CONFIG), peer)
}

#[tokio::test]
async fn a_peer_that_never_answers_is_given_up() {
    let (driver, _peer) = pair(1 << 16, false).await;
    assert_eq!(driver.await, Stop::Silent);
}

#[tokio::test]
async fn a_peer_that_answers_pings_keeps_the_link_and_is_measured() {
    let (mut driver, mut peer) = pair(1 << 16, false).await;
    let answering = async {
        let mut pings = 0;
        while pings < 20 {
            if let Theirs::Ping(_) = peer.next().await.unwrap().unwrap() {
                pings += 1;
                peer.flush().await.unwrap();
            }
        }
        peer.close(None).await.unwrap();
    };
    let (stop, ()) = tokio::join!(&mut driver, answering);
    assert_eq!(stop, Stop::Closed(None));
    assert!(driver.into_parts().1.trips >= 10);
}

#[tokio::test]
async fn a_peer_that_does_not_read_does_not_keep_the_driver_from_reading() {
    let (mut driver, mut peer) = pair(512, false).await;
    let writing = async {
        for _ in 0..50 {
            peer.feed(Theirs::binary(vec![7; 5000])).await.unwrap();
            peer.flush().await.unwrap();
        }
        peer
    };
    // The driver goes on reading though none of its answers is read; the peer's silence towards pings ends it at last.
    let (stop, _peer) = tokio::join!(&mut driver, writing);
    assert_eq!(stop, Stop::Silent);
    assert_eq!(driver.into_parts().1.received, 50);
}

#[tokio::test]
async fn batches_are_gathered_only_while_the_end_is_busy() {
    for (busy, expected) in [(false, 0..=0), (true, 90..=100)] {
        let (mut driver, mut peer) = pair(1 << 16, busy).await;
        let asking = async {
            for _ in 0..100 {
                peer.send(Theirs::binary(vec![1])).await.unwrap();
                while !peer.next().await.unwrap().unwrap().is_binary() {}
            }
            peer.close(None).await.unwrap();
        };
        let (_, ()) = tokio::join!(&mut driver, asking);
        let end = driver.into_parts().1;
        assert!(expected.contains(&end.delayed), "busy: {busy}, delayed: {}", end.delayed);
        assert_eq!(end.gathers, end.delayed, "the end knows of each");
    }
}

#[tokio::test]
async fn a_violation_ends_the_link() {
    let (mut driver, mut peer) = pair(1 << 16, false).await;
    let sending = async {
        let _ = peer.feed(Theirs::binary(vec![0; (1 << 20) + 1])).await;
        let _ = tokio::time::timeout(Duration::from_millis(100), peer.flush()).await;
    };
    let (stop, ()) = tokio::join!(&mut driver, sending);
    let Stop::Failed(why) = stop else { panic!("{stop:?}") };
    assert!(why.contains("too long"), "{why}");
}
