//! The time after which the system gives up a connection whose peer takes nothing (`TCP_USER_TIMEOUT`), where the system has it. Must
//! not know HTTP.

use std::time::Duration;

use tokio::net::TcpStream;

/// Sets the time; `None`: the system's own. A socket that refuses it still works.
#[cfg(target_os = "linux")]
pub(super) fn set(stream: &TcpStream, time: Option<Duration>) {
    let _ = socket2::SockRef::from(stream).set_tcp_user_timeout(time);
}

/// Does nothing: on this system only writes that are blocked are found to be stalled.
#[cfg(not(target_os = "linux"))]
pub(super) fn set(_stream: &TcpStream, _time: Option<Duration>) {}
