//! What CSINodes and VolumeAttachments say of each node: read once, and again when one of them changed.

use std::{collections::HashMap, fmt, sync::Arc};

use k8s_openapi::api::storage::v1::{CSINode, VolumeAttachment};
use orchestra_core::scheduler::Objects;
use parking_lot::Mutex;

/// How many volumes of a driver a node can have.
pub(super) fn limits(node: &CSINode) -> impl Iterator<Item = (&str, i64)> {
    node.spec.drivers.iter().filter_map(|driver| {
        let count = driver.allocatable.as_ref()?.count?;
        Some((driver.name.as_str(), count.into()))
    })
}

/// What is known of a node.
#[derive(Default)]
pub(super) struct OfNode {
    limits: Vec<(String, i64)>,
    pub(super) attachments: Vec<Arc<VolumeAttachment>>,
}

impl OfNode {
    /// The most volumes of `driver`; `None` if there may be any number.
    pub(super) fn limit(&self, driver: &str) -> Option<i64> {
        self.limits.iter().find(|(name, _)| name == driver).map(|(_, limit)| *limit)
    }
}

/// What is known of all nodes.
#[derive(Default)]
pub(super) struct ByNode {
    /// The [`Objects::generation`]s that it is of.
    generations: (u64, u64),
    nodes: HashMap<String, OfNode>,
}

impl ByNode {
    fn read(generations: (u64, u64), objects: &Objects) -> Self {
        let mut nodes: HashMap<String, OfNode> = HashMap::new();
        for node in objects.iter::<CSINode>() {
            let limits: Vec<_> = limits(node).map(|(driver, limit)| (driver.to_owned(), limit)).collect();
            if !limits.is_empty() {
                nodes.entry(node.metadata.name.clone().unwrap_or_default()).or_default().limits = limits;
            }
        }
        for attachment in objects.iter::<VolumeAttachment>() {
            // Where nothing is limited nothing is counted.
            if let Some(node) = nodes.get_mut(&attachment.spec.node_name) {
                node.attachments.push(Arc::clone(attachment));
            }
        }
        Self { generations, nodes }
    }

    /// What is known of the node called `name`; `None` if it has no limits.
    pub(super) fn get(&self, name: &str) -> Option<&OfNode> {
        self.nodes.get(name)
    }
}

/// The last [`ByNode`]. That it is kept changes no answer, only how long it takes.
#[derive(Default)]
pub(super) struct Kept(Mutex<Arc<ByNode>>);

impl Kept {
    pub(super) fn of(&self, objects: &Objects) -> Arc<ByNode> {
        let generations = (objects.generation::<CSINode>(), objects.generation::<VolumeAttachment>());
        let mut kept = self.0.lock();
        if kept.generations != generations {
            *kept = Arc::new(ByNode::read(generations, objects));
        }
        Arc::clone(&kept)
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").finish_non_exhaustive()
    }
}
