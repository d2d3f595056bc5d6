//! Manifests as people write them, rightly and wrongly.

use crate::harness::{Kubectl, holds};

const LIST: &str = "apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: listed}, data: {a: b}}
- {apiVersion: v1, kind: Service, metadata: {name: listed}, spec: {ports: [{port: 80}]}}
";

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_applied_and_what_is_got_can_be_applied() {
    let Some(kubectl) = Kubectl::start().await else { return };
    let said = kubectl.run(&format!("apply -f {}", kubectl.manifest(LIST))).await;
    assert_eq!(said, "configmap/listed created\nservice/listed created\n");
    let got = kubectl.run("get configmap/listed service/listed -o yaml").await;
    let said = kubectl.run(&format!("replace -f {}", kubectl.manifest(&got))).await;
    assert_eq!(said, "configmap/listed replaced\nservice/listed replaced\n");
    kubectl.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_manifest_is_told() {
    let Some(kubectl) = Kubectl::start().await else { return };
    let pod = |spec: &str| format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec: {spec}\n");
    let cases = [
        (
            "apiVersion: v1\nkind: Pdo\nmetadata: {name: p}\n".to_owned(),
            "no matches for kind \"Pdo\" in version \"v1\"",
        ),
        (
            "apiVersion: v2\nkind: Pod\nmetadata: {name: p}\n".to_owned(),
            "no matches for kind \"Pod\" in version \"v2\"",
        ),
        (
            pod("{containers: [{name: a, image: b, prots: []}]}"),
            "strict decoding error: unknown field \"spec.containers[0].prots\"",
        ),
        (
            pod("{containers: [{name: a, image: b, ports: [{containerPort: http}]}]}"),
            "json: cannot unmarshal string into Go struct field ContainerPort.spec.containers.ports.containerPort of type int32",
        ),
        (pod("{containers: [{name: a}]}"), "The Pod \"p\" is invalid: spec.containers[0].image: Required value"),
    ];
    for (manifest, message) in cases {
        let said = kubectl.fails(&format!("create -f {}", kubectl.manifest(&manifest))).await;
        assert!(said.contains(message), "{said}");
    }
    kubectl.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_built_says_so() {
    let Some(kubectl) = Kubectl::start().await else { return };
    let manifest = kubectl.manifest("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n");
    let said = kubectl.fails(&format!("apply --server-side -f {manifest}")).await;
    assert_eq!(said, "Error from server: server-side apply is not supported by this server\n");
    kubectl.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scales_have_a_table_of_their_own() {
    let Some(kubectl) = Kubectl::start().await else { return };
    kubectl.nginx().await;
    let table = kubectl.run("get deployment nginx --subresource=scale").await;
    assert!(holds(&table, &["NAME", "DESIRED", "AVAILABLE", "AGE", "nginx", "2", "2"]), "{table}");
    kubectl.end().await;
}
