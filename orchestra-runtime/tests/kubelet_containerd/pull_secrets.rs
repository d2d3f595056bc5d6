//! Images of registries that ask who wants them.

use k8s_openapi::api::core::v1::{Pod, Secret};
use serde_json::{Value, json};

use crate::{
    containerd::{
        image, on_a_node,
        registry::{Behavior, Registry},
    },
    world::World,
};

fn pod(name: &str, secrets: Value) -> Value {
    let spec = json!({ "containers": [{ "name": "c", "image": image::REMOTE }], "imagePullSecrets": secrets });
    json!({ "metadata": { "name": name }, "spec": spec })
}

#[test]
fn an_image_is_pulled_with_the_pods_secret() {
    on_a_node(async |node| {
        let registry = Registry::start(&node).await;
        registry.set(Behavior::Asks("user".to_owned(), "password".to_owned()));
        let world = World::start(&node).await;
        world.create::<Pod>(pod("without", json!([{ "name": "none" }]))).await;
        let waits = |pod: &Value| pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "ErrImagePull";
        world.until("refused", "without", waits).await;
        let auths = json!({ "auths": { image::REGISTRY: { "username": "user", "password": "password" } } });
        let data = json!({ ".dockerconfigjson": auths.to_string() });
        world
            .create::<Secret>(json!({
                "metadata": { "name": "pull" }, "type": "kubernetes.io/dockerconfigjson", "stringData": data,
            }))
            .await;
        world.create::<Pod>(pod("with", json!([{ "name": "pull" }]))).await;
        world.running("with").await;
        let events = world.events().await;
        assert!(events.iter().any(|event| event.starts_with("FailedToRetrieveImagePullSecret: ")), "{events:?}");
        world.shut_down().await;
    });
}
