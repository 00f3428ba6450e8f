//! The limit of open file descriptors of this process. Must not know what they are used for.

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};

/// Returns the number of file descriptors that may be open (soft limit of `RLIMIT_NOFILE`); `None` where there is no
/// limit, or none that could be read.
pub fn limit() -> Option<usize> {
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    if soft == RLIM_INFINITY { None } else { usize::try_from(soft).ok() }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn the_limit_is_that_of_the_system() {
        let text = std::fs::read_to_string("/proc/self/limits").unwrap();
        let line = text.lines().find(|line| line.starts_with("Max open files")).unwrap();
        let soft = line.split_whitespace().nth(3).unwrap();
        assert_eq!(super::limit().map_or("unlimited".to_owned(), |limit| limit.to_string()), soft);
    }
}
