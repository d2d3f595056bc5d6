//! Variables from files that other containers of the pod wrote.

use serde_json::json;

use crate::{containerd::on_a_node, world::World};

#[test]
fn an_init_container_gives_variables_to_those_after_it() {
    on_a_node(async |node| {
        let world = World::start(&node).await;
        let mounts = json!([{ "name": "v", "mountPath": "/v" }]);
        let variable = |name: &str, path: &str, key: &str, optional: bool| {
            let source = json!({ "volumeName": "v", "path": path, "key": key, "optional": optional });
            json!({ "name": name, "valueFrom": { "fileKeyRef": source } })
        };
        let spec = |script: &str, env| {
            json!({
                "initContainers": [{ "name": "writes", "command": ["sh", "-c", script], "volumeMounts": mounts }],
                "containers": [{ "name": "reads", "command": ["sleep", "1000"], "env": env }],
                "volumes": [{ "name": "v", "emptyDir": {} }], "terminationGracePeriodSeconds": 0,
            })
        };
        let script = r##"mkdir /v/of; printf "# written\nCOLOR='red and\nblue'\n" > /v/of/env"##;
        let env = json!([variable("A", "of/env", "COLOR", false), variable("B", "none", "B", true)]);
        world.add("p", spec(script, env)).await;
        let pod = world.ready("p").await;
        assert_eq!(
            world.shell(&pod, "echo \"$A,${B-none}\"; ls /v").await,
            "red and\nblue,none\nls: /v: No such file or directory"
        );
        world.delete("p").await;
        // What leads out of the volume is not read.
        let env = json!([variable("A", "passwd", "root", false)]);
        world.add("p", spec("ln -s /etc/passwd /v/passwd", env)).await;
        let message = world.waits("p", "CreateContainerConfigError").await;
        assert!(message.starts_with("failed to open environment variable file \"passwd\": "), "{message}");
        world.delete("p").await;
        assert_eq!(world.count().await, (0, 0));
        world.shut_down().await;
    });
}
