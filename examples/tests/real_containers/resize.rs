//! kubectl gives running containers more and less.

use std::time::Duration;

use crate::{
    containerd::on_a_node,
    harness::{Kubectl, holds},
    machine::Machine,
};

/// `limits` tells what the kernel grants, on either kind of cgroups: CPU time in 100 ms, and bytes of memory.
const PODS: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: steady}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: c
    image: registry.test/busybox
    command:
    - sh
    - -c
    - |
      cat >/bin/limits <<'END'
      #!/bin/sh
      cd /sys/fs/cgroup
      cat cpu/cpu.cfs_quota_us memory/memory.limit_in_bytes 2>/dev/null || cat cpu.max memory.max | cut -d' ' -f1
      END
      chmod +x /bin/limits
      exec sleep 2147483647
    resources: {requests: {cpu: 100m, memory: 64Mi}, limits: {cpu: 100m, memory: 64Mi}}
---
apiVersion: v1
kind: Pod
metadata: {name: strict}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: c
    image: registry.test/busybox
    command: [sleep, "2147483647"]
    resources: {requests: {cpu: 100m, memory: 64Mi}, limits: {cpu: 100m, memory: 64Mi}}
    resizePolicy: [{resourceName: memory, restartPolicy: RestartContainer}]
"#;

async fn value(kubectl: &Kubectl, pod: &str, path: &str) -> String {
    kubectl.run(&format!("get pod {pod} -o jsonpath={path}")).await
}

async fn until(kubectl: &Kubectl, pod: &str, path: &str, expected: &str) {
    let mut seen = value(kubectl, pod, path).await;
    for tries in 1.. {
        if seen == expected {
            return;
        }
        if tries % 50 == 0 {
            println!("{pod} {path} is {seen:?} and not {expected:?}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        seen = value(kubectl, pod, path).await;
    }
}

/// Asks for this much, as requests and limits.
async fn resize(kubectl: &Kubectl, pod: &str, cpu: &str, memory: &str) {
    let amounts = format!(r#"{{"cpu":"{cpu}","memory":"{memory}"}}"#);
    let container = format!(r#"{{"name":"c","resources":{{"requests":{amounts},"limits":{amounts}}}}}"#);
    let patch = format!(r#"{{"spec":{{"containers":[{container}]}}}}"#);
    let said = kubectl.run(&format!("patch pod {pod} --subresource resize --patch {patch}")).await;
    assert_eq!(said, format!("pod/{pod} patched\n"));
}

const STATUS: &str = "{.status.containerStatuses[0].";

/// Waits until the status says that the container has this much.
async fn until_has(kubectl: &Kubectl, pod: &str, cpu: &str, memory: &str) {
    for of in ["resources.requests", "resources.limits", "allocatedResources"] {
        let path = format!("{STATUS}{of}.cpu}}:{STATUS}{of}.memory}}");
        until(kubectl, pod, &path, &format!("{cpu}:{memory}")).await;
    }
}

/// The reason of the pod's condition of this type, and whether it is true.
fn condition(kind: &str) -> String {
    let of = format!("{{.status.conditions[?(@.type==\"{kind}\")]");
    format!("{of}.status}}:{of}.reason}}")
}

#[test]
fn kubectl_resizes_running_containers() {
    on_a_node(async |node| {
        let machine = Machine::start(node).await;
        let kubectl = &machine.kubectl;
        kubectl.create(PODS).await;
        kubectl.run("wait --for=condition=Ready pod/steady pod/strict --timeout=50s").await;
        let identity = format!("{STATUS}containerID}}:{STATUS}restartCount}}");
        let before = value(kubectl, "steady", &identity).await;
        for (cpu, memory, granted) in [("250m", "128Mi", "25000\n134217728\n"), ("50m", "32Mi", "5000\n33554432\n")] {
            resize(kubectl, "steady", cpu, memory).await;
            until_has(kubectl, "steady", cpu, memory).await;
            until(kubectl, "steady", &condition("PodResizeInProgress"), ":").await;
            assert_eq!(kubectl.run("exec steady -- limits").await, granted);
        }
        assert_eq!(value(kubectl, "steady", &identity).await, before, "it runs on");
        assert!(before.ends_with(":0"), "{before}");

        // More than the node has at all, and more than others leave.
        resize(kubectl, "steady", "1k", "32Mi").await;
        until(kubectl, "steady", &condition("PodResizePending"), "True:Infeasible").await;
        let message = value(kubectl, "steady", "{.status.conditions[?(@.type==\"PodResizePending\")].message}").await;
        let cores: u32 = kubectl.run("get node node -o jsonpath={.status.allocatable.cpu}").await.parse().unwrap();
        let expected = "Node didn't have enough capacity: cpu, requested: 1000000, capacity: ";
        assert_eq!(message, format!("{expected}{}", cores * 1000));
        let described = kubectl.run("describe pod steady").await;
        assert!(holds(&described, &["PodResizePending", "ResizeCompleted", "ResizeInfeasible"]), "{described}");
        resize(kubectl, "steady", &cores.to_string(), "32Mi").await;
        until(kubectl, "steady", &condition("PodResizePending"), "True:Deferred").await;
        until_has(kubectl, "steady", "50m", "32Mi").await;
        assert_eq!(kubectl.run("exec steady -- limits").await, "5000\n33554432\n");

        // Restarted if it is to be.
        resize(kubectl, "strict", "150m", "64Mi").await;
        until_has(kubectl, "strict", "150m", "64Mi").await;
        assert_eq!(
            value(kubectl, "strict", &format!("{STATUS}restartCount}}")).await,
            "0",
            "CPU time needs no restart"
        );
        resize(kubectl, "strict", "150m", "96Mi").await;
        until_has(kubectl, "strict", "150m", "96Mi").await;
        until(kubectl, "strict", &format!("{STATUS}restartCount}}:{STATUS}ready}}"), "1:true").await;

        kubectl.run("delete pod strict").await;
        until_has(kubectl, "steady", &cores.to_string(), "32Mi").await;
        until(kubectl, "steady", &condition("PodResizePending"), ":").await;
        assert_eq!(kubectl.run("exec steady -- limits").await, format!("{}\n33554432\n", cores * 100_000));
        assert_eq!(value(kubectl, "steady", &identity).await, before, "it still runs on");
        kubectl.run("delete pod steady").await;
        machine.end().await;
    });
}
