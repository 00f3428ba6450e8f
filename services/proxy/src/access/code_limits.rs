//! Limits of what the holders of one code may take from a proxy, and their reader for YAML. Must not know links.

use runtime::document::Cursor;

/// Largest sum of all catalogs of a code, in bytes, where its entry says nothing.
const CATALOG_BYTES: usize = 4 << 20;

/// Most tools of a code, where its entry says nothing.
const TOOLS: usize = 2_000;

/// Changes of catalogs of a code that are taken in a minute, where its entry says nothing.
const CATALOG_CHANGES: u32 = 60;

/// Keys of `limits` in an entry.
const KEYS: [&str; 4] = ["links", "catalog_bytes", "tools", "catalog_changes"];

/// Limits of one code, over all links that were opened with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CodeLimits {
    /// Links at once; `None`: as `MAX_LINKS_PER_CODE` says.
    pub(crate) links: Option<usize>,
    /// Bytes of all definitions; lists that several slaves offer alike count once.
    pub(crate) catalog_bytes: usize,
    /// Tools, and likewise prompts, resources and templates, each kind for itself; counted as the bytes.
    pub(crate) tools: usize,
    /// Changes of catalogs in a minute.
    pub(crate) catalog_changes: u32,
}

impl Default for CodeLimits {
    fn default() -> Self {
        Self { links: None, catalog_bytes: CATALOG_BYTES, tools: TOOLS, catalog_changes: CATALOG_CHANGES }
    }
}

impl CodeLimits {
    /// Reads `limits` of an entry. Problems are recorded, and leave the default.
    pub(super) fn read(cursor: &Cursor<'_>) -> Self {
        let mut limits = Self::default();
        let Some(entries) = cursor.entries_of(&KEYS) else { return limits };
        let number =
            |key: &str, unit: &str, most: u32| entries.get(key).and_then(|value| whole(&value, unit, most));
        limits.links = number("links", "links", 1_000_000).map(|links| links as usize);
        if let Some(bytes) = number("catalog_bytes", "bytes", 1 << 30) {
            limits.catalog_bytes = bytes as usize;
        }
        if let Some(tools) = number("tools", "tools", 1_000_000) {
            limits.tools = tools as usize;
        }
        if let Some(changes) = number("catalog_changes", "changes a minute", 1_000_000) {
            limits.catalog_changes = changes;
        }
        limits
    }
}

/// Reads a whole number from 1 to `most`.
fn whole(cursor: &Cursor<'_>, unit: &str, most: u32) -> Option<u32> {
    let expected = format!("a whole number of {unit} from 1 to {most}");
    let number = cursor.number(&expected)?;
    let fits = number.fract() == 0.0 && (1.0..=f64::from(most)).contains(&number);
    if !fits {
        cursor.error(expected);
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it was checked just now")]
    fits.then_some(number as u32)
}

#[cfg(test)]
mod tests {
    use super::super::file::CodesFile;
    use super::*;

    fn read(limits: &str) -> Result<CodeLimits, String> {
        let file = CodesFile::parse(&format!("- {{code: a, limits: {limits}}}"));
        file.map(|file| file.entries[0].policy.limits).map_err(|error| error.to_string())
    }

    #[test]
    fn an_entry_sets_the_limits_that_it_names() {
        assert_eq!(read("{}"), Ok(CodeLimits::default()));
        let all = CodeLimits { links: Some(3), catalog_bytes: 1024, tools: 5, catalog_changes: 7 };
        assert_eq!(read("{links: 3, catalog_bytes: 1024, tools: 5, catalog_changes: 7}"), Ok(all));
        assert_eq!(read("{tools: 5}"), Ok(CodeLimits { tools: 5, ..CodeLimits::default() }));
    }

    #[test]
    fn problems_are_reported() {
        for (limits, hint) in [
            ("5", "a mapping with links"),
            ("{link: 5}", "one of links"),
            ("{links: 0}", "limits.links: expected a whole number of links from 1"),
            ("{tools: 1.5}", "whole number of tools"),
            ("{catalog_bytes: 4MiB}", "whole number of bytes"),
            ("{catalog_changes: -1}", "changes a minute"),
        ] {
            let problems = read(limits).unwrap_err();
            assert!(problems.contains(hint), "{limits}: {problems}");
        }
    }
}
