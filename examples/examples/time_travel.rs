//! What happened to a Deployment, read from the history in a durable store's folder: each change of it, of its replica sets and of
//! their pods, revision by revision.
//!
//! ```text
//! cargo run --example time_travel                                              # makes a folder with a history to show
//! cargo run --example time_travel -- --folder orchestra.store --deployment web  # of a `standalone` that has been stopped
//! cargo run --example time_travel -- --folder orchestra.store --deployment web --from 120 --to 180
//! ```
//!
//! The same is possible over HTTP while the API server runs: `?resourceVersion=120&resourceVersionMatch=Exact`.

use std::{
    collections::BTreeSet,
    io::{Write, stdout},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::Parser;
use futures::TryStreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
    runtime::wait::await_condition,
};
use orchestra_core::store::{Event, KeyRange, ListOptions, ReadAt, Revision, Store, StoreError, Watcher};
use orchestra_examples::{diff, nodes};
use orchestra_runtime::Cluster;
use orchestra_store::DurableStore;
use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Shows what happened to a Deployment between two revisions.
#[derive(Parser)]
struct Arguments {
    /// The folder of the durable store, which no process may have open; without it, one is made that has something to show.
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// The Deployment's namespace.
    #[arg(long, default_value = "default")]
    namespace: String,
    /// The Deployment's name.
    #[arg(long, default_value = "web")]
    deployment: String,
    /// The revision to begin after; the oldest that is kept by default.
    #[arg(long, value_name = "REVISION")]
    from: Option<Revision>,
    /// The last revision to show; the newest by default.
    #[arg(long, value_name = "REVISION")]
    to: Option<Revision>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<()> {
    match &arguments.folder {
        // A folder that is not there would be made.
        Some(folder) if !folder.is_dir() => Err(format!("{} is no folder", folder.display()).into()),
        Some(folder) => show(folder, &arguments).await,
        None => {
            let folder = std::env::temp_dir().join(format!("orchestra-time-travel-{}", std::process::id()));
            let shown = async {
                happen(&folder, &arguments).await?;
                show(&folder, &arguments).await
            };
            let shown = shown.await;
            std::fs::remove_dir_all(&folder)?;
            shown
        }
    }
}

/// A history: a Deployment is made, gets another image, and is scaled.
async fn happen(folder: &Path, arguments: &Arguments) -> Result<()> {
    let store = Arc::new(DurableStore::open(folder)?);
    let cluster = nodes::in_memory(Cluster::builder().store(store.clone()), 1).start().await?;
    let deployments = Api::<Deployment>::namespaced(cluster.client(), &arguments.namespace);
    let name = &arguments.deployment;
    let object = json!({
        "metadata": {"name": name},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "main", "image": "nginx:1.27"}]},
            },
        },
    });
    deployments.create(&PostParams::default(), &serde_json::from_value(object)?).await?;
    let containers = json!([{"name": "main", "image": "nginx:1.28"}]);
    for change in [json!({"template": {"spec": {"containers": containers}}}), json!({"replicas": 2})] {
        await_condition(deployments.clone(), name, is_complete).await?;
        let patch = Patch::Strategic(json!({"spec": change}));
        deployments.patch(name, &PatchParams::default(), &patch).await?;
    }
    await_condition(deployments, name, is_complete).await?;
    cluster.shut_down().await;
    store.close();
    Ok(())
}

/// Whether the pods are as they are wanted, and all that were before are gone.
fn is_complete(found: Option<&Deployment>) -> bool {
    let wanted = found.and_then(|found| found.spec.as_ref()?.replicas);
    let generation = found.and_then(|found| found.metadata.generation);
    found.and_then(|found| found.status.as_ref()).is_some_and(|status| {
        let counts = [status.replicas, status.updated_replicas, status.available_replicas];
        let are_gone = status.terminating_replicas.is_none_or(|count| count == 0);
        status.observed_generation == generation && counts == [wanted; 3] && are_gone
    })
}

async fn show(folder: &Path, arguments: &Arguments) -> Result<()> {
    let store = DurableStore::open(folder)?;
    let newest = store.revision().await?;
    let from = match arguments.from {
        Some(from) => from,
        None => oldest(&store).await?,
    };
    let to = arguments.to.unwrap_or(newest);
    if from > to || to > newest {
        return Err(format!("from {from} to {to} is no part of the history, which ends at {newest}").into());
    }
    let mut family = Family::new(&arguments.namespace, &arguments.deployment);
    family.learn(&store, from).await?;
    // Told at the end, when it is known that there is something to tell.
    let mut story = Vec::new();
    writeln!(story, "revision {from}: {}", family.state(&store, from).await?)?;
    let mut watch = store.watch(KeyRange::prefix("/registry/"), from).await?;
    let mut seen = from;
    while seen < to {
        let batch = watch.try_next().await?.ok_or("the history ends")?;
        for event in batch.events.iter().filter(|event| event.revision() <= to) {
            family.tell(event, &mut story)?;
        }
        seen = batch.revision;
    }
    writeln!(story, "\nrevision {to}: {}", family.state(&store, to).await?)?;
    if family.uids.is_empty() {
        let Arguments { namespace, deployment, .. } = arguments;
        return Err(format!("from revision {from} to {to} there was no deployment {namespace}/{deployment}").into());
    }
    Ok(stdout().write_all(&story)?)
}

