//! The variables of the OAuth broker, and the files that they name. Must not know how the broker works.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use broker::users::{UserStore, UsersFile};
use broker::{
    BrokerSettings, DocumentHosts, Documents, Provider, ProviderSettings, PublicUrl, RevocationsFile,
};
use runtime::config::CommonConfig;
use runtime::env::{Reader, Setting, parse};
use runtime::io_fault::describe;
use runtime::outbound::OutboundRules;
use runtime::secret::{KeyOrigin, Secret};

runtime::variables! {
    /// The variables of the OAuth broker.
    pub const VARIABLES: Proxy;
    /// Texts of [`VARIABLES`].
    struct Settings;
    oauth_broker = Value("0"), "1: this proxy is the OAuth authorization server of its clients, under the origin of PUBLIC_URL: they register, and their users sign in and approve them. Keys still work. See docs/secure/broker.md.";
    broker_users_file path_of_secrets = Says("needed with OAUTH_BROKER"), "Path of the file of users who may sign in; written by mcp-relay users. Read again when it changes and at SIGHUP.";
    broker_issuer = Says("users are those of BROKER_USERS_FILE"), "Issuer of the OpenID provider at which users sign in, instead of BROKER_USERS_FILE. Its redirect URI is /oauth/callback at the origin of PUBLIC_URL.";
    broker_client_id = Says("needed with BROKER_ISSUER"), "Id of this relay at BROKER_ISSUER.";
    broker_client_secret_file path_of_secrets = Says("this relay is a public client there"), "Path of a file with the secret of BROKER_CLIENT_ID.";
    broker_require = Says("every account of BROKER_ISSUER may sign in"), "Comma-separated claims with the value that id tokens must have, for example hd=example.com.";
    broker_scopes = Value("mcp"), "Comma-separated scopes that clients may ask for.";
    broker_default_scopes = Says("all of BROKER_SCOPES"), "Comma-separated scopes of BROKER_SCOPES that are advertised first, and that a client gets if it names none; the others are requested when something needs them.";
    broker_client_documents = Value("0"), "1: a client's id may be the https URL of its metadata, which this proxy fetches only from public addresses at port 443; any: also from private addresses and other ports.";
    broker_access_ttl = Value("900"), "Seconds for which an access token of the broker is valid.";
    broker_refresh_ttl = Value("2592000"), "Seconds after a sign-in until which its client may renew its access, however often it does.";
    broker_revocations_file path_of_secrets = Says("only slaves remember what was revoked when this process ends"), "Path of a file that revoked grants are written to and read from; proxies may share it. Created where it does not exist.";
}

/// Most scopes, and the longest.
const MAX_SCOPES: usize = 32;
const MAX_SCOPE: usize = 64;

/// The configuration of the OAuth broker.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// What the broker is told.
    pub settings: BrokerSettings,
    /// `BROKER_USERS_FILE`: the users at the start, the path, and the content that was read; `None` with an identity provider.
    pub users: Option<(UsersFile, PathBuf, Vec<u8>)>,
}

impl BrokerConfig {
    /// Reads and checks the variables and the files that they name; problems stay in the reader. `None` where the broker is off.
    pub(super) fn read(reader: &mut Reader<'_>, common: &CommonConfig) -> Option<Self> {
        let settings = Settings::read(reader);
        let is_on = reader.value(&settings.oauth_broker, parse::flag);
        let url = public_url(reader, &settings.oauth_broker, common, is_on);
        let users = users(reader, &settings.broker_users_file);
        let provider = provider(reader, &settings, &common.ways, is_on);
        let broker_scopes = reader.value(&settings.broker_scopes, scopes);
        let read = BrokerReading {
            default_scopes: default_scopes(reader, &settings.broker_default_scopes, &broker_scopes),
            scopes: broker_scopes,
            documents: documents(reader, &settings.broker_client_documents),
            access_ttl: reader.value(&settings.broker_access_ttl, parse::seconds(30.0..=86_400.0)),
            refresh_ttl: reader.value(&settings.broker_refresh_ttl, parse::seconds(60.0..=31_536_000.0)),
            revocations: revocations(reader, &settings.broker_revocations_file),
        };
        if !is_on {
            return None;
        }
        check(reader, &settings, common);
        let BrokerReading { scopes, default_scopes, documents, access_ttl, refresh_ttl, revocations } = read;
        let settings = BrokerSettings {
            url: url?,
            scopes,
            default_scopes,
            access_ttl,
            refresh_ttl,
            revocations,
            documents,
            provider,
        };
        Some(Self { settings, users })
    }
}

/// Checks what must go together where the broker is on.
fn check(reader: &mut Reader<'_>, settings: &Settings, common: &CommonConfig) {
    match (settings.broker_users_file.is_set(), settings.broker_issuer.is_set()) {
        (false, false) => {
            let expected = "the path of a file of users for OAUTH_BROKER, or BROKER_ISSUER";
            reader.missing(&settings.broker_users_file, expected);
        }
        (true, true) => {
            let expected = "to be unset where BROKER_USERS_FILE is set: users sign in at one place";
            reader.reject(&settings.broker_issuer, expected);
        }
        (true, false) | (false, true) => {}
    }
    if common.session.keys.seal().origin() == KeyOrigin::Random {
        reader.warn("OAUTH_BROKER without SESSION_KEY: registrations and sign-ins end with this process");
    }
    if common.access.public_url.as_ref().is_some_and(|url| !matches!(url.path(), "" | "/" | "/mcp")) {
        reader.warn("OAUTH_BROKER: the authorization server is at the origin of PUBLIC_URL: the ingress must pass /oauth and /.well-known on");
    }
}

