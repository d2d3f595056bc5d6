//! The calls of `Api` and `Client`, each as its documentation shows it.

use k8s_openapi::api::{
    apps::v1::Deployment,
    authentication::v1::TokenRequest,
    core::v1::{ConfigMap, Namespace, Node, Pod, ServiceAccount},
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions},
    core::PartialObjectMetaExt,
    runtime::wait::{await_condition, conditions::is_deleted},
};
use serde_json::json;

use crate::world::{World, deployment, of};

#[tokio::test]
async fn objects_are_made_read_changed_and_deleted() {
    let world = World::start().await;
    let maps = world.api::<ConfigMap>();
    let made = world.config_map("a").await;
    assert_eq!(maps.get("a").await.unwrap(), made);
    assert_eq!(maps.get_opt("a").await.unwrap().unwrap(), made);
    assert_eq!(maps.get_opt("b").await.unwrap(), None);
    assert_eq!(maps.get_metadata("a").await.unwrap().metadata, made.metadata);
    assert!(maps.get_metadata_opt("b").await.unwrap().is_none());
    let mut changed = made.clone();
    changed.labels_mut().insert("b".to_owned(), "c".to_owned());
    let changed = maps.replace("a", &PostParams::default(), &changed).await.unwrap();
    assert_ne!(changed.resource_version(), made.resource_version());
    assert_eq!(changed.uid(), made.uid());
    let status = maps.delete("a", &DeleteParams::default()).await.unwrap().right().unwrap();
    assert!(status.is_success());
    let details = status.details.unwrap();
    assert_eq!((details.name.as_str(), details.kind.as_str(), Some(details.uid)), ("a", "configmaps", made.uid()));
    world.end().await;
}

#[tokio::test]
async fn patches_of_every_kind_but_apply_are_taken() {
    let world = World::start().await;
    let deployments = world.api::<Deployment>();
    deployments.create(&PostParams::default(), &deployment("web", 0)).await.unwrap();
    let params = PatchParams { field_manager: Some("me".to_owned()), ..PatchParams::default() };
    let merge = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
    assert_eq!(deployments.patch("web", &params, &merge).await.unwrap().labels()["a"], "b");
    let container = json!({"name": "side", "image": "web"});
    let strategic = Patch::Strategic(json!({"spec": {"template": {"spec": {"containers": [container]}}}}));
    let patched = deployments.patch("web", &params, &strategic).await.unwrap();
    let names: Vec<_> = patched.spec.unwrap().template.spec.unwrap().containers.into_iter().map(|it| it.name).collect();
    assert_eq!(names, ["side", "main"]);
    let dry = PatchParams { dry_run: true, ..PatchParams::default() };
    let merge = Patch::Merge(json!({"spec": {"replicas": 5}}));
    assert_eq!(deployments.patch("web", &dry, &merge).await.unwrap().spec.unwrap().replicas, Some(5));
    assert_eq!(deployments.get("web").await.unwrap().spec.unwrap().replicas, Some(0));
    let metadata =
        kube::core::ObjectMeta { annotations: Some([("x".to_owned(), "y".to_owned())].into()), ..Default::default() };
    let partial = metadata.into_request_partial::<Deployment>();
    let patched = deployments.patch_metadata("web", &params, &Patch::Merge(&partial)).await.unwrap();
    assert_eq!(patched.annotations()["x"], "y");
    let strict = PatchParams::default().validation_strict();
    let unknown = deployments.patch("web", &strict, &Patch::Merge(json!({"spec": {"unknown": 1}}))).await.unwrap_err();
    assert!(unknown.to_string().contains("unknown field \"spec.unknown\""), "{unknown}");
    let apply = Patch::Apply(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}}));
    let kube::Error::Api(refused) = deployments.patch("web", &PatchParams::apply("me"), &apply).await.unwrap_err()
    else {
        panic!("not the server's answer")
    };
    assert_eq!((refused.code, refused.message.as_str()), (501, "server-side apply is not supported by this server"));
    world.end().await;
}

#[tokio::test]
async fn entries_are_committed_once_and_only_if_they_changed() {
    let world = World::start().await;
    let maps = world.api::<ConfigMap>();
    let entry = maps.entry("a").await.unwrap();
    let mut entry = entry.or_insert(|| of(json!({"data": {"key": "value"}})));
    entry.commit(&PostParams { dry_run: true, ..PostParams::default() }).await.unwrap();
    assert!(maps.get_opt("a").await.unwrap().is_none());
    entry.commit(&PostParams::default()).await.unwrap();
    let first = entry.get().resource_version();
    entry.commit(&PostParams::default()).await.unwrap();
    assert_eq!(entry.get().resource_version(), first);
    entry.get_mut().data.get_or_insert_default().insert("b".to_owned(), "c".to_owned());
    entry.commit(&PostParams::default()).await.unwrap();
    assert_ne!(entry.get().resource_version(), first);
    let mut other = maps.entry("a").await.unwrap().and_modify(|map| map.data = None).or_insert(|| unreachable!());
    other.commit(&PostParams::default()).await.unwrap();
    entry.get_mut().data = None;
    let kube::api::entry::CommitError::Save(kube::Error::Api(late)) =
        entry.commit(&PostParams::default()).await.unwrap_err()
    else {
        panic!("not a conflict")
    };
    assert!(late.is_conflict());
    world.end().await;
}

