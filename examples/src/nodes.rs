//! Nodes whose pods come up as on a machine.

use std::{sync::Arc, time::Duration};

use orchestra_runtime::{ClusterBuilder, container::MemoryRuntime};

/// How long the sandbox of a pod takes: longer than the scheduler needs to tell of the pod, whose event comes first then.
const SANDBOX_TIME: Duration = Duration::from_millis(20);

/// Adds `count` nodes, `node-1` and so on, with containers in memory.
#[must_use]
pub fn add(cluster: ClusterBuilder, count: usize) -> ClusterBuilder {
    // None at all unless the count says otherwise.
    (1..=count).fold(cluster.nodes(0), |cluster, number| {
        let runtime = MemoryRuntime::new().sandbox_time(SANDBOX_TIME);
        cluster.node(&format!("node-{number}"), Arc::new(runtime))
    })
}
