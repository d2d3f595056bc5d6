//! Volumes and claims of volumes.

use crate::harness::{Kubectl, holds};

const MANIFEST: &str = "
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: by-hand}
provisioner: kubernetes.io/no-provisioner
volumeBindingMode: WaitForFirstConsumer
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: disk}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  storageClassName: by-hand
  local: {path: /disk}
  nodeAffinity:
    required:
      nodeSelectorTerms:
      - matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [node-2]}]
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: by-hand
  resources: {requests: {storage: 500Mi}}
";

const POD: &str = "
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers: [{name: web, image: nginx, volumeMounts: [{name: data, mountPath: /data}]}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
";

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_is_bound_with_its_first_pod_and_all_of_it_is_shown() {
    let Some(kubectl) = Kubectl::start().await else { return };
    let file = kubectl.manifest(MANIFEST);
    kubectl.run(&format!("apply -f {file}")).await;
    let mut claims = kubectl.watch("get pvc -w");
    claims.line_with(&["data", "Pending", "by-hand", "<unset>"]).await;
    let classes = kubectl.run("get sc").await;
    let expected =
        ["NAME", "PROVISIONER", "RECLAIMPOLICY", "VOLUMEBINDINGMODE", "ALLOWVOLUMEEXPANSION", "AGE", "by-hand"];
    assert!(holds(&classes, &expected), "{classes}");
    assert!(holds(&classes, &["kubernetes.io/no-provisioner", "Delete", "WaitForFirstConsumer", "false"]), "{classes}");

    let file = kubectl.manifest(POD);
    kubectl.run(&format!("apply -f {file}")).await;
    claims.line_with(&["data", "Bound", "disk", "1Gi", "RWO", "by-hand", "<unset>"]).await;
    kubectl.run("wait --for=condition=Ready pod/web --timeout=50s").await;
    let volumes = kubectl.run("get pv").await;
    let expected = [
        "NAME",
        "CAPACITY",
        "ACCESS MODES",
        "RECLAIM POLICY",
        "STATUS",
        "CLAIM",
        "STORAGECLASS",
        "VOLUMEATTRIBUTESCLASS",
        "REASON",
        "AGE",
        "disk",
        "1Gi",
        "RWO",
        "Retain",
        "Bound",
        "default/data",
        "by-hand",
    ];
    assert!(holds(&volumes, &expected), "{volumes}");
    assert_eq!(kubectl.run("get pod web -o jsonpath={.spec.nodeName}").await, "node-2");

    let claim = kubectl.run("describe pvc data").await;
    let expected = [
        "StorageClass:",
        "by-hand",
        "Status:",
        "Bound",
        "Volume:",
        "disk",
        "kubernetes.io/pvc-protection",
        "Capacity:",
        "1Gi",
        "Used By:",
        "web",
        "Events:",
    ];
    assert!(holds(&claim, &expected), "{claim}");
    let volume = kubectl.run("describe pv disk").await;
    let expected =
        ["kubernetes.io/pv-protection", "Claim:", "default/data", "Node Affinity:", "node-2", "LocalVolume", "/disk"];
    assert!(holds(&volume, &expected), "{volume}");

    kubectl.run("delete pvc data --wait=false").await;
    assert!(kubectl.run("get pvc data").await.contains("Terminating"));
    kubectl.run("delete pod web").await;
    kubectl.run("wait --for=delete pvc/data --timeout=50s").await;
    kubectl.run("wait --for=jsonpath={.status.phase}=Released pv/disk --timeout=50s").await;
    kubectl.run("delete pv disk").await;
    kubectl.end().await;
}
