//! A kind of one's own, served like Kubernetes' own kinds, with a controller of its own.
//!
//! A `Website` is a row in the API server's table: its type, made by kube's derive macro, its rules ([`Strategy`]), its columns. The controller keeps a
//! Deployment for each and writes back how many pods of it are ready. Kubernetes' own controllers do the rest.
//!
//! ```text
//! cargo run --example custom_controller
//! ```

use std::{process::ExitCode, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api, Client, CustomResource, Resource, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    runtime::wait::{Condition, await_condition, conditions},
};
use orchestra_core::{
    ObjectKey,
    controller::{Action, Controller, ControllerContext, ReconcileError, Watch, controller_of},
    informer::Informer,
};
use orchestra_examples::table;
use orchestra_runtime::Cluster;
use orchestra_store::apiserver::{
    age,
    field::{Error, Errors, Path},
    kinds,
    registry::{self, Subresource},
    row,
    strategy::{Column, RequestContext, Strategy},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Something to serve on the web: what is wanted.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(group = "web.example.orchestra", version = "v1", kind = "Website", namespaced)]
#[kube(status = "WebsiteStatus", derive = "Default", derive = "PartialEq")]
struct WebsiteSpec {
    /// The server's image.
    #[serde(default)]
    image: String,
    /// How many servers there are to be; 2 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replicas: Option<i32>,
}

/// What there is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
struct WebsiteStatus {
    /// How many servers are ready.
    #[serde(default)]
    ready: i32,
}

/// The rules of websites. A kind without any is `custom_resource::<Website>()`.
struct Websites;

/// The row of websites.
fn websites() -> registry::Resource {
    row(Websites).short_names(&["web"]).subresources(&[Subresource::Status])
}

impl Strategy for Websites {
    type Object = Website;
    type Wire = Website;

    fn default(&self, website: &mut Website) {
        website.spec.replicas.get_or_insert(2);
    }

    fn prepare_for_create(&self, _: &RequestContext, website: &mut Website) {
        website.status = None;
    }

    fn prepare_for_update(&self, _: &RequestContext, new: &mut Website, old: &Website) {
        new.status.clone_from(&old.status);
    }

    fn prepare_for_status_update(&self, _: &RequestContext, new: &mut Website, old: &Website) {
        new.spec.clone_from(&old.spec);
    }

    fn validate(&self, _: &RequestContext, website: &Website) -> Errors {
        let path = Path::new("spec");
        let mut errors = Errors::new();
        if website.spec.image.is_empty() {
            errors.push(Error::required(&path.child("image"), ""));
        }
        if let Some(replicas) = website.spec.replicas.filter(|replicas| *replicas < 0) {
            let detail = "must be greater than or equal to 0";
            errors.push(Error::invalid(&path.child("replicas"), i64::from(replicas), detail));
        }
        errors
    }

    fn changes_generation(&self, new: &Website, old: &Website) -> Option<bool> {
        Some(new.spec != old.spec)
    }

    fn columns(&self) -> &'static [Column] {
        const fn column(name: &'static str, kind: &'static str, description: &'static str) -> Column {
            Column { name, kind, format: "", description, priority: 0 }
        }
        const COLUMNS: &[Column] = &[
            Column { format: "name", ..column("Name", "string", "The website's name.") },
            column("Ready", "string", "How many of its servers are ready."),
            column("Image", "string", "What the servers run."),
            column("Age", "string", "How long ago it was created."),
        ];
        COLUMNS
    }

    fn cells(&self, website: &Website, now: Timestamp) -> Vec<Value> {
        let ready = website.status.as_ref().map_or(0, |status| status.ready);
        vec![
            json!(website.metadata.name),
            json!(format!("{ready}/{}", website.spec.replicas.unwrap_or_default())),
            json!(website.spec.image),
            json!(age::since(website.metadata.creation_timestamp.as_ref(), now)),
        ]
    }
}

/// Keeps a Deployment of the same name for each website.
struct WebsiteController {
    client: Client,
    websites: Informer<Website>,
    deployments: Informer<Deployment>,
}

impl WebsiteController {
    fn new(context: &ControllerContext) -> Self {
        Self {
            client: context.client.clone(),
            websites: context.informers.informer(),
            deployments: context.informers.informer(),
        }
    }

    async fn write_status(&self, website: &Website, ready: i32) -> Result<(), kube::Error> {
        if website.status.as_ref().is_some_and(|status| status.ready == ready) {
            return Ok(());
        }
        let websites = Api::<Website>::namespaced(self.client.clone(), &website.namespace().unwrap_or_default());
        let patch = Patch::Merge(json!({ "status": WebsiteStatus { ready } }));
        websites.patch_status(&website.name_any(), &PatchParams::default(), &patch).await.map(drop)
    }
}

