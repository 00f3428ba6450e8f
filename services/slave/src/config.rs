//! The environment of a slave or standalone server, typed and checked.
//!
//! Must not know what the values are used for. The file that `SLAVE_BACKENDS` names is read elsewhere.

mod code;
mod link;
mod mr_pilot;
mod review_hosts;
mod userinfo;
mod values;
mod variables;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use policy::{PolicyError, PolicyFile, Side};
use runtime::config::{CommonConfig, StatusPage};
use runtime::env::{Loaded, Problems, Reader, Setting, Snapshot, parse};

pub use code::CodeSource;
pub(crate) use code::code_of_file;
pub use link::LinkConfig;
pub use mr_pilot::MrPilotConfig;
pub use review_hosts::{ReviewHostError, ReviewHosts};
pub(crate) use userinfo::secrets_in;
pub use values::{ProxyUrl, Strictness};
use variables::Settings;
pub use variables::{PASSED_ON, TABLES, VARIABLES};

/// The role of the process: whether its tools are served through a proxy too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Connects to proxies and serves its own port.
    Slave,
    /// Serves its own port only.
    Standalone,
}

/// The configuration of a slave or standalone server.
#[derive(Clone, Debug)]
pub struct SlaveConfig {
    /// The configuration that every mode reads.
    pub common: CommonConfig,
    /// The links to proxies; `None` in the standalone server.
    pub link: Option<LinkConfig>,
    /// `SLAVE_NAME`: 1 to 63 letters, digits, `-`, `_` or `.`.
    pub name: String,
    /// `SLAVE_LABELS`: labels that routing can select by.
    pub labels: BTreeMap<String, String>,
    /// `SLAVE_CAPACITY`: calls that run at once; 0: no limit.
    pub capacity: u32,
    /// `SLAVE_WEIGHT`: share of the calls, in percent of an ordinary slave's.
    pub weight: u32,
    /// `SLAVE_BACKENDS`: a readable file in the `mcpServers` format.
    pub backends_file: Option<PathBuf>,
    /// `SLAVE_TOOLS`: a readable file of tools that are commands.
    pub tools_file: Option<PathBuf>,
    /// `SLAVE_POLICY`: who may call what.
    pub policy: Option<PolicyFile>,
    /// `IDENTITY_KEY_FILE`: a readable file of keys that sign tokens for backends.
    pub identity_key_file: Option<PathBuf>,
    /// `IDENTITY_ISSUER`: the issuer of those tokens.
    pub identity_issuer: Option<String>,
    /// `MR_PILOT_COMMAND` and the variables that are passed on.
    pub mr_pilot: MrPilotConfig,
    /// `DEMO_TOOLS`: whether the demo tools are offered.
    pub demo_tools: bool,
    /// Name of an echo tool that is the only tool offered, for an end-to-end probe. No variable sets it.
    pub probe_tool: Option<String>,
    /// The program that starts backends (`exec-backend`); `None`: they are started directly. No variable sets it.
    pub launcher: Option<PathBuf>,
    /// `SLAVE_STRICT`: what becomes of a backends or tools file of which an entry cannot be used.
    pub strictness: Strictness,
    /// `BACKEND_START_TIMEOUT`: longest start of a backend.
    pub backend_start: Duration,
    /// `BACKEND_WAIT`: longest wait of a call for a backend that is being started.
    pub backend_wait: Duration,
    /// `PARKED_TTL`: longest time that a call waits for its client's answers.
    pub parked_ttl: Duration,
    /// `SLAVE_PROBE_INTERVAL`: time between two health checks of a backend.
    pub probe_interval: Option<Duration>,
    /// `SLAVE_JOURNAL_BYTES`: largest size of unacknowledged events, over all calls.
    pub journal_bytes: usize,
    /// `RETENTION_SECS`: how long events and result of a call are kept for a client that comes back; zero: not at all.
    pub retention_time: Duration,
    /// `RETENTION_BYTES`: how much is kept so.
    pub retention_bytes: usize,
    /// `MAX_OUTPUT_BYTES`: largest message of a backend.
    pub max_output_bytes: usize,
}

