//! Transparent huge pages of this process. Must not know backends.

use std::sync::atomic::{AtomicBool, Ordering};

use super::plan::HugePages;

/// Whether this process has turned them off for itself.
static TURNED_OFF: AtomicBool = AtomicBool::new(false);

/// Turns transparent huge pages off for this process, so that memory is resident by what is used of it: with them a few kilobytes in each of
/// the allocator's regions are 2 MiB. Backends have them as the system does. To be called before there are threads.
#[cfg(target_os = "linux")]
pub fn turn_huge_pages_off() {
    use nix::sys::prctl;
    if !prctl::get_thp_disable().unwrap_or(true) && prctl::set_thp_disable(true).is_ok() {
        TURNED_OFF.store(true, Ordering::Relaxed);
    }
}

/// Does nothing: only Linux has them.
#[cfg(not(target_os = "linux"))]
pub fn turn_huge_pages_off() {}

/// Returns what backends of this process get.
pub(super) fn of_backends() -> HugePages {
    if TURNED_OFF.load(Ordering::Relaxed) { HugePages::OnAgain } else { HugePages::System }
}
