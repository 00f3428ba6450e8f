//! `AUDIT_*`: the target of the audit stream and its redaction. Must not know the lines.

use std::fmt;
use std::path::{Path, PathBuf};

use regex::Regex;

use crate::env::{Reader, parse};

crate::variables! {
    /// The variables that [`AuditConfig::read`] reads.
    pub const AUDIT: Every;
    /// Texts of [`AUDIT`].
    struct Settings;
    audit_log path = Says("no audit"), "stdout, stderr, or the path of a file: the target of the audit stream, one JSON object per line. A file is appended to, created with access for its owner only, and reopened at SIGHUP.";
    audit_required = Value("0"), "1: a call whose beginning cannot be written to AUDIT_LOG is refused (`audit_unavailable`). Each call then waits until its line is with the target, at most 2 s; it is not forced to the disk.";
    audit_payloads = Value("0"), "1: the audit stream contains arguments and results of calls too, redacted, up to 16 KiB each; larger ones are replaced by their size.";
    audit_redact = Value("*password*,*passwd*,*passphrase*,*secret*,*token*,*authorization*,*cookie*,*credential*,*api*key*,*access*key*,*private*key*"), "Comma-separated names of members whose values AUDIT_PAYLOADS replaces by [redacted], at any depth of arguments and results; * stands for any characters, case is ignored.";
    audit_redact_text = Says("nothing"), "A regular expression: its matches in any text of arguments or results are replaced by [redacted].";
}

/// The target of audit lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditTarget {
    /// Standard error, which the log uses too.
    Stderr,
    /// Standard output, which nothing else uses.
    Stdout,
    /// A file for audit lines only.
    File(PathBuf),
}

impl fmt::Display for AuditTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stderr => f.write_str("stderr"),
            Self::Stdout => f.write_str("stdout"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// The configuration of the audit stream.
#[derive(Clone, Debug)]
pub struct AuditConfig {
    /// `AUDIT_LOG`: the target.
    pub target: AuditTarget,
    /// `AUDIT_REQUIRED`: whether calls that cannot be written down are refused.
    pub required: bool,
    /// `AUDIT_PAYLOADS`: whether lines contain arguments and results.
    pub payloads: bool,
    /// `AUDIT_REDACT`: names of members whose values are replaced; `*` stands for any characters.
    pub redact: Vec<String>,
    /// `AUDIT_REDACT_TEXT`: pattern of the texts that are replaced.
    pub redact_text: Option<Regex>,
}

impl AuditConfig {
    /// Reads the variables of [`AUDIT`], which the reader's tables must contain. `None`: no audit; all values are
    /// checked even then.
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let settings = Settings::read(reader);
        let target = reader.optional(&settings.audit_log, target);
        let payloads = reader.value(&settings.audit_payloads, parse::flag);
        let required = reader.value(&settings.audit_required, parse::flag);
        let names = |text: &str| Ok(parse::list(text).map(str::to_owned).collect());
        let redact = reader.value(&settings.audit_redact, names);
        let redact_text = reader.optional(&settings.audit_redact_text, pattern);
        if payloads && !settings.audit_log.is_set() {
            reader.warn("AUDIT_PAYLOADS is set but AUDIT_LOG is not: there is no audit stream");
        }
        if required && !settings.audit_log.is_set() {
            reader.reject(
                &settings.audit_required,
                "AUDIT_LOG as well: without it no call can be written down",
            );
        }
        Some(Self { target: target?, required, payloads, redact, redact_text })
    }
}

fn target(text: &str) -> Result<AuditTarget, String> {
    match text {
        "stderr" => return Ok(AuditTarget::Stderr),
        "stdout" => return Ok(AuditTarget::Stdout),
        _ => {}
    }
    let path = Path::new(text);
    let folder = path.parent().filter(|_| text.contains('/'));
    let Some(folder) = folder else {
        return Err("stdout, stderr, or the path of a file (with a /, say ./audit.jsonl)".into());
    };
    if path.is_dir() || text.ends_with('/') {
        return Err("the path of a file: this is a folder".into());
    }
    if !folder.as_os_str().is_empty() && !folder.is_dir() {
        return Err(format!("a file in an existing folder: {} is none", folder.display()));
    }
    Ok(AuditTarget::File(path.into()))
}

fn pattern(text: &str) -> Result<Regex, String> {
    let pattern = Regex::new(text).map_err(|error| {
        let error = error.to_string();
        let why = error.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        format!("a regular expression ({why})")
    })?;
    if pattern.is_match("") {
        return Err("a regular expression that does not match the empty text".into());
    }
    Ok(pattern)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::{Loaded, Problems, Snapshot};

    fn read(pairs: &[(&str, &str)]) -> Result<Loaded<Option<AuditConfig>>, Problems> {
        let snapshot = Snapshot::of(pairs.iter().copied());
        let tables = [AUDIT];
        let mut reader = Reader::new("test", &snapshot, &tables);
        let config = AuditConfig::read(&mut reader);
        reader.finish(config)
    }

    #[test]
    fn the_stream_is_off_unless_it_has_a_target() {
        assert!(read(&[]).unwrap().config.is_none());
        let loaded = read(&[("AUDIT_PAYLOADS", "1")]).unwrap();
        assert!(loaded.config.is_none() && loaded.warnings[0].contains("AUDIT_LOG"), "{:?}", loaded.warnings);
        let config = read(&[("AUDIT_LOG", "stdout")]).unwrap().config.unwrap();
        assert_eq!((config.target, config.payloads), (AuditTarget::Stdout, false));
        assert!(config.redact.iter().any(|name| name == "*token*"));
        let pairs = [("AUDIT_LOG", "./a.jsonl"), ("AUDIT_REDACT", "a, b"), ("AUDIT_REDACT_TEXT", "x{2,3}")];
        let config = read(&pairs).unwrap().config.unwrap();
        assert_eq!(config.target, AuditTarget::File("./a.jsonl".into()));
        assert_eq!(config.redact, ["a", "b"]);
        assert!(config.redact_text.unwrap().is_match("axxb"));
    }

    #[test]
    fn every_bad_value_is_a_problem() {
        for (name, value, says) in [
            ("AUDIT_LOG", "1", "stdout, stderr, or the path of a file"),
            ("AUDIT_LOG", "/tmp/", "a folder"),
            ("AUDIT_LOG", "/no/such/folder/audit", "/no/such/folder is none"),
            ("AUDIT_PAYLOADS", "maybe", "AUDIT_PAYLOADS"),
            ("AUDIT_REQUIRED", "maybe", "AUDIT_REQUIRED"),
            ("AUDIT_REQUIRED", "1", "AUDIT_LOG as well"),
            ("AUDIT_REDACT_TEXT", "(", "unclosed group"),
            ("AUDIT_REDACT_TEXT", "x*", "empty text"),
        ] {
            let problems = read(&[(name, value)]).unwrap_err().to_string();
            assert!(problems.contains(name) && problems.contains(says), "{problems}");
        }
    }
}
