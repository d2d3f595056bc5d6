use crate::harness::Kubectl;

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_deployment_takes_its_replica_sets_and_pods() {
    let Some(kubectl) = Kubectl::start().await else { return };
    kubectl.nginx().await;
    assert_eq!(kubectl.run("delete -f nginx.yaml").await, "deployment.apps \"nginx\" deleted\n");
    kubectl.run("wait --for=delete pod -l app=nginx --timeout=50s").await;
    kubectl.run("wait --for=delete replicaset -l app=nginx --timeout=50s").await;
    assert_eq!(kubectl.run("get deployments,replicasets,pods -o name").await, "");
    kubectl.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orphaning_delete_leaves_the_replica_set() {
    let Some(kubectl) = Kubectl::start().await else { return };
    kubectl.nginx().await;
    kubectl.run("delete deployment nginx --cascade=orphan").await;
    assert_eq!(kubectl.run("get replicasets -o jsonpath={.items[*].metadata.ownerReferences}").await, "");
    assert_eq!(kubectl.run("get pods -o name").await.lines().count(), 2);
    kubectl.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_is_created_and_deleted_with_its_contents() {
    let Some(kubectl) = Kubectl::start().await else { return };
    assert_eq!(kubectl.run("create namespace team").await, "namespace/team created\n");
    kubectl.run("create configmap settings --from-literal=a=b -n team").await;
    kubectl.run("create secret generic password --from-literal=a=b -n team").await;
    kubectl.run("create deployment web --image=nginx --replicas=3 -n team").await;
    kubectl.run("rollout status deployment/web -n team --timeout=50s").await;
    assert_eq!(kubectl.run("get configmap settings -n team -o jsonpath={.data.a}").await, "b");
    assert_eq!(kubectl.run("get secret password -n team -o jsonpath={.data.a}").await, "Yg==");
    assert_eq!(kubectl.run("delete namespace team --timeout=50s").await, "namespace \"team\" deleted\n");
    assert!(!kubectl.run("get namespaces -o name").await.contains("team"));
    assert_eq!(kubectl.run("get deployments,pods,configmaps -n team -o name").await, "");
    kubectl.end().await;
}
