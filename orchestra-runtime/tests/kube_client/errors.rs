//! What callers tell errors apart by.

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Namespace, Pod, ServiceAccount},
};
use kube::{
    Api, Error,
    api::{EvictParams, LogParams, Patch, PatchParams, PostParams},
    core::Status,
};
use serde_json::json;

use crate::world::{World, of};

/// The answer of the server, which is a failure.
fn refusal<T: std::fmt::Debug>(result: Result<T, Error>) -> Status {
    match result.unwrap_err() {
        Error::Api(status) => *status,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn failures_have_the_code_reason_and_details_of_kubernetes() {
    let world = World::start().await;
    let maps = world.api::<ConfigMap>();
    let made = world.config_map("a").await;
    let missing = refusal(maps.get("b").await);
    assert!(missing.is_not_found());
    let details = missing.details.unwrap();
    assert_eq!((details.name.as_str(), details.kind.as_str()), ("b", "configmaps"));
    let twice = refusal(maps.create(&PostParams::default(), &of(json!({"metadata": {"name": "a"}}))).await);
    assert!(twice.is_already_exists() && twice.code == 409);
    let mut stale = made.clone();
    stale.data = None;
    maps.replace("a", &PostParams::default(), &stale).await.unwrap();
    assert!(refusal(maps.replace("a", &PostParams::default(), &stale).await).is_conflict());
    let invalid = refusal(maps.create(&PostParams::default(), &of(json!({"metadata": {"name": "A_b"}}))).await);
    assert!(invalid.is_invalid());
    assert_eq!(invalid.details.unwrap().causes[0].field, "metadata.name");
    let elsewhere = of(json!({"metadata": {"name": "c", "namespace": "other"}}));
    let elsewhere = refusal(maps.create(&PostParams::default(), &elsewhere).await);
    assert_eq!((elsewhere.code, elsewhere.reason.as_str()), (400, "BadRequest"));
    let nowhere = Api::<ConfigMap>::namespaced(world.client.clone(), "nowhere");
    let nowhere = refusal(nowhere.create(&PostParams::default(), &of(json!({"metadata": {"name": "c"}}))).await);
    assert!(nowhere.is_not_found());
    assert_eq!(nowhere.message, "namespaces \"nowhere\" not found");
    let own = Api::<Namespace>::all(world.client.clone());
    assert!(refusal(own.delete("default", &Default::default()).await).is_forbidden());
    world.end().await;
}

#[tokio::test]
async fn subresources_of_what_is_missing_are_missing() {
    let world = World::start().await;
    let deployments = world.api::<Deployment>();
    let pods = world.api::<Pod>();
    let patch = Patch::Merge(json!({}));
    let patched = PatchParams::default();
    let of_deployments = [
        refusal(deployments.get_scale("x").await),
        refusal(deployments.patch_scale("x", &patched, &patch).await),
        refusal(deployments.get_status("x").await),
        refusal(deployments.patch_status("x", &patched, &patch).await),
    ];
    for status in of_deployments {
        assert!(status.is_not_found());
        assert_eq!(status.message, "deployments.apps \"x\" not found");
    }
    let of_pods = [
        refusal(pods.evict("x", &EvictParams::default()).await),
        refusal(pods.logs("x", &LogParams::default()).await),
        refusal(pods.get_ephemeral_containers("x").await),
        refusal(pods.patch_resize("x", &patched, &patch).await),
    ];
    for status in of_pods {
        assert!(status.is_not_found());
        assert_eq!(status.message, "pods \"x\" not found");
    }
    let request = of(json!({"spec": {"audiences": []}}));
    let accounts = world.api::<ServiceAccount>();
    let token = refusal(accounts.create_token_request("x", &PostParams::default(), &request).await);
    assert_eq!(token.message, "serviceaccounts \"x\" not found");
    world.end().await;
}
