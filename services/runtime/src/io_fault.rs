//! Failures of files, sockets and name resolution in words. Must not know who connects or reads, or what for.

use std::io;

/// Beginning of the text that the standard library gives to a failed name resolution.
const LOOKUP_FAILED: &str = "failed to lookup address information";

/// Beginning of what the standard library appends to a text of the system.
const SYSTEM_CODE: &str = " (os error ";

/// Description of a failure as a part of a sentence: without numbers of the system, and without a library's words.
pub fn describe(error: &io::Error) -> String {
    if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return match tls {
            rustls::Error::AlertReceived(alert) => {
                format!("the other side ended TLS (alert {})", u8::from(*alert))
            }
            _ => "what came breaks the rules of TLS".to_owned(),
        };
    }
    let text = error.to_string();
    if let Some(reason) = text.strip_prefix(LOOKUP_FAILED) {
        return if reason.contains("emporary failure") || reason.contains("ry again") {
            "no name server answers".to_owned()
        } else {
            "the name is not known".to_owned()
        };
    }
    match (error.kind(), text.split_once(SYSTEM_CODE)) {
        (io::ErrorKind::UnexpectedEof, _) => "the other side closed the connection midway".to_owned(),
        (_, Some((reason, _))) => with_small_initial(reason),
        // What the HTTP library says of them are its own words.
        (kind @ (io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset), None) => kind.to_string(),
        (_, None) => text,
    }
}

/// Texts of the system begin with a capital letter.
fn with_small_initial(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    #[test]
    fn no_failure_has_a_librarys_words_or_the_systems_numbers() {
        let tls = |error: rustls::Error| io::Error::new(ErrorKind::InvalidData, error);
        let alert = rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired);
        let lookup = |reason: &str| io::Error::other(format!("{LOOKUP_FAILED}: {reason}"));
        let eof = "peer closed connection without sending TLS close_notify: https://docs.rs/rustls/";
        for (error, expected) in [
            (io::Error::from_raw_os_error(2), "no such file or directory"),
            (io::Error::from_raw_os_error(111), "connection refused"),
            (io::Error::from_raw_os_error(104), "connection reset by peer"),
            (io::Error::from_raw_os_error(113), "no route to host"),
            (lookup("Name or service not known"), "the name is not known"),
            (lookup("No address associated with hostname"), "the name is not known"),
            (lookup("Temporary failure in name resolution"), "no name server answers"),
            (lookup("Try again"), "no name server answers"),
            (io::Error::new(ErrorKind::UnexpectedEof, eof), "the other side closed the connection midway"),
            (tls(alert), "the other side ended TLS (alert 116)"),
            (tls(rustls::Error::DecryptError), "what came breaks the rules of TLS"),
            (io::Error::new(ErrorKind::TimedOut, "no answer in time"), "no answer in time"),
            (ErrorKind::BrokenPipe.into(), "broken pipe"),
            (io::Error::new(ErrorKind::BrokenPipe, "stream closed because of a broken pipe"), "broken pipe"),
            (io::Error::new(ErrorKind::ConnectionReset, "received RST"), "connection reset"),
        ] {
            assert_eq!(describe(&error), expected);
        }
    }
}
