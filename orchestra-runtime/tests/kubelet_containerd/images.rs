//! Images that are not to be had, and are in the end.

use serde_json::json;

use crate::{
    containerd::{
        image, on_a_node,
        registry::{self, Behavior, Registry},
    },
    world::World,
};

const NOBODY: &str = "127.0.0.1:1";

#[test]
fn a_pod_whose_image_is_not_to_be_had_says_why_and_runs_as_soon_as_it_is() {
    on_a_node(async |node| {
        let registry = Registry::start(&node).await;
        registry::set_address_of("refused.test", NOBODY.parse().unwrap());
        let world = World::start(&node).await;
        let add = async |name: &str, image: &str, policy: &str| {
            world.add(name, json!({ "containers": [{ "image": image, "imagePullPolicy": policy }] })).await;
        };
        registry.set(Behavior::KnowsNothing);
        add("missing", image::REMOTE, "IfNotPresent").await;
        let message = world.waits("missing", "ErrImagePull").await;
        assert!(message.starts_with("rpc error: code = NotFound desc = failed to pull and unpack image"), "{message}");
        let event = format!("Failed: Failed to pull image \"{}\": {message}", image::REMOTE);
        world.event(&event).await;
        world.event("Failed: Error: ErrImagePull").await;
        let message = world.waits("missing", "ImagePullBackOff").await;
        let back_off = format!("Back-off pulling image \"{}\"", image::REMOTE);
        assert!(message.starts_with(&format!("{back_off}: ErrImagePull: rpc error: ")), "{message}");
        world.event(&format!("BackOff: {back_off}")).await;
        world.event("Failed: Error: ImagePullBackOff").await;

        registry.set(Behavior::Asks("user".to_owned(), "password".to_owned()));
        add("asked", image::REMOTE, "Always").await;
        let message = world.waits("asked", "ErrImagePull").await;
        assert!(message.contains("authorization failed") || message.contains("401 Unauthorized"), "{message}");
        add("refused", "refused.test/remote:latest", "IfNotPresent").await;
        let message = world.waits("refused", "ErrImagePull").await;
        assert!(message.contains(&format!("dial tcp {NOBODY}: connect: connection refused")), "{message}");
        names_and_policies(&world).await;

        registry.set(Behavior::Serves);
        registry::set_address_of("refused.test", registry.address());
        for pod in ["missing", "asked", "refused"] {
            world.ready(pod).await;
        }
        world.event(&format!("Pulled: Successfully pulled image \"{}\" in ", image::REMOTE)).await;
        assert_eq!(world.count().await, (5, 3));
        for pod in ["missing", "asked", "refused", "never", "named"] {
            world.begin_delete(pod, 1).await;
        }
        for pod in ["missing", "asked", "refused", "never", "named"] {
            world.gone(pod).await;
        }
        assert_eq!(world.count().await, (0, 0));
        world.shut_down().await;
    });
}

async fn names_and_policies(world: &World) {
    let never = json!({ "image": "registry.test/never:1", "imagePullPolicy": "Never" });
    world.add("never", json!({ "containers": [never] })).await;
    let message = "Container image \"registry.test/never:1\" is not present with pull policy of Never";
    assert_eq!(world.waits("never", "ErrImageNeverPull").await, message);
    world.event(&format!("ErrImageNeverPull: {message}")).await;
    world.event("Failed: Error: ErrImageNeverPull").await;
    world.add("named", json!({ "containers": [{ "image": "registry.test/No:1" }] })).await;
    let message = "Failed to apply default image tag \"registry.test/No:1\": couldn't parse image name \
                   \"registry.test/No:1\": invalid reference format: repository name (No) must be lowercase";
    assert_eq!(world.waits("named", "InvalidImageName").await, message);
    world.event(&format!("InspectFailed: {message}")).await;
    world.event("Failed: Error: InvalidImageName").await;
}
