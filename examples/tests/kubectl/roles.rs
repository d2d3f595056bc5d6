//! Roles, who has them, and acting as somebody else.

use crate::harness::{Kubectl, holds};

#[tokio::test(flavor = "multi_thread")]
async fn roles_are_made_given_and_shown() {
    let Some(kubectl) = Kubectl::start().await else { return };
    let said = kubectl.run("create role reader --verb=get,list --resource=pods,deployments.apps").await;
    assert_eq!(said, "role.rbac.authorization.k8s.io/reader created\n");
    kubectl.run("create clusterrole metrics --verb=get --non-resource-url=/metrics").await;
    kubectl.run("create rolebinding alice --role=reader --user=alice --serviceaccount=default:default").await;
    kubectl.run("create clusterrolebinding metrics --clusterrole=metrics --group=watchers").await;
    assert_eq!(
        kubectl.run("set subject rolebinding alice --user=bob").await,
        "rolebinding.rbac.authorization.k8s.io/alice subjects updated\n"
    );
    let table = kubectl.run("get rolebindings -o wide").await;
    assert!(
        holds(&table, &["ROLE", "USERS", "GROUPS", "SERVICEACCOUNTS", "Role/reader", "alice, bob", "default/default"]),
        "{table}"
    );
    let role = kubectl.run("describe role reader").await;
    assert!(holds(&role, &["PolicyRule:", "pods", "[get list]", "deployments.apps", "[get list]"]), "{role}");
    let refused = kubectl.fails("create clusterrole x --verb=get --resource=nosuch").await;
    assert!(refused.contains("the server doesn't have a resource type \"nosuch\""), "{refused}");
    let file = kubectl.manifest(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: reader, namespace: default}\n\
         rules: [{apiGroups: [''], resources: [secrets], verbs: [get]}]\n",
    );
    let said = kubectl.run(&format!("auth reconcile -f {file}")).await;
    assert!(said.starts_with("role.rbac.authorization.k8s.io/reader reconciled\n"), "{said}");
    assert_eq!(kubectl.run("get role reader -o jsonpath={.rules[*].resources}").await.matches("secrets").count(), 1);
    kubectl.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_acts_as_somebody_is_that_somebody() {
    let Some(kubectl) = Kubectl::start().await else { return };
    let whoami = kubectl.run("auth whoami --as=bob --as-group=friends --as-uid=7").await;
    assert!(holds(&whoami, &["Username", "bob", "UID", "7", "Groups", "[friends system:authenticated]"]), "{whoami}");
    let whoami = kubectl.run("auth whoami --as=system:serviceaccount:default:robot").await;
    assert!(holds(&whoami, &["Groups", "[system:serviceaccounts system:serviceaccounts:default"]), "{whoami}");
    kubectl.end().await;
}
