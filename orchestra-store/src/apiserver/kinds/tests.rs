//! What holds for every row of the table.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::apiserver::registry::Subresource;

#[test]
fn every_kind_bears_an_object_without_fields() {
    for row in table().rows() {
        let body = json!({"apiVersion": row.api_version(), "kind": row.kind, "metadata": {"name": "a"}});
        let mut object = row.rules.decode(&serde_json::to_vec(&body).unwrap(), &[]).unwrap().object;
        let context = testing::context();
        row.rules.default(&mut *object);
        row.rules.prepare_for_create(&context, &mut *object);
        let once = object.duplicate();
        row.rules.default(&mut *object);
        assert!(object.equals(&*once), "{row:?}: defaulting twice changes {once:?} to {object:?}");
        row.rules.validate(&context, &*object);
        row.rules.validate_update(&context, &*object, &*once);
        row.rules.validate_status_update(&context, &*object, &*once);
        row.rules.scale(&*object);
        let cells = row.rules.cells(&*object, Timestamp::UNIX_EPOCH);
        assert_eq!(cells.len(), row.rules.columns().len(), "{row:?}");
        assert_eq!(row.rules.fields(&*object).len(), row.rules.selectable_fields().len(), "{row:?}");
    }
}

#[test]
fn the_table_tells_what_discovery_tells() {
    let told: Vec<Value> = table()
        .rows()
        .iter()
        .map(|row| {
            let subresources: Vec<&str> = row.subresources.iter().copied().map(Subresource::name).collect();
            json!([
                row.api_version(),
                row.plural,
                row.singular,
                row.short_names,
                row.categories,
                row.namespaced,
                subresources
            ])
        })
        .collect();
    let expected = json!([
        ["v1", "configmaps", "configmap", ["cm"], [], true, []],
        ["v1", "endpoints", "endpoints", ["ep"], [], true, []],
        ["v1", "events", "event", ["ev"], [], true, []],
        ["v1", "limitranges", "limitrange", ["limits"], [], true, []],
        ["v1", "namespaces", "namespace", ["ns"], [], false, ["status", "finalize"]],
        ["v1", "nodes", "node", ["no"], [], false, ["status", "proxy"]],
        ["v1", "persistentvolumeclaims", "persistentvolumeclaim", ["pvc"], [], true, ["status"]],
        ["v1", "persistentvolumes", "persistentvolume", ["pv"], [], false, ["status"]],
        [
            "v1",
            "pods",
            "pod",
            ["po"],
            ["all"],
            true,
            [
                "status",
                "binding",
                "eviction",
                "log",
                "ephemeralcontainers",
                "resize",
                "exec",
                "attach",
                "portforward",
                "proxy"
            ]
        ],
        ["v1", "secrets", "secret", [], [], true, []],
        ["v1", "serviceaccounts", "serviceaccount", ["sa"], [], true, ["token"]],
        ["v1", "services", "service", ["svc"], ["all"], true, ["status", "proxy"]],
        ["apps/v1", "deployments", "deployment", ["deploy"], ["all"], true, ["status", "scale"]],
        ["apps/v1", "replicasets", "replicaset", ["rs"], ["all"], true, ["status", "scale"]],
        ["authentication.k8s.io/v1", "selfsubjectreviews", "selfsubjectreview", [], [], false, []],
        ["authentication.k8s.io/v1", "tokenreviews", "tokenreview", [], [], false, []],
        ["authorization.k8s.io/v1", "localsubjectaccessreviews", "localsubjectaccessreview", [], [], true, []],
        ["authorization.k8s.io/v1", "selfsubjectaccessreviews", "selfsubjectaccessreview", [], [], false, []],
        ["authorization.k8s.io/v1", "selfsubjectrulesreviews", "selfsubjectrulesreview", [], [], false, []],
        ["authorization.k8s.io/v1", "subjectaccessreviews", "subjectaccessreview", [], [], false, []],
        ["coordination.k8s.io/v1", "leases", "lease", [], [], true, []],
        ["discovery.k8s.io/v1", "endpointslices", "endpointslice", [], [], true, []],
        ["events.k8s.io/v1", "events", "event", ["ev"], [], true, []],
        ["networking.k8s.io/v1", "ingressclasses", "ingressclass", [], [], false, []],
        ["networking.k8s.io/v1", "ingresses", "ingress", ["ing"], [], true, ["status"]],
        ["networking.k8s.io/v1", "networkpolicies", "networkpolicy", ["netpol"], [], true, []],
        ["node.k8s.io/v1", "runtimeclasses", "runtimeclass", [], [], false, []],
        ["policy/v1", "poddisruptionbudgets", "poddisruptionbudget", ["pdb"], [], true, ["status"]],
        ["rbac.authorization.k8s.io/v1", "clusterrolebindings", "clusterrolebinding", [], [], false, []],
        ["rbac.authorization.k8s.io/v1", "clusterroles", "clusterrole", [], [], false, []],
        ["rbac.authorization.k8s.io/v1", "rolebindings", "rolebinding", [], [], true, []],
        ["rbac.authorization.k8s.io/v1", "roles", "role", [], [], true, []],
        ["resource.k8s.io/v1", "deviceclasses", "deviceclass", [], [], false, []],
        ["resource.k8s.io/v1", "resourceclaims", "resourceclaim", [], [], true, ["status"]],
        ["resource.k8s.io/v1", "resourceclaimtemplates", "resourceclaimtemplate", [], [], true, []],
        ["resource.k8s.io/v1", "resourceslices", "resourceslice", [], [], false, []],
        ["scheduling.k8s.io/v1", "priorityclasses", "priorityclass", ["pc"], [], false, []],
        ["scheduling.k8s.io/v1alpha2", "podgroups", "podgroup", [], [], true, ["status"]],
        ["scheduling.k8s.io/v1alpha2", "workloads", "workload", [], [], true, []],
        ["storage.k8s.io/v1", "storageclasses", "storageclass", ["sc"], [], false, []],
    ]);
    assert_eq!(json!(told), expected);
}
