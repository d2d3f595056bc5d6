//! Several nodes on one machine: each has a network, mounts and processes of its own, and in them containerd, a kubelet and a kube-proxy.
//! The control plane, with cluster DNS, is this process. Pods reach those of other nodes.
//!
//! ```text
//! cargo build -p orchestra-examples --features containerd --example nodes
//! sudo target/debug/examples/nodes                     # pods on two nodes ask each other, then all of it is removed
//! sudo target/debug/examples/nodes --count 3 --serve   # stays up for kubectl
//! ```
//!
//! ```text
//!  this process: API server, scheduler, controllers, DNS
//!      │ 10.199.0.1, device `orchestra`
//!   ───┴──────────┬───────────── bridge, in a network namespace of its own
//!              node-1  10.199.0.11                 node-2  10.199.0.12
//!              ├ containerd, kubelet, kube-proxy   ├ ...
//!              └ pods  10.244.1.0/24               └ pods  10.244.2.0/24
//! ```
//!
//! Nodes have no way to the internet. There are two images, made of this machine's busybox: `busybox:local`, a shell, and `web:local`, which
//! answers on port 8080 with the name of its pod.
//!
//! Nothing is left when it ends. If it is killed, what it made goes with its namespaces, a process that outlives it for a moment removes the
//! cgroups, and only the kubeconfig stays.

mod agent;
mod attendant;
mod control_plane;
mod network;
mod node;
mod show;
mod web;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use futures::{StreamExt, future::join_all, stream::FuturesUnordered};
use orchestra_core::random::Generator;
use orchestra_examples::{kubeconfig, machine, program, stop::Signals};

use self::{control_plane::ControlPlane, network::Network, node::Node};

/// Runs a cluster of several nodes on this machine, as root.
///
/// RUST_LOG says what is logged to stderr: warn by default, or info, debug, orchestra_runtime=debug and the like.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// How many nodes, up to four.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=4))]
    count: u8,
    /// Stay up for kubectl until SIGINT or SIGTERM, instead of showing pods.
    #[arg(long)]
    serve: bool,
    /// Where to write a kubeconfig, in the place of what is there; its folder must exist. It is removed at the end.
    #[arg(long, value_name = "FILE", default_value_if("serve", "true", "orchestra.kubeconfig"))]
    kubeconfig: Option<PathBuf>,
}

/// The other processes, which `nodes` starts.
#[derive(Subcommand)]
enum Command {
    /// What runs on a node.
    #[command(hide = true)]
    Agent(agent::Arguments),
    /// What holds the network between the nodes.
    #[command(hide = true)]
    Network(network::Arguments),
}

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = async move {
        match arguments.command {
            Some(Command::Agent(arguments)) => agent::run(arguments).await,
            Some(Command::Network(arguments)) => network::hold(arguments).await,
            None => run(arguments).await,
        }
    };
    program::run("warn", done).await
}

async fn run(arguments: Arguments) -> Result<(), Error> {
    machine::requirements::check()?;
    let signals = Signals::new()?;
    // No other cgroup has it, whatever other namespaces of processes there are.
    let name = format!("orchestra-nodes-{}", Generator::from_entropy().name_suffix(8));
    let network = Network::start(&name).await?;
    let mut cluster = Cluster { name, network, control_plane: None, nodes: Vec::new(), kubeconfig: None };
    let done = tokio::select! {
        done = cluster.run(arguments) => done,
        () = signals.first() => Ok(()),
    };
    cluster.end().await;
    done
}

/// All that there is so far.
struct Cluster {
    /// What the names of the nodes' cgroups begin with.
    name: String,
    network: Network,
    control_plane: Option<ControlPlane>,
    nodes: Vec<Node>,
    /// The file that was written.
    kubeconfig: Option<PathBuf>,
}

impl Cluster {
    async fn run(&mut self, arguments: Arguments) -> Result<(), Error> {
        let control_plane = self.control_plane.insert(ControlPlane::start().await?);
        let server = control_plane.address();
        for number in 1..=arguments.count {
            // Known from the start, so that a signal finds all that is to be ended.
            self.nodes.push(Node::spawn(&self.name, number, server)?);
        }
        for node in &mut self.nodes {
            node.join(&self.network).await?;
        }
        let mut down: FuturesUnordered<_> = self.nodes.iter_mut().map(Node::down).collect();
        let client = control_plane.client()?;
        let shown = async {
            show::nodes_are_ready(&client, arguments.count).await?;
            if let Some(path) = arguments.kubeconfig {
                kubeconfig::write(&path, &control_plane.kubeconfig())
                    .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
                println!("serving on http://{server}, kubeconfig in {}", path.display());
                self.kubeconfig = Some(path);
            }
            if arguments.serve {
                println!(
                    "images: busybox:local, a shell; web:local, which answers on port 8080 with the name of its pod"
                );
                return Ok(());
            }
            show::pods_reach_each_other(&client).await
        };
        tokio::select! {
            shown = shown => shown?,
            Some(reason) = down.next() => return Err(reason),
        }
        if arguments.serve {
            // The rest of the cluster goes on without them.
            while let Some(reason) = down.next().await {
                eprintln!("{reason}");
            }
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    /// Removes all of it.
    async fn end(self) {
        if let Some(kubeconfig) = self.kubeconfig {
            // Somebody else may have removed it.
            let _ = std::fs::remove_file(kubeconfig);
        }
        join_all(self.nodes.into_iter().map(Node::end)).await;
        if let Some(control_plane) = self.control_plane {
            control_plane.end().await;
        }
        self.network.end().await;
    }
}
