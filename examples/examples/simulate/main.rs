//! A day of a cluster in a second: pods of a trace come and go in virtual time, once with each of two schedulers, and a table and a picture compare them.
//! The one is Kubernetes' default, which sends pods to the emptier nodes; the other one packs them onto the fuller ones.
//!
//! ```text
//! cargo run --release --example simulate                           # the day in day.csv on the nodes of cluster.yaml
//! cargo run --release --example simulate -- --svg day.svg          # the same with a picture
//! cargo run --release --example simulate -- --cluster mine.yaml --trace mine.csv
//! cargo run --release --example simulate -- --copies 250 --pods 100000    # 5,000 nodes and 100,000 pods that chance makes
//! ```
//!
//! A cluster's file is what `kubectl get nodes,pods -A -o yaml` prints; the form of a trace is told at `orchestra_sched::simulator::Trace`.

use std::{error::Error, fs, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use clap::Parser;
use orchestra_core::scheduler::Scheduler;
use orchestra_sched::{
    framework::Framework,
    plugins::{NodeResourcesFit, NodeResourcesFitArgs},
    simulator::{Comparison, Simulation, Synthetic, Trace},
    testing::TestCluster,
};
use serde_json::json;
use tokio::time::Instant;

const CLUSTER: &str = include_str!("cluster.yaml");
const DAY: &str = include_str!("day.csv");
/// The label by which pods are spread over nodes: each has its own.
const HOSTNAME: &str = "kubernetes.io/hostname";
const DAY_LENGTH: Duration = Duration::from_secs(24 * 3600);

#[derive(Parser)]
struct Options {
    /// The cluster's file; by default the one beside this program's source.
    #[arg(long)]
    cluster: Option<PathBuf>,
    /// How many of each node there are.
    #[arg(long, default_value_t = 1)]
    copies: usize,
    /// The trace's file; by default the one beside this program's source.
    #[arg(long)]
    trace: Option<PathBuf>,
    /// So many pods that chance makes instead of a trace, over a day.
    #[arg(long, conflicts_with = "trace")]
    pods: Option<usize>,
    /// For how many minutes these pods run on average.
    #[arg(long, default_value_t = 120)]
    minutes: u64,
    /// For how many milliseconds an attempt to find a node keeps the scheduler.
    #[arg(long, default_value_t = 1)]
    attempt_milliseconds: u64,
    /// What chance depends on.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where to write the picture.
    #[arg(long)]
    svg: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let simulation = Simulation::new(cluster(options)?, trace(options)?)
        .until(DAY_LENGTH)
        .attempt_time(Duration::from_millis(options.attempt_milliseconds))
        .seed(options.seed);
    let mut outcomes = Vec::new();
    for (name, scheduler) in [("spreading", spreading()), ("packing", packing()?)] {
        let started = Instant::now();
        outcomes.push(simulation.run(name, scheduler));
        eprintln!("{name}: simulated in {:.1} s", started.elapsed().as_secs_f64());
    }
    let comparison = Comparison::of(outcomes);
    print!("{comparison}");
    if let Some(path) = &options.svg {
        fs::write(path, comparison.to_svg()?)?;
        println!("\nthe picture is in {}", path.display());
    }
    Ok(())
}

/// Kubernetes' default.
fn spreading() -> Arc<dyn Scheduler> {
    Arc::new(Framework::kubernetes())
}

/// The same, but that fuller nodes are better.
fn packing() -> Result<Arc<dyn Scheduler>, Box<dyn Error>> {
    let args: NodeResourcesFitArgs = serde_json::from_value(json!({ "scoringStrategy": { "type": "MostAllocated" } }))?;
    let builder = Framework::builder().default_plugins().without("NodeResourcesBalancedAllocation");
    Ok(Arc::new(builder.plugin(NodeResourcesFit::new(args)?).build()))
}

fn cluster(options: &Options) -> Result<TestCluster, Box<dyn Error>> {
    let file = options.cluster.as_ref().map(fs::read_to_string).transpose()?;
    let mut cluster = TestCluster::from_yaml(file.as_deref().unwrap_or(CLUSTER))?;
    let nodes: Vec<_> = cluster.snapshot().iter().map(|node| Arc::clone(node.node())).collect();
    for copy in 1..options.copies {
        for node in &nodes {
            let mut node = k8s_openapi::api::core::v1::Node::clone(node);
            let name = format!("{}-{copy}", node.metadata.name.unwrap_or_default());
            if let Some(hostname) = node.metadata.labels.as_mut().and_then(|labels| labels.get_mut(HOSTNAME)) {
                hostname.clone_from(&name);
            }
            node.metadata.name = Some(name);
            cluster.add_node(node);
        }
    }
    Ok(cluster)
}

fn trace(options: &Options) -> Result<Trace, Box<dyn Error>> {
    if let Some(pods) = options.pods {
        let synthetic = Synthetic::new(pods, DAY_LENGTH).mean_duration(Duration::from_secs(60 * options.minutes));
        let sizes = synthetic.size(60, "500m", "1Gi").size(30, "2", "4Gi").size(10, "8", "24Gi");
        return Ok(sizes.seed(options.seed).trace());
    }
    let file = options.trace.as_ref().map(fs::read_to_string).transpose()?;
    Ok(Trace::from_csv(file.as_deref().unwrap_or(DAY))?)
}