/// The oldest revision whose state is kept.
async fn oldest(store: &DurableStore) -> Result<Revision> {
    match store.get("/registry/", ReadAt::Revision(0)).await {
        Ok(_) => Ok(0),
        Err(StoreError::Compacted { oldest, .. }) => Ok(oldest),
        Err(error) => Err(error.into()),
    }
}

/// A Deployment with what it owns, by uid.
struct Family {
    deployment: String,
    replica_sets: String,
    pods: String,
    uids: BTreeSet<String>,
}

impl Family {
    fn new(namespace: &str, name: &str) -> Self {
        Self {
            deployment: format!("/registry/deployments/{namespace}/{name}"),
            replica_sets: format!("/registry/replicasets/{namespace}/"),
            pods: format!("/registry/pods/{namespace}/"),
            uids: BTreeSet::new(),
        }
    }

    /// Finds out who belongs to it at a revision.
    async fn learn(&mut self, store: &DurableStore, revision: Revision) -> Result<()> {
        let at = ReadAt::Revision(revision);
        for start in [self.deployment.clone(), self.replica_sets.clone(), self.pods.clone()] {
            let page = store.list(&KeyRange::prefix(&start), ListOptions { at, ..ListOptions::default() }).await?;
            for entry in page.entries {
                self.takes_in(&entry.key, &serde_json::from_slice(&entry.value)?);
            }
        }
        Ok(())
    }

    /// Whether an object belongs to it; its own then belong to it too.
    fn takes_in(&mut self, key: &str, object: &Value) -> bool {
        let metadata = &object["metadata"];
        let owners = metadata["ownerReferences"].as_array().into_iter().flatten();
        let is_owned = || owners.filter_map(|owner| owner["uid"].as_str()).any(|uid| self.uids.contains(uid));
        let is_kin = key == self.deployment
            || ((key.starts_with(&self.replica_sets) || key.starts_with(&self.pods)) && is_owned());
        if is_kin {
            self.uids.insert(metadata["uid"].as_str().unwrap_or_default().to_owned());
        }
        is_kin
    }

    /// Tells of a change, if it is one of the family.
    fn tell(&mut self, event: &Event, story: &mut Vec<u8>) -> Result<()> {
        let (revision, key) = (event.revision(), event.key());
        let (old, new) = match event {
            Event::Put { current, previous } => (previous.as_ref(), Some(current)),
            Event::Delete { previous, .. } => (Some(previous), None),
        };
        let object = |entry: Option<&orchestra_core::store::KeyValue>| match entry {
            Some(entry) => serde_json::from_slice::<Value>(&entry.value),
            None => Ok(Value::Null),
        };
        // Others' values may be no JSON at all: claims of addresses are not.
        if !key.starts_with(&self.pods) && !key.starts_with(&self.replica_sets) && **key != *self.deployment {
            return Ok(());
        }
        let (old, new) = (object(old)?, object(new)?);
        if !self.takes_in(key, if new.is_null() { &old } else { &new }) {
            return Ok(());
        }
        let name = key.trim_start_matches("/registry/");
        match (&old, &new) {
            (Value::Null, new) => {
                writeln!(story, "\nrevision {revision}: {name} is created: {}", new["spec"])?;
            }
            (_, Value::Null) => writeln!(story, "\nrevision {revision}: {name} is deleted")?,
            (old, new) => {
                writeln!(story, "\nrevision {revision}: {name} changes")?;
                diff::lines(old, new).iter().try_for_each(|line| writeln!(story, "  {line}"))?;
            }
        }
        Ok(())
    }

    /// The Deployment's state at a revision, and how many objects the whole cluster has then.
    async fn state(&self, store: &DurableStore, revision: Revision) -> Result<String> {
        let at = ReadAt::Revision(revision);
        let all = store.list(&KeyRange::prefix("/registry/"), ListOptions { at, ..ListOptions::default() }).await?;
        let found = all.entries.iter().find(|entry| *entry.key == *self.deployment);
        let deployment = match found {
            None => "there is no such deployment".to_owned(),
            Some(entry) => {
                let object: Value = serde_json::from_slice(&entry.value)?;
                let ready = object["status"]["readyReplicas"].as_i64().unwrap_or(0);
                format!("{ready} of {} replicas are ready", object["spec"]["replicas"])
            }
        };
        Ok(format!("{deployment}; the cluster has {} objects", all.entries.len()))
    }
}
