//! The size of a backend's pipes. Must not know what goes through them.

/// Bytes that a pipe holds, in place of the system's 64 KiB: a message of 100 KB is then one write and one read instead of two or three, each
/// of which wakes the other side. The kernel sets pages aside only for what is in a pipe.
#[cfg(target_os = "linux")]
const PIPE_SIZE: i32 = 128 * 1024;

/// Makes a pipe hold more, where the system allows this user as much (`/proc/sys/fs/pipe-user-pages-soft`).
#[cfg(target_os = "linux")]
pub(crate) fn widen_pipe(end: &impl std::os::fd::AsFd) {
    use nix::fcntl::{FcntlArg, fcntl};
    // A pipe of the usual size works as well, with more steps.
    let _ = fcntl(end, FcntlArg::F_SETPIPE_SZ(PIPE_SIZE));
}

/// Does nothing: only Linux sizes pipes on demand.
#[cfg(not(target_os = "linux"))]
pub(crate) fn widen_pipe(_: &impl std::os::fd::AsFd) {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_pipe_holds_a_message_of_100_kb() {
        use nix::fcntl::{FcntlArg, fcntl};
        let (_reader, writer) = std::io::pipe().unwrap();
        widen_pipe(&writer);
        assert_eq!(fcntl(writer.as_fd(), FcntlArg::F_GETPIPE_SZ).unwrap(), PIPE_SIZE);
    }
}
