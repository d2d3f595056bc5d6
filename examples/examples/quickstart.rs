//! A Deployment becomes running pods, in one process, without anything to install.
//!
//! ```text
//! cargo run --example quickstart                 # the manifest of nginx that comes with it
//! cargo run --example quickstart -- my.yaml      # another manifest
//! cargo run --example quickstart -- --serve      # serve the API for kubectl, and stay up
//! cargo run --example quickstart -- --store durable:data   # with the state in a folder
//! sudo target/debug/examples/quickstart --runtime containerd   # with real containers, if built with --features containerd
//! ```
//!
//! Real containers would outlive the program, but not the state that they belong to: with the state in memory, they are ended before it exits.
//!
//! It exits with 0 when all pods of the manifest are ready, and else says on stderr, a line each, what is wrong.

use std::{
    io::{self, Write},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use futures::{FutureExt, Stream, StreamExt};
use kube::runtime::wait;
use orchestra_examples::{
    events,
    namespaces::Namespaces,
    nodes::{Nodes, Runtime},
    stop::Signals,
    table, workloads,
};
use orchestra_runtime::{Cluster, manifest};
use orchestra_store::StoreLocation;

const NGINX: &str = include_str!("../manifests/nginx.yaml");
/// How many nodes there are in memory.
const NODES: usize = 2;
/// How long nothing may happen before pods that are not ready are given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// As long where images are pulled.
const PULLING: Duration = Duration::from_secs(60);
/// How long the pods may take in all.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs a manifest in a cluster in this process and prints what happens.
#[derive(Parser)]
struct Arguments {
    /// The manifest, YAML or JSON; a Deployment of nginx by default.
    manifest: Option<PathBuf>,
    /// Serve the API on --listen, and stay up until SIGINT or SIGTERM.
    #[arg(long)]
    serve: bool,
    /// Where to serve, an IP address and a port; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS", requires = "serve")]
    listen: SocketAddr,
    /// Where the state is kept: memory, durable:PATH, or etcd:URL.
    #[arg(long, default_value = "memory", value_name = "STORE")]
    store: StoreLocation,
    /// What runs the containers: memory, which simulates two nodes, or containerd[:SOCKET], which makes this machine the node.
    #[arg(long, default_value = "memory", value_name = "RUNTIME")]
    runtime: Runtime,
}

type Error = Box<dyn std::error::Error>;

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

async fn run(arguments: Arguments) -> Result<(), Error> {
    let documents = match &arguments.manifest {
        Some(path) => manifest::read(path)?,
        None => manifest::parse("nginx.yaml", NGINX)?,
    };
    let signals = Signals::new()?;
    let store = arguments.store.open().await?;
    let runtime = arguments.runtime.clone();
    let count = if runtime == Runtime::Memory { NODES } else { 1 };
    let nodes = Nodes { runtime, count, outlive: arguments.store != StoreLocation::Memory };
    let cluster = nodes.add(Cluster::builder().store(store)).await?.start().await?;
    let patience = if nodes.are_real() { PULLING } else { PATIENCE };
    let work = async {
        if arguments.serve {
            serve(&cluster, arguments.listen, &documents, patience).await
        } else {
            let unready = show(&cluster, &documents, patience).await?;
            if unready.is_empty() { Ok(()) } else { Err(unready.join("\n").into()) }
        }
    };
    let done = tokio::select! {
        done = work => done,
        () = signals.first() => if arguments.serve { Ok(()) } else { Err("interrupted".into()) },
    };
    let ended = nodes.end(&cluster).await;
    cluster.shut_down().await;
    done.and(ended)
}

/// Serves the API and shows the manifest, without end. Pods that are not ready are no reason to stop: kubectl can look at them.
async fn serve(
    cluster: &Cluster,
    address: SocketAddr,
    documents: &[manifest::Document],
    patience: Duration,
) -> Result<(), Error> {
    let served = cluster.serve(address).await.map_err(|error| format!("cannot listen on {address}: {error}"))?;
    writeln!(io::stdout(), "serving on http://{served} (kubectl --server http://{served}); Ctrl-C stops it\n")?;
    for line in show(cluster, documents, patience).await? {
        eprintln!("{line}");
    }
    std::future::pending().await
}

/// Creates the objects, prints the events until all pods are ready, then the workloads. Returns what is not ready, if it gave up.
async fn show(cluster: &Cluster, documents: &[manifest::Document], patience: Duration) -> Result<Vec<String>, Error> {
    let client = cluster.client();
    let mut out = io::stdout();
    let events = events::watch(&client).await?;
    let mut objects = Vec::new();
    for document in documents {
        let object = manifest::create(&client, document).await?;
        writeln!(out, "{} created", workloads::full_name(&object))?;
        objects.push(object);
    }
    let workloads = workloads::of(&client, &objects);
    if workloads.is_empty() {
        return Ok(Vec::new());
    }
    let namespaces = Namespaces::of(&objects);
    writeln!(out)?;
    let lines = std::pin::pin!(events::lines(events, namespaces.clone()));
    print_until(workloads::ready(&workloads), lines, patience, &mut out).await?;
    for path in ["/apis/apps/v1/deployments", "/apis/apps/v1/replicasets", "/api/v1/pods"] {
        let table = namespaces.of_table(table::get(&client, path).await?);
        if !table.rows.is_empty() {
            write!(out, "\n{}", table::render(&table))?;
        }
    }
    Ok(workloads::unready(&workloads).await?)
}

/// Prints the lines until `ready` and those that come right after it; no longer than there is hope.
async fn print_until(
    ready: impl Future<Output = Result<(), wait::Error>>,
    mut lines: impl Stream<Item = Result<String, kube::Error>> + Unpin,
    mut patience: Duration,
    out: &mut impl Write,
) -> Result<(), Error> {
    let mut ready = std::pin::pin!(ready.fuse());
    let mut limit = std::pin::pin!(tokio::time::sleep(LIMIT));
    loop {
        tokio::select! {
            () = &mut limit => return Ok(()),
            done = &mut ready => {
                done?;
                patience = events::QUIET;
            }
            line = tokio::time::timeout(patience, lines.next()) => match line {
                Ok(Some(line)) => writeln!(out, "{}", line?)?,
                Ok(None) | Err(_) => return Ok(()),
            }
        }
    }
}
