use std::{collections::BTreeSet, time::Duration};

use orchestra_core::container_runtime::{SandboxFilter, SandboxId, SandboxState};
use tokio::time::sleep;
use tracing::debug;

use super::Context;

/// How often it is looked after them.
const PERIOD: Duration = Duration::from_secs(10);

/// Tells of sandboxes that came to their end, until the future is dropped: runtimes have events of containers only, and those may go on
/// without what held their sandbox. Simulated ones never do.
pub(super) async fn watch(context: &Context, tell: impl Fn(SandboxId)) {
    if !context.config.is_real() {
        return std::future::pending().await;
    }
    let mut known = BTreeSet::new();
    loop {
        sleep(PERIOD).await;
        let filter = SandboxFilter { state: Some(SandboxState::NotReady), ..SandboxFilter::default() };
        match context.runtime.list_pod_sandboxes(filter).await {
            Ok(ended) => {
                let ended: BTreeSet<_> = ended.into_iter().map(|sandbox| sandbox.id).collect();
                ended.difference(&known).cloned().for_each(&tell);
                known = ended;
            }
            // The node's condition tells of it.
            Err(error) => debug!(node = %context.node, %error, "sandboxes not listed"),
        }
    }
}
