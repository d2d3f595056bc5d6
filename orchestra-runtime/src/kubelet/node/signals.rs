//! Measures what is left of the machine's resources.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use tracing::warn;

use super::{
    Machine,
    machine::filesystem,
    threshold::{EvictionThresholds, Signal, Threshold},
};
use crate::kubelet::Context;

/// What was left at some time, and of how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Observation {
    pub(super) available: u64,
    pub(super) capacity: u64,
}

/// What was left of everything that could be measured.
pub(super) type Observations = BTreeMap<Signal, Observation>;

/// Measures. What cannot be measured is left out, and logged.
pub(super) async fn observe(context: &Context, machine: &Machine) -> Observations {
    let images = context.runtime.image_filesystems().await;
    let images = images.inspect_err(|error| warn!(node = %context.node, %error, "images' file system not measured"));
    let images = images.ok().and_then(|all| all.into_iter().next()).map(|images| PathBuf::from(images.mountpoint));
    let (machine, pods) = (machine.clone(), context.config.root.clone().unwrap_or_else(|| "/".into()));
    // A file system may take its time.
    let measuring = tokio::task::spawn_blocking(move || measure(&machine, &pods, images.as_deref()));
    measuring.await.unwrap_or_default()
}

fn measure(machine: &Machine, pods: &Path, images: Option<&Path>) -> Observations {
    let mut observations = Observations::new();
    match machine.memory_available() {
        Ok(available) => {
            let capacity = machine.memory();
            observations.insert(Signal::MemoryAvailable, Observation { available, capacity });
        }
        Err(error) => warn!(%error, "memory not measured"),
    }
    match machine.processes() {
        Ok((capacity, available)) => {
            observations.insert(Signal::PidAvailable, Observation { available, capacity });
        }
        Err(error) => warn!(%error, "processes not counted"),
    }
    let of = [
        (Some(pods), Signal::NodefsAvailable, Signal::NodefsInodesFree),
        (images, Signal::ImagefsAvailable, Signal::ImagefsInodesFree),
    ];
    for (folder, bytes, inodes) in of {
        let Some(folder) = folder else { continue };
        match filesystem(folder) {
            Ok(found) => {
                let left = Observation { available: found.available, capacity: found.capacity };
                observations.insert(bytes, left);
                // Some have as many as they like.
                if found.inodes > 0 {
                    let left = Observation { available: found.inodes_free, capacity: found.inodes };
                    observations.insert(inodes, left);
                }
            }
            Err(error) => warn!(folder = %folder.display(), %error, "file system not measured"),
        }
    }
    observations
}

/// The thresholds that are crossed, memory first as in Kubernetes.
pub(super) fn crossed(thresholds: &EvictionThresholds, observations: &Observations) -> Vec<Threshold> {
    let is_crossed = |threshold: &&Threshold| {
        let seen = observations.get(&threshold.signal);
        seen.is_some_and(|seen| seen.available < threshold.least(seen.capacity))
    };
    let mut crossed: Vec<Threshold> = thresholds.iter().filter(is_crossed).copied().collect();
    crossed.sort_by_key(|threshold| threshold.signal);
    crossed
}
