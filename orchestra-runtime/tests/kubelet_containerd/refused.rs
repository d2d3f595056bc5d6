//! Pods that the kubelet or the runtime does not take as they are.

use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::json;

use crate::{
    containerd::{
        image,
        leftovers::{until_there_is, what_there_is},
        on_a_node,
    },
    world::World,
};

#[test]
fn what_cannot_be_made_says_why_and_leaves_nothing() {
    on_a_node(async |node| {
        let before = what_there_is();
        let world = World::start(&node).await;
        futures::join!(sysctls(&world), users(&world), profiles(&world), references(&world));
        let pods = ["allowed", "forbidden", "root", "named", "profile", "refers"];
        for pod in pods {
            world.begin_delete(pod, 1).await;
        }
        for pod in pods {
            world.gone(pod).await;
        }
        assert_eq!(world.count().await, (0, 0));
        assert_eq!(node.ctr(&["containers", "ls", "-q"]), "");
        until_there_is(before).await;
        world.shut_down().await;
    });
}

async fn sysctls(world: &World) {
    let spec = |name: &str, value: &str| {
        let security = json!({ "sysctls": [{ "name": name, "value": value }] });
        json!({ "containers": [{ "image": image::FOREVER }], "securityContext": security })
    };
    world.add("allowed", spec("net.ipv4.ip_local_port_range", "nonsense")).await;
    let event = world.event("FailedCreatePodSandBox: Failed to create pod sandbox: rpc error: code = ").await;
    assert!(!event.is_empty());
    world.add("forbidden", spec("kernel.msgmax", "65536")).await;
    let pod = world.until("refused", "forbidden", |pod| pod["status"]["phase"] == "Failed").await;
    assert_eq!(pod["status"]["reason"], "SysctlForbidden");
    let message = "Pod was rejected: forbidden sysctl: \"kernel.msgmax\" not allowlisted";
    assert_eq!(pod["status"]["message"], message);
    world.event("SysctlForbidden: forbidden sysctl: \"kernel.msgmax\" not allowlisted").await;
}

async fn users(world: &World) {
    let spec = |image: &str| json!({ "containers": [{ "image": image }], "securityContext": { "runAsNonRoot": true } });
    world.add("root", spec(image::FOREVER)).await;
    let message = world.waits("root", "CreateContainerConfigError").await;
    let words = "container has runAsNonRoot and image will run as root (pod: \"root_default(";
    assert!(message.starts_with(words) && message.ends_with(")\", container: c0)"), "{message}");
    world.event(&format!("Failed: Error: {words}")).await;
    world.add("named", spec(image::NAMED_USER)).await;
    let message = world.waits("named", "CreateContainerConfigError").await;
    let words =
        "container has runAsNonRoot and image has non-numeric user (worker), cannot verify user is non-root (pod: ";
    assert!(message.starts_with(words), "{message}");
}

async fn profiles(world: &World) {
    let security = json!({ "seccompProfile": { "type": "Localhost", "localhostProfile": "none/such.json" } });
    world.add("profile", json!({ "containers": [{ "image": image::FOREVER, "securityContext": security }] })).await;
    let message = world.waits("profile", "CreateContainerError").await;
    assert!(message.contains("cannot load seccomp profile"), "{message}");
    world.event(&format!("Failed: Error: {message}")).await;
}

async fn references(world: &World) {
    let env = json!([{ "name": "A", "valueFrom": { "configMapKeyRef": { "name": "later", "key": "a" } } }]);
    world.add("refers", json!({ "containers": [{ "image": image::FOREVER, "env": env }] })).await;
    let message = world.waits("refers", "CreateContainerConfigError").await;
    assert_eq!(message, "configmap \"later\" not found");
    world.event("Failed: Error: configmap \"later\" not found").await;
    world.create::<ConfigMap>(json!({ "metadata": { "name": "later" }, "data": { "a": "b" } })).await;
    let pod = world.ready("refers").await;
    assert_eq!(world.shell(&pod, "echo $A").await, "b");
}