impl SlaveConfig {
    /// Reads and checks everything; the error names every problem.
    pub fn load(snapshot: &Snapshot, role: Role) -> Result<Loaded<Self>, Problems> {
        let subject = match role {
            Role::Slave => "slave",
            Role::Standalone => "standalone",
        };
        let mut reader = Reader::new(subject, snapshot, TABLES);
        let common = CommonConfig::read(&mut reader);
        let settings = Settings::read(&mut reader);
        if common.ops.ui == StatusPage::Full {
            reader.reject_value("UI", "full", "1 or 0: full is for a proxy");
        }
        let link = match role {
            Role::Slave => link::read(&mut reader, &settings, &common.ways),
            Role::Standalone => None,
        };
        let bytes = |range| parse::whole(range, "bytes");
        let config = Self {
            common,
            link,
            name: read_name(&mut reader, &settings.slave_name),
            labels: reader.optional(&settings.slave_labels, values::labels).unwrap_or_default(),
            capacity: reader.value(&settings.slave_capacity, parse::whole(0..=1_000_000, "calls")),
            weight: reader.value(&settings.slave_weight, parse::whole(1..=10_000, "percent")),
            backends_file: reader.optional(&settings.slave_backends, values::readable_file),
            tools_file: reader.optional(&settings.slave_tools, values::readable_file),
            policy: read_policy(&mut reader, &settings.slave_policy),
            identity_key_file: reader.optional(&settings.identity_key_file, values::readable_file),
            identity_issuer: reader.optional(&settings.identity_issuer, values::issuer),
            mr_pilot: mr_pilot::read(&mut reader, &settings, snapshot),
            demo_tools: reader.value(&settings.demo_tools, parse::flag),
            probe_tool: None,
            launcher: None,
            strictness: read_strictness(&mut reader, &settings.slave_strict),
            backend_start: reader.value(&settings.backend_start_timeout, parse::seconds(1.0..=3600.0)),
            backend_wait: reader.value(&settings.backend_wait, parse::seconds(0.0..=3600.0)),
            parked_ttl: reader.value(&settings.parked_ttl, parse::seconds(1.0..=86_400.0)),
            probe_interval: read_probe(&mut reader, &settings.slave_probe_interval),
            journal_bytes: reader.value(&settings.slave_journal_bytes, bytes(1_048_576..=68_719_476_736)),
            retention_time: reader.value(&settings.retention_secs, parse::seconds(0.0..=86_400.0)),
            retention_bytes: reader.value(&settings.retention_bytes, bytes(65_536..=68_719_476_736)),
            max_output_bytes: reader.value(&settings.max_output_bytes, bytes(65_536..=1_073_741_824)),
        };
        reader.finish(config)
    }
}

/// Reads the policy file; notes every problem in it.
fn read_policy(reader: &mut Reader<'_>, setting: &Setting) -> Option<PolicyFile> {
    match PolicyFile::read(Path::new(setting.text()?), Side::Slave) {
        Ok(file) => Some(file),
        Err(PolicyError::Bad(problems)) => {
            reader.reject_file(setting, &problems);
            None
        }
        Err(PolicyError::Unreadable(error)) => {
            let why = runtime::io_fault::describe(&error);
            reader.reject(setting, format!("a YAML file of who may call what ({why})"));
            None
        }
    }
}

fn read_strictness(reader: &mut Reader<'_>, setting: &Setting) -> Strictness {
    if reader.value(setting, parse::flag) { Strictness::File } else { Strictness::Entry }
}

fn read_probe(reader: &mut Reader<'_>, setting: &Setting) -> Option<Duration> {
    let interval = reader.value(setting, parse::seconds(0.0..=86_400.0));
    (!interval.is_zero()).then_some(interval)
}

