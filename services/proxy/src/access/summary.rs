//! The codes in force as operators are shown them: names, labels and times, never a code nor its digest. Must not know HTTP.

use std::time::SystemTime;

use runtime::moment;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::code::InvalidCode;
use super::codes::Codes;
use super::policy::CodePolicy;

/// Largest number of codes that are listed.
const MAX_CODES: usize = 500;

impl Codes {
    /// Returns the codes as JSON, those that expire first at the beginning.
    pub(crate) fn to_json(&self, now: OffsetDateTime) -> Value {
        let mut policies: Vec<&CodePolicy> = self.policies().map(|policy| &**policy).collect();
        policies.sort_by_key(|policy| (policy.not_after.is_none(), policy.not_after, policy.name()));
        let list: Vec<Value> = policies.iter().take(MAX_CODES).map(|policy| code(policy, now)).collect();
        json!({ "total": policies.len(), "list": list })
    }
}

fn code(policy: &CodePolicy, now: OffsetDateTime) -> Value {
    let time = |at: Option<OffsetDateTime>| at.map(|at| moment::text(SystemTime::from(at)));
    let state = match policy.check_validity(now) {
        Ok(()) => "valid",
        Err(InvalidCode::Expired(_)) => "expired",
        Err(InvalidCode::NotYetValid(_)) => "not yet valid",
        Err(InvalidCode::Unknown) => "unknown",
    };
    let tools = policy.tools.as_ref().map(|globs| globs.iter().map(ToString::to_string).collect::<Vec<_>>());
    json!({
        "name": policy.name(),
        "state": state,
        "notBefore": time(policy.not_before),
        "notAfter": time(policy.not_after),
        "labels": policy.labels.forced,
        "tools": tools,
        "needsCertificate": policy.needs_certificate(),
    })
}

#[cfg(test)]
mod tests {
    use runtime::secret::SecretSet;

    use super::*;
    use crate::access::file::CodesFile;

    #[test]
    fn codes_are_listed_by_expiry_and_never_told() {
        let file = CodesFile::parse(
            "- {code: hush-1, name: late, not_after: 2027-01-01T00:00:00Z}\n\
             - {code: hush-2, name: old, not_after: 2025-01-01T00:00:00Z, labels: {set: {a: b}}, tools: 'x*'}\n\
             - {code: hush-3, name: young, not_before: 2026-06-01T00:00:00Z}\n",
        )
        .unwrap();
        let codes = Codes::new(&SecretSet::new(["hush-4"]), Some(&file));
        let now = OffsetDateTime::from_unix_timestamp(1_767_225_600).unwrap();
        let json = codes.to_json(now);
        let list = json["list"].as_array().unwrap();
        let told: Vec<(&str, &str)> = list
            .iter()
            .map(|code| (code["name"].as_str().unwrap_or("-"), code["state"].as_str().unwrap()))
            .collect();
        assert_eq!(told, [("old", "expired"), ("late", "valid"), ("-", "valid"), ("young", "not yet valid")]);
        assert_eq!(list[0]["notAfter"], "2025-01-01T00:00:00.000Z");
        assert_eq!((&list[0]["labels"], &list[0]["tools"]), (&json!({ "a": "b" }), &json!(["x*"])));
        let digest = json!(file.entries.iter().map(|entry| entry.digest.0).collect::<Vec<_>>()).to_string();
        let text = json.to_string();
        assert!(!text.contains("hush") && !text.contains(&digest[2..20]), "{text}");
    }
}
