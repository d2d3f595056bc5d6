//! A whole cluster in one process, served over HTTP.
//!
//! ```text
//! cargo run --example standalone -- --listen 127.0.0.1:8080 --store durable:orchestra.store --kubeconfig orchestra.kubeconfig
//! kubectl --kubeconfig orchestra.kubeconfig get nodes
//! ```
//!
//! Stopped and started again, it goes on with what the store has: `memory` has nothing, and `etcd:http://127.0.0.1:2379` is for programs
//! that are built with `--features etcd`.
//!
//! With `--features containerd` and `--runtime containerd`, as root, containers are real, this machine is the node, and Services and names work
//! for its pods. Pods and Services outlive the program, as they do Kubernetes' kubelet and kube-proxy: started again, it goes on with them. With the state in
//! memory there is nothing to go on with: then all of them end with the program.
//!
//! The kubeconfig is there as soon as the cluster can be used, and the line on stdout comes after it: wait for either.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::Parser;
use mimalloc::MiMalloc;
use orchestra_examples::{
    kubeconfig,
    nodes::{Nodes, Runtime},
    program,
    stop::Signals,
};
use orchestra_runtime::Cluster;
use orchestra_store::StoreLocation;

/// As in the bench: with many small objects it takes a third less time than glibc's.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Runs a cluster until SIGINT or SIGTERM; a second signal ends it at once.
///
/// RUST_LOG says what is logged to stderr: warn by default, or info, debug, orchestra_sched=debug and the like.
#[derive(Parser)]
struct Arguments {
    /// Where to serve, an IP address and a port; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Where the state is kept: memory, durable:PATH, or etcd:URL[,URL...][?OPTION=VALUE&...] with the options cafile, certfile, keyfile,
    /// user and passwordfile.
    #[arg(long, default_value = "durable:orchestra.store", value_name = "STORE")]
    store: StoreLocation,
    /// What runs the containers: memory, which simulates them, or containerd[:SOCKET]. With real containers this machine is the node; it needs
    /// root, a network of the CNI plugins in /etc/cni/net.d, nftables and conntrack.
    #[arg(long, default_value = "memory", value_name = "RUNTIME")]
    runtime: Runtime,
    /// How many nodes there are. With real containers it is one, this machine.
    #[arg(long, default_value_t = 1, value_name = "COUNT")]
    nodes: usize,
    /// Leaves scheduling to another program, such as the example `scheduler`.
    #[arg(long)]
    without_scheduler: bool,
    /// Where to write a kubeconfig, in the place of what is there; its folder must exist.
    #[arg(long, default_value = "orchestra.kubeconfig", value_name = "FILE")]
    kubeconfig: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    program::run("warn", run(Arguments::parse())).await
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let signals = Signals::new()?;
    let store = arguments.store.open().await?;
    let nodes = Nodes {
        runtime: arguments.runtime.clone(),
        count: arguments.nodes,
        outlive: arguments.store != StoreLocation::Memory,
    };
    let builder = Cluster::builder().store(store);
    let builder = if arguments.without_scheduler { builder.without_scheduler() } else { builder };
    let cluster = nodes.add(builder).await?.start().await?;
    let mut served = serve(&cluster, &arguments).await;
    if served.is_ok() {
        signals.first().await;
        served = nodes.end(&cluster).await;
    }
    cluster.shut_down().await;
    served
}

async fn serve(cluster: &Cluster, arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let Arguments { listen, kubeconfig, .. } = arguments;
    let address = cluster.serve(*listen).await.map_err(|error| format!("cannot listen on {listen}: {error}"))?;
    kubeconfig::write(kubeconfig, &cluster.kubeconfig(address))
        .map_err(|error| format!("cannot write {}: {error}", kubeconfig.display()))?;
    println!("serving on http://{address}, kubeconfig in {}", kubeconfig.display());
    Ok(())
}
