//! `mcp-relay doctor`: checks step by step what a start needs, and says what to fix. Changes nothing.

mod access;
mod backends;
mod broker;
mod certificate;
mod configuration;
mod dialed;
mod explain;
mod issuers;
mod link;
mod port;
mod proxy;
mod report;
mod slave;
mod ways;

use ::slave::config::Role;
use runtime::env::Snapshot;

use crate::cli::DoctorMode;
use crate::mode::Mode;
pub(crate) use explain::document as steps;
pub(crate) use report::{Format, Report, millis};

/// Runs every check that can be run for `subject`; by default for the mode that the environment chooses.
pub(crate) async fn examine(subject: Option<DoctorMode>, snapshot: &Snapshot, format: Format) -> Report {
    let chosen = match subject {
        Some(DoctorMode::Proxy) => Ok(Mode::Proxy),
        Some(DoctorMode::Slave) => Ok(Mode::Slave),
        Some(DoctorMode::Standalone) => Ok(Mode::Standalone),
        None => Mode::of(snapshot),
    };
    let meant = Mode::of_subcommand(snapshot).filter(|_| subject.is_none());
    let chosen = chosen.map(|mode| meant.map_or(mode, |(mode, _)| mode));
    match chosen {
        Ok(mode) => {
            let mut report = Report::new(mode.name(), format);
            if let Some((_, variable)) = meant {
                configuration::report_meant(&mut report, mode.name(), variable);
            }
            match mode {
                Mode::Proxy => proxy::examine(&mut report, snapshot).await,
                Mode::Slave => slave::examine(&mut report, snapshot, Role::Slave).await,
                Mode::Standalone => slave::examine(&mut report, snapshot, Role::Standalone).await,
            }
            report
        }
        Err(problems) => {
            let mut report = Report::new("unknown mode", format);
            configuration::report_problems(&mut report, &problems);
            backends::examine_file(&mut report, snapshot);
            configuration::skip_rest(&mut report);
            report
        }
    }
}
