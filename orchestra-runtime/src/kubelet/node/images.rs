//! The images that a node tells that it has, so that the scheduler can prefer it.

use k8s_openapi::api::core::v1::ContainerImage;
use orchestra_core::container_runtime::Image;

/// Kubernetes' limits (`nodeStatusMaxImages`, and `MaxNamesPerImageInNodeStatus`), which keep the node's object small.
const MAX_IMAGES: usize = 50;
const MAX_NAMES: usize = 5;

/// The largest images, largest first.
pub(super) fn listed(mut images: Vec<Image>) -> Vec<ContainerImage> {
    images.sort_by(|one, other| (other.size, &one.id).cmp(&(one.size, &other.id)));
    images.truncate(MAX_IMAGES);
    images.into_iter().map(container_image).collect()
}

fn container_image(image: Image) -> ContainerImage {
    let names = image.repo_digests.into_iter().chain(image.repo_tags).take(MAX_NAMES);
    ContainerImage { names: Some(names.collect()), size_bytes: i64::try_from(image.size).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_images_are_named_with_a_few_of_their_names() {
        let image = |number: u64| Image {
            id: format!("{number:02}"),
            size: number / 2,
            repo_digests: vec![format!("i{number}@sha256:0")],
            repo_tags: (0..9).map(|tag| format!("i{number}:{tag}")).collect(),
            ..Image::default()
        };
        let listed = listed((0..60).map(image).collect());
        assert_eq!(listed.len(), 50);
        // Of one size, they are in order.
        assert_eq!(listed[0].names.as_deref().unwrap(), ["i58@sha256:0", "i58:0", "i58:1", "i58:2", "i58:3"]);
        assert_eq!(listed[49].size_bytes, Some(5));
    }
}
