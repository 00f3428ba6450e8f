//! The credentials within URLs (`https://user:password@host`). Must not know which variables hold URLs.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use runtime::secret::Secret;

/// Returns the credentials of the URLs in a text, in each form in which programs write them: as they stand, decoded, and
/// as in a header (`Basic …`, RFC 7617). Proxies are often given without a scheme.
pub(crate) fn secrets_in(text: &str) -> Vec<Secret> {
    text.split([',', ' ', ';']).flat_map(userinfo).flat_map(forms).map(Secret::new).collect()
}

/// Returns what may be the user information of a URL: a password may hold any character, so that it ends at the last "@"
/// before the path, or at the last one of all.
fn userinfo(url: &str) -> impl Iterator<Item = &str> {
    let rest = match url.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => rest,
        _ => url,
    };
    let authority = rest.split(['/', '?', '#']).next();
    let (whole, strict) = (Some(rest), authority.filter(|part| *part != rest));
    let ends = whole.into_iter().chain(strict).filter_map(|part| part.rsplit_once('@'));
    ends.map(|(userinfo, _)| userinfo).filter(|userinfo| !userinfo.is_empty())
}

/// Tells a scheme (RFC 3986, section 3.1) from the beginning of credentials: a password may hold `://`, too.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|char| char.is_ascii_alphanumeric() || matches!(char, '+' | '-' | '.'))
}

fn forms(userinfo: &str) -> Vec<String> {
    let decoded = decode(userinfo);
    let mut forms = vec![STANDARD_NO_PAD.encode(&decoded)];
    for text in [userinfo, &decoded] {
        // Without a password the name is the credential.
        forms.push(match text.split_once(':') {
            Some((name, "")) => name.to_owned(),
            Some((_, password)) => password.to_owned(),
            None => text.to_owned(),
        });
    }
    forms
}

/// Decodes `%` and two hex digits.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        let byte = after.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.unwrap_or(b'%'));
        rest = if byte.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_found_in_every_form() {
        for (text, expected) in [
            ("http://user:pass@proxy:3128", &["dXNlcjpwYXNz", "pass", "pass"][..]),
            ("user:pass@proxy:3128", &["dXNlcjpwYXNz", "pass", "pass"]),
            ("http://user:p%40ss%2f@proxy/", &["dXNlcjpwQHNzLw", "p%40ss%2f", "p@ss/"]),
            ("https://user:a@b@proxy", &["dXNlcjphQGI", "a@b", "a@b"]),
            ("http://user:a/b@proxy:1", &["dXNlcjphL2I", "a/b", "a/b"]),
            ("http://user:a://b@proxy", &["a://b"]),
            ("user:a://b@proxy", &["dXNlcjphOi8vYg", "a://b", "a://b"]),
            ("socks5://token@proxy", &["dG9rZW4", "token", "token"]),
            ("http://token:@proxy", &["dG9rZW46", "token", "token"]),
            ("http://u:100%@p", &["dToxMDAl", "100%", "100%"]),
            ("http://proxy:3128", &[]),
            ("http://@proxy", &[]),
            ("localhost,10.0.0.0/8,.corp.example", &[]),
            ("", &[]),
        ] {
            let found = secrets_in(text);
            let found: Vec<&str> = found.iter().map(Secret::expose).collect();
            assert!(expected.iter().all(|form| found.contains(form)), "{text}: {found:?}");
            assert_eq!(found.is_empty(), expected.is_empty(), "{text}: {found:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_password_is_left_out(password in "[!-~&&[^%,;]]{1,20}", host in "[a-z.]{1,9}") {
            let mut texts = vec![format!("http://u:{password}@{host}:1/")];
            // `u://` without a scheme before it is a scheme itself.
            if !password.starts_with("//") {
                texts.push(format!("u:{password}@{host}"));
            }
            for text in texts {
                let found = secrets_in(&text);
                proptest::prop_assert!(found.iter().any(|secret| secret.expose() == password), "{}", text);
            }
        }
    }
}
