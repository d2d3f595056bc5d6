//! A whole cluster in one process, served over HTTP.
//!
//! ```text
//! cargo run --example standalone -- --listen 127.0.0.1:8080 --kubeconfig orchestra.kubeconfig
//! kubectl --kubeconfig orchestra.kubeconfig get nodes
//! ```

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::Parser;
use orchestra_runtime::Cluster;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Runs a cluster until SIGINT or SIGTERM.
#[derive(Parser)]
struct Arguments {
    /// Where to serve; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// How many nodes there are, each with containers in memory.
    #[arg(long, default_value_t = 1)]
    nodes: usize,
    /// Where to write a kubeconfig.
    #[arg(long, default_value = "orchestra.kubeconfig")]
    kubeconfig: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let cluster = Cluster::builder().nodes(arguments.nodes).start().await?;
    let address = cluster.serve(arguments.listen).await?;
    std::fs::write(&arguments.kubeconfig, cluster.kubeconfig(address))
        .map_err(|error| format!("{}: {error}", arguments.kubeconfig.display()))?;
    println!("serving on http://{address}, kubeconfig in {}", arguments.kubeconfig.display());
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    cluster.shut_down().await;
    Ok(())
}
