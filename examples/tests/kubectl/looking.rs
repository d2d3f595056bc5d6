use crate::harness::{Kubectl, holds};

#[tokio::test(flavor = "multi_thread")]
async fn nodes_are_ready() {
    let Some(kubectl) = Kubectl::start().await else { return };
    let nodes = kubectl.run("get nodes").await;
    assert!(
        holds(&nodes, &["NAME", "STATUS", "ROLES", "AGE", "VERSION", "node-1", "Ready", "node-2", "Ready"]),
        "{nodes}"
    );
    kubectl.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn get_prints_tables_yaml_jsonpath_and_columns() {
    let Some(kubectl) = Kubectl::start().await else { return };
    kubectl.nginx().await;
    let table = kubectl.run("get deployment nginx").await;
    assert!(holds(&table, &["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE", "nginx", "2/2", "2", "2"]), "{table}");
    let wide = kubectl.run("get pods -o wide").await;
    assert!(holds(&wide, &["IP", "NODE", "NOMINATED NODE", "READINESS GATES", "1/1", "Running", "node-"]), "{wide}");
    let yaml = kubectl.run("get deployment nginx -o yaml").await;
    assert!(holds(&yaml, &["kind: Deployment", "maxSurge: 25%", "status:", "readyReplicas: 2"]), "{yaml}");
    assert_eq!(kubectl.run("get pods -o jsonpath={.items[*].status.phase}").await, "Running Running");
    let columns = kubectl.run("get pods -o custom-columns=PHASE:.status.phase").await;
    assert_eq!(columns, "PHASE\nRunning\nRunning\n");
    kubectl.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn describe_shows_the_state_and_the_events() {
    let Some(kubectl) = Kubectl::start().await else { return };
    kubectl.nginx().await;
    let deployment = kubectl.run("describe deployment nginx").await;
    let replicas = "2 desired | 2 updated | 2 total | 2 available | 0 unavailable";
    assert!(holds(&deployment, &[replicas, "Image:", "nginx", "Events:", "ScalingReplicaSet"]), "{deployment}");
    let pod = kubectl.run("describe pods -l app=nginx").await;
    let events =
        ["Controlled By:", "ReplicaSet/nginx-", "Events:", "Scheduled", "Pulling", "Pulled", "Created", "Started"];
    assert!(holds(&pod, &events), "{pod}");
    kubectl.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_and_annotations_are_set_selected_and_removed() {
    let Some(kubectl) = Kubectl::start().await else { return };
    kubectl.nginx().await;
    assert_eq!(kubectl.run("label deployment nginx tier=web").await, "deployment.apps/nginx labeled\n");
    assert_eq!(kubectl.run("annotate deployment nginx note=hello").await, "deployment.apps/nginx annotated\n");
    assert_eq!(kubectl.run("get deployments -l tier=web -o name").await, "deployment.apps/nginx\n");
    assert_eq!(kubectl.run("get deployment nginx -o jsonpath={.metadata.annotations.note}").await, "hello");
    kubectl.run("label deployment nginx tier-").await;
    assert_eq!(kubectl.run("get deployments -l tier -o name").await, "");
    kubectl.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_show_pods_and_events_as_they_come() {
    let Some(kubectl) = Kubectl::start().await else { return };
    // Something to list first, so that the watch is known to have begun.
    kubectl.run("run first --image=nginx").await;
    let (mut pods, mut events) = (kubectl.watch("get pods -w"), kubectl.watch("get events --watch"));
    pods.line_with(&["first"]).await;
    events.line_with(&["pod/first"]).await;
    kubectl.nginx().await;
    let pod = pods.line_with(&["nginx-", "1/1", "Running"]).await;
    assert!(!pod.contains("<invalid>"), "{pod}");
    events.line_with(&["ScalingReplicaSet", "deployment/nginx", "Scaled up replica set nginx-", "from 0 to 2"]).await;
    events.line_with(&["Normal", "Started", "pod/nginx-"]).await;
    kubectl.end().await;
}
