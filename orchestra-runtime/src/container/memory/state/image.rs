use std::collections::BTreeMap;

use orchestra_core::container_runtime::Image;

use super::{hash, mix};
use crate::container::ImageScript;

/// What is known of an image that is there.
pub(super) fn image(name: &str, script: &ImageScript) -> Image {
    let reference = image_ref(name);
    Image {
        id: reference.rsplit_once('@').map_or_else(String::new, |(_, digest)| digest.to_owned()),
        repo_tags: vec![name.to_owned()],
        repo_digests: vec![reference],
        size: script.size,
        uid: Some(script.user),
        username: String::new(),
        pinned: false,
        annotations: BTreeMap::new(),
    }
}

/// A name with a digest, as registries have them, that depends on the image's name only.
pub(in crate::container::memory) fn image_ref(image: &str) -> String {
    let name = match image.split_once('@') {
        Some((name, _)) => name,
        // A colon before a slash is a port's.
        None => image.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(image, |(name, _)| name),
    };
    let domain = match name.split_once('/') {
        None => "docker.io/library/",
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => "",
        Some(_) => "docker.io/",
    };
    let seed = hash(image);
    let word = |salt: u64| mix(seed ^ salt);
    format!("{domain}{name}@sha256:{:016x}{:016x}{:016x}{:016x}", word(1), word(2), word(3), word(4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_completed_as_registries_do() {
        for (image, name) in [
            ("nginx", "docker.io/library/nginx"),
            ("nginx:1.29", "docker.io/library/nginx"),
            ("library/nginx", "docker.io/library/nginx"),
            ("localhost/a", "localhost/a"),
            ("registry:5000/a", "registry:5000/a"),
            ("quay.io/a/b@sha256:00", "quay.io/a/b"),
        ] {
            assert_eq!(image_ref(image).split_once('@').unwrap().0, name);
        }
        assert_ne!(image_ref("nginx:1"), image_ref("nginx:2"));
    }
}
