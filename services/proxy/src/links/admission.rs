//! Admission of connections to the slaves' port before they have authenticated: their rate, their number, and the delay
//! of wrong codes, for each network. Must not know what is said on them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use runtime::admission::{Limits, Network, Refusals, Share, Shares};
use runtime::descriptors;
use runtime::trusted::TrustedProxies;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

use super::handshake_limiter::{HandshakeLimiter, rejection};
use super::wrong_codes::WrongCodes;
use crate::access::CodeDigest;

/// Largest number of connections between TCP accept and authentication; less where descriptors are few.
const MAX_UNAUTHENTICATED: usize = 1024;

/// Part of the file descriptors that these connections may have.
const DESCRIPTORS_PART: usize = 4;

/// Largest part of these that one network may have.
const NETWORK_PART: usize = 8;

/// Largest number of answers to wrong codes that wait at the same time; further ones are sent at once.
const MAX_DELAYED: usize = 256;

/// Rejections that are being written at once; further connections are closed without an answer.
const MAX_REJECTING: usize = 256;

/// Connections beyond the rate whose request is awaited at the same time; further ones are rejected without a look.
const MAX_LOOKS: usize = 256;

/// Seconds after which a peer should try again that has too many connections open.
const RETRY_AFTER: u32 = 1;

/// A connection that has not authenticated yet.
pub(super) type Unauthenticated = Share<Network>;

/// The reason that a connection was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Rejected {
    /// Slaves connect faster than `HANDSHAKE_RATE`.
    #[error("slaves connect faster than HANDSHAKE_RATE: come again in {0} s")]
    Rate(u32),
    /// Too many connections of one network, or of all, have not authenticated yet.
    #[error("too many connections without authentication: come again in {RETRY_AFTER} s")]
    Unauthenticated,
}

impl Rejected {
    /// Returns the stable label of the metric.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Rate(_) => "rate",
            Self::Unauthenticated => "unauthenticated",
        }
    }

    /// Returns the seconds after which a peer should try again.
    pub(super) fn retry_after(self) -> u32 {
        match self {
            Self::Rate(seconds) => seconds,
            Self::Unauthenticated => RETRY_AFTER,
        }
    }

    fn answer(self) -> String {
        match self {
            Self::Rate(seconds) => rejection("slaves connect faster than HANDSHAKE_RATE", seconds),
            Self::Unauthenticated => rejection("too many connections have not authenticated", RETRY_AFTER),
        }
    }
}

/// The connections that have not authenticated, and what is remembered of their networks. Memory is bounded by
/// constants.
pub(crate) struct Admission {
    limiter: Mutex<HandshakeLimiter>,
    unauthenticated: Shares<Network>,
    max_unauthenticated: usize,
    /// Those of the unauthenticated connections whose network a trusted proxy names.
    forwarded: Shares<Network>,
    delayed: Shares<Network>,
    wrong_codes: Mutex<WrongCodes>,
    refusals: Refusals,
    second_looks: Arc<Semaphore>,
}

impl Admission {
    /// Lets in `rate` connections a second; 0: no limit.
    pub(crate) fn new(rate: u32, now: Instant) -> Self {
        Self {
            limiter: Mutex::new(HandshakeLimiter::new(rate, now)),
            unauthenticated: Shares::default(),
            max_unauthenticated: descriptors::limit()
                .map_or(MAX_UNAUTHENTICATED, |limit| MAX_UNAUTHENTICATED.min(limit / DESCRIPTORS_PART)),
            forwarded: Shares::default(),
            delayed: Shares::default(),
            wrong_codes: Mutex::new(WrongCodes::new()),
            refusals: Refusals::new(MAX_REJECTING),
            second_looks: Arc::new(Semaphore::new(MAX_LOOKS)),
        }
    }

    /// Lets a connection in. One from a trusted proxy counts in the totals only, until its header is read: see
    /// [`Self::admit_forwarded`].
    pub(super) fn admit(
        &self,
        peer: IpAddr,
        trusted: &TrustedProxies,
        now: Instant,
    ) -> Result<Unauthenticated, Rejected> {
        self.admit_by(peer, trusted, |limiter, network| limiter.check(network, now))
    }

    /// Lets a connection in that the rate has rejected and whose slave is in use, as far as the part for these goes.
    pub(super) fn admit_in_use(
        &self,
        peer: IpAddr,
        trusted: &TrustedProxies,
        now: Instant,
    ) -> Result<Unauthenticated, Rejected> {
        self.admit_by(peer, trusted, |limiter, _| limiter.check_in_use(now))
    }

