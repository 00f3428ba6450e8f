//! One-time passwords by time (RFC 6238): six digits, 30 seconds, SHA-1, as all authenticators have them. Must not know which were used.

use totp_rs::{Builder, Secret, Totp};

/// Length of a step, in seconds.
pub(crate) const STEP: u64 = 30;
/// Steps before and after the present one that are accepted.
pub(crate) const SKEW: u16 = 1;
/// Least and largest secret, in bytes.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 16..=64;

/// The secret that a user's authenticator has too.
#[derive(Clone, PartialEq, Eq)]
pub struct OneTimeSecret(String);

impl OneTimeSecret {
    /// Reads a secret of 16 to 64 bytes in base32, without padding.
    pub fn parse(text: &str) -> Option<Self> {
        let text: String = text.trim().trim_end_matches('=').to_ascii_uppercase();
        let secret = Self(text);
        secret.totp().map(|_| secret)
    }

    /// Returns a random secret of 20 bytes; `None` only if the system has no random numbers.
    pub fn random() -> Option<Self> {
        let mut bytes = [0_u8; 20];
        getrandom::fill(&mut bytes).ok()?;
        Some(Self(Secret::from(bytes.as_slice()).to_base32()))
    }

    /// Returns the secret in base32.
    pub fn base32(&self) -> &str {
        &self.0
    }

    /// Returns the step that a password belongs to, among those around `now` (seconds since 1970).
    pub(crate) fn step_of(&self, password: &str, now: u64) -> Option<u64> {
        let password: String = password.chars().filter(|c| *c != ' ').collect();
        let is_digits = password.len() == 6 && password.bytes().all(|byte| byte.is_ascii_digit());
        if !is_digits {
            return None;
        }
        self.totp()?.check(&password, now)
    }

    /// Returns the password of a time; for tests and for showing that a secret works.
    pub fn password_at(&self, now: u64) -> Option<String> {
        self.totp().map(|totp| totp.generate(now).to_string())
    }

    fn totp(&self) -> Option<Totp> {
        let secret = Secret::try_from_base32(&self.0).ok()?;
        if !SECRET_BYTES.contains(&secret.as_ref().len()) {
            return None;
        }
        Builder::new().with_secret(secret).with_skew(SKEW).with_step_duration(STEP).build().ok()
    }
}

impl std::fmt::Debug for OneTimeSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OneTimeSecret([redacted])")
    }
}

/// Returns the URL that authenticators read, for a user's secret.
pub fn url_of(user: &str, secret: &OneTimeSecret) -> String {
    let user: String = url::form_urlencoded::byte_serialize(user.as_bytes()).collect();
    format!("otpauth://totp/mcp-relay:{user}?secret={}&issuer=mcp-relay", secret.base32())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret of RFC 6238, appendix B.
    const RFC: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    #[test]
    fn passwords_are_those_of_the_standard_within_one_step() {
        let secret = OneTimeSecret::parse(RFC).unwrap();
        // The last six of the eight digits in appendix B.
        for (time, password) in [(59, "287082"), (1_111_111_109, "081804"), (2_000_000_000, "279037")] {
            assert_eq!(secret.password_at(time).as_deref(), Some(password));
            assert_eq!(secret.step_of(password, time), Some(time / STEP));
            assert_eq!(
                secret.step_of(&format!("{} {}", &password[..3], &password[3..]), time + STEP),
                Some(time / STEP)
            );
            assert_eq!(secret.step_of(password, time + 2 * STEP), None);
        }
        for bad in ["", "28708", "2870820", "28708x", "\u{ff12}87082"] {
            assert_eq!(secret.step_of(bad, 59), None, "{bad}");
        }
    }

    #[test]
    fn secrets_are_base32_of_a_usable_length() {
        for bad in ["", "GEZDGNBV", "1111111111111111111111111111", "not base32 at all!"] {
            assert_eq!(OneTimeSecret::parse(bad), None, "{bad}");
        }
        let random = OneTimeSecret::random().unwrap();
        assert_eq!(OneTimeSecret::parse(&random.base32().to_lowercase()), Some(random.clone()));
        assert_ne!(OneTimeSecret::random().unwrap(), random);
        assert!(!format!("{random:?}").contains(random.base32()));
        assert!(url_of("a@b", &random).starts_with("otpauth://totp/mcp-relay:a%40b?secret="));
    }
}
