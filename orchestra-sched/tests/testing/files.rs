//! Clusters from YAML.

use k8s_openapi::api::storage::v1::StorageClass;
use orchestra_core::ObjectKey;
use orchestra_sched::{
    framework::Framework,
    testing::{TestCluster, pod},
};

/// As `kubectl get nodes,pods -o yaml` prints it, shortened.
const LIST: &str = r#"
apiVersion: v1
items:
- apiVersion: v1
  kind: Node
  metadata:
    creationTimestamp: "2026-01-01T00:00:00Z"
    labels: {kubernetes.io/hostname: worker-1, topology.kubernetes.io/zone: a}
    name: worker-1
  spec:
    podCIDR: 10.0.0.0/24
    taints:
    - {effect: NoSchedule, key: node.kubernetes.io/unschedulable, timeAdded: "2026-01-01T00:00:00Z"}
    unschedulable: true
  status:
    allocatable: {cpu: "2", memory: 4005260Ki, pods: "110"}
    conditions:
    - {type: Ready, status: "True", lastHeartbeatTime: "2026-01-01T00:00:00Z", lastTransitionTime: "2026-01-01T00:00:00Z"}
- apiVersion: v1
  kind: Node
  metadata: {name: worker-2}
  status: {allocatable: {cpu: 1930m, memory: 3Gi, pods: "110"}}
- apiVersion: v1
  kind: Pod
  metadata: {name: web, namespace: default, uid: 0b0e}
  spec:
    containers: [{name: nginx, image: nginx, resources: {requests: {cpu: 500m}}}]
    nodeName: worker-2
  status: {phase: Running}
- apiVersion: v1
  kind: Pod
  metadata: {name: waits, namespace: shop}
  spec: {containers: [{name: c}]}
kind: List
metadata: {resourceVersion: ""}
"#;

#[test]
fn what_kubectl_prints_is_a_cluster() {
    let cluster = TestCluster::from_yaml(LIST).unwrap();
    assert_eq!((cluster.node_of("web"), cluster.node_of("shop/waits")), (Some("worker-2"), None));
    assert_eq!(cluster.pending().len(), 1);
    assert_eq!(cluster.snapshot().get("worker-2").unwrap().requested().milli_cpu, 500);
    let scheduler = Framework::kubernetes();
    cluster.decide(&scheduler, pod("p").cpu("1430m")).assert_bound("worker-2");
    cluster.decide(&scheduler, pod("p").cpu("1431m")).assert_rejected("worker-1", "node(s) were unschedulable");
}

#[test]
fn documents_and_typed_lists_are_read_one_after_the_other() {
    let text = "\
# storage
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: local}
provisioner: kubernetes.io/no-provisioner
volumeBindingMode: WaitForFirstConsumer
---
---
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: data, namespace: default}, spec: {storageClassName: local}}
---
apiVersion: v1
kind: NodeList
items:
- metadata: {name: n1}
  status: {allocatable: {cpu: '1', pods: '9'}}
";
    let cluster = TestCluster::from_yaml(text).unwrap();
    let snapshot = cluster.snapshot();
    assert_eq!(snapshot.get("n1").unwrap().allocatable().pods, 9);
    assert!(snapshot.objects().get::<StorageClass>(&ObjectKey::cluster("local")).is_some());
    cluster.decide(&Framework::kubernetes(), pod("p").claim("data")).assert_unschedulable("persistent volumes");
}

#[test]
fn json_is_read_too() {
    let cluster =
        TestCluster::from_yaml(r#"{"kind": "Node", "apiVersion": "v1", "metadata": {"name": "n1"}}"#).unwrap();
    assert_eq!(cluster.snapshot().len(), 1);
}

#[test]
fn nothing_is_an_empty_cluster() {
    assert!(TestCluster::from_yaml("").unwrap().snapshot().is_empty());
    assert!(TestCluster::from_yaml("{kind: List, items: null}").unwrap().snapshot().is_empty());
}

fn refused(text: &str) -> String {
    TestCluster::from_yaml(text).unwrap_err().to_string()
}

#[test]
fn what_is_no_cluster_says_where_and_why() {
    assert!(refused("a: [").starts_with("not YAML: "), "{}", refused("a: ["));
    let text = refused("{kind: Node, metadata: {name: n1}}\n---\n{kind: Deployment}");
    let expected = "document 2: kind \"Deployment\" is none that schedulers look at: List, Node, Pod, CSIDriver, ";
    assert!(text.starts_with(expected), "{text}");
    assert!(refused("just text").starts_with("document 1: kind \"\" is none that"));
    let text = refused("{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: 7}}");
    assert!(text.starts_with("document 1: Pod \"p\" cannot be read: "), "{text}");
    assert!(refused("{kind: List, items: [7]}").starts_with("document 1: kind \"\""));
}