#[tokio::test]
async fn scales_and_statuses_are_subresources() {
    let world = World::start().await;
    let deployments = world.api::<Deployment>();
    deployments.create(&PostParams::default(), &deployment("web", 1)).await.unwrap();
    let scale = deployments.get_scale("web").await.unwrap();
    assert_eq!((scale.spec.unwrap().replicas, scale.status.unwrap().selector.as_deref()), (Some(1), Some("app=web")));
    let two = Patch::Merge(json!({"spec": {"replicas": 2}}));
    let scale = deployments.patch_scale("web", &PatchParams::default(), &two).await.unwrap();
    assert_eq!(scale.spec.unwrap().replicas, Some(2));
    let mut scale = deployments.get_scale("web").await.unwrap();
    scale.spec.as_mut().unwrap().replicas = Some(0);
    let scale = deployments.replace_scale("web", &PostParams::default(), &scale).await.unwrap();
    // No replicas are not told.
    assert_eq!(scale.spec.unwrap().replicas, None);
    let gone = |found: Option<&Deployment>| {
        let status = found.and_then(|found| found.status.as_ref());
        status.is_some_and(|status| status.replicas.unwrap_or(0) == 0 && status.observed_generation == Some(3))
    };
    await_condition(deployments.clone(), "web", gone).await.unwrap();

    let condition = json!({"type": "example.com/Seen", "status": "True"});
    let pod = world.pod("one").await;
    let patch = Patch::Strategic(json!({"status": {"conditions": [condition]}, "spec": {"priority": 7}}));
    let pods = world.api::<Pod>();
    let patched = pods.patch_status("one", &PatchParams::default(), &patch).await.unwrap();
    let conditions = patched.status.clone().unwrap().conditions.unwrap();
    assert!(conditions.iter().any(|condition| condition.type_ == "example.com/Seen"));
    assert_eq!(patched.spec, pod.spec);
    let read = pods.get_status("one").await.unwrap();
    assert_eq!(pods.replace_status("one", &PostParams::default(), &read).await.unwrap().uid(), pod.uid());
    world.end().await;
}

#[tokio::test]
async fn deletions_say_what_is_to_happen() {
    let world = World::start().await;
    let maps = world.api::<ConfigMap>();
    let made = world.config_map("a").await;
    let dry = maps.delete("a", &DeleteParams { dry_run: true, ..DeleteParams::default() }).await.unwrap();
    assert!(dry.is_right());
    let other = Preconditions { uid: Some("other".to_owned()), resource_version: None };
    let kube::Error::Api(refused) = maps.delete("a", &DeleteParams::default().preconditions(other)).await.unwrap_err()
    else {
        panic!("not the server's answer")
    };
    assert!(refused.is_conflict(), "{refused:?}");
    let same = Preconditions { uid: made.uid(), resource_version: made.resource_version() };
    assert!(maps.delete("a", &DeleteParams::background().preconditions(same)).await.unwrap().is_right());

    let deployments = world.api::<Deployment>();
    let uid = deployments.create(&PostParams::default(), &deployment("web", 1)).await.unwrap().uid().unwrap();
    let pending = deployments.delete("web", &DeleteParams::foreground()).await.unwrap().left().unwrap();
    assert_eq!(pending.finalizers(), ["foregroundDeletion"]);
    await_condition(deployments, "web", is_deleted(&uid)).await.unwrap();

    for name in ["b", "c", "d"] {
        world.config_map(name).await;
    }
    let some = ListParams::default().labels("name in (b, c)");
    let deleted = maps.delete_collection(&DeleteParams::default(), &some).await.unwrap().left().unwrap();
    assert_eq!(deleted.items.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), ["b", "c"]);
    assert!(maps.get_opt("b").await.unwrap().is_none() && maps.get_opt("d").await.unwrap().is_some());
    world.end().await;
}

#[tokio::test]
async fn nodes_are_cordoned_deployments_restarted_and_tokens_made() {
    let world = World::start().await;
    let nodes = Api::<Node>::all(world.client.clone());
    nodes.cordon("n1").await.unwrap();
    let open = ListParams::default().fields("spec.unschedulable=false");
    assert!(nodes.list(&open).await.unwrap().items.is_empty());
    nodes.uncordon("n1").await.unwrap();
    assert_eq!(nodes.list(&open).await.unwrap().items.len(), 1);
    let deployments = world.api::<Deployment>();
    deployments.create(&PostParams::default(), &deployment("web", 0)).await.unwrap();
    let restarted = deployments.restart("web").await.unwrap();
    let annotations = restarted.spec.unwrap().template.metadata.unwrap().annotations.unwrap();
    assert!(annotations.contains_key("kube.kubernetes.io/restartedAt"), "{annotations:?}");
    let accounts = world.api::<ServiceAccount>();
    await_condition(accounts.clone(), "default", |found: Option<&ServiceAccount>| found.is_some()).await.unwrap();
    let request: TokenRequest = of(json!({"spec": {"audiences": ["someone"], "expirationSeconds": 600}}));
    let token = accounts.create_token_request("default", &PostParams::default(), &request).await.unwrap();
    assert_eq!(token.status.unwrap().token.unwrap().split('.').count(), 3);
    world.end().await;
}

#[tokio::test]
async fn requests_can_be_made_by_hand() {
    let world = World::start().await;
    let client = &world.client;
    let ask = |path: &str| http::Request::get(path).body(Vec::new()).unwrap();
    assert_eq!(client.request_text(ask("/readyz")).await.unwrap(), "ok");
    let namespace: Namespace = client.request(ask("/api/v1/namespaces/default")).await.unwrap();
    assert_eq!(namespace.name_any(), "default");
    assert_eq!(client.apiserver_version().await.unwrap().minor, "36");
    world.end().await;
}
