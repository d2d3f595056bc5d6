//! Real containers: a runtime that speaks CRI (the Container Runtime Interface, `runtime.v1`) on a Unix socket, as containerd and CRI-O do.
//!
//! ```text
//!   ContainerRuntime ──► runtime ──► sandboxes, containers, images ──► connection ──► containerd.sock
//!                           │          core's types ◄─ convert ─► CRI's
//!                           ├──► events   the runtime's, and what lists tell: once a second where it may lose some, or has none
//!                           ├──► log      the files that the runtime writes containers' output to
//!                           └──► streaming ──► SPDY sessions with the runtime's streaming server
//! ```

mod connection;
mod containers;
mod convert;
mod error;
mod events;
mod images;
mod log;
mod node;
mod options;
mod runtime;
mod sandbox_configs;
mod sandboxes;
mod streaming;

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
};

use orchestra_core::{
    clock::{Clock, SystemClock},
    container_runtime::Cidr,
};
use parking_lot::Mutex;

pub use self::options::CriOptions;
use self::{connection::Connection, sandbox_configs::SandboxConfigs};

/// A [`ContainerRuntime`](orchestra_core::container_runtime::ContainerRuntime) over CRI v1.
///
/// The connection is made when it is first needed and again when it broke; until the runtime answers, calls fail with
/// [`Unavailable`](orchestra_core::container_runtime::RuntimeError::Unavailable). Errors keep the runtime's words. Clones share the
/// connection, which belongs to the tokio runtime that first uses it.
///
/// What it runs outlives it: a new one on the same socket finds all of it again.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use orchestra_core::container_runtime::ContainerRuntime;
/// use orchestra_runtime::container::CriRuntime;
///
/// let runtime = CriRuntime::connect("/run/containerd/containerd.sock");
/// println!("{:?}", runtime.version().await?);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct CriRuntime {
    shared: Arc<Shared>,
}

struct Shared {
    connection: Connection,
    options: CriOptions,
    sandbox_configs: SandboxConfigs,
    /// What the runtime has not been told yet.
    pod_cidr: Mutex<Option<Cidr>>,
    clock: Mutex<Arc<dyn Clock>>,
    /// Whether it said that it has none.
    is_without_events: AtomicBool,
}

impl CriRuntime {
    /// A runtime that listens on `socket`: a path, also as `unix:///run/containerd/containerd.sock`. Nothing happens until the
    /// first call.
    pub fn connect(socket: impl Into<PathBuf>) -> Self {
        Self::with_options(socket, CriOptions::default())
    }

    /// As [`connect`](Self::connect), with other deadlines and periods.
    pub fn with_options(socket: impl Into<PathBuf>, options: CriOptions) -> Self {
        let shared = Shared {
            connection: Connection::new(socket.into()),
            options,
            sandbox_configs: SandboxConfigs::default(),
            pod_cidr: Mutex::default(),
            clock: Mutex::new(Arc::new(SystemClock)),
            is_without_events: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared) }
    }
}

impl fmt::Debug for CriRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CriRuntime").field("socket", &self.shared.connection.socket()).finish_non_exhaustive()
    }
}
