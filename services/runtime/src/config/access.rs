//! Who is served: `AUTH_BEARER_KEYS`, `OPS_KEYS`, their files, `AUTH_ISSUERS`, `ALLOW_ANONYMOUS`, `ALLOWED_HOSTS` and `PUBLIC_URL`. Must
//! not know requests.

use std::path::Path;

use url::Url;

use super::hosts::AllowedHosts;
use super::variables::Settings;
use crate::env::{Reader, Setting, parse};
use crate::follow::content_digest;
use crate::keys::{FollowedFile, KeyStore, KeysFile};
use crate::outbound::OutboundRules;
use crate::secret::{MIN_SECRET_CHARACTERS, SecretSet, is_short};
use crate::tokens::{IssuersFile, TokenVerifier};

/// The addresses that are served where no keys are set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnonymousAccess {
    /// Loopback and private addresses.
    #[default]
    Local,
    /// Every address (`ALLOW_ANONYMOUS=1`).
    Everyone,
}

/// The keys of one kind of caller at the start.
#[derive(Clone, Debug, Default)]
pub struct KeyConfig {
    /// The keys of the variable.
    pub listed: SecretSet,
    /// The keys of the file that a variable names, and the file to follow.
    pub file: Option<(KeysFile, FollowedFile)>,
}

impl KeyConfig {
    /// Returns a store of these keys.
    pub fn store(&self) -> KeyStore {
        KeyStore::new(self.listed.clone(), self.file.as_ref().map(|(keys, _)| keys))
    }

    /// Returns whether keys are asked for: a variable or a file is set.
    pub fn is_set(&self) -> bool {
        !self.listed.is_empty() || self.file.is_some()
    }

    /// Returns the number of keys, those that are not valid at present included.
    pub fn count(&self) -> usize {
        self.store().current().len()
    }
}

/// The issuers of access tokens at the start.
#[derive(Clone, Debug)]
pub struct IssuersConfig {
    /// What tokens must be meant for.
    pub resource: String,
    /// The issuers.
    pub issuers: IssuersFile,
    /// The file to follow.
    pub file: FollowedFile,
    /// How issuers are reached.
    pub ways: OutboundRules,
}

impl IssuersConfig {
    /// Returns the check of these issuers' tokens.
    pub fn verifier(&self) -> TokenVerifier {
        TokenVerifier::new(&self.resource, &self.issuers, self.ways.clone())
    }
}

/// The configuration of access over HTTP.
#[derive(Clone, Debug, Default)]
pub struct AccessConfig {
    /// `AUTH_BEARER_KEYS`, `AUTH_BEARER_KEYS_FILE`: the keys of clients.
    pub clients: KeyConfig,
    /// `OPS_KEYS`, `OPS_KEYS_FILE`: the keys of operators; where unset, those of clients.
    pub operators: KeyConfig,
    /// `ALLOW_ANONYMOUS`: who is served where no keys are set.
    pub anonymous: AnonymousAccess,
    /// `AUTH_ISSUERS`: the issuers of clients' tokens; `None`: tokens are not accepted.
    pub issuers: Option<IssuersConfig>,
    /// `ALLOWED_HOSTS`, `PUBLIC_URL`: the hosts that requests may name.
    pub hosts: AllowedHosts,
    /// `PUBLIC_URL`: where clients reach the server.
    pub public_url: Option<url::Url>,
}

/// Reads the variables of access and the files that they name. Issuers are reached by `ways`.
pub(super) fn read(reader: &mut Reader<'_>, settings: &Settings, ways: &OutboundRules) -> AccessConfig {
    let public = reader.optional(&settings.public_url, parse::http_url);
    let hosts = reader.optional(&settings.allowed_hosts, AllowedHosts::parse).unwrap_or_default();
    let everyone = reader.value(&settings.allow_anonymous, parse::flag);
    AccessConfig {
        clients: keys(reader, &settings.auth_bearer_keys, &settings.auth_bearer_keys_file),
        operators: keys(reader, &settings.ops_keys, &settings.ops_keys_file),
        anonymous: if everyone { AnonymousAccess::Everyone } else { AnonymousAccess::Local },
        issuers: issuers(reader, settings, public.as_ref(), ways),
        hosts: hosts.with_public(public.as_ref()),
        public_url: public,
    }
}

