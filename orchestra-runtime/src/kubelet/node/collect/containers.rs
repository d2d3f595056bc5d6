use std::collections::BTreeMap;

use orchestra_core::container_runtime::{Container, ContainerFilter, ContainerState, RuntimeError, labels};
use tracing::{debug, warn};

use crate::kubelet::Context;

/// How many containers of one name that have ended are kept for each pod, beside one that runs: enough for `kubectl logs --previous`
/// (`maximum-dead-containers-per-container`).
const KEPT: usize = 1;

/// Removes containers that have ended and were followed by others.
pub(super) async fn collect(context: &Context) {
    let dead = match superfluous(context).await {
        Ok(dead) => dead,
        Err(error) => return warn!(node = %context.node, %error, "containers not listed"),
    };
    for container in dead {
        debug!(node = %context.node, container = %container.id.0, "removing a container that has ended");
        if let Err(error) = context.runtime.remove_container(&container.id).await {
            warn!(node = %context.node, container = %container.id.0, %error, "a container that has ended stays");
        }
    }
}

async fn superfluous(context: &Context) -> Result<Vec<Container>, RuntimeError> {
    let mut by_name = BTreeMap::<(String, String), Vec<Container>>::new();
    for container in context.runtime.list_containers(ContainerFilter::default()).await? {
        // What has no such label is not a kubelet's.
        let Some(uid) = container.labels.get(labels::POD_UID) else { continue };
        by_name.entry((uid.clone(), container.metadata.name.clone())).or_default().push(container);
    }
    Ok(by_name.into_values().flat_map(rest).collect())
}

/// All but those that run, the newest of all, which tells how it ended, and the one before.
fn rest(mut containers: Vec<Container>) -> Vec<Container> {
    containers.sort_by_key(|container| std::cmp::Reverse(container.metadata.attempt));
    let older = containers.into_iter().skip(1);
    older.filter(|container| container.state == ContainerState::Exited).skip(KEPT).collect()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use orchestra_core::container_runtime::{ContainerId, ContainerMetadata, ImageSpec, SandboxId};

    use super::*;

    fn container(attempt: u32, state: ContainerState) -> Container {
        Container {
            id: ContainerId(attempt.to_string().into()),
            sandbox: SandboxId("s".into()),
            metadata: ContainerMetadata { name: "c".to_owned(), attempt },
            image: ImageSpec::from("nginx"),
            image_ref: "nginx".to_owned(),
            state,
            created_at: Timestamp::UNIX_EPOCH,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
        }
    }

    #[test]
    fn one_that_has_ended_is_kept_beside_the_newest() {
        use ContainerState::{Exited, Running};
        for newest in [Running, Exited] {
            let states = [Exited, Exited, Exited, Running, Exited, newest];
            let all = (0..).zip(states).map(|(attempt, state)| container(attempt, state)).collect();
            let attempts: Vec<u32> = rest(all).iter().map(|container| container.metadata.attempt).collect();
            assert_eq!(attempts, [2, 1, 0]);
        }
    }
}
