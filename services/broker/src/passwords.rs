//! Passwords: hashed with argon2id, a bounded number at once. Must not know users.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, PasswordHash, Version};
use tokio::sync::Semaphore;

/// Longest password, in bytes.
pub(crate) const MAX_PASSWORD: usize = 1024;
/// Hashes that are computed at once; each takes a core and 19 MiB.
const AT_ONCE: usize = 2;
/// Sign-ins that wait for their hash at once.
const MAX_WAITING: usize = 32;
/// Largest costs of a hash in the file: memory in KiB, and passes.
const MAX_MEMORY: u32 = 256 * 1024;
const MAX_PASSES: u32 = 16;

/// The checks of passwords that are under way.
#[derive(Debug)]
pub(crate) struct Passwords {
    running: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { running: Arc::new(Semaphore::new(AT_ONCE)), waiting: AtomicUsize::new(0) }
    }
}

/// Too many passwords are being checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Busy;

/// Counts a sign-in that waits.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Passwords {
    /// Returns whether a password is that of a hash. Without a hash the work is the same, and the answer is no. Cancel safe; a hash that
    /// was begun is computed to its end.
    ///
    /// # Errors
    /// Too many are being checked.
    pub(crate) async fn check(&self, password: &str, hash: Option<&str>) -> Result<bool, Busy> {
        if password.len() > MAX_PASSWORD {
            return Ok(false);
        }
        let waiting = Waiting(&self.waiting);
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= MAX_WAITING {
            return Err(Busy);
        }
        let permit = Arc::clone(&self.running).acquire_owned().await.map_err(|_| Busy)?;
        drop(waiting);
        let (password, hash) = (password.to_owned(), hash.map(str::to_owned));
        let checked = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            verify(&password, hash.as_deref())
        });
        checked.await.map_err(|_| Busy)
    }
}

fn verify(password: &str, hash: Option<&str>) -> bool {
    if let Some(hash) = hash.and_then(|hash| PasswordHash::new(hash).ok()) {
        Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
    } else {
        // The work of a known user, so that the time tells nothing.
        let _ = Argon2::default().hash_password_with_salt(password.as_bytes(), &[0; 16]);
        false
    }
}

/// Returns the hash of a password as the file of users has it (PHC text, argon2id). Blocks for some tens of milliseconds.
///
/// # Errors
/// The password is empty or too long, or the system has no random numbers.
pub fn hash(password: &str) -> Result<String, String> {
    if password.is_empty() || password.len() > MAX_PASSWORD {
        return Err(format!("a password of 1 to {MAX_PASSWORD} bytes"));
    }
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|error| error.to_string())?;
    let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default());
    let hash =
        hasher.hash_password_with_salt(password.as_bytes(), &salt).map_err(|error| error.to_string())?;
    Ok(hash.to_string())
}

/// Returns whether a text is a hash that can be checked at a bounded cost.
pub(crate) fn is_usable(hash: &str) -> bool {
    let Ok(hash) = PasswordHash::new(hash) else { return false };
    let Ok(params) = Params::try_from(&hash) else { return false };
    hash.algorithm.as_str() == "argon2id"
        && hash.salt.is_some()
        && hash.hash.is_some()
        && params.m_cost() <= MAX_MEMORY
        && params.t_cost() <= MAX_PASSES
        && params.p_cost() <= 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_that_of_its_hash_alone() {
        let passwords = Passwords::default();
        let hash = hash("correct horse").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && is_usable(&hash));
        assert_eq!(passwords.check("correct horse", Some(&hash)).await, Ok(true));
        for wrong in ["", "correct horse ", "Correct horse", &"x".repeat(MAX_PASSWORD + 1)] {
            assert_eq!(passwords.check(wrong, Some(&hash)).await, Ok(false));
        }
        assert_eq!(passwords.check("correct horse", None).await, Ok(false));
        assert_eq!(passwords.check("x", Some("plain")).await, Ok(false));
        assert!(super::hash("").is_err());
    }

    #[tokio::test]
    async fn the_sign_ins_that_wait_are_bounded() {
        let passwords = Passwords::default();
        let permits = Arc::clone(&passwords.running).acquire_many_owned(2).await.unwrap();
        let mut waiting: Vec<_> = (0..MAX_WAITING).map(|_| Box::pin(passwords.check("x", None))).collect();
        for check in &mut waiting {
            assert!(
                std::future::poll_fn(|cx| std::task::Poll::Ready(check.as_mut().poll(cx).is_pending())).await
            );
        }
        assert_eq!(passwords.check("x", None).await, Err(Busy));
        drop(waiting);
        drop(permits);
        assert_eq!(passwords.check("x", None).await, Ok(false));
        assert_eq!(passwords.waiting.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn hashes_of_other_kinds_and_of_unbounded_cost_are_refused() {
        let salt = "c29tZXNhbHRzb21lc2FsdA";
        let out = "8eeJx6hLZ2k0jOJ6tPmqN2o6jN8xOq1TzVYcWv1nW2k";
        assert!(is_usable(&format!("$argon2id$v=19$m=19456,t=2,p=1${salt}${out}")));
        for bad in [
            String::new(),
            "secret".into(),
            format!("$argon2i$v=19$m=19456,t=2,p=1${salt}${out}"),
            format!("$argon2id$v=19$m=4194304,t=2,p=1${salt}${out}"),
            format!("$argon2id$v=19$m=19456,t=1000000,p=1${salt}${out}"),
            format!("$argon2id$v=19$m=19456,t=2,p=1${salt}"),
            "$2b$12$abcdefghijklmnopqrstuuM5pY9Yq2Jf0oUqk0C7bYwq1u1k1u1k1".into(),
        ] {
            assert!(!is_usable(&bad), "{bad}");
        }
    }
}
