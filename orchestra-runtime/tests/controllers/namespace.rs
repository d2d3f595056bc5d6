use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use kube::{
    Api,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

use crate::world::World;

#[tokio::test(start_paused = true)]
async fn a_namespace_goes_when_its_contents_are_gone_and_tells_what_holds_it() {
    let world = World::start().await;
    let namespaces = Api::<Namespace>::all(world.client.clone());
    let dying: Namespace = serde_json::from_value(json!({"metadata": {"name": "dying"}})).unwrap();
    namespaces.create(&PostParams::default(), &dying).await.unwrap();
    let accounts = Api::<ServiceAccount>::namespaced(world.client.clone(), "dying");
    world.until("service account", async || accounts.get_opt("default").await.unwrap()).await;
    let maps = Api::<ConfigMap>::namespaced(world.client.clone(), "dying");
    let held = json!({"metadata": {"name": "held", "finalizers": ["example.org/hold"]}});
    maps.create(&PostParams::default(), &serde_json::from_value(held).unwrap()).await.unwrap();

    namespaces.delete("dying", &DeleteParams::default()).await.unwrap();
    let message = async |kind: &str| {
        let conditions = namespaces.get("dying").await.unwrap().status?.conditions?;
        conditions.into_iter().find(|condition| condition.type_ == kind && condition.status == "True")?.message
    };
    let remaining = world.until("conditions", async || message("NamespaceFinalizersRemaining").await).await;
    let expected = "Some content in the namespace has finalizers remaining: example.org/hold in 1 resource instances";
    assert_eq!(remaining, expected);
    let remaining = message("NamespaceContentRemaining").await.unwrap();
    assert_eq!(remaining, "Some resources are remaining: configmaps. has 1 resource instances");
    assert!(accounts.list(&ListParams::default()).await.unwrap().items.is_empty());

    let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    maps.patch("held", &PatchParams::default(), &free).await.unwrap();
    world.until("end", async || namespaces.get_opt("dying").await.unwrap().is_none().then_some(())).await;
}
