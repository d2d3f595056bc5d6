//! A Deployment becomes running pods, in one process, without anything to install.
//!
//! ```text
//! cargo run --example quickstart                 # the manifest of nginx that comes with it
//! cargo run --example quickstart -- my.yaml      # another manifest
//! cargo run --example quickstart -- --serve      # stay up and serve the API for kubectl
//! ```

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;
use futures::{Stream, StreamExt};
use orchestra_examples::{events, table};
use orchestra_runtime::{Cluster, manifest};

const NGINX: &str = include_str!("../manifests/nginx.yaml");
/// How long the first event may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs a manifest in a cluster in this process and prints what happens.
#[derive(Parser)]
struct Arguments {
    /// The manifest; a Deployment of nginx by default.
    manifest: Option<PathBuf>,
    /// Stay up, and serve the API on --listen.
    #[arg(long)]
    serve: bool,
    /// Where to serve.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
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

async fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let documents = match &arguments.manifest {
        Some(path) => manifest::read(path)?,
        None => manifest::parse("nginx.yaml", NGINX)?,
    };
    let cluster = Cluster::builder().nodes(2).start().await?;
    let done = show(&cluster, &documents).await;
    if done.is_ok() && arguments.serve {
        let address = cluster.serve(arguments.listen).await?;
        println!("\nserving on http://{address} (kubectl --server http://{address}); Ctrl-C stops it");
        tokio::signal::ctrl_c().await?;
    }
    cluster.shut_down().await;
    done
}

/// Creates the objects, prints the events until it is quiet, then the workloads.
async fn show(cluster: &Cluster, documents: &[manifest::Document]) -> Result<(), Box<dyn std::error::Error>> {
    let client = cluster.client();
    let mut lines = Box::pin(events::lines(&client).await?);
    for document in documents {
        manifest::create(&client, document).await?;
    }
    print_until_quiet(&mut lines).await?;
    let paths = [
        "/apis/apps/v1/namespaces/default/deployments",
        "/apis/apps/v1/namespaces/default/replicasets",
        "/api/v1/namespaces/default/pods",
    ];
    for path in paths {
        let table = table::get(&client, path).await?;
        if !table.rows.is_empty() {
            print!("\n{}", table::render(&table));
        }
    }
    Ok(())
}

async fn print_until_quiet(
    lines: &mut (impl Stream<Item = Result<String, kube::Error>> + Unpin),
) -> Result<(), kube::Error> {
    let mut patience = PATIENCE;
    let mut printed = 0;
    while let Ok(Some(line)) = tokio::time::timeout(patience, lines.next()).await {
        println!("{}", line?);
        printed += 1;
        // The heading comes by itself; after the first event silence means rest.
        if printed > 1 {
            patience = events::QUIET;
        }
    }
    Ok(())
}
