//! Findings about a certificate: names, expiry and chain. Knows no connection.

use std::time::{Duration, SystemTime};

use runtime::tls::CertificateInfo;

use super::report::Report;

const DAY: f64 = 86_400.0;

/// Time before expiry from which a renewal is due.
const RENEWAL_PERIOD: Duration = Duration::from_hours(14 * 24);

/// Reports names, expiry and chain of a certificate.
pub(super) fn check(report: &mut Report, step: &'static str, facts: &CertificateInfo) {
    let now = SystemTime::now();
    let (days, expiry) = (facts.seconds_left(now) / DAY, facts.expiry_text(now));
    let names = if facts.names.is_empty() { "no name".to_owned() } else { facts.names.join(", ") };
    let fix = "put a new certificate into its file: a running server takes it over by itself";
    if days < 0.0 {
        report.bad(step, format!("the certificate for {names} {expiry}"), fix);
    } else if facts.ends_within(RENEWAL_PERIOD) {
        report.warn(step, format!("the certificate for {names} {expiry}: {fix}"));
    } else {
        report.good(step, format!("for {names}, valid for {days:.0} more days"));
    }
    if facts.names.is_empty() {
        report.warn(step, "the certificate has no name (subjectAltName): no client will trust it");
    }
    if !facts.chained {
        report.warn(step, "the certificates in the file are no chain: each must be issued by the next");
    } else if facts.self_signed {
        report
            .note(step, "the certificate is self-signed: whoever connects must be given it (PROXY_CA_FILE)");
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Format;
    use super::*;

    fn report_lines(days: f64, names: &[&str], chained: bool) -> String {
        let facts = CertificateInfo {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            not_after: SystemTime::now() + Duration::from_secs_f64((days + 400.0) * DAY)
                - Duration::from_secs_f64(400.0 * DAY),
            self_signed: false,
            chained,
        };
        let mut report = Report::new("proxy", Format::Json);
        check(&mut report, "TLS certificate", &facts);
        report.lines("TLS certificate").join("\n")
    }

    #[test]
    fn names_expiry_and_chain_are_reported() {
        let good = report_lines(100.5, &["a.example"], true);
        assert!(good.contains('✓') && good.contains("a.example") && good.contains("100 more"), "{good}");
        assert!(report_lines(3.5, &["a"], true).contains("expires in 3 days"));
        assert!(report_lines(-3.5, &["a"], true).contains("expired 3 days ago"));
        assert!(report_lines(100.0, &[], true).contains("no name"));
        assert!(report_lines(100.0, &["a"], false).contains("no chain"));
    }
}
