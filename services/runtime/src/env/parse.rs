//! Parsers of single values. Each takes trimmed text; its error is the expectation, worded to follow "expected". Knows
//! no variable by name.

use std::fmt::Display;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Parses a whole number within `range`; `unit` follows the number in the message, for example `bytes`.
pub fn whole<T>(range: RangeInclusive<T>, unit: &'static str) -> impl FnOnce(&str) -> Result<T, String>
where
    T: std::str::FromStr + PartialOrd + Display,
{
    move |text| {
        let number = text.parse().ok().filter(|n| range.contains(n));
        number.ok_or_else(|| format!("a whole number of {unit} from {} to {}", range.start(), range.end()))
    }
}

/// Parses seconds within `range`, fractions allowed.
pub fn seconds(range: RangeInclusive<f64>) -> impl FnOnce(&str) -> Result<Duration, String> {
    move |text| {
        let number = text.parse().ok().filter(|n| range.contains(n));
        let duration = number.and_then(|n| Duration::try_from_secs_f64(n).ok());
        duration.ok_or_else(|| format!("a number of seconds from {} to {}", range.start(), range.end()))
    }
}

/// Parses milliseconds within `range`.
pub fn millis(range: RangeInclusive<u64>) -> impl FnOnce(&str) -> Result<Duration, String> {
    move |text| whole(range, "milliseconds")(text).map(Duration::from_millis)
}

/// Parses a TCP port; 0 stands for any free port.
pub fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| "a port from 0 to 65535 (0: any free port)".to_owned())
}

/// Parses 1/0, true/false or yes/no, in upper or lower case.
pub fn flag(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" => Ok(true),
        "0" | "false" | "no" => Ok(false),
        _ => Err("1, 0, true, false, yes or no".into()),
    }
}

/// Parses one of the given words, in upper or lower case.
pub fn choice<T: Copy>(choices: &'static [(&'static str, T)]) -> impl FnOnce(&str) -> Result<T, String> {
    move |text| {
        let found = choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
        found.map(|(_, value)| *value).ok_or_else(|| {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            words.join(" or ")
        })
    }
}

/// Splits text at commas; parts are trimmed, and empty parts left out.
pub fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

/// Parses an IP address (IPv6 with or without brackets) or a host name, without a port.
pub fn host(text: &str) -> Result<String, String> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    let is_name = text.len() <= 253
        && text.split('.').all(|label| !label.is_empty() && label.len() <= 63)
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        // Digits and dots alone that are no address are a mistyped address rather than a name.
        && !text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if bare.parse::<IpAddr>().is_ok() {
        Ok(bare.to_owned())
    } else if is_name {
        Ok(text.to_owned())
    } else {
        Err("an IP address or a host name, without scheme and port".into())
    }
}

/// Parses `host:port`, a host name or IP address with a port; IPv6 addresses are in brackets.
pub fn host_and_port(text: &str) -> Result<(String, u16), String> {
    let expected = || "host:port, for example mcp-relay-proxies:8001".to_owned();
    let (name, number) = text.rsplit_once(':').ok_or_else(expected)?;
    let number = number.parse().ok().filter(|port| *port != 0).ok_or_else(expected)?;
    let bracketed = !name.contains(':') || name.starts_with('[');
    Ok((host(name).ok().filter(|_| bracketed).ok_or_else(expected)?, number))
}

/// Parses an `http://` or `https://` URL.
pub fn http_url(text: &str) -> Result<url::Url, String> {
    let url = url::Url::parse(text).ok().filter(|u| matches!(u.scheme(), "http" | "https") && u.has_host());
    url.ok_or_else(|| "a URL that starts with http:// or https://".into())
}

/// Parses the name of an HTTP header and makes it lower case (RFC 9110, "Field Names").
pub fn header_name(text: &str) -> Result<String, String> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if text.len() <= 128 && text.bytes().all(token) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("one HTTP header name, for example x-api-key".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_outside_their_range_are_refused() {
        assert_eq!(whole(1..=5_u32, "things")("5"), Ok(5));
        for bad in ["0", "6", "-1", "1.5", "x", "1e3", "99999999999999999999"] {
            assert_eq!(
                whole(1..=5_u32, "things")(bad),
                Err("a whole number of things from 1 to 5".into()),
                "{bad}"
            );
        }
        assert_eq!(seconds(0.1..=9.0)("0.5"), Ok(Duration::from_millis(500)));
        for bad in ["0", "9.1", "nan", "inf", "-1", "5s", "1e400"] {
            assert!(seconds(0.1..=9.0)(bad).is_err(), "{bad}");
        }
        assert_eq!(millis(0..=9)("7"), Ok(Duration::from_millis(7)));
        assert_eq!(port("0"), Ok(0));
        assert!(port("65536").is_err());
    }

    #[test]
    fn a_host_without_a_valid_port_is_refused() {
        assert_eq!(host_and_port("relay:8001"), Ok(("relay".into(), 8001)));
        assert_eq!(host_and_port("[::1]:8001"), Ok(("::1".into(), 8001)));
        for bad in ["relay", "relay:", "relay:0", ":8001", "::1", "ws://relay:8001", "relay:70000"] {
            assert!(host_and_port(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn words_and_flags_ignore_case() {
        assert_eq!(flag("YES"), Ok(true));
        assert_eq!(flag("False"), Ok(false));
        assert!(flag("on").is_err());
        assert_eq!(choice(&[("json", 1), ("text", 2)])("Text"), Ok(2));
        assert_eq!(choice(&[("json", 1), ("text", 2)])("xml"), Err("json or text".into()));
    }

    #[test]
    fn hosts_are_addresses_or_names_and_nothing_else() {
        for (text, expected) in
            [("127.0.0.1", "127.0.0.1"), ("[::1]", "::1"), ("::", "::"), ("my-host.local", "my-host.local")]
        {
            assert_eq!(host(text).as_deref(), Ok(expected));
        }
        for bad in ["0.0.0.0:80", "http://x", "a b", "300.1.1.1", "a..b", "[x]"] {
            assert!(host(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lists_are_trimmed() {
        assert_eq!(list(" a, b ,,c,").collect::<Vec<_>>(), ["a", "b", "c"]);
    }

    #[test]
    fn header_names_are_tokens() {
        assert_eq!(header_name("X-Api-Key").as_deref(), Ok("x-api-key"));
        assert!(header_name("x api key").is_err());
        assert!(header_name("x:").is_err());
    }

    #[test]
    fn urls_need_their_scheme() {
        assert!(http_url("https://gitlab.example/api/v4").is_ok());
        for bad in ["gitlab.example", "ftp://x", "http://"] {
            assert!(http_url(bad).is_err(), "{bad}");
        }
    }
}
