//! Containers are given more and less while they run.

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::{
    containerd::on_a_node,
    world::{World, condition},
};

/// What the kernel grants the container, on either kind of cgroups: CPU time in 100 ms, and bytes of memory.
const LIMITS: &str = "cd /sys/fs/cgroup; cat cpu/cpu.cfs_quota_us memory/memory.limit_in_bytes 2>/dev/null \
                      || cat cpu.max memory.max | cut -d' ' -f1";

fn resources(cpu: &str, memory: &str) -> Value {
    let amounts = json!({ "cpu": cpu, "memory": memory });
    json!({ "requests": amounts, "limits": amounts })
}

async fn resize(world: &World, cpu: &str, memory: &str) {
    let patch = json!({ "spec": { "containers": [{ "name": "c0", "resources": resources(cpu, memory) }] } });
    let (pods, params) = (world.api::<Pod>(), PatchParams::default());
    pods.patch_subresource("resize", "p", &params, &Patch::Strategic(patch)).await.unwrap();
    let at_rest = |pod: &Value| {
        let has = &pod["status"]["containerStatuses"][0]["resources"]["limits"];
        *has == json!({ "cpu": cpu, "memory": memory }) && condition(&pod["status"], "PodResizeInProgress").is_null()
    };
    world.until("resized", "p", at_rest).await;
}

#[test]
fn a_container_has_what_it_is_to_have_without_being_restarted() {
    on_a_node(async |node| {
        let world = World::start(&node).await;
        let policy = json!([{ "resourceName": "memory", "restartPolicy": "RestartContainer" }]);
        let container = json!({ "command": ["sleep", "1000"], "resources": resources("100m", "64Mi") });
        world.add("p", json!({ "containers": [container], "terminationGracePeriodSeconds": 0 })).await;
        let pod = world.ready("p").await;
        let first = |pod: &Value| pod["status"]["containerStatuses"][0].clone();
        assert_eq!(world.shell(&pod, LIMITS).await, "10000\n67108864");
        resize(&world, "250m", "128Mi").await;
        assert_eq!(world.shell(&pod, LIMITS).await, "25000\n134217728");
        resize(&world, "50m", "32Mi").await;
        assert_eq!(world.shell(&pod, LIMITS).await, "5000\n33554432");
        let after = world.pod("p").await;
        assert_eq!(first(&after)["containerID"], first(&pod)["containerID"]);
        assert_eq!(first(&after)["restartCount"], 0);
        world.event("ResizeCompleted: Pod resize completed: ").await;
        world.delete("p").await;

        let container =
            json!({ "command": ["sleep", "1000"], "resources": resources("100m", "64Mi"), "resizePolicy": policy });
        world.add("p", json!({ "containers": [container], "terminationGracePeriodSeconds": 0 })).await;
        world.ready("p").await;
        resize(&world, "100m", "128Mi").await;
        let pod = world.ready("p").await;
        assert_eq!(world.shell(&pod, LIMITS).await, "10000\n134217728");
        assert_eq!(first(&pod)["restartCount"], 1);
        world.delete("p").await;
        world.shut_down().await;
    });
}
