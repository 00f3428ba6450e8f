//! `SESSION_KEY` and `SESSION_KEY_FILE`: the keys that seal and open session tokens. Must not know tokens.

use super::variables::Settings;
use crate::env::Reader;
use crate::follow::content_digest;
use crate::io_fault::describe;
use crate::keys::FollowedFile;
use crate::secret::{SessionKey, SessionKeys};

/// The session keys at the start.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// `SESSION_KEY`, the keys of `SESSION_KEY_FILE`, or a random one.
    pub keys: SessionKeys,
    /// `SESSION_KEY_FILE`, whose changes are followed.
    pub file: Option<FollowedFile>,
}

/// Reads the key from one of the two variables; without either, the key is random.
pub(super) fn read(reader: &mut Reader<'_>, settings: &Settings) -> SessionConfig {
    let (variable, file) = (&settings.session_key, &settings.session_key_file);
    let listed = reader.optional(variable, SessionKey::parse);
    let filed = reader.optional(file, |path| {
        let expected = |why: String| format!("the path of a readable file with session keys ({why})");
        let content = std::fs::read(path).map_err(|error| expected(describe(&error)))?;
        let keys =
            SessionKeys::parse_file(&content).map_err(|needed| expected(format!("it needs {needed}")))?;
        let followed =
            FollowedFile { variable: file.name(), path: path.into(), digest: content_digest(&content) };
        Ok((keys, followed))
    });
    match (listed, filed) {
        (Some(key), filed) => {
            if filed.is_some() {
                reader.reject(file, "to be unset where SESSION_KEY is set");
            }
            SessionConfig { keys: key.into(), file: None }
        }
        (None, Some((keys, followed))) => SessionConfig { keys, file: Some(followed) },
        // A problem was noted where a variable is set.
        (None, None) if variable.is_set() || file.is_set() => {
            SessionConfig { keys: SessionKey::derive("").into(), file: None }
        }
        (None, None) => SessionConfig { keys: random(reader, settings).into(), file: None },
    }
}

fn random(reader: &mut Reader<'_>, settings: &Settings) -> SessionKey {
    SessionKey::random().unwrap_or_else(|error| {
        let expected = format!("a key, as the system gave no random one ({error})");
        reader.missing(&settings.session_key, &expected);
        SessionKey::derive("")
    })
}