/// The values that have defaults.
struct BrokerReading {
    scopes: Vec<String>,
    default_scopes: Vec<String>,
    documents: Option<Arc<Documents>>,
    access_ttl: Duration,
    refresh_ttl: Duration,
    revocations: Option<RevocationsFile>,
}

fn public_url(
    reader: &mut Reader<'_>,
    setting: &Setting,
    common: &CommonConfig,
    is_on: bool,
) -> Option<PublicUrl> {
    if !is_on {
        return None;
    }
    let Some(url) = &common.access.public_url else {
        reader.reject(setting, "PUBLIC_URL beside it: the https URL under which clients reach this server");
        return None;
    };
    PublicUrl::new(url).map_err(|expected| reader.reject_value("PUBLIC_URL", url.as_str(), expected)).ok()
}

fn users(reader: &mut Reader<'_>, setting: &Setting) -> Option<(UsersFile, PathBuf, Vec<u8>)> {
    let read = reader.optional(setting, |path| {
        let (file, content) =
            UsersFile::read(Path::new(path)).map_err(|why| format!("a file of users: {why}"))?;
        Ok((file, PathBuf::from(path), content))
    });
    if read.as_ref().is_some_and(|(file, ..)| file.users.is_empty()) {
        reader.warn(
            "BROKER_USERS_FILE has no users yet: nobody can sign in until it has (mcp-relay users add)",
        );
    }
    read
}

/// Reads the identity provider. Its values are checked also where the broker is off.
fn provider(
    reader: &mut Reader<'_>,
    settings: &Settings,
    ways: &OutboundRules,
    is_on: bool,
) -> Option<Arc<Provider>> {
    let issuer =
        reader.optional(&settings.broker_issuer, |text| parse::http_url(text).map(|_| text.to_owned()));
    let client_id = reader.optional(&settings.broker_client_id, client_id);
    let secret = reader.optional(&settings.broker_client_secret_file, |path| {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("a readable file ({})", describe(&error)))?;
        Ok(Secret::new(text.trim()))
    });
    let require = reader.optional(&settings.broker_require, required).unwrap_or_default();
    let issuer = issuer.filter(|_| is_on)?;
    let Some(client_id) = client_id else {
        reader.missing(&settings.broker_client_id, "the id of this relay at BROKER_ISSUER");
        return None;
    };
    if require.is_empty() {
        reader.warn("BROKER_ISSUER without BROKER_REQUIRE: every account of the issuer may sign in");
    }
    let provider = Provider::new(ProviderSettings { issuer, client_id, secret, require }, ways.clone());
    provider
        .map_err(|why| reader.reject(&settings.broker_issuer, format!("an https URL of an issuer ({why})")))
        .ok()
        .map(Arc::new)
}

fn client_id(text: &str) -> Result<String, String> {
    let is_good = text.len() <= 256 && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_good.then(|| text.to_owned()).ok_or_else(|| "at most 256 characters without spaces".into())
}

fn required(text: &str) -> Result<Vec<(String, String)>, String> {
    let pair = |part: &str| {
        part.split_once('=').map(|(claim, value)| (claim.trim().to_owned(), value.trim().to_owned()))
    };
    let pairs: Option<Vec<(String, String)>> = parse::list(text).map(pair).collect();
    let is_full = |pairs: &Vec<(String, String)>| {
        pairs.iter().all(|(claim, value)| !claim.is_empty() && !value.is_empty())
    };
    pairs.filter(is_full).ok_or_else(|| "claims with a value each, for example hd=example.com".into())
}

fn revocations(reader: &mut Reader<'_>, setting: &Setting) -> Option<RevocationsFile> {
    reader.optional(setting, |path| {
        RevocationsFile::open(Path::new(path)).map_err(|error| {
            format!("the path of a file that can be read and written ({})", describe(&error))
        })
    })
}

const DOCUMENTS: &[(&str, Option<DocumentHosts>)] =
    &[("0", None), ("1", Some(DocumentHosts::Public)), ("any", Some(DocumentHosts::Any))];

fn documents(reader: &mut Reader<'_>, setting: &Setting) -> Option<Arc<Documents>> {
    let hosts = reader.value(setting, parse::choice(DOCUMENTS))?;
    let documents = Documents::new(hosts);
    documents
        .map_err(|why| reader.reject(setting, format!("roots of the system that can be read ({why})")))
        .ok()
        .map(Arc::new)
}

fn scopes(text: &str) -> Result<Vec<String>, String> {
    // RFC 6749, 3.3.
    let fits = |name: &str| {
        name.len() <= MAX_SCOPE
            && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
    };
    let names: Vec<String> = parse::list(text).map(str::to_owned).collect();
    let is_good = !names.is_empty() && names.len() <= MAX_SCOPES && names.iter().all(|name| fits(name));
    let is_reserved = names.iter().any(|name| matches!(name.as_str(), "offline_access" | "openid"));
    if !is_good || is_reserved {
        return Err("1 to 32 scopes separated by commas, without quotes; not offline_access or openid".into());
    }
    Ok(names)
}

/// Reads the scopes that clients are told of at first: some of all.
fn default_scopes(reader: &mut Reader<'_>, setting: &Setting, all: &[String]) -> Vec<String> {
    let some = |text: &str| {
        let names = scopes(text)?;
        let is_known = names.iter().all(|name| all.contains(name));
        is_known.then_some(names).ok_or_else(|| "scopes of BROKER_SCOPES".to_owned())
    };
    reader.optional(setting, some).unwrap_or_else(|| all.to_vec())
}

impl BrokerConfig {
    /// Returns the store of users.
    pub(crate) fn user_store(&self) -> Arc<UserStore> {
        match self.users.clone() {
            Some((file, path, content)) => UserStore::new(file, path, &content),
            None => UserStore::none(),
        }
    }
}
