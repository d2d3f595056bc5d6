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

use std::{error::Error, process::ExitCode, sync::Arc, time::Duration};

use clap::{Parser, ValueEnum};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{Api, Client, api::ListParams};
use orchestra_core::{
    informer::InformerFactory,
    scheduler::{NodeInfo, PodInfo, Scheduler, Snapshot},
};
use orchestra_sched::framework::Framework;
use tokio::{sync::mpsc, time::timeout};

/// How long the API server may take to list the objects of a kind.
const PATIENCE: Duration = Duration::from_secs(15);

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
async fn snapshot(client: &Client, scheduler: &Framework, asked: &PodInfo) -> Result<Snapshot, Box<dyn Error>> {
    let everything = ListParams::default();
    let nodes = Api::<Node>::all(client.clone()).list(&everything).await?;
    let pods = Api::<Pod>::all(client.clone()).list(&everything).await?;
    let mut snapshot: Snapshot = nodes.items.into_iter().map(|node| NodeInfo::new(Arc::new(node))).collect();
    for pod in pods.items.into_iter().map(PodInfo::from).filter(|pod| pod.id() != asked.id() && !pod.has_ended()) {
        let pod = Arc::new(pod);
        if let Some(node) = pod.node_name() {
            snapshot.update(node, |node| node.add_pod(Arc::clone(&pod)));
        } else if let Some(node) = pod.nominated_node().filter(|_| !pod.is_terminating()) {
            snapshot.nominations_mut().nominate(Arc::clone(&pod), node.into());
        }
    }
    let informers = InformerFactory::new(client.clone());
    let added = add_objects(&informers, scheduler, &mut snapshot).await;
    informers.shut_down().await;
    added?;
    Ok(snapshot)
}

/// Claims, volumes, namespaces: whatever the plugins look at. Without one of the kinds they might say what is not so.
async fn add_objects(
    informers: &InformerFactory,
    scheduler: &Framework,
    snapshot: &mut Snapshot,
) -> Result<(), Box<dyn Error>> {
    let (sender, mut changes) = mpsc::unbounded_channel();
    for kind in scheduler.uses() {
        let sender = sender.clone();
        // The receiver outlives all watches.
        let mut watch = kind.watch(informers, move |change| drop(sender.send(change)));
        if timeout(PATIENCE, watch.listed()).await.is_err() {
            let seconds = PATIENCE.as_secs();
            return Err(format!("no list of {kind:?} objects within {seconds} s: is listing and watching them in all namespaces allowed?").into());
        }
    }
    while let Ok(change) = changes.try_recv() {
        change.apply(snapshot.objects_mut());
    }
    Ok(())
}

/// What went wrong; where the API server says it, in its words.
fn words(error: &(dyn Error + 'static)) -> String {
    match error.downcast_ref() {
        Some(kube::Error::Api(status)) => status.message.clone(),
        _ => error.to_string(),
    }
}