    fn admit_by(
        &self,
        peer: IpAddr,
        trusted: &TrustedProxies,
        check: impl FnOnce(&mut HandshakeLimiter, Option<Network>) -> Result<(), u32>,
    ) -> Result<Unauthenticated, Rejected> {
        let network = (!trusted.trusts(peer)).then(|| Network::from(peer));
        let share = take(&self.unauthenticated, network, self.max_unauthenticated)?;
        check(&mut self.limiter.lock(), network).map_err(Rejected::Rate)?;
        Ok(share)
    }

    /// Lets a connection go on whose client a trusted proxy has named.
    pub(super) fn admit_forwarded(&self, client: IpAddr, now: Instant) -> Result<Unauthenticated, Rejected> {
        let network = Network::from(client);
        let share = take(&self.forwarded, Some(network), self.max_unauthenticated)?;
        self.limiter.lock().check_network(network, now).map_err(Rejected::Rate)?;
        Ok(share)
    }

    /// Returns the right to look at the request of a connection that was rejected; `None` where nothing that it says could matter, or too
    /// many are looked at.
    pub(super) fn second_look(&self, rejected: Rejected) -> Option<OwnedSemaphorePermit> {
        matches!(rejected, Rejected::Rate(_))
            .then(|| Arc::clone(&self.second_looks).try_acquire_owned().ok())
            .flatten()
    }

    /// Rejects a connection at the least cost, of which nothing was read.
    pub(super) fn reject(&self, stream: TcpStream, rejected: Rejected) {
        self.refusals.send(stream, || rejected.answer());
    }

    /// Returns whether the log should say again that slaves are rejected.
    pub(super) fn should_log(&self, now: Instant) -> bool {
        self.limiter.lock().should_log(now)
    }

    /// Waits before a wrong code is answered: longer each time that the network repeats it. Where too many answers wait
    /// already, there is no wait.
    pub(super) async fn delay(&self, peer: IpAddr, code: CodeDigest) {
        let network = Network::from(peer);
        let delay = self.wrong_codes.lock().record(network, code, Instant::now());
        if delay.is_zero() {
            return;
        }
        if let Ok(_share) = take(&self.delayed, Some(network), MAX_DELAYED) {
            sleep(delay).await;
        }
    }
}

fn take(
    shares: &Shares<Network>,
    network: Option<Network>,
    total: usize,
) -> Result<Share<Network>, Rejected> {
    let limits = Limits { total, each: (total / NETWORK_PART).max(1) };
    shares.take(network, 1, limits).map_err(|_| Rejected::Unauthenticated)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn host(number: u8) -> IpAddr {
        [10, 0, 0, number].into()
    }

    #[test]
    fn one_network_has_an_eighth_of_the_unauthenticated_connections() {
        let (now, nobody) = (Instant::now(), TrustedProxies::default());
        let admission = Admission { max_unauthenticated: 1024, ..Admission::new(0, now) };
        let admit = |number| admission.admit(host(number), &nobody, now);
        let held: Vec<_> = (0..128).map(|_| admit(1).unwrap()).collect();
        assert_eq!(admit(1).unwrap_err(), Rejected::Unauthenticated);
        let others: Vec<_> = (0..1024 - 128).map(|n| admit(2 + u8::try_from(n / 128).unwrap())).collect();
        assert!(others.iter().all(Result::is_ok));
        assert_eq!(admit(99).unwrap_err(), Rejected::Unauthenticated, "all of them");
        drop(held);
        assert!(admit(1).is_ok());
    }

    #[test]
    fn behind_a_trusted_proxy_the_client_counts() {
        let (now, trusted) = (Instant::now(), TrustedProxies::parse("10.0.0.1").unwrap());
        let admission = Admission { max_unauthenticated: 1024, ..Admission::new(0, now) };
        let admit = |number| {
            let share = admission.admit(host(1), &trusted, now)?;
            Ok((share, admission.admit_forwarded(host(number), now)?))
        };
        let held: Vec<Result<_, Rejected>> = (0..128).map(|_| admit(2)).collect();
        assert!(held.iter().all(Result::is_ok));
        assert_eq!(admit(2).unwrap_err(), Rejected::Unauthenticated);
        assert!(admit(3).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn answers_to_wrong_codes_wait_and_their_number_is_bounded() {
        let admission = Admission::new(0, Instant::now());
        let start = tokio::time::Instant::now();
        admission.delay(host(1), CodeDigest::default()).await;
        assert_eq!(start.elapsed(), Duration::ZERO, "the first one may be a mistake");
        admission.delay(host(1), CodeDigest::default()).await;
        assert_eq!(start.elapsed(), Duration::from_millis(250));
        let limits = Limits { total: MAX_DELAYED, each: MAX_DELAYED };
        let _all = admission.delayed.take(Some(host(9).into()), MAX_DELAYED, limits).unwrap();
        admission.delay(host(1), CodeDigest::default()).await;
        assert_eq!(start.elapsed(), Duration::from_millis(250), "too many wait already");
    }
}