/// Reads the file of issuers, whose tokens are for `public`.
fn issuers(
    reader: &mut Reader<'_>,
    settings: &Settings,
    public: Option<&Url>,
    ways: &OutboundRules,
) -> Option<IssuersConfig> {
    let setting = &settings.auth_issuers;
    let file = reader.optional(setting, |path| {
        let read = IssuersFile::read(Path::new(path)).and_then(IssuersFile::checked);
        read.map_err(|error| format!("a file of issuers: {error}"))
    })?;
    let path = setting.text()?.into();
    let Some(public) = public else {
        if !settings.public_url.is_set() {
            reader.reject(setting, "PUBLIC_URL beside it: the URL under which clients reach this server, which tokens must be for");
        }
        return None;
    };
    let is_bare = public.query().is_none() && public.fragment().is_none() && public.username().is_empty();
    if !is_bare || public.password().is_some() {
        let expected = "a URL without user, query and fragment, as access tokens name it (RFC 8707)";
        reader.reject(&settings.public_url, expected);
    }
    if public.scheme() == "http" && !is_loopback(public) {
        reader.warn("PUBLIC_URL begins with http://: clients send access tokens over TLS alone, say through an ingress; set the https:// URL that they use");
    }
    let followed = FollowedFile { variable: setting.name(), path, digest: file.digest() };
    Some(IssuersConfig { resource: public.to_string(), issuers: file, file: followed, ways: ways.clone() })
}

fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(super::origins::is_loopback_authority)
}

fn keys(reader: &mut Reader<'_>, listed: &Setting, file: &Setting) -> KeyConfig {
    let listed = secret_list(reader, listed, "keys");
    let read = reader.optional(file, |path| {
        let read = KeysFile::read(Path::new(path)).map_err(|error| format!("a file of keys: {error}"))?;
        let followed =
            FollowedFile { variable: file.name(), path: path.into(), digest: content_digest(&read.1) };
        Ok((read.0, followed))
    });
    if let Some((keys, _)) = &read {
        warn_of_short(reader, file.name(), keys.short_keys());
        if keys.keys().is_empty() && listed.is_empty() {
            reader.warn(format!("{} has no keys yet: nobody gets in until it has", file.name()));
        }
    }
    KeyConfig { listed, file: read }
}

/// Reads comma-separated secrets; `noun` names several of them. A text with none is a problem, since whoever set it meant
/// to require one. Short secrets are warned of by their position.
pub fn secret_list(reader: &mut Reader<'_>, setting: &Setting, noun: &str) -> SecretSet {
    let Some(text) = setting.text() else { return SecretSet::default() };
    let set = SecretSet::new(parse::list(text));
    if set.is_empty() {
        let expected = format!("one or several {noun} separated by commas, or nothing at all");
        reader.reject(setting, expected);
    }
    let short = (1..).zip(parse::list(text)).filter(|(_, secret)| is_short(secret));
    let places: Vec<String> = short.map(|(position, _): (usize, _)| format!("position {position}")).collect();
    warn_of_short(reader, setting.name(), &places);
    set
}

/// Warns of secrets of a variable or file that can be guessed, by their places in it.
pub fn warn_of_short(reader: &mut Reader<'_>, variable: &str, places: &[String]) {
    if places.is_empty() {
        return;
    }
    let places = places.join(", ");
    reader.warn(format!(
        "{variable}: fewer than {MIN_SECRET_CHARACTERS} characters can be guessed ({places}); make secrets with: openssl rand -hex 16"
    ));
}

#[cfg(test)]
mod tests {
    use super::super::variables::EVERY;
    use super::*;
    use crate::env::{Loaded, Problems, Snapshot};

    fn load(pairs: &[(&str, &str)]) -> Result<Loaded<AccessConfig>, Problems> {
        let snapshot = Snapshot::of(pairs.iter().copied());
        let tables = [EVERY];
        let mut reader = Reader::new("test", &snapshot, &tables);
        let settings = Settings::read(&mut reader);
        let access = read(&mut reader, &settings, &OutboundRules::default());
        reader.finish(access)
    }

    #[test]
    fn a_list_without_a_key_is_a_problem_and_an_empty_one_is_unset() {
        for variable in ["AUTH_BEARER_KEYS", "OPS_KEYS"] {
            for text in [",", " , ", ",,,"] {
                let problems = load(&[(variable, text)]).unwrap_err();
                assert_eq!((problems.list.len(), problems.list[0].name.as_str()), (1, variable), "{text:?}");
            }
            for text in ["", "  "] {
                let access = load(&[(variable, text)]).unwrap().config;
                assert!(!access.clients.is_set() && !access.operators.is_set(), "{text:?}");
            }
        }
    }

