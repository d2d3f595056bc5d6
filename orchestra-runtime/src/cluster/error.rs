use std::{fmt, time::Duration};

use orchestra_store::apiserver::StartError;

/// Why a cluster did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// A node has a name that no node can have.
    #[error("node name {name:?}: {reason}")]
    InvalidNodeName {
        /// The name.
        name: String,
        /// What is wrong with it, in the API server's words.
        reason: String,
    },
    /// Two nodes have one name.
    #[error("node {0:?} is named twice")]
    NodeNamedTwice(String),
    /// The API server did not start: the store cannot be reached, for instance.
    #[error("the API server did not start: {0}")]
    ApiServer(#[from] StartError),
    /// The API server did not start in time: the store does not answer.
    #[error("the API server did not start within {limit:?}: the store does not answer")]
    StoreSilent {
        /// The time there was.
        limit: Duration,
    },
    /// The DNS server cannot be made, or finds no address for its Service.
    #[cfg(feature = "dns")]
    #[error("cluster DNS: {0}")]
    Dns(#[from] crate::dns::DnsError),
    /// Nodes did not become ready in time.
    #[error("not ready within {limit:?}: {}", list(nodes))]
    NodesNotReady {
        /// The time there was.
        limit: Duration,
        /// The nodes, and why not, in the order they were named in.
        nodes: Vec<NodeNotReady>,
    },
}

/// A node that did not become ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeNotReady {
    /// The node's name.
    pub name: String,
    /// Why: what its kubelet said last, if anything.
    pub reason: String,
}

impl fmt::Display for NodeNotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {:?} ({})", self.name, self.reason)
    }
}

fn list(nodes: &[NodeNotReady]) -> String {
    nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
