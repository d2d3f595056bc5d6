//! How to test a controller of one's own: against an API server in the test's own process, in place of envtest.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::ConfigMap};
use kube::{
    Api, Client, CustomResource, Resource, ResourceExt,
    api::{Patch, PatchParams, PostParams},
    runtime::{
        controller::{Action, Controller},
        wait::await_condition,
        watcher,
    },
};
use orchestra_runtime::Cluster;
use orchestra_store::apiserver::{custom_resource, kinds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::Instant;

// What README shows.

#[tokio::test]
async fn a_website_gets_a_deployment_whose_pods_run() {
    let registry = kinds::table().with(custom_resource::<Website>());
    let cluster = Cluster::builder().registry(registry).start().await.unwrap();
    tokio::spawn(run_my_controller(cluster.client()));

    let websites = Api::<Website>::default_namespaced(cluster.client());
    let blog = Website::new("blog", WebsiteSpec { image: "nginx".to_owned() });
    websites.create(&PostParams::default(), &blog).await.unwrap();

    let deployments = Api::<Deployment>::default_namespaced(cluster.client());
    let ready = |found: Option<&Deployment>| found.and_then(|found| found.status.as_ref()?.ready_replicas) == Some(1);
    await_condition(deployments, "blog", ready).await.unwrap();
    cluster.shut_down().await;
}

// Its end.

#[test]
fn the_readme_shows_this_test() {
    let (readme, this) = (include_str!("../../README.md"), include_str!("test_a_controller.rs"));
    let shown = this.split("// What README shows.\n\n").nth(1).and_then(|rest| rest.split("\n// Its end.").next());
    assert!(readme.contains(shown.unwrap()));
}

/// Under paused time what waits for an hour is tested in no time.
#[tokio::test(start_paused = true)]
async fn a_website_without_image_gets_the_default_one_within_an_hour() {
    let registry = kinds::table().with(custom_resource::<Website>());
    let cluster = Cluster::builder().registry(registry).seed(7).start().await.unwrap();
    tokio::spawn(run_my_controller(cluster.client()));
    let websites = Api::<Website>::default_namespaced(cluster.client());
    let blog = Website::new("blog", WebsiteSpec { image: String::new() });
    websites.create(&PostParams::default(), &blog).await.unwrap();
    let waits = |found: Option<&Website>| found.is_some_and(|found| found.status.is_some());
    await_condition(websites, "blog", waits).await.unwrap();

    let start = Instant::now();
    let config_maps = Api::<ConfigMap>::default_namespaced(cluster.client());
    let defaults =
        serde_json::from_value(json!({ "metadata": { "name": "defaults" }, "data": { "image": "nginx" } })).unwrap();
    config_maps.create(&PostParams::default(), &defaults).await.unwrap();
    let deployments = Api::<Deployment>::default_namespaced(cluster.client());
    await_condition(deployments, "blog", |found: Option<&Deployment>| found.is_some()).await.unwrap();
    assert!((WAIT - MINUTE..WAIT + MINUTE).contains(&start.elapsed()), "{:?}", start.elapsed());
    cluster.shut_down().await;
}

// The controller under test.

/// How often it looks for a default image.
const WAIT: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);

#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Website", namespaced)]
#[kube(status = "WebsiteStatus", derive = "PartialEq")]
struct WebsiteSpec {
    image: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct WebsiteStatus {
    message: String,
}

async fn run_my_controller(client: Client) {
    let websites = Api::<Website>::default_namespaced(client.clone());
    let errors = |_: Arc<Website>, error: &kube::Error, _: Arc<Client>| panic!("{error}");
    Controller::new(websites, watcher::Config::default())
        .run(reconcile, errors, Arc::new(client))
        .for_each(|_| std::future::ready(()))
        .await;
}

/// Makes the Deployment of a website. The image of one without is that of the ConfigMap `defaults`, once there is one.
async fn reconcile(website: Arc<Website>, client: Arc<Client>) -> Result<Action, kube::Error> {
    let name = website.name_any();
    let deployments = Api::<Deployment>::default_namespaced(Client::clone(&client));
    if deployments.get_opt(&name).await?.is_some() {
        return Ok(Action::await_change());
    }
    let config_maps = Api::<ConfigMap>::default_namespaced(Client::clone(&client));
    let defaults = config_maps.get_opt("defaults").await?.and_then(|map| map.data).unwrap_or_default();
    let image = defaults.get("image").filter(|_| website.spec.image.is_empty()).unwrap_or(&website.spec.image);
    if image.is_empty() {
        let websites = Api::<Website>::default_namespaced(Client::clone(&client));
        let patch = Patch::Merge(json!({ "status": { "message": "waits for an image" } }));
        websites.patch_status(&name, &PatchParams::default(), &patch).await?;
        return Ok(Action::requeue(WAIT));
    }
    let labels = json!({ "website": name });
    let deployment = json!({
        "metadata": { "name": name, "ownerReferences": website.controller_owner_ref(&()).as_slice() },
        "spec": {
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": [{ "name": "server", "image": image }] },
            },
        },
    });
    let deployment = serde_json::from_value(deployment).map_err(kube::Error::SerdeError)?;
    deployments.create(&PostParams::default(), &deployment).await?;
    Ok(Action::await_change())
}