    #[test]
    fn short_secrets_are_warned_of_by_place_and_never_shown() {
        let keys = ("AUTH_BEARER_KEYS", "hush-one,sixteen-letters!,hush-two");
        let loaded = load(&[keys, ("OPS_KEYS", "hush-fifteen-ch")]).unwrap();
        let text = loaded.warnings.join("\n");
        assert!(
            text.contains("AUTH_BEARER_KEYS: fewer than 16") && text.contains("(position 1, position 3)"),
            "{text}"
        );
        assert!(text.contains("OPS_KEYS: fewer than 16") && !text.contains("hush"), "{text}");
        assert!(load(&[("OPS_KEYS", "sixteen-letters!")]).unwrap().warnings.is_empty());
    }

    #[test]
    fn files_join_their_variables_and_a_bad_one_is_a_problem() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let text = path.to_str().unwrap();
        std::fs::write(&path, "- {key: hush, name: ci}\n").unwrap();
        let loaded =
            load(&[("AUTH_BEARER_KEYS_FILE", text), ("AUTH_BEARER_KEYS", "sixteen-letters!")]).unwrap();
        assert_eq!((loaded.config.clients.count(), loaded.config.operators.count()), (2, 0));
        assert!(loaded.warnings[0].contains("(line 1 (ci))"), "{:?}", loaded.warnings);
        std::fs::write(&path, "").unwrap();
        let loaded = load(&[("OPS_KEYS_FILE", text)]).unwrap();
        assert!(loaded.config.operators.is_set() && loaded.warnings[0].contains("nobody gets in"));
        std::fs::write(&path, "- {key: [hush]}\n").unwrap();
        let problems = load(&[("OPS_KEYS_FILE", text)]).unwrap_err().to_string();
        assert!(
            problems.contains("OPS_KEYS_FILE") && problems.contains("line 1") && !problems.contains("hush")
        );
        assert!(load(&[("OPS_KEYS_FILE", "/nowhere/keys")]).is_err());
    }

    #[test]
    fn issuers_need_the_url_that_tokens_are_for_and_the_files_that_they_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("issuers.yaml");
        let text = path.to_str().unwrap();
        std::fs::write(&path, "issuers:\n- issuer: https://id.example\n").unwrap();
        let issuers = ("AUTH_ISSUERS", text);
        let loaded = load(&[issuers, ("PUBLIC_URL", "https://relay.example/mcp")]).unwrap();
        assert_eq!(loaded.config.issuers.unwrap().verifier().resource(), "https://relay.example/mcp");
        assert!(loaded.warnings.is_empty());
        let plain = load(&[issuers, ("PUBLIC_URL", "http://relay.example/mcp")]).unwrap().warnings;
        assert!(plain[0].contains("PUBLIC_URL begins with http://"), "{plain:?}");
        for (url, variable) in [
            ("", "AUTH_ISSUERS"),
            ("https://relay.example/mcp?a=b", "PUBLIC_URL"),
            ("https://relay.example/#a", "PUBLIC_URL"),
        ] {
            let problems = load(&[issuers, ("PUBLIC_URL", url)]).unwrap_err();
            assert_eq!((problems.list.len(), problems.list[0].name.as_str()), (1, variable), "{url:?}");
        }
        std::fs::write(&path, "issuers:\n- issuer: https://id.example\n  jwks_file: /nowhere/keys\n")
            .unwrap();
        let problems = load(&[issuers, ("PUBLIC_URL", "https://relay.example/mcp")]).unwrap_err().to_string();
        assert!(problems.contains("AUTH_ISSUERS") && problems.contains("jwks_file"), "{problems}");
    }

    #[test]
    fn hosts_and_anonymous_access_are_read() {
        let access =
            load(&[("ALLOW_ANONYMOUS", "1"), ("PUBLIC_URL", "https://relay.example/mcp")]).unwrap().config;
        assert_eq!(access.anonymous, AnonymousAccess::Everyone);
        assert!(access.hosts.allows_without_key("relay.example"));
        assert_eq!(load(&[]).unwrap().config.anonymous, AnonymousAccess::Local);
        for bad in
            [("PUBLIC_URL", "relay.example"), ("ALLOWED_HOSTS", "https://x"), ("ALLOW_ANONYMOUS", "on")]
        {
            assert!(load(&[bad]).is_err(), "{bad:?}");
        }
    }
}
