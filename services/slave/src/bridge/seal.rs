//! Seal of what a client gets for a parked call: the call's id and the end of its time, encrypted with a random key of this process. Must
//! not know calls.
//!
//! Whatever else binds a parked call (client, request, single use) is kept in memory beside it: the state is of no use without that.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use protocol::mcp::failure::Failure;

/// First characters of every state of a parked call.
pub(super) const PREFIX: &str = "mrp1.";

/// Bytes that are sealed: the id, and the end of its time.
const SEALED: usize = 24;

/// What a state says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    /// Random id of the parked call.
    pub(super) id: u128,
    /// End of its time, in milliseconds since the start of this process's bridge.
    pub(super) expires_ms: u64,
}

/// The key of this process.
pub(super) struct Seal {
    key: LessSafeKey,
}

impl Seal {
    /// Makes a random key.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub(super) fn random() -> Result<Self, Failure> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|_| Failure::Internal)?;
        let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| Failure::Internal)?;
        Ok(Self { key: LessSafeKey::new(key) })
    }

    /// Returns the state for a client: letters, digits, `-`, `_` and one `.`.
    pub(super) fn seal(&self, ticket: Ticket) -> Result<String, Failure> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|_| Failure::Internal)?;
        let mut sealed = Vec::with_capacity(SEALED + 16);
        sealed.extend_from_slice(&ticket.id.to_be_bytes());
        sealed.extend_from_slice(&ticket.expires_ms.to_be_bytes());
        let with = Nonce::assume_unique_for_key(nonce);
        self.key
            .seal_in_place_append_tag(with, Aad::from(PREFIX), &mut sealed)
            .map_err(|_| Failure::Internal)?;
        Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat())))
    }

    /// Reads a state; `None` for one that this process did not make.
    pub(super) fn open(&self, state: &str) -> Option<Ticket> {
        let mut bytes = URL_SAFE_NO_PAD.decode(state.strip_prefix(PREFIX)?).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk_mut::<NONCE_LEN>()?;
        let with = Nonce::assume_unique_for_key(*nonce);
        let plain = self.key.open_in_place(with, Aad::from(PREFIX), sealed).ok()?;
        let (id, expires) = plain.split_first_chunk::<16>()?;
        Some(Ticket {
            id: u128::from_be_bytes(*id),
            expires_ms: u64::from_be_bytes(expires.try_into().ok()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_state_is_read_by_its_own_process_only_and_not_when_changed(id: u128, expires_ms: u64, at: usize, other: u8) {
            let ticket = Ticket { id, expires_ms };
            let seal = Seal::random().unwrap();
            let state = seal.seal(ticket).unwrap();
            prop_assert_eq!(seal.open(&state), Some(ticket));
            prop_assert_eq!(Seal::random().unwrap().open(&state), None);
            let mut changed = state.clone().into_bytes();
            let at = at % changed.len();
            prop_assume!(changed[at] != other);
            changed[at] = other;
            prop_assert_eq!(seal.open(&String::from_utf8_lossy(&changed)), None);
            prop_assert_eq!(seal.open(&state[..state.len() - 1]), None);
        }

        #[test]
        fn no_text_is_a_state_by_chance(text in ".{0,80}") {
            let seal = Seal::random().unwrap();
            prop_assert_eq!(seal.open(&text), None);
            prop_assert_eq!(seal.open(&format!("{PREFIX}{text}")), None);
        }
    }
}
