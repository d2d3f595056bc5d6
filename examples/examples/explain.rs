//! Why is my pod not on that node? Asks the default scheduler's plugins about a pod of a running cluster and each of its nodes; changes nothing.
//!
//! ```text
//! cargo run --example explain -- POD [-n NAMESPACE]              # the nodes that fit with their scores, and what is against the others
//! cargo run --example explain -- POD --node NODE                 # each plugin's word about one node
//! cargo run --example explain -- POD --all                       # every node by name
//! cargo run --example explain -- POD -o json
//! ```
//!
//! The cluster is the one of `kubectl`: by `$KUBECONFIG`, `~/.kube/config`, or the service account of a pod. A pod that has a node is asked about as if it had
//! none.

use std::{error::Error, process::ExitCode, sync::Arc};

use clap::{Parser, ValueEnum};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{Api, Client, api::ListParams};
use orchestra_core::{
    informer::InformerFactory,
    scheduler::{NodeInfo, PodInfo, Scheduler, Snapshot},
};
use orchestra_sched::framework::Framework;
use tokio::sync::mpsc;

#[derive(Parser)]
struct Options {
    /// The pod's name.
    pod: String,
    /// Its namespace; by default that of the kubeconfig's context.
    #[arg(short, long)]
    namespace: Option<String>,
    /// Tell of this node only, but by each plugin.
    #[arg(long)]
    node: Option<String>,
    /// Name every node, however many there are.
    #[arg(long)]
    all: bool,
    /// The form of what is told.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    Text,
    Json,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(&Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", words(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let client = Client::try_default().await?;
    let namespace = options.namespace.as_deref().unwrap_or(client.default_namespace());
    let pod = PodInfo::from(Api::<Pod>::namespaced(client.clone(), namespace).get(&options.pod).await?);
    let scheduler = Framework::kubernetes();
    let snapshot = snapshot(&client, &scheduler, &pod).await?;
    let explanation = scheduler.explain(&pod, &snapshot);
    let node = options.node.as_deref().map(|name| explanation.node(name).ok_or(format!("there is no node {name:?}")));
    let node = node.transpose()?;
    match (options.output, node) {
        (Output::Json, Some(node)) => println!("{}", serde_json::to_string_pretty(node)?),
        (Output::Json, None) => println!("{}", serde_json::to_string_pretty(&explanation)?),
        (Output::Text, Some(node)) => print!("{node}"),
        (Output::Text, None) if options.all => print!("{explanation:#}"),
        (Output::Text, None) => print!("{explanation}"),
    }
    Ok(())
}

/// The cluster without `asked`.
async fn snapshot(client: &Client, scheduler: &Framework, asked: &PodInfo) -> Result<Snapshot, kube::Error> {
    let everything = ListParams::default();
    let nodes = Api::<Node>::all(client.clone()).list(&everything).await?;
    let pods = Api::<Pod>::all(client.clone()).list(&everything).await?;
    let mut snapshot: Snapshot = nodes.items.into_iter().map(|node| NodeInfo::new(Arc::new(node))).collect();
    for pod in pods.items.into_iter().map(PodInfo::from).filter(|pod| pod.id() != asked.id() && !has_ended(pod)) {
        let pod = Arc::new(pod);
        if let Some(node) = pod.node_name() {
            snapshot.update(node, |node| node.add_pod(Arc::clone(&pod)));
        }
    }
    add_objects(client, scheduler, &mut snapshot).await;
    Ok(snapshot)
}

/// Claims, volumes, namespaces: whatever the plugins look at.
async fn add_objects(client: &Client, scheduler: &Framework, snapshot: &mut Snapshot) {
    let informers = InformerFactory::new(client.clone());
    let (sender, mut changes) = mpsc::unbounded_channel();
    for kind in scheduler.uses() {
        let sender = sender.clone();
        // The receiver outlives all watches.
        let mut watch = kind.watch(&informers, move |change| drop(sender.send(change)));
        watch.listed().await;
    }
    while let Ok(change) = changes.try_recv() {
        change.apply(snapshot.objects_mut());
    }
    informers.shut_down().await;
}

fn has_ended(pod: &PodInfo) -> bool {
    let phase = pod.pod().status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// What went wrong; where the API server says it, in its words.
fn words(error: &(dyn Error + 'static)) -> String {
    match error.downcast_ref() {
        Some(kube::Error::Api(status)) => status.message.clone(),
        _ => error.to_string(),
    }
}
