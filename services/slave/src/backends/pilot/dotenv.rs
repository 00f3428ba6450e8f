//! The secrets in the file `.env` of the CLI's working directory. The CLI reads the file by itself; this reader only finds
//! what must not be shown. Must not know where values are shown.

use std::io::Read as _;
use std::path::Path;

use runtime::secret::Secret;

use super::config::is_secret;
use crate::config::secrets_in;

/// Bytes of the file that are read.
const MAX_LEN: u64 = 64 * 1024;

/// Returns the secrets of the file in this directory (`None`: the slave's own), those in its comments included; none if
/// there is no such file.
pub(super) fn secrets(directory: Option<&Path>) -> Vec<Secret> {
    let path = directory.unwrap_or_else(|| Path::new(".")).join(".env");
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(MAX_LEN).read_to_end(&mut bytes));
    if read.is_err() {
        return Vec::new();
    }
    String::from_utf8_lossy(&bytes).lines().flat_map(secrets_of_line).collect()
}

fn secrets_of_line(line: &str) -> Vec<Secret> {
    let Some((name, value)) = line.split_once('=') else { return Vec::new() };
    let name = name.trim().trim_start_matches("export ").trim();
    let value = value.trim();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\'' | '`'));
    let value = match quote {
        Some(quote) => value.get(1..).and_then(|rest| rest.split(quote).next()).unwrap_or_default(),
        None => value.split(" #").next().unwrap_or_default().trim(),
    };
    if is_secret(name) { vec![Secret::new(value)] } else { secrets_in(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_in_every_notation() {
        let folder = tempfile::tempdir().unwrap();
        let text = "# OLD_API_KEY=old\nLLM_API_KEY=one\nexport GITLAB_TOKEN = \"two words\" # x\r\nMY_SECRET='th\"ree'\nDB_PASSWORD=four # note\nLLM_MODEL=open\nLLM_API_URL=https://me:five@llm.example\nnothing\nA_KEY=\n";
        std::fs::write(folder.path().join(".env"), text).unwrap();
        let found = secrets(Some(folder.path()));
        let found: Vec<&str> = found.iter().map(Secret::expose).filter(|value| !value.is_empty()).collect();
        assert_eq!(found, ["old", "one", "two words", "th\"ree", "four", "bWU6Zml2ZQ", "five", "five"]);
        assert!(secrets(Some(&folder.path().join("none"))).is_empty());
    }
}
