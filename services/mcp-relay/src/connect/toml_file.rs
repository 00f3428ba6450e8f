//! A table put into a TOML file; all else stays as it is. Must not know any client.

use toml_edit::{DocumentMut, Item, Table, value};

/// Returns the text with the table `[section.name]` of these texts.
///
/// # Errors
/// The text is not TOML, or something else stands where a table is expected: a text that says what.
pub(super) fn with_table(
    text: &str,
    section: &str,
    name: &str,
    members: &[(&str, String)],
) -> Result<String, String> {
    let mut document: DocumentMut = text.parse().map_err(|error| format!("not TOML: {error}"))?;
    let section_item = document.entry(section).or_insert_with(|| {
        let mut table = Table::new();
        table.set_implicit(true);
        Item::Table(table)
    });
    let tables = section_item.as_table_mut().ok_or_else(|| format!("expected a table as {section}"))?;
    let mut table = Table::new();
    for (member, text) in members {
        table.insert(member, value(text.as_str()));
    }
    let same = tables.get(name).and_then(Item::as_table).is_some_and(|old| plain(old) == plain(&table));
    if !same {
        tables.insert(name, Item::Table(table));
    }
    Ok(document.to_string())
}

fn plain(table: &Table) -> Vec<(String, Option<String>)> {
    table.iter().map(|(name, item)| (name.to_owned(), item.as_str().map(str::to_owned))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_else_stays_as_it_is() {
        let text = "# mine\nmodel = \"o\" # keep\n\n[mcp_servers.a]\ncommand = \"x\"\n";
        let members = [("url", "http://r/mcp".to_owned()), ("bearer_token_env_var", "KEY".to_owned())];
        let new = with_table(text, "mcp_servers", "relay", &members).unwrap();
        assert!(new.starts_with(text), "{new}");
        assert!(
            new.ends_with("[mcp_servers.relay]\nurl = \"http://r/mcp\"\nbearer_token_env_var = \"KEY\"\n"),
            "{new}"
        );
        assert_eq!(with_table(&new, "mcp_servers", "relay", &members).unwrap(), new);
        let other = with_table(&new, "mcp_servers", "relay", &[("url", "http://q/mcp".to_owned())]).unwrap();
        assert!(other.contains("q/mcp") && !other.contains("r/mcp") && !other.contains("KEY"), "{other}");
    }

    #[test]
    fn other_things_are_refused() {
        for (text, word) in [("x", "not TOML"), ("mcp_servers = 1\n", "mcp_servers")] {
            let error = with_table(text, "mcp_servers", "relay", &[]).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
        assert!(with_table("", "mcp_servers", "relay", &[("url", "u".to_owned())]).is_ok());
    }
}
