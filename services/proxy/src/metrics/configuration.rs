//! Metrics of codes, certificates and files of the configuration. Knows them by name only.

use std::time::{SystemTime, UNIX_EPOCH};

use ::metrics::{counter, gauge};
use runtime::audit;

use super::names::{CODES, SLAVES};
use super::table::{
    CERTIFICATE_EXPIRES, CODE_EXPIRES, CODE_LINKS, CONFIG_RELOADS, LAST_LOAD, TOOLS_LEFT_OUT,
};

/// Sets the time until the certificate in use expires, in seconds.
pub(crate) fn set_certificate_expiry(seconds: f64) {
    gauge!(CERTIFICATE_EXPIRES).set(seconds);
}

/// Sets the time until the next slave code of this name expires, in seconds.
pub(crate) fn set_code_expiry(code: &str, seconds: f64) {
    gauge!(CODE_EXPIRES, "code" => CODES.bounded(code)).set(seconds);
}

/// Sets the number of links that are up with codes of this name.
pub(crate) fn set_code_links(code: &str, links: u32) {
    gauge!(CODE_LINKS, "code" => CODES.bounded(code)).set(f64::from(links));
}

/// Sets the number of a slave's tools that its code does not allow for this reason.
pub(crate) fn set_tools_left_out(slave: &str, reason: &'static str, tools: usize) {
    gauge!(TOOLS_LEFT_OUT, "slave" => SLAVES.value(slave), "reason" => reason).set(tools as f64);
}

/// Counts a file that was read again, and records it in the audit stream. `outcome`: `ok`, or `failed` where the previous content stays in use.
pub(crate) fn record_config_reload(file: &'static str, outcome: &'static str) {
    counter!(CONFIG_RELOADS, "file" => file, "outcome" => outcome).increment(1);
    audit::record_reload(file, outcome);
    if outcome == "ok" {
        record_config_load(file);
    }
}

/// Records that a file was read with success, now.
pub(crate) fn record_config_load(file: &'static str) {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    gauge!(LAST_LOAD, "file" => file).set(time.as_secs_f64());
}
