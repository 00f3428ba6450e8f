//! Puts the slave together and runs it until the shutdown. With no proxy configured it is the standalone server.

use std::sync::Arc;
use std::time::Duration;

use front::{Edge, EdgeConfig};
use protocol::catalog::{Catalog, CatalogError};
use protocol::handshake::{PROTOCOL_NAME, SlaveHello, VERSIONS};
use protocol::ids::InstanceId;
use protocol::limits::{DEFAULT_WINDOW, LinkLimits, MAX_CATALOG};
use runtime::listen::BindError;
use runtime::metrics::{Metrics, MetricsError};
use runtime::ops::{Ops, Readiness};
use runtime::shutdown::Shutdown;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::backends::servers_file::{self, FileError};
use crate::config::SlaveConfig;
use crate::dial::{DialError, Dialer};
use crate::endpoint::{Endpoint, Stage};
use crate::executor::{Executor, ExecutorConfig};
use crate::link::{Links, Status};
use crate::local::LocalCalls;
use crate::metrics;

/// How long links may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// How long backends may take to end by themselves once no call runs.
const BACKENDS_END: Duration = Duration::from_secs(3);

/// Why the slave could not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The HTTP port could not be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The socket's own address cannot be read.
    #[error("cannot read the address of a listening socket: {0}")]
    Address(#[from] std::io::Error),
    /// No metrics recorder.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// No random numbers.
    #[error("the system's random source failed: {0}")]
    Random(#[from] getrandom::Error),
    /// The file of backends cannot be used.
    #[error(transparent)]
    Backends(#[from] FileError),
    /// TLS cannot be set up.
    #[error(transparent)]
    Dial(#[from] DialError),
}
