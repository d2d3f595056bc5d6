//! The nodes of an example's cluster: simulated ones, or this machine.

use std::{str::FromStr, sync::Arc, time::Duration};

use orchestra_runtime::{Cluster, ClusterBuilder, container::MemoryRuntime};

#[cfg(feature = "containerd")]
use crate::machine::containerd::SOCKET;
use crate::teardown;

/// How long the sandbox of a pod takes: longer than the scheduler needs to tell of the pod, whose event comes first then.
const SANDBOX_TIME: Duration = Duration::from_millis(20);

/// What runs the containers: `memory`, or `containerd[:SOCKET]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// They are simulated.
    Memory,
    /// The containerd that listens on this socket runs them, on this machine.
    #[cfg(feature = "containerd")]
    Containerd(std::path::PathBuf),
}

impl FromStr for Runtime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':').unwrap_or((text, "")) {
            ("memory", "") => Ok(Self::Memory),
            #[cfg(feature = "containerd")]
            ("containerd", socket) => Ok(Self::Containerd(if socket.is_empty() { SOCKET } else { socket }.into())),
            #[cfg(not(feature = "containerd"))]
            ("containerd", _) => Err("this program was built without the feature `containerd`".to_owned()),
            _ => Err("neither `memory` nor `containerd[:SOCKET]`".to_owned()),
        }
    }
}

/// Why there are no such nodes.
#[derive(Debug, thiserror::Error)]
pub enum NodesError {
    /// A machine is one node.
    #[error("this machine is one node, not {0}; the example `nodes` makes several")]
    OneMachine(usize),
    /// The runtime does not answer.
    #[error("no containers by {}: {source}", socket.display())]
    Runtime {
        /// Where it should listen.
        socket: std::path::PathBuf,
        /// What became of the question.
        source: orchestra_core::container_runtime::RuntimeError,
    },
    /// A program that kube-proxy works with cannot be run.
    #[error("no Services: {program}: {source}")]
    Program {
        /// Its name.
        program: &'static str,
        /// What the system says.
        source: std::io::Error,
    },
    /// The machine cannot be described.
    #[error("{0}")]
    Machine(#[from] orchestra_runtime::kubelet::MachineError),
    /// Pods could not reach the machine.
    #[error("this machine has no default route, and so no address by which its pods reach it")]
    NoAddress,
}

/// Adds `count` nodes, `node-1` and so on, with containers in memory.
#[must_use]
pub fn in_memory(cluster: ClusterBuilder, count: usize) -> ClusterBuilder {
    // None at all unless the count says otherwise.
    (1..=count).fold(cluster.nodes(0), |cluster, number| {
        let runtime = MemoryRuntime::new().sandbox_time(SANDBOX_TIME);
        cluster.node(&format!("node-{number}"), Arc::new(runtime))
    })
}

/// The nodes that a program makes.
#[derive(Clone, Debug)]
pub struct Nodes {
    /// What runs their containers.
    pub runtime: Runtime,
    /// How many there are.
    pub count: usize,
    /// Whether what they run goes on after the program, whose state has to go on too then.
    pub outlive: bool,
}

impl Nodes {
    /// Whether there are containers outside of the program.
    #[must_use]
    pub fn are_real(&self) -> bool {
        self.runtime != Runtime::Memory
    }

    /// Adds them to a cluster: simulated ones, or this machine as the one node, with Services and names for its pods.
    pub async fn add(&self, cluster: ClusterBuilder) -> Result<ClusterBuilder, NodesError> {
        match &self.runtime {
            Runtime::Memory => Ok(in_memory(cluster, self.count)),
            #[cfg(feature = "containerd")]
            Runtime::Containerd(_) if self.count != 1 => Err(NodesError::OneMachine(self.count)),
            #[cfg(feature = "containerd")]
            Runtime::Containerd(socket) => crate::this_machine::add(cluster, socket, self.outlive).await,
        }
    }

    /// Ends what would be left outside of the program and is not to outlive it. Fails if that takes too long, and names it.
    pub async fn end(&self, cluster: &Cluster) -> Result<(), Box<dyn std::error::Error>> {
        if self.are_real() && !self.outlive { teardown::pods(&cluster.client()).await } else { Ok(()) }
    }
}
