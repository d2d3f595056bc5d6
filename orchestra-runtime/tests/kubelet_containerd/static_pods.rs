//! Pods of a folder, in real containers.

use std::{fs, time::Duration};

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    containerd::{image, on_a_node},
    process::Settings,
    world::World,
};

const FOLDER: &str = "/etc/kubernetes/manifests";

fn settings() -> Settings {
    Settings { static_pods: Some(FOLDER.to_owned()), ..Settings::default() }
}

#[test]
fn a_static_pod_outlives_its_mirror_and_its_kubelet_and_ends_with_its_file() {
    on_a_node(async |node| {
        fs::create_dir_all(FOLDER).unwrap();
        let container =
            json!({ "name": "c", "image": image::BUSYBOX, "imagePullPolicy": "Never", "command": ["sleep", "1000"] });
        let spec = json!({ "containers": [container], "terminationGracePeriodSeconds": 1 });
        let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "web" }, "spec": spec });
        let file = format!("{FOLDER}/web.json");
        fs::write(&file, pod.to_string()).unwrap();
        let mut world = World::without_kubelet(&node).await;
        world.start_kubelet(settings());
        let before = world.ready("web-n1").await;
        let container = |pod: &Value| pod["status"]["containerStatuses"][0]["containerID"].clone();
        let uid = |pod: &Value| pod["metadata"]["uid"].clone();
        // kubectl exec and logs find it by its mirror.
        assert_eq!(world.shell(&before, "hostname").await, "web-n1");
        world.begin_delete("web-n1", 30).await;
        let another = |pod: &Value| !pod.is_null() && uid(pod) != uid(&before) && !container(pod).is_null();
        let mirror = world.until("another mirror", "web-n1", another).await;
        assert_eq!(container(&mirror), container(&before));
        world.kill_kubelet();
        world.start_kubelet(settings());
        let after = world.ready("web-n1").await;
        assert_eq!((container(&after), uid(&after)), (container(&before), uid(&mirror)));
        fs::remove_file(&file).unwrap();
        world.gone("web-n1").await;
        // A kubelet that has not begun when the file goes finds a mirror of nothing, and containers of nobody.
        while world.count().await != (0, 0) {
            sleep(Duration::from_millis(20)).await;
        }
        world.shut_down().await;
    });
}
