//! What writes check of the object that is there, and what they say beside the answer.

use http::header;
use serde_json::{Value, json};

use crate::harness::{JSON, MAPS, MERGE, PODS, Server, failure};

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases";

async fn put(server: &Server, path: &str, body: &Value) -> (u16, String) {
    server.with_body("PUT", path, JSON, body.to_string()).await.failure()
}

#[tokio::test]
async fn another_uid_is_a_conflict_even_if_there_is_no_object() {
    let server = Server::start().await;
    let body = json!({"metadata": {"name": "a", "uid": "x"}});
    for (path, key) in
        [(format!("{MAPS}/a"), "/registry/configmaps/default/a"), (format!("{LEASES}/a"), "/registry/leases/default/a")]
    {
        let (code, message) = put(&server, &path, &body).await;
        assert_eq!(code, 409);
        let end = format!(
            "Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: x, UID in object meta: "
        );
        assert!(message.ends_with(&end), "{message}");
    }
    let without = json!({"metadata": {"name": "a"}});
    assert_eq!(put(&server, &format!("{MAPS}/a"), &without).await, failure(404, "configmaps \"a\" not found"));
}

#[tokio::test]
async fn a_patch_cannot_change_the_uid() {
    let server = Server::start().await;
    server.post(MAPS, r#"{"metadata":{"name":"a"}}"#).await;
    let answer = server.with_body("PATCH", &format!("{MAPS}/a"), MERGE, r#"{"metadata":{"uid":"x"}}"#).await;
    let message = "ConfigMap \"a\" is invalid: metadata.uid: Invalid value: \"x\": field is immutable";
    assert_eq!(answer.failure(), failure(422, message));
}

#[tokio::test]
async fn a_version_must_be_a_number_and_leases_must_have_one() {
    let server = Server::start().await;
    server.post(MAPS, r#"{"metadata":{"name":"a"}}"#).await;
    let body = json!({"metadata": {"name": "a", "resourceVersion": "abc"}});
    let message = "strconv.ParseUint: parsing \"abc\": invalid syntax";
    assert_eq!(put(&server, &format!("{MAPS}/a"), &body).await, failure(500, message));
    server.post(LEASES, r#"{"metadata":{"name":"a"}}"#).await;
    let message = "leases.coordination.k8s.io \"a\" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update";
    assert_eq!(put(&server, &format!("{LEASES}/a"), &json!({"metadata": {"name": "a"}})).await, failure(422, message));
}

#[tokio::test]
async fn a_body_must_name_the_object_of_the_path() {
    let server = Server::start().await;
    let message = "the name of the object (a based on URL) was undeterminable: name must be provided";
    assert_eq!(put(&server, &format!("{MAPS}/a"), &json!({})).await, failure(400, message));
}

#[tokio::test]
async fn owners_that_are_the_same_are_kept_once() {
    let server = Server::start().await;
    let owner = json!({"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u"});
    let body = json!({"metadata": {"name": "a", "ownerReferences": [owner, owner]}});
    let created = server.post(MAPS, body.to_string()).await;
    assert_eq!(created.json()["metadata"]["ownerReferences"], json!([owner]));
    let warning = created.warnings().concat();
    assert!(warning.starts_with("\".metadata.ownerReferences contains duplicate entries; API server"), "{warning}");
    assert!(warning.ends_with("duplicate UID(s) observed: u\""), "{warning}");

    let patch = json!([{"op": "add", "path": "/metadata/ownerReferences/-", "value": owner}]);
    let path = format!("{MAPS}/a");
    let patched = server.with_body("PATCH", &path, "application/json-patch+json", patch.to_string()).await;
    assert_eq!(patched.json()["metadata"]["ownerReferences"], json!([owner]));
    assert!(patched.header(header::WARNING).contains("after mutating admission happens"));
}

#[tokio::test]
async fn only_one_priority_class_is_the_default() {
    const CLASSES: &str = "/apis/scheduling.k8s.io/v1/priorityclasses";
    let server = Server::start().await;
    let class = |name: &str, default: bool| json!({"metadata": {"name": name}, "value": 5, "globalDefault": default});
    let post = async |body: Value| server.post(CLASSES, body.to_string()).await;
    assert_eq!(post(class("first", true)).await.code, 201);
    let message = |name: &str| {
        format!(
            "priorityclasses.scheduling.k8s.io \"{name}\" is forbidden: PriorityClass first is already marked as default. Only one default can exist"
        )
    };
    assert_eq!(post(class("second", true)).await.failure(), failure(403, &message("second")));
    assert_eq!(post(class("second", false)).await.code, 201);
    let default = json!({"globalDefault": true});
    let patch =
        async |name: &str| server.with_body("PATCH", &format!("{CLASSES}/{name}"), MERGE, default.to_string()).await;
    assert_eq!(patch("second").await.failure(), failure(403, &message("second")));
    assert_eq!(patch("first").await.code, 200);
}

#[tokio::test]
async fn pods_are_bound_through_the_old_endpoint_too() {
    let server = Server::start().await;
    let account = "/api/v1/namespaces/default/serviceaccounts";
    server.post(account, r#"{"metadata":{"name":"default"}}"#).await;
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    assert_eq!(server.post(PODS, pod.to_string()).await.code, 201);
    let binding = json!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}});
    let bound = server.post("/api/v1/namespaces/default/bindings", binding.to_string()).await;
    assert_eq!((bound.code.as_u16(), &bound.json()["status"]), (201, &json!("Success")));
    let pod = server.get(&format!("{PODS}/p")).await.json();
    assert_eq!(pod["spec"]["nodeName"], "n");
    let core = server.get("/api/v1").await.json();
    assert_eq!(core["resources"][0]["name"], "bindings");
}

const BINDINGS: &str = "/api/v1/namespaces/default/bindings";

/// A server with pods of these names.
async fn with_pods(names: &[&str]) -> Server {
    let server = Server::start().await;
    server.post("/api/v1/namespaces/default/serviceaccounts", r#"{"metadata":{"name":"default"}}"#).await;
    for name in names {
        let pod = json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
        assert_eq!(server.post(PODS, pod.to_string()).await.code, 201);
    }
    server
}

/// Bindings of these pods to node `n`.
fn bindings(names: &[&str]) -> String {
    let binding = |name: &&str| json!({"metadata": {"name": name}, "target": {"kind": "Node", "name": "n"}});
    let items: Vec<Value> = names.iter().map(binding).collect();
    json!({"apiVersion": "v1", "kind": "BindingList", "items": items}).to_string()
}

async fn nodes_and_versions(server: &Server) -> Vec<(Value, Value)> {
    let list = server.get(PODS).await.json();
    let of = |pod: &Value| (pod["spec"]["nodeName"].clone(), pod["metadata"]["resourceVersion"].clone());
    list["items"].as_array().expect("items").iter().map(of).collect()
}

#[tokio::test]
async fn many_pods_are_bound_at_once() {
    let server = with_pods(&["a", "b", "c"]).await;
    let since = server.get(PODS).await.json()["metadata"]["resourceVersion"].as_str().expect("a version").to_owned();
    let dry = server.post(&format!("{BINDINGS}?dryRun=All"), bindings(&["a", "b"])).await;
    assert_eq!((dry.code.as_u16(), &nodes_and_versions(&server).await[0].0), (201, &Value::Null));
    let bound = server.post(BINDINGS, bindings(&["a", "b", "c"])).await;
    assert_eq!((bound.code.as_u16(), &bound.json()["status"]), (201, &json!("Success")));
    let after = nodes_and_versions(&server).await;
    assert!(
        after.iter().all(|one| *one == (json!("n"), after[0].1.clone())),
        "one transaction, one version: {after:?}"
    );
    let watch = server.get(&format!("{PODS}?watch=1&resourceVersion={since}&timeoutSeconds=1")).await;
    let told = String::from_utf8(watch.body).expect("text");
    let told: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).expect("an event")).collect();
    let of = |event: &Value| event["object"]["metadata"]["resourceVersion"] == after[0].1;
    assert_eq!((told.len(), told.iter().all(of)), (3, true), "{told:?}");
}

#[tokio::test]
async fn all_pods_are_bound_or_none_and_the_answer_names_the_one() {
    let server = with_pods(&["a", "b"]).await;
    let missing = server.post(BINDINGS, bindings(&["a", "x"])).await;
    assert_eq!((missing.code.as_u16(), &missing.json()["message"]), (404, &json!("pods \"x\" not found")));
    assert_eq!(server.post(BINDINGS, bindings(&["b"])).await.code, 201);
    let taken = server.post(BINDINGS, bindings(&["a", "b"])).await;
    let message = taken.json()["message"].as_str().expect("a message").to_owned();
    assert_eq!(taken.code, 409);
    assert!(message.ends_with("pod b is already assigned to node \"n\""), "{message}");
    let nodes: Vec<Value> = nodes_and_versions(&server).await.into_iter().map(|(node, _)| node).collect();
    assert_eq!(nodes, [Value::Null, json!("n")]);
}

#[tokio::test]
async fn bindings_of_many_name_each_pod_once() {
    let server = with_pods(&["a"]).await;
    let message = async |body: String| {
        let refused = server.post(BINDINGS, body).await;
        (refused.code.as_u16(), refused.json()["message"].as_str().expect("a message").to_owned())
    };
    let twice = message(bindings(&["a", "a"])).await;
    assert_eq!(twice, (422, "BindingList \"\" is invalid: items[1].metadata.name: Duplicate value: \"a\"".to_owned()));
    let nameless = message(r#"{"kind":"BindingList","items":[{"target":{"name":"n"}}]}"#.to_owned()).await;
    assert_eq!(nameless, (422, "BindingList \"\" is invalid: items[0].metadata.name: Required value".to_owned()));
    assert_eq!(nodes_and_versions(&server).await[0].0, Value::Null);
}

#[tokio::test]
async fn a_watch_begins_at_any_version_that_was_given() {
    let server = Server::start().await;
    let created = server.post(MAPS, r#"{"metadata":{"name":"a"}}"#).await.json();
    for name in ["b", "c"] {
        server.post("/api/v1/namespaces/default/secrets", json!({"metadata": {"name": name}}).to_string()).await;
    }
    server.with_body("DELETE", &format!("{MAPS}/a"), JSON, "{}").await;
    let version = created["metadata"]["resourceVersion"].as_str().expect("a version");
    let watch = server.get(&format!("{MAPS}?watch=1&resourceVersion={version}&timeoutSeconds=1")).await.json();
    assert_eq!((&watch["type"], &watch["object"]["metadata"]["name"]), (&json!("DELETED"), &json!("a")));
}

#[tokio::test]
async fn odd_templates_are_warned_of_when_they_are_new() {
    let server = Server::start().await;
    let path = "/apis/apps/v1/namespaces/default/deployments";
    let env = json!([{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]);
    let template = json!({
        "metadata": {"labels": {"app": "a"}},
        "spec": {"containers": [{"name": "c", "image": "i", "env": env}]},
    });
    let body = json!({
        "metadata": {"name": "a.b"},
        "spec": {"selector": {"matchLabels": {"app": "a"}}, "template": template},
    });
    let hidden = r#""spec.template.spec.containers[0].env[1]: hides previous definition of \"A\", which may be dropped when using apply""#;
    let created = server.post(path, body.to_string()).await;
    let warnings = created.warnings();
    assert!(warnings[0].starts_with("\"metadata.name: this is used in Pod names and hostnames"), "{warnings:?}");
    assert_eq!(&warnings[1..], [hidden]);

    let patch = async |patch: &'static str| {
        let path = format!("{path}/a.b");
        server.with_body("PATCH", &path, MERGE, patch).await.warnings().join("\n")
    };
    assert_eq!(patch(r#"{"metadata":{"labels":{"a":"b"}}}"#).await, "");
    assert_eq!(patch(r#"{"spec":{"replicas":2}}"#).await, hidden);
}

#[tokio::test]
async fn what_is_odd_in_a_patch_is_an_error_or_a_warning() {
    let server = Server::start().await;
    server.post(MAPS, r#"{"metadata":{"name":"a"}}"#).await;
    let path = format!("{MAPS}/a");
    let operations =
        r#"[{"op":"add","path":"/data","value":{"k":"v"},"foo":1},{"op":"add","path":"/x","path":"/dta","value":1}]"#;
    let found = r#"json patch unknown field "[0].foo", json patch duplicate field "[1].path", unknown field "dta""#;
    let json = "application/json-patch+json";
    let refused = server.with_body("PATCH", &format!("{path}?fieldValidation=Strict"), json, operations).await;
    let (code, message) = refused.failure();
    assert!(code == 422 && message.ends_with(&format!("strict decoding error: {found}")), "{code} {message}");
    let warned = server.with_body("PATCH", &path, json, operations).await;
    let warnings: Vec<String> = found.split(", ").map(|found| format!("{found:?}")).collect();
    assert_eq!((warned.code.as_u16(), warned.warnings()), (200, warnings.iter().map(String::as_str).collect()));
    let merge = r#"{"data":{"k":"1","k":"2"}}"#;
    let refused = server.with_body("PATCH", &format!("{path}?fieldValidation=Strict"), MERGE, merge).await;
    assert!(refused.failure().1.ends_with(r#"strict decoding error: duplicate field "data.k""#), "{}", refused.text());
    let ignored = server.with_body("PATCH", &format!("{path}?fieldValidation=Ignore"), MERGE, merge).await;
    assert_eq!((ignored.code.as_u16(), &ignored.json()["data"]["k"], ignored.warnings().len()), (200, &json!("2"), 0));
}

#[tokio::test]
async fn finalizers_are_qualified_and_do_not_contradict_each_other() {
    let server = Server::start().await;
    let refused = async |finalizers: Value| {
        let body = json!({"metadata": {"name": "a", "finalizers": finalizers}});
        let (code, message) = server.with_body("POST", MAPS, JSON, body.to_string()).await.failure();
        assert_eq!(code, 422);
        message.strip_prefix("ConfigMap \"a\" is invalid: ").unwrap_or_default().to_owned()
    };
    let both = r#"metadata.finalizers: Invalid value: ["orphan","foregroundDeletion"]: finalizer orphan and foregroundDeletion cannot be both set"#;
    assert_eq!(refused(json!(["orphan", "foregroundDeletion"])).await, both);
    let unqualified = r#"metadata.finalizers[1]: Invalid value: "mine": name is neither a standard finalizer name nor is it fully qualified"#;
    assert_eq!(refused(json!(["example.org/x", "mine"])).await, unqualified);
    let unnamed = refused(json!(["A b"])).await;
    assert!(
        unnamed.starts_with(r#"[metadata.finalizers: Invalid value: "A b": name part must consist of"#),
        "{unnamed}"
    );
    assert!(unnamed.contains(r#", metadata.finalizers[0]: Invalid value: "A b": name is neither"#), "{unnamed}");
}

#[tokio::test]
async fn owners_are_named_whole_and_one_of_them_controls() {
    let server = Server::start().await;
    let refused = async |owners: Value| {
        let body = json!({"metadata": {"name": "a", "ownerReferences": owners}});
        let (code, message) = server.with_body("POST", MAPS, JSON, body.to_string()).await.failure();
        assert_eq!(code, 422);
        message.strip_prefix("ConfigMap \"a\" is invalid: ").unwrap_or_default().to_owned()
    };
    let owner = |kind: &str, name: &str| json!({"apiVersion": "v1", "kind": kind, "name": name, "uid": name, "controller": true});
    assert_eq!(
        refused(json!([{"apiVersion": "a/b/c", "kind": "", "name": "", "uid": ""}])).await,
        r#"[metadata.ownerReferences.apiVersion: Invalid value: "a/b/c": version must not be empty, metadata.ownerReferences.kind: Invalid value: "": must not be empty, metadata.ownerReferences.name: Invalid value: "": must not be empty, metadata.ownerReferences.uid: Invalid value: "": must not be empty]"#
    );
    let event = r#"metadata.ownerReferences: Invalid value: {"apiVersion":"v1","kind":"Event","name":"e","uid":"e","controller":true}: /v1, Kind=Event is disallowed from being an owner"#;
    assert_eq!(refused(json!([owner("Event", "e")])).await, event);
    let two = refused(json!([owner("Pod", "a"), owner("Pod", "b")])).await;
    let why =
        r#"]: Only one reference can have Controller set to true. Found "true" in references for Pod/a and Pod/b"#;
    assert!(two.ends_with(why), "{two}");
}

#[tokio::test]
async fn a_patch_that_makes_no_scale_is_refused_as_others_are() {
    let server = Server::start().await;
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let spec = json!({"selector": {"matchLabels": {"a": "b"}}, "template": template});
    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    server.post(deployments, json!({"metadata": {"name": "web"}, "spec": spec}).to_string()).await;
    let scale = format!("{deployments}/web/scale");
    let (code, message) = server.with_body("PATCH", &scale, MERGE, r#"{"spec":{"replicas":"5"}}"#).await.failure();
    assert_eq!(code, 422);
    let why = "json: cannot unmarshal string into Go struct field ScaleSpec.spec.replicas of type int32";
    assert!(message.starts_with(" \"\" is invalid: patch: Invalid value: ") && message.ends_with(why), "{message}");
    let unknown = format!("{scale}?fieldValidation=Strict");
    let (code, message) = server.with_body("PATCH", &unknown, MERGE, r#"{"spec":{"size":5}}"#).await.failure();
    assert_eq!(code, 422);
    assert!(message.ends_with("strict decoding error: unknown field \"spec.size\""), "{message}");
}
