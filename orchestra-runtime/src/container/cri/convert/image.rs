use std::collections::HashMap;

use k8s_cri::v1;
use orchestra_core::container_runtime::{Image, ImageSpec, RegistryAuth};

pub(in crate::container::cri) fn image_spec(image: &ImageSpec) -> v1::ImageSpec {
    v1::ImageSpec {
        image: image.0.clone(),
        annotations: HashMap::new(),
        user_specified_image: image.0.clone(),
        runtime_handler: String::new(),
    }
}

pub(in crate::container::cri) fn image(image: v1::Image) -> Image {
    Image {
        id: image.id,
        repo_tags: image.repo_tags,
        repo_digests: image.repo_digests,
        size: image.size,
        uid: image.uid.map(|uid| uid.value),
        username: image.username,
        pinned: image.pinned,
        annotations: image.spec.unwrap_or_default().annotations.into_iter().collect(),
    }
}

pub(in crate::container::cri) fn auth(auth: RegistryAuth) -> v1::AuthConfig {
    v1::AuthConfig {
        username: auth.username,
        password: auth.password,
        server_address: auth.server_address,
        identity_token: auth.identity_token,
        ..v1::AuthConfig::default()
    }
}
