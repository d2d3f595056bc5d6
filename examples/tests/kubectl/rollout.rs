use crate::harness::{Kubectl, holds};

const IMAGE: &str = "get deployment nginx -o jsonpath={.spec.template.spec.containers[0].image}";

#[tokio::test(flavor = "multi_thread")]
async fn scale_changes_the_number_of_pods() {
    let Some(kubectl) = Kubectl::start().await else { return };
    kubectl.nginx().await;
    assert_eq!(kubectl.run("scale deployment nginx --replicas=4").await, "deployment.apps/nginx scaled\n");
    kubectl.run("wait --for=jsonpath={.status.readyReplicas}=4 deployment/nginx --timeout=50s").await;
    assert_eq!(kubectl.run("get pods -o name").await.lines().count(), 4);
    kubectl.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_image_rolls_out_and_is_undone() {
    let Some(kubectl) = Kubectl::start().await else { return };
    kubectl.nginx().await;
    assert_eq!(
        kubectl.run("set image deployment/nginx nginx=nginx:1.27").await,
        "deployment.apps/nginx image updated\n"
    );
    kubectl.rolled_out().await;
    assert_eq!(kubectl.run(IMAGE).await, "nginx:1.27");
    let history = kubectl.run("rollout history deployment/nginx").await;
    assert!(holds(&history, &["REVISION", "CHANGE-CAUSE", "\n1 ", "\n2 "]), "{history}");
    assert_eq!(kubectl.run("rollout undo deployment/nginx").await, "deployment.apps/nginx rolled back\n");
    kubectl.rolled_out().await;
    assert_eq!(kubectl.run(IMAGE).await, "nginx");
    let history = kubectl.run("rollout history deployment/nginx").await;
    assert!(holds(&history, &["\n2 ", "\n3 "]), "{history}");
    kubectl.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_rollout_waits_until_it_is_resumed() {
    let Some(kubectl) = Kubectl::start().await else { return };
    kubectl.nginx().await;
    kubectl.run("rollout pause deployment/nginx").await;
    kubectl.run("set image deployment/nginx nginx=nginx:1.27").await;
    let observed = "wait --for=jsonpath={.status.observedGeneration}=3 deployment/nginx --timeout=50s";
    kubectl.run(observed).await;
    assert_eq!(kubectl.run("get replicasets -o name").await.lines().count(), 1);
    kubectl.run("rollout resume deployment/nginx").await;
    kubectl.rolled_out().await;
    assert_eq!(kubectl.run("get replicasets -o name").await.lines().count(), 2);
    kubectl.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn restart_replaces_all_pods() {
    let Some(kubectl) = Kubectl::start().await else { return };
    kubectl.nginx().await;
    let before = kubectl.run("get pods -o name").await;
    assert_eq!(kubectl.run("rollout restart deployment/nginx").await, "deployment.apps/nginx restarted\n");
    kubectl.rolled_out().await;
    for pod in before.lines() {
        kubectl.run(&format!("wait --for=delete {pod} --timeout=50s")).await;
    }
    kubectl.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn patches_of_all_three_kinds_change_an_object() {
    let Some(kubectl) = Kubectl::start().await else { return };
    kubectl.nginx().await;
    kubectl.run(r#"patch deployment nginx -p {"spec":{"revisionHistoryLimit":3}}"#).await;
    kubectl.run(r#"patch deployment nginx --type=merge -p {"metadata":{"labels":{"a":"b"}}}"#).await;
    kubectl.run(r#"patch deployment nginx --type=json -p [{"op":"replace","path":"/spec/replicas","value":1}]"#).await;
    let found = kubectl
        .run("get deployment nginx -o jsonpath={.spec.revisionHistoryLimit}{.metadata.labels.a}{.spec.replicas}");
    assert_eq!(found.await, "3b1");
    kubectl.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_with_an_unknown_or_wrong_field_is_refused_by_name() {
    let Some(kubectl) = Kubectl::start().await else { return };
    let manifest = |field: &str| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: bad}}\nspec:\n  selector: {{matchLabels: {{app: a}}}}\n  \
             template:\n    metadata: {{labels: {{app: b}}}}\n    spec: {{containers: [{{name: x, {field}: nginx}}]}}\n"
        )
    };
    kubectl.manifest(&manifest("imagee"));
    let said = kubectl.fails("apply -f manifest.yaml").await;
    assert!(said.contains(r#"unknown field "spec.template.spec.containers[0].imagee""#), "{said}");
    kubectl.manifest(&manifest("image"));
    let said = kubectl.fails("apply -f manifest.yaml").await;
    assert!(holds(&said, &["spec.template.metadata.labels", "`selector` does not match template `labels`"]), "{said}");
    kubectl.end().await;
}
