//! Who a pod says it is to registries: its image pull secrets (`pkg/credentialprovider`).

mod address;
mod config;

use k8s_openapi::api::core::v1::{Pod, Secret};
use orchestra_core::container_runtime::RegistryAuth;

use self::address::Address;
use super::{Context, objects};

/// Credentials by the registries that they are for, the most particular first.
#[derive(Default)]
pub(super) struct Keyring {
    keys: Vec<(Address, RegistryAuth)>,
}

/// The credentials of a pod, and the names of the secrets that are not there.
pub(super) async fn of_pod(context: &Context, pod: &Pod) -> (Keyring, Vec<String>) {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
    let references = pod.spec.iter().flat_map(|spec| spec.image_pull_secrets.iter().flatten());
    let (mut secrets, mut missing) = (Vec::new(), Vec::new());
    for name in references.map(|reference| reference.name.as_str()).filter(|name| !name.is_empty()) {
        match objects::get::<Secret>(&context.client, namespace, "secret", name).await {
            Ok(secret) => secrets.push(secret),
            Err(_) => missing.push(name.to_owned()),
        }
    }
    (Keyring::of(secrets.iter().map(AsRef::as_ref)), missing)
}

impl Keyring {
    /// What is in these secrets. What cannot be read is left out: the registry may not ask for it.
    fn of<'a>(secrets: impl Iterator<Item = &'a Secret>) -> Self {
        let mut keys: Vec<(Address, RegistryAuth)> = Vec::new();
        for (address, auth) in secrets.flat_map(config::entries) {
            keys.extend(Address::parse(&address).map(|address| (address, auth)));
        }
        // Stable: of equals the first counts.
        keys.sort_by(|(a, _), (b, _)| b.cmp(a));
        Self { keys }
    }

    /// The credentials to try for an image, the most particular first.
    pub(super) fn for_image(&self, image: &str) -> Vec<RegistryAuth> {
        let image = Address::of_image(image);
        let fitting = self.keys.iter().filter(|(address, _)| address.covers(&image));
        fitting.map(|(_, auth)| auth.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use serde_json::{Value, json};

    use super::*;

    fn keyring(auths: Value) -> Keyring {
        let config = STANDARD.encode(json!({ "auths": auths }).to_string());
        let secret = json!({ "type": "kubernetes.io/dockerconfigjson", "data": { ".dockerconfigjson": config } });
        let secret: Secret = serde_json::from_value(secret).unwrap();
        Keyring::of([&secret].into_iter())
    }

    #[test]
    fn the_registry_the_host_and_the_path_decide() {
        let user = |name: &str| json!({ "username": name, "password": "p" });
        let keyring = keyring(json!({
            "https://index.docker.io/v1/": user("hub"),
            "registry.example:5000": user("host"),
            "registry.example:5000/team": user("team"),
            "*.wild.example": user("wild"),
        }));
        for (image, users) in [
            ("nginx", vec!["hub"]),
            ("library/nginx:1", vec!["hub"]),
            ("docker.io/a/b", vec!["hub"]),
            ("registry.example:5000/team/app@sha256:00", vec!["team", "host"]),
            ("registry.example:5000/other/app:1", vec!["host"]),
            ("registry.example/team/app", vec![]),
            ("a.wild.example/app", vec!["wild"]),
            ("a.b.wild.example/app", vec![]),
        ] {
            let found: Vec<String> = keyring.for_image(image).into_iter().map(|auth| auth.username).collect();
            assert_eq!(found, users, "{image}");
        }
    }
}
