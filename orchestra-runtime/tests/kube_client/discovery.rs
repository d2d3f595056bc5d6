//! Kinds that a client learns of from the server.

use kube::{
    Api,
    api::{DynamicObject, ListParams, PostParams},
    core::{GroupVersion, GroupVersionKind, TypeMeta},
    discovery::{Discovery, Scope, oneshot, verbs},
};
use serde_json::json;

use crate::world::{World, deployment};

#[tokio::test]
async fn every_kind_that_is_found_can_be_listed() {
    let world = World::start().await;
    for discovery in [
        Discovery::new(world.client.clone()).run().await.unwrap(),
        Discovery::new(world.client.clone()).run_aggregated().await.unwrap(),
    ] {
        let mut listed = 0;
        for group in discovery.groups() {
            for (resource, capabilities) in group.recommended_resources() {
                if !capabilities.supports_operation(verbs::LIST) {
                    continue;
                }
                let objects = Api::<DynamicObject>::all_with(world.client.clone(), &resource);
                let found = objects.list(&ListParams::default().limit(1)).await;
                found.unwrap_or_else(|error| panic!("{}/{}: {error}", resource.api_version, resource.plural));
                listed += 1;
            }
        }
        assert!(listed > 30, "{listed}");
    }
    world.end().await;
}

#[tokio::test]
async fn both_ways_of_discovery_find_the_same() {
    let world = World::start().await;
    let discovery = || Discovery::new(world.client.clone()).exclude(&["metrics.k8s.io"]);
    let found = |discovery: Discovery| {
        let mut found = Vec::new();
        for group in discovery.groups_alphabetical() {
            for version in group.versions() {
                for (resource, capabilities) in group.versioned_resources(version) {
                    let mut subresources: Vec<_> =
                        capabilities.subresources.iter().map(|(sub, _)| sub.plural.clone()).collect();
                    subresources.sort();
                    let namespaced = capabilities.scope == Scope::Namespaced;
                    found.push((
                        resource.api_version,
                        resource.kind,
                        resource.plural,
                        namespaced,
                        capabilities.operations,
                        subresources,
                    ));
                }
            }
        }
        found.sort();
        found
    };
    let (one, other) = (found(discovery().run().await.unwrap()), found(discovery().run_aggregated().await.unwrap()));
    assert_eq!(one, other);
    world.end().await;
}

#[tokio::test]
async fn groups_and_kinds_are_found_one_by_one() {
    let world = World::start().await;
    let client = &world.client;
    let apps = oneshot::group(client, "apps").await.unwrap();
    let (resource, capabilities) = apps.recommended_kind("Deployment").unwrap();
    assert_eq!((resource.plural.as_str(), capabilities.scope), ("deployments", Scope::Namespaced));
    let pinned = GroupVersionKind::gvk("apps", "v1", "Deployment");
    let (resource, capabilities) = oneshot::pinned_kind(client, &pinned).await.unwrap();
    assert!(capabilities.supports_operation(verbs::WATCH));
    assert!(capabilities.subresources.iter().any(|(sub, _)| sub.plural == "scale"));
    let core = oneshot::pinned_group(client, &GroupVersion::gv("", "v1")).await.unwrap();
    assert!(core.recommended_kind("Pod").is_some());
    assert!(oneshot::group(client, "none.example.com").await.is_err());
    let only = Discovery::new(client.clone()).filter(&["apps"]).run().await.unwrap();
    assert!(only.has_group("apps") && !only.has_group(""));
    assert!(only.resolve_gvk(&pinned).is_some());

    let objects = Api::<DynamicObject>::default_namespaced_with(client.clone(), &resource);
    let mut object: DynamicObject = serde_json::from_value(json!(deployment("web", 0))).unwrap();
    object.types = Some(TypeMeta { api_version: resource.api_version.clone(), kind: resource.kind.clone() });
    let made = objects.create(&PostParams::default(), &object).await.unwrap();
    assert!(only.resolve_object(&made).is_some());
    assert_eq!(made.data["spec"]["revisionHistoryLimit"], 10);
    assert_eq!(objects.list(&ListParams::default()).await.unwrap().types.kind, "DeploymentList");
    world.end().await;
}
