//! What tests build on: containerd comes up with its images, and finds the registry.

use crate::containerd::{
    image, on_a_node,
    registry::{Behavior, Registry},
};

#[test]
fn containerd_has_the_images_that_were_made_by_hand() {
    on_a_node(async |mut node| {
        for _ in 0..2 {
            let images = node.ctr(&["images", "ls", "-q"]);
            let is_there = |name: &str| images.lines().any(|line| line == name);
            assert!(is_there(image::FOREVER) && is_there(image::PAUSE) && !is_there(image::REMOTE), "{images}");
            node.kill();
            node.resume().await;
        }
        let told = node.ctr(&["run", "--rm", image::EXIT_7, "x", "echo", "hello"]);
        assert_eq!(told, "hello\n");
    });
}

#[test]
fn images_come_from_the_registry() {
    on_a_node(async |node| {
        let registry = Registry::start(&node).await;
        registry.set(Behavior::Asks("user".to_owned(), "password".to_owned()));
        let arguments =
            ["images", "pull", "--hosts-dir=/etc/containerd/certs.d", "--user=user:password", image::REMOTE];
        tokio::task::spawn_blocking(move || node.ctr(&arguments)).await.expect("the image is there");
        let requests = registry.requests();
        assert!(requests.iter().any(|request| request.ends_with("/v2/remote/manifests/latest")), "{requests:?}");
    });
}