#[async_trait]
impl Controller for WebsiteController {
    fn name(&self) -> &str {
        "website"
    }

    fn watches(&self) -> Vec<Watch> {
        vec![Watch::objects(&self.websites), Watch::owned(&self.deployments, "Website")]
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, ReconcileError> {
        // What a website owned goes with it: the garbage collector sees to that.
        let Some(website) = self.websites.get(key).filter(|website| website.metadata.deletion_timestamp.is_none())
        else {
            return Ok(Action::Done);
        };
        let deployments = Api::<Deployment>::namespaced(self.client.clone(), key.namespace().unwrap_or_default());
        let wanted = deployment(&website)?;
        match self.deployments.get(key) {
            // One that the informer does not show yet is answered with a conflict, and the key is tried again.
            None => drop(deployments.create(&PostParams::default(), &wanted).await?),
            Some(present) if controller_of(&*present).map(|owner| &owner.uid) != website.metadata.uid.as_ref() => {
                return Err(format!("deployment {key} belongs to somebody else").into());
            }
            Some(present) if image(&present) != image(&wanted) || replicas(&present) != replicas(&wanted) => {
                let patch = Patch::Strategic(json!({ "spec": wanted.spec }));
                deployments.patch(key.name(), &PatchParams::default(), &patch).await?;
            }
            Some(present) => {
                let ready = present.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0);
                self.write_status(&website, ready).await?;
            }
        }
        Ok(Action::Done)
    }
}

/// The Deployment that `website` should own.
fn deployment(website: &Website) -> Result<Deployment, serde_json::Error> {
    let labels = json!({ "website": website.name_any() });
    serde_json::from_value(json!({
        "metadata": {
            "name": website.name_any(),
            "ownerReferences": website.controller_owner_ref(&()).into_iter().collect::<Vec<_>>(),
        },
        "spec": {
            "replicas": website.spec.replicas,
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": [{ "name": "server", "image": website.spec.image }] },
            },
        },
    }))
}

fn image(deployment: &Deployment) -> Option<&str> {
    deployment.spec.as_ref()?.template.spec.as_ref()?.containers.first()?.image.as_deref()
}

fn replicas(deployment: &Deployment) -> Option<i32> {
    deployment.spec.as_ref()?.replicas
}

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
    let cluster = Cluster::builder()
        .registry(kinds::table().with(websites()))
        .controller(|context| Arc::new(WebsiteController::new(context)))
        .start()
        .await?;
    let done = show(&cluster.client()).await;
    cluster.shut_down().await;
    done
}

async fn show(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
    let websites = Api::<Website>::default_namespaced(client.clone());
    let mut website = Website::default();
    website.metadata.name = Some("blog".to_owned());
    match websites.create(&PostParams::default(), &website).await {
        Err(kube::Error::Api(status)) => println!("without an image: {}", status.message),
        _ => return Err("a website without image should be refused".into()),
    }
    website.spec.image = "nginx:1.29".to_owned();
    websites.create(&PostParams::default(), &website).await?;
    see(client, "blog", ready(2)).await?;

    let patch = Patch::Merge(json!({ "spec": { "replicas": 3 } }));
    websites.patch("blog", &PatchParams::default(), &patch).await?;
    see(client, "blog", ready(3)).await?;

    let deployments = Api::<Deployment>::default_namespaced(client.clone());
    let uid = deployments.get("blog").await?.uid().unwrap_or_default();
    websites.delete("blog", &DeleteParams::default()).await?;
    let gone = await_condition(deployments, "blog", conditions::is_deleted(&uid));
    tokio::time::timeout(PATIENCE, gone).await??;
    println!("\nthe website is deleted, and its deployment with it");
    Ok(())
}

/// Whether `count` servers of a website are ready.
fn ready(count: i32) -> impl Condition<Website> {
    move |website: Option<&Website>| {
        website.and_then(|website| website.status.as_ref()).is_some_and(|status| status.ready == count)
    }
}

/// Waits for the website, and prints the table.
async fn see(
    client: &Client,
    name: &str,
    condition: impl Condition<Website>,
) -> Result<(), Box<dyn std::error::Error>> {
    let websites = Api::<Website>::default_namespaced(client.clone());
    tokio::time::timeout(PATIENCE, await_condition(websites, name, condition)).await??;
    let table = table::get(client, "/apis/web.example.orchestra/v1/namespaces/default/websites").await?;
    print!("\n{}", table::render(&table));
    Ok(())
}
