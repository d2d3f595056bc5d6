use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use orchestra_core::{
    container_runtime::{ContainerFilter, Image, ImageSpec, RuntimeError},
    event_recorder::EventType,
};
use tokio::time::Instant;
use tracing::{info, warn};

use super::super::{
    event,
    machine::{Filesystem, filesystem},
};
use crate::kubelet::Context;

/// How full the images' file system may be, in percent, and how full it is left (`imageGCHighThresholdPercent`,
/// `imageGCLowThresholdPercent`).
const HIGH: u64 = 85;
const LOW: u64 = 80;
/// How long an image is kept at least (`imageMinimumGCAge`): it was pulled for something.
const LEAST_AGE: Duration = Duration::from_secs(120);

/// When each image was seen first, and was last a container's.
#[derive(Debug, Default)]
pub(super) struct Images {
    seen: BTreeMap<String, Seen>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    first: Instant,
    /// None since it is watched.
    used: Option<Instant>,
}

impl Images {
    /// Notes which images there are, and which of them are used. Returns those that are not.
    pub(super) async fn look(&mut self, context: &Context) -> Vec<Image> {
        let (unused, used) = match unused(context).await {
            Ok(found) => found,
            Err(error) => {
                warn!(node = %context.node, %error, "images not listed");
                return Vec::new();
            }
        };
        let now = Instant::now();
        let all = unused.iter().chain(&used).map(|image| image.id.clone());
        let ids: BTreeSet<String> = all.collect();
        self.seen.retain(|id, _| ids.contains(id));
        for id in ids {
            self.seen.entry(id).or_insert(Seen { first: now, used: None });
        }
        for image in used {
            self.seen.entry(image.id).and_modify(|seen| seen.used = Some(now));
        }
        unused
    }

    /// Removes images if their file system is too full: those first that were used longest ago.
    pub(super) async fn collect(&mut self, context: &Context) {
        let mut unused = self.look(context).await;
        let Some(Filesystem { capacity, available, .. }) = storage(context).await else { return };
        let Some(wanted) = excess(capacity, available) else { return };
        info!(node = %context.node, wanted, "the images' file system is too full");
        unused.retain(|image| self.seen.get(&image.id).is_some_and(|seen| seen.first.elapsed() >= LEAST_AGE));
        unused.sort_by_key(|image| self.seen.get(&image.id).map(|seen| (seen.used, seen.first)));
        let freed = remove(context, unused, wanted).await;
        if freed < wanted {
            let message = format!(
                "Failed to garbage collect required amount of images. Attempted to free {wanted} bytes, but only found {freed} \
                 bytes eligible to free."
            );
            event(context, EventType::Warning, "FreeDiskSpaceFailed", &message);
        }
    }
}

/// How many bytes have to go.
fn excess(capacity: u64, available: u64) -> Option<u64> {
    let used = capacity.saturating_sub(available);
    let percent = |percent: u64| u64::try_from(u128::from(capacity) * u128::from(percent) / 100).unwrap_or(u64::MAX);
    (used >= percent(HIGH)).then(|| used.saturating_sub(percent(LOW))).filter(|wanted| *wanted > 0)
}

/// Removes all images that no container has.
pub(super) async fn remove_unused(context: &Context) {
    match unused(context).await {
        Ok((unused, _)) => drop(remove(context, unused, u64::MAX).await),
        Err(error) => warn!(node = %context.node, %error, "images not listed"),
    }
}

/// Removes images until so many bytes are freed; returns how many were.
async fn remove(context: &Context, images: Vec<Image>, wanted: u64) -> u64 {
    let mut freed = 0_u64;
    for image in images {
        if freed >= wanted {
            break;
        }
        match context.runtime.remove_image(&ImageSpec(image.id.clone())).await {
            Ok(()) => freed = freed.saturating_add(image.size),
            Err(error) => warn!(node = %context.node, image = image.id, %error, "an image that is not used stays"),
        }
    }
    freed
}

/// The images that no container has, running or not, and the others.
async fn unused(context: &Context) -> Result<(Vec<Image>, Vec<Image>), RuntimeError> {
    // In this order: what is pulled in between is not taken for unused.
    let images = context.runtime.list_images().await?;
    let containers = context.runtime.list_containers(ContainerFilter::default()).await?;
    let used: BTreeSet<&str> = containers.iter().flat_map(|c| [&*c.image_ref, &*c.image.0]).collect();
    let is_used = |image: &Image| {
        let names = image.repo_tags.iter().chain(&image.repo_digests).chain([&image.id]);
        image.pinned || is_of_sandboxes(image) || names.into_iter().any(|name| used.contains(name.as_str()))
    };
    Ok(images.into_iter().partition(|image| !is_used(image)))
}

/// Whether it is what sandboxes are made of, by its name: older runtimes do not pin it. No container has it, and it may not be there to be
/// fetched again.
fn is_of_sandboxes(image: &Image) -> bool {
    let mut names = image.repo_tags.iter().chain(&image.repo_digests);
    names.any(|name| {
        name.rsplit('/').next().is_some_and(|name| name.starts_with("pause:") || name.starts_with("pause@"))
    })
}

async fn storage(context: &Context) -> Option<Filesystem> {
    let images = context.runtime.image_filesystems().await;
    let images = images.inspect_err(|error| warn!(node = %context.node, %error, "images' file system not measured"));
    let folder = PathBuf::from(images.ok()?.into_iter().next()?.mountpoint);
    let measured = tokio::task::spawn_blocking(move || filesystem(&folder)).await.ok()?;
    measured.inspect_err(|error| warn!(node = %context.node, %error, "images' file system not measured")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_above_the_upper_mark_is_freed_to_the_lower() {
        assert_eq!(excess(1_000, 151), None);
        assert_eq!(excess(1_000, 150), Some(50));
        assert_eq!(excess(1_000, 0), Some(200));
        assert_eq!(excess(0, 0), None);
    }

    #[test]
    fn the_image_of_sandboxes_is_known() {
        let image = |tag: &str| Image { repo_tags: vec![tag.to_owned()], ..Image::default() };
        assert!(is_of_sandboxes(&image("registry.k8s.io/pause:3.10")));
        assert!(!is_of_sandboxes(&image("docker.io/library/pause-menu:1")));
    }
}
