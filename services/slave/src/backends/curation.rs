//! What of a backend is offered, and under which names and texts: `tools`, `prompts`, `resources` and `prefix` of its entry in the
//! `mcpServers` file. What is hidden cannot be called. Must not know the file, nor other backends.

use std::collections::BTreeMap;

use protocol::mcp::catalog::{CatalogEntry, ListKind};
use protocol::mcp::members;
use runtime::glob::{Glob, any_matches};
use serde_json::value::RawValue;

/// Curation of one backend's lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Curation {
    /// Put in front of the names of tools and prompts that have no other name here.
    pub(crate) prefix: String,
    pub(crate) tools: ListCuration,
    pub(crate) prompts: ListCuration,
    /// For resources and resource templates, by URI.
    pub(crate) resources: ListCuration,
}

/// Curation of one list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ListCuration {
    /// What is offered; `None`: everything.
    pub(crate) allow: Option<Vec<Glob>>,
    /// What is not, also where `allow` names it.
    pub(crate) deny: Vec<Glob>,
    /// Names that clients see, by the backend's own names.
    pub(crate) rename: BTreeMap<String, String>,
    /// Descriptions that clients see, by the backend's own names.
    pub(crate) describe: BTreeMap<String, String>,
}

/// An entry as clients see it.
#[derive(Clone, Debug)]
pub(crate) struct Curated {
    /// The backend's own name.
    pub(crate) own_name: String,
    /// The entry with the name and the texts that clients see.
    pub(crate) entry: CatalogEntry,
}

impl ListCuration {
    fn offers(&self, name: &str) -> bool {
        self.allow.as_deref().is_none_or(|allowed| any_matches(allowed, name))
            && !any_matches(&self.deny, name)
    }
}

impl Curation {
    fn of(&self, kind: ListKind) -> &ListCuration {
        match kind {
            ListKind::Tools => &self.tools,
            ListKind::Prompts => &self.prompts,
            ListKind::Resources | ListKind::ResourceTemplates => &self.resources,
        }
    }

    /// Returns whether a resource of this URI may be read, also where no list has it.
    pub(crate) fn offers_resource(&self, uri: &str) -> bool {
        self.resources.offers(uri)
    }

    /// Returns the entry as clients see it; `None`: it is hidden.
    ///
    /// # Errors
    /// The definition is not a JSON object.
    pub(crate) fn apply(
        &self,
        kind: ListKind,
        entry: CatalogEntry,
    ) -> Result<Option<Curated>, serde_json::Error> {
        let rules = self.of(kind);
        if !rules.offers(&entry.name) {
            return Ok(None);
        }
        let own_name = entry.name.clone();
        let mut definition = entry.definition;
        let shown = match rules.rename.get(&own_name) {
            Some(name) => name.clone(),
            None if kind.has_names() => format!("{}{own_name}", self.prefix),
            None => own_name.clone(),
        };
        if kind.has_names()
            && let Some(renamed) = members::with_name(&definition, &shown)?
        {
            definition = renamed;
        }
        if let Some(text) = rules.describe.get(&own_name) {
            let text = RawValue::from_string(serde_json::to_string(text)?)?;
            definition = members::with_member(&definition, "description", &text)?;
        }
        Ok(Some(Curated { own_name, entry: CatalogEntry::new(shown, definition) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: ListKind, text: &str) -> CatalogEntry {
        CatalogEntry::read(kind, &RawValue::from_string(text.to_owned()).unwrap()).unwrap()
    }

    fn patterns(texts: &[&str]) -> Vec<Glob> {
        texts.iter().map(|text| Glob::new(text)).collect()
    }

    fn shown(curation: &Curation, kind: ListKind, text: &str) -> Option<(String, String)> {
        let curated = curation.apply(kind, entry(kind, text)).unwrap()?;
        Some((curated.own_name, curated.entry.definition.get().to_owned()))
    }

    #[test]
    fn what_is_denied_or_not_allowed_is_hidden() {
        let rules = |allow: Option<&[&str]>, deny: &[&str]| Curation {
            tools: ListCuration {
                allow: allow.map(patterns),
                deny: patterns(deny),
                ..ListCuration::default()
            },
            ..Curation::default()
        };
        for (allow, deny, offered) in [
            (None, &[][..], true),
            (Some(&["read_*"][..]), &[], true),
            (Some(&["read_file"]), &[], true),
            (Some(&["*"]), &["*_file"], false),
            (Some(&["read_file"]), &["read_file"], false),
            (Some(&["write_*"]), &[], false),
            (Some(&[]), &[], false),
            (None, &["write_*"], true),
        ] {
            let curation = rules(allow, deny);
            let is_shown = shown(&curation, ListKind::Tools, r#"{"name":"read_file"}"#).is_some();
            assert_eq!(is_shown, offered, "{allow:?} {deny:?}");
            assert!(shown(&curation, ListKind::Prompts, r#"{"name":"read_file"}"#).is_some());
        }
    }

    #[test]
    fn names_and_descriptions_change_and_nothing_else() {
        let list = ListCuration {
            rename: [("a".to_owned(), "alpha".to_owned())].into(),
            describe: [("a".to_owned(), "First \"one\"".to_owned()), ("b".to_owned(), "B".to_owned())].into(),
            ..ListCuration::default()
        };
        let curation = Curation { prefix: "p_".into(), tools: list, ..Curation::default() };
        let tool = |text| shown(&curation, ListKind::Tools, text).unwrap();
        assert_eq!(
            tool(r#"{"z":1e400,"name":"a","description":"old","inputSchema":{"description":"x"}}"#),
            (
                "a".to_owned(),
                r#"{"z":1e400,"name":"alpha","description":"First \"one\"","inputSchema":{"description":"x"}}"#
                    .to_owned()
            )
        );
        assert_eq!(tool(r#"{"name":"b"}"#).1, r#"{"name":"p_b","description":"B"}"#);
        assert_eq!(tool(r#"{"name":"c"}"#), ("c".to_owned(), r#"{"name":"p_c"}"#.to_owned()));
        let resource = r#"{"uri":"x:y","name":"n"}"#;
        let same = shown(&curation, ListKind::Resources, resource).unwrap();
        assert_eq!(same, ("x:y".to_owned(), resource.to_owned()), "a prefix is for names");
    }

    #[test]
    fn resources_are_hidden_by_uri_in_lists_and_reads() {
        let resources = ListCuration { deny: patterns(&["file:///etc/*"]), ..ListCuration::default() };
        let curation = Curation { resources, ..Curation::default() };
        assert!(
            shown(&curation, ListKind::Resources, r#"{"uri":"file:///etc/passwd","name":"n"}"#).is_none()
        );
        assert!(shown(&curation, ListKind::ResourceTemplates, r#"{"uriTemplate":"file:///{x}"}"#).is_some());
        assert!(!curation.offers_resource("file:///etc/passwd") && curation.offers_resource("file:///home"));
    }
}
