//! The secret of a slave process at this proxy process, by which it resumes its calls on another link (docs/PROTOCOL.md,
//! "Identity, resumption, fleet"). Must not know slaves or links.

use aws_lc_rs::hmac;
use protocol::link::handshake::{ResumeProof, ResumeSecret, SlaveHello, proven_text};

/// A resume secret. Never formatted, and sent to nobody but the slave process that it belongs to.
pub(super) struct ResumeKey {
    secret: [u8; 32],
    key: hmac::Key,
}

impl ResumeKey {
    /// Generates a secret from the system's random source.
    pub(super) fn random() -> Result<Self, getrandom::Error> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)?;
        Ok(Self { key: hmac::Key::new(hmac::HMAC_SHA256, &secret), secret })
    }

    /// Returns the secret as the slave gets it.
    pub(super) fn secret(&self) -> ResumeSecret {
        ResumeSecret::new(&self.secret)
    }

    /// Returns whether a hello proves the knowledge of this secret to the proxy of this instance. Compares in constant time.
    pub(super) fn is_proved_by(&self, hello: &SlaveHello, proxy: &str) -> bool {
        let proof = hello.resume.get(proxy).and_then(ResumeProof::bytes);
        let text = proven_text(&hello.nonce, proxy);
        proof.is_some_and(|proof| hmac::verify(&self.key, text.as_bytes(), &proof).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_holds_for_its_secret_nonce_and_proxy() {
        let (key, other) = (ResumeKey::random().unwrap(), ResumeKey::random().unwrap());
        let secret = key.secret().bytes().unwrap();
        let sign = |text: String| {
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), text.as_bytes());
            ResumeProof::new(tag.as_ref().try_into().unwrap())
        };
        let hello = |nonce: &str, proof: ResumeProof| SlaveHello {
            nonce: nonce.into(),
            resume: [("p".to_owned(), proof)].into(),
            ..SlaveHello::default()
        };
        let right = hello("n", sign(proven_text("n", "p")));
        assert!(key.is_proved_by(&right, "p"));
        assert!(!other.is_proved_by(&right, "p"));
        assert!(!key.is_proved_by(&right, "q"));
        assert!(!key.is_proved_by(&hello("m", sign(proven_text("n", "p"))), "p"));
        assert!(!key.is_proved_by(&hello("n", sign(proven_text("n", "q"))), "p"));
        assert!(!key.is_proved_by(&SlaveHello::default(), "p"));
    }
}
