//! The slave's code: `SLAVE_CODE`, or the file that `SLAVE_CODE_FILE` names. No message contains any part of a code.
//! Must not know links.

use std::path::PathBuf;

use runtime::config::warn_of_short;
use runtime::env::{Reader, Setting};
use runtime::io_fault::describe;
use runtime::secret::{Secret, is_short};

/// The file of `SLAVE_CODE_FILE`, with its content at the start.
#[derive(Clone, Debug)]
pub struct CodeSource {
    /// Path of the file.
    pub path: PathBuf,
    /// The whole content at the start, with which later contents are compared.
    pub content: Secret,
}

/// Reads the code from exactly one of the two variables. Returns `None` only after a problem was noted.
pub(super) fn read(
    reader: &mut Reader<'_>,
    code: &Setting,
    file: &Setting,
) -> Option<(Secret, Option<CodeSource>)> {
    if !code.is_set() && !file.is_set() {
        let hint =
            if reader.is_set("SLAVE_CODES") { " (SLAVE_CODES is set: that list is the proxy's)" } else { "" };
        let expected =
            format!("one of the codes in the proxy's SLAVE_CODES{hint}, here or in the file SLAVE_CODE_FILE");
        reader.missing(code, &expected);
    }
    let from_variable = reader.optional(code, check);
    let from_file = reader.optional(file, |path| {
        let content = std::fs::read(path).map_err(|error| format!("{EXPECTED} ({})", describe(&error)))?;
        let code = code_of_file(&content)?;
        let content = Secret::new(String::from_utf8_lossy(&content));
        Ok((code, CodeSource { path: path.into(), content }))
    });
    for (setting, code) in [(code, from_variable.as_ref()), (file, from_file.as_ref().map(|(code, _)| code))]
    {
        if code.is_some_and(|code| is_short(code.expose())) {
            warn_of_short(reader, setting.name(), &["the code".to_owned()]);
        }
    }
    match (from_variable, from_file) {
        (Some(_), Some(_)) => {
            reader.reject(file, "to be unset where SLAVE_CODE is set");
            None
        }
        (Some(code), None) => Some((code, None)),
        (None, Some((code, source))) => Some((code, Some(source))),
        (None, None) => None,
    }
}

const EXPECTED: &str = "the path of a readable file that holds one code";

/// Checks that a code has no comma, because the proxy's list is split at commas.
fn check(text: &str) -> Result<Secret, String> {
    if text.contains(',') {
        return Err("one code without commas (the proxy's SLAVE_CODES is split at commas)".into());
    }
    Ok(Secret::new(text))
}

/// Reads the code from a file's content, which must be a single line; surrounding spaces are ignored. The error
/// contains the expectation and no part of the content.
pub(crate) fn code_of_file(content: &[u8]) -> Result<Secret, String> {
    let text = std::str::from_utf8(content).map_err(|_| format!("{EXPECTED} (this is not UTF-8)"))?;
    match text.trim_start_matches('\u{feff}').trim() {
        "" => Err(format!("{EXPECTED} (this one is empty)")),
        text if text.contains(['\n', '\r']) => Err(format!("{EXPECTED} (this one has several lines)")),
        text => check(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_one_code_and_nothing_of_it_is_shown() {
        let read = |content: &str| code_of_file(content.as_bytes()).map(|code| code.expose().to_owned());
        assert_eq!(read(" s3cret code \n").unwrap(), "s3cret code");
        for (bad, why) in
            [("", "empty"), (" \n", "empty"), ("s3cret\ntwo", "several lines"), ("s3cret,two", "commas")]
        {
            let error = read(bad).unwrap_err();
            assert!(error.contains(why) && !error.contains("s3cret"), "{error}");
        }
        assert!(code_of_file(b"\xff").unwrap_err().contains("UTF-8"));
    }
}
