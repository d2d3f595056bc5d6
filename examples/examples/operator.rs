//! An operator written for any Kubernetes cluster, run against the API server in this process.
//!
//! Its `Controller` is kube-runtime's, unchanged: for each ConfigMap with the label [`GREET`] it keeps a second one that the
//! first owns. The same `reconcile` would run against a remote cluster; only the client differs.
//!
//! ```text
//! cargo run --example operator
//! ```

use std::{collections::BTreeMap, process::ExitCode, sync::Arc, time::Duration};

use futures::StreamExt;
use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    runtime::{
        controller::{Action, Controller},
        wait::{self, await_condition},
        watcher,
    },
};
use orchestra_runtime::Cluster;

/// The label of the ConfigMaps that the operator acts on.
const GREET: &str = "example.orchestra/greet";
/// What the operator's own ConfigMaps have in their names.
const SUFFIX: &str = "-greeting";
/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let cluster = Cluster::builder().nodes(0).start().await?;
    let operator = tokio::spawn(operate(cluster.client()));
    let done = show(cluster.client()).await;
    operator.abort();
    cluster.shut_down().await;
    done
}

/// The operator itself.
async fn operate(client: Client) {
    let config_maps = Api::<ConfigMap>::default_namespaced(client.clone());
    Controller::new(config_maps.clone(), watcher::Config::default().labels(GREET))
        .owns(config_maps, watcher::Config::default())
        .run(reconcile, |_, _, _| Action::requeue(Duration::from_secs(1)), Arc::new(client))
        .for_each(|result| async {
            match result {
                Ok((object, _)) => println!("operator: reconciled {}", object.name),
                Err(error) => eprintln!("operator: {error}"),
            }
        })
        .await;
}

/// Makes the greeting as `source` says it should be. Server-side apply is not needed: a missing one is created, another text
/// replaced.
async fn reconcile(source: Arc<ConfigMap>, client: Arc<Client>) -> Result<Action, kube::Error> {
    let config_maps = Api::<ConfigMap>::default_namespaced(Client::clone(&client));
    let Some(wanted) = greeting(&source) else { return Ok(Action::await_change()) };
    match config_maps.get_opt(&wanted.name_any()).await? {
        None => {
            config_maps.create(&PostParams::default(), &wanted).await?;
        }
        Some(present) if present.data != wanted.data => {
            let patch = Patch::Merge(serde_json::json!({ "data": wanted.data }));
            config_maps.patch(&wanted.name_any(), &PatchParams::default(), &patch).await?;
        }
        Some(_) => {}
    }
    Ok(Action::await_change())
}

/// The ConfigMap that `source` should own; `None` for one that is not stored yet.
fn greeting(source: &ConfigMap) -> Option<ConfigMap> {
    let whom = source.data.as_ref().and_then(|data| data.get("whom")).map_or("nobody", String::as_str);
    Some(ConfigMap {
        metadata: ObjectMeta {
            name: Some(source.name_any() + SUFFIX),
            owner_references: Some(vec![source.controller_owner_ref(&())?]),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([("text".to_owned(), format!("Hello, {whom}!"))])),
        ..ConfigMap::default()
    })
}

/// What a user does, and sees the operator do.
async fn show(client: Client) -> Result<(), Box<dyn std::error::Error>> {
    let config_maps = Api::<ConfigMap>::default_namespaced(client);
    let source = ConfigMap {
        metadata: ObjectMeta {
            name: Some("world".to_owned()),
            labels: Some(BTreeMap::from([(GREET.to_owned(), String::new())])),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([("whom".to_owned(), "world".to_owned())])),
        ..ConfigMap::default()
    };
    config_maps.create(&PostParams::default(), &source).await?;
    println!("user: created {}", source.name_any());
    see(&config_maps, "Hello, world!").await?;

    let patch = Patch::Merge(serde_json::json!({ "data": { "whom": "orchestra" } }));
    config_maps.patch("world", &PatchParams::default(), &patch).await?;
    println!("user: changed world");
    see(&config_maps, "Hello, orchestra!").await?;

    // The operator watches what it owns, so that it comes back.
    let name = source.name_any() + SUFFIX;
    let uid = config_maps.get(&name).await?.uid().unwrap_or_default();
    config_maps.delete(&name, &DeleteParams::default()).await?;
    println!("user: deleted {name}");
    within(await_condition(config_maps.clone(), &name, wait::conditions::is_deleted(&uid))).await?;
    see(&config_maps, "Hello, orchestra!").await
}

/// Waits until the greeting reads `text`.
async fn see(config_maps: &Api<ConfigMap>, text: &str) -> Result<(), Box<dyn std::error::Error>> {
    let name = format!("world{SUFFIX}");
    let reads = |found: Option<&ConfigMap>| {
        let data = found.and_then(|found| found.data.as_ref());
        data.and_then(|data| data.get("text")).is_some_and(|found| found == text)
    };
    within(await_condition(config_maps.clone(), &name, reads)).await?;
    println!("user: {name} reads {text:?}");
    Ok(())
}

/// What `future` gives, unless it takes too long.
async fn within<T>(future: impl Future<Output = Result<T, wait::Error>>) -> Result<T, Box<dyn std::error::Error>> {
    Ok(tokio::time::timeout(PATIENCE, future).await??)
}
