//! Classes of runtimes, as containerd has them.

use k8s_openapi::api::node::v1::RuntimeClass;
use serde_json::json;

use crate::{containerd::on_a_node, world::World};

#[test]
fn a_class_names_one_of_containerds_handlers() {
    on_a_node(async |node| {
        let world = World::start(&node).await;
        for (name, handler) in [("good", "runc"), ("bad", "none")] {
            let class = json!({ "metadata": { "name": name }, "handler": handler });
            world.create_in_cluster::<RuntimeClass>(class).await;
        }
        let spec = |class: &str| json!({ "runtimeClassName": class, "terminationGracePeriodSeconds": 0, "containers": [{ "command": ["sleep", "1000"] }] });
        world.add("p", spec("good")).await;
        world.ready("p").await;
        world.delete("p").await;
        world.add("p", spec("bad")).await;
        let told = world.event("FailedCreatePodSandBox: Failed to create pod sandbox: ").await;
        assert!(told.contains("no runtime for \"none\" is configured"), "{told}");
        world.delete("p").await;
        assert_eq!(world.count().await, (0, 0));
        world.shut_down().await;
    });
}