/// Reads `SLAVE_NAME`; without it, the name is that of the host, made valid.
fn read_name(reader: &mut Reader<'_>, setting: &Setting) -> String {
    if setting.is_set() {
        return reader.optional(setting, values::name).unwrap_or_default();
    }
    let host = nix::unistd::gethostname().unwrap_or_default();
    values::name_of_host(&host.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::env::Secrecy;
    use runtime::secret::Secret;

    /// An invalid value for each of the slave's own variables that can be wrong.
    const BAD: &[(&str, &str)] = &[
        ("PROXY_SERVER_URL", "http://localhost:8001"),
        ("PROXY_RESOLVE_INTERVAL", "0"),
        ("SLAVE_CODE", "code1,code2"),
        ("SLAVE_CODE_FILE", "/nowhere/code"),
        ("ALLOW_PLAINTEXT", "maybe"),
        ("PROXY_CA_FILE", "/nowhere/ca.pem"),
        ("PROXY_CLIENT_CERT", "/nowhere/slave.crt"),
        ("PROXY_CLIENT_KEY", "/nowhere/slave.key"),
        ("SLAVE_NAME", "my slave"),
        ("SLAVE_LABELS", "platform"),
        ("SLAVE_CAPACITY", "many"),
        ("SLAVE_WEIGHT", "0"),
        ("SLAVE_BACKENDS", "/nowhere/backends.json"),
        ("SLAVE_TOOLS", "/nowhere/tools.yaml"),
        ("SLAVE_POLICY", "/nowhere/policy.yaml"),
        ("IDENTITY_KEY_FILE", "/nowhere/identity.pem"),
        ("IDENTITY_ISSUER", "a b"),
        ("MR_PILOT_HOSTS", "https://gitlab.com"),
        ("MR_PILOT_ALLOW_COMMENT", "never"),
        ("MR_PILOT_ENV", "A,not a name"),
        ("MR_PILOT_CWD", "/nowhere"),
        ("DEMO_TOOLS", "on"),
        ("SLAVE_STRICT", "maybe"),
        ("BACKEND_START_TIMEOUT", "0"),
        ("BACKEND_WAIT", "-1"),
        ("PARKED_TTL", "0"),
        ("SLAVE_PROBE_INTERVAL", "-1"),
        ("PROXY_TUNNEL_URL", "http://ann:hush@t/path"),
        ("RECONNECT_MAX", "0"),
        ("SLAVE_JOURNAL_BYTES", "1"),
        ("RETENTION_SECS", "-1"),
        ("RETENTION_BYTES", "many"),
        ("MAX_OUTPUT_BYTES", "64M"),
        ("GITLAB_API", "gitlab.example"),
        ("LLM_API_URL", "llm"),
        ("MAX_DIFF_CHARS", "999"),
    ];

    fn load(pairs: &[(&str, &str)], role: Role) -> Result<Loaded<SlaveConfig>, Problems> {
        SlaveConfig::load(&Snapshot::of(pairs.iter().copied()), role)
    }

    #[test]
    fn every_bad_value_is_reported_at_once_and_secrets_are_not_shown() {
        let mut pairs = BAD.to_vec();
        pairs.push(("MCP_SERVER_PORT", "80x"));
        let problems = load(&pairs, Role::Slave).unwrap_err();
        let reported: Vec<&str> = problems.list.iter().map(|p| p.name.as_str()).collect();
        let expected: Vec<&str> =
            std::iter::once("MCP_SERVER_PORT").chain(BAD.iter().map(|(n, _)| *n)).collect();
        assert_eq!(reported, expected);
        let text = problems.to_string();
        for (name, value) in BAD {
            let var = TABLES.iter().copied().flatten().find(|var| var.name == *name).unwrap();
            assert_eq!(text.contains(&format!("{value:?}")), var.secrecy == Secrecy::Open, "{name}:\n{text}");
        }
    }

    #[test]
    fn each_declared_variable_has_a_bad_value_here_or_takes_any_text() {
        let any_text = ["MR_PILOT_COMMAND", "GITLAB_TOKEN", "GITLAB_DEFAULT_PROJECT", "GITHUB_TOKEN"];
        let any_text_too = [
            "GITHUB_DEFAULT_REPO",
            "LLM_PROVIDER",
            "LLM_API_KEY",
            "LLM_MODEL",
            "OPENROUTER_API_KEY",
            "OPENROUTER_MODEL",
            "NODE_ENV",
        ];
        for var in VARIABLES.iter().chain(PASSED_ON) {
            let bad = BAD.iter().any(|(name, _)| *name == var.name);
            assert!(
                bad != (any_text.contains(&var.name) || any_text_too.contains(&var.name)),
                "{}",
                var.name
            );
        }
    }

    #[test]
    fn a_slave_requires_a_code_and_a_standalone_server_does_not() {
        let problems = load(&[("SLAVE_CODES", "hush")], Role::Slave).unwrap_err();
        let names: Vec<&str> = problems.list.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["SLAVE_CODE"]);
        let text = problems.to_string();
        assert!(text.contains("SLAVE_CODES is set") && !text.contains("hush"), "{text}");
        let config = load(&[], Role::Standalone).unwrap().config;
        assert!(config.link.is_none() && !config.demo_tools && config.capacity == 0);
        assert!(!config.name.is_empty());
        assert_eq!((config.journal_bytes, config.max_output_bytes), (256 << 20, 64 << 20));
    }

    #[test]
    fn the_documented_slave_example_loads_and_passes_on_the_set_variables() {
        let pairs = [
            ("PROXY_SLAVE", "1"),
            ("SLAVE_CODE", " code1 "),
            ("PROXY_SERVER_URL", "ws://localhost:8001"),
            ("MCP_SERVER_PORT", "9000"),
            ("GITLAB_TOKEN", "your_token_here"),
            ("GITLAB_API", ""),
            ("LLM_PROVIDER", "openrouter"),
            ("NODE_ENV", "production"),
        ];
        let config = load(&pairs, Role::Slave).unwrap().config;
        let link = config.link.as_ref().unwrap();
        assert_eq!(
            (link.proxies[0].to_string().as_str(), link.code.expose()),
            ("ws://localhost:8001", "code1")
        );
        assert_eq!(config.common.http.port, 9000);
        let handed: Vec<&str> = config.mr_pilot.env.keys().copied().collect();
        assert_eq!(handed, ["GITLAB_TOKEN", "LLM_PROVIDER"]);
        let secrets = config.mr_pilot.secrets();
        assert_eq!(secrets.iter().map(Secret::expose).collect::<Vec<_>>(), ["your_token_here"]);
        let text = format!("{config:?}");
        assert!(!text.contains("code1") && !text.contains("your_token_here"), "{text}");
    }

    #[test]
    fn further_variables_are_passed_on_by_name_and_count_as_secrets() {
        let pairs = [
            ("MR_PILOT_ENV", " CORP_PASS, NODE_OPTIONS ,missing,"),
            ("CORP_PASS", "hush"),
            ("NODE_OPTIONS", "--no-warnings"),
            ("OTHER", "other"),
            ("LLM_API_URL", "https://me:hush-hush@llm.example/v1"),
        ];
        let loaded = load(&pairs, Role::Standalone).unwrap();
        let pilot = &loaded.config.mr_pilot;
        let names: Vec<&String> = pilot.more_env.keys().collect();
        assert_eq!(names, ["CORP_PASS", "NODE_OPTIONS"]);
        let secrets = pilot.secrets();
        let secret = |text: &str| secrets.iter().any(|secret| secret.expose() == text);
        assert!(secret("hush") && secret("hush-hush") && !secret("other"));
        assert!(loaded.warnings.iter().any(|text| text.contains("names missing, which is not set")));
        assert!(!format!("{:?}", loaded.config).contains("hush"));
        for name in ["SLAVE_CODE", "AUTH_BEARER_KEYS", "SESSION_KEY"] {
            let text = load(&[("MR_PILOT_ENV", name)], Role::Standalone).unwrap_err().to_string();
            assert!(text.contains("a secret of the slave itself"), "{text}");
        }
        let here = std::env::current_dir().unwrap();
        let config = load(&[("MR_PILOT_CWD", here.to_str().unwrap())], Role::Standalone).unwrap().config;
        assert_eq!(config.mr_pilot.cwd, Some(here));
    }

    #[test]
    fn a_backends_file_must_be_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        let config = load(&[("SLAVE_BACKENDS", path)], Role::Standalone).unwrap().config;
        assert_eq!(config.backends_file.as_deref(), Some(file.path()));
        let directory = file.path().parent().unwrap().to_str().unwrap();
        assert!(load(&[("SLAVE_BACKENDS", directory)], Role::Standalone).is_err());
    }

    #[test]
    fn the_code_comes_from_exactly_one_variable() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hush-filed\n").unwrap();
        let path = file.path().to_str().unwrap();
        let with = |more: &[(&str, &str)]| {
            let base = [("PROXY_SERVER_URL", "ws://localhost:8001"), ("SLAVE_CODE_FILE", path)];
            load(&[&base[..], more].concat(), Role::Slave)
        };
        let link = with(&[]).unwrap().config.link.unwrap();
        assert_eq!(link.code.expose(), "hush-filed");
        assert_eq!(link.code_file.as_ref().map(|source| source.content.expose()), Some("hush-filed\n"));
        assert!(!format!("{link:?}").contains("hush"), "{link:?}");
        let text = with(&[("SLAVE_CODE", "hush")]).unwrap_err().to_string();
        assert!(text.contains("where SLAVE_CODE is set") && !text.contains("hush"), "{text}");
    }
}
