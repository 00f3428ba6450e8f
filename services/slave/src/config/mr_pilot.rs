//! What the variables say of `mr-pilot`: its program, its environment, and what a review may do. Must not know how it is run.

use std::collections::BTreeMap;
use std::path::PathBuf;

use runtime::env::{Reader, Secrecy, Setting, Snapshot, parse};
use runtime::secret::Secret;

use super::review_hosts::ReviewHosts;
use super::userinfo::secrets_in;
use super::values;
use super::variables::{PASSED_ON, PassedOnSettings, Settings, TABLES};

/// The program of `review_merge_request`, and the variables that are passed on to it.
#[derive(Clone, Debug, Default)]
pub struct MrPilotConfig {
    /// `MR_PILOT_COMMAND`: a program, searched for on `PATH` if it has no slash. Unset: `mr-pilot`, if it is found.
    pub command: Option<PathBuf>,
    /// The set variables of [`PASSED_ON`], to be passed on to the program under the same names.
    pub env: BTreeMap<&'static str, Secret>,
    /// The set variables that `MR_PILOT_ENV` names, to be passed on as well. All values count as secrets.
    pub more_env: BTreeMap<String, Secret>,
    /// `MR_PILOT_CWD`: the directory that the program runs in; `None`: the slave's own.
    pub cwd: Option<PathBuf>,
    /// `MR_PILOT_HOSTS`: the hosts that a review may name.
    pub hosts: ReviewHosts,
    /// `MR_PILOT_ALLOW_COMMENT`: whether a review may be posted as a comment.
    pub allow_comment: bool,
}

impl MrPilotConfig {
    /// Returns the secret values among them, credentials within URLs included; names of providers and projects are no
    /// secrets.
    pub fn secrets(&self) -> Vec<Secret> {
        let secret =
            |name: &str| PASSED_ON.iter().any(|var| var.name == name && var.secrecy == Secrecy::Secret);
        let own = self.env.iter().filter(|(name, _)| secret(name)).map(|(_, value)| value);
        let mut secrets: Vec<Secret> = own.chain(self.more_env.values()).cloned().collect();
        let values = self.env.values().chain(self.more_env.values());
        secrets.extend(values.flat_map(|value| secrets_in(value.expose())));
        secrets
    }
}

/// Reads the variables that concern `mr-pilot`.
pub(super) fn read(reader: &mut Reader<'_>, settings: &Settings, snapshot: &Snapshot) -> MrPilotConfig {
    let passed_on = PassedOnSettings::read(reader);
    let api = reader.optional(&passed_on.gitlab_api, parse::http_url);
    reader.optional(&passed_on.llm_api_url, parse::http_url);
    reader.optional(&passed_on.max_diff_chars, parse::whole(1000..=u64::MAX, "characters"));
    let passed_on = PASSED_ON.iter().filter(|var| var.name != "NODE_ENV");
    let env = passed_on.filter_map(|var| Some((var.name, Secret::new(snapshot.get(var.name)?)))).collect();
    let hosts = reader.optional(&settings.mr_pilot_hosts, ReviewHosts::parse);
    let more_env = read_more_env(reader, &settings.mr_pilot_env, snapshot);
    MrPilotConfig {
        command: settings.mr_pilot_command.text().map(PathBuf::from),
        env,
        more_env,
        cwd: reader.optional(&settings.mr_pilot_cwd, values::directory),
        hosts: hosts.unwrap_or_else(|| {
            let public = ReviewHosts::default();
            api.map_or(public.clone(), |api| public.with_api(&api))
        }),
        allow_comment: reader.value(&settings.mr_pilot_allow_comment, parse::flag),
    }
}

/// Reads `MR_PILOT_ENV`. The slave's own secrets are refused: the program has no use for them.
fn read_more_env(
    reader: &mut Reader<'_>,
    setting: &Setting,
    snapshot: &Snapshot,
) -> BTreeMap<String, Secret> {
    let own_secret = |name: &str| {
        let own =
            TABLES.iter().copied().flatten().filter(|var| !PASSED_ON.iter().any(|to| to.name == var.name));
        own.filter(|var| var.secrecy == Secrecy::Secret).any(|var| var.name == name)
    };
    let names = reader.optional(setting, |text| match parse::list(text).find(|name| own_secret(name)) {
        Some(_) => {
            Err("names of variables for mr-pilot (one of these is a secret of the slave itself)".into())
        }
        None => values::variable_names(text),
    });
    let mut more = BTreeMap::new();
    for name in names.unwrap_or_default() {
        match snapshot.get(&name) {
            Some(value) => drop(more.insert(name, Secret::new(value))),
            None => reader.warn(format!("MR_PILOT_ENV names {name}, which is not set")),
        }
    }
    more
}
