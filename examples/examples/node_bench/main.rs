//! What a kubelet costs beside the runtime's own work: how long pods take to be ready, and the same calls of CRI made by hand; its memory
//! and its share of a processor. On a machine made of namespaces, with containerd; needs root, and what the example `nodes` needs.
//!
//! ```text
//! cargo build --release -p orchestra-examples --features containerd --example node_bench
//! sudo target/release/examples/node_bench
//! ```

mod bare;
mod kubelet;
mod pods;

use std::{process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};
use orchestra_core::random::Generator;
use orchestra_examples::{
    machine::{self, cgroup, containerd::Containerd},
    measure::millis,
};
use orchestra_runtime::Cluster;

use self::{bare::Bare, kubelet::Process, pods::Pods};

/// The node's name.
const NODE: &str = "n1";
/// The addresses of its pods.
const POD_CIDR: &str = "10.244.0.0/24";

/// Measures a kubelet.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    part: Option<Part>,
    /// How many times one pod is started.
    #[arg(long, default_value_t = 20)]
    single: usize,
    /// How many times many pods are started.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How many pods many are.
    #[arg(long, default_value_t = 50)]
    many: usize,
    /// For how many seconds the processor's time is measured.
    #[arg(long, default_value_t = 30)]
    idle: u64,
    /// It is on its machine already.
    #[arg(long, hide = true)]
    inside: bool,
}

#[derive(Subcommand)]
enum Part {
    /// The process that is measured.
    #[command(hide = true)]
    Kubelet(kubelet::Arguments),
}

type Error = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let mut options = Options::parse();
    let done = match (options.part.take(), options.inside) {
        (Some(Part::Kubelet(arguments)), _) => in_runtime(kubelet::run(arguments)),
        (None, true) => in_runtime(measure(&options)),
        (None, false) => on_a_machine(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn in_runtime(work: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}

/// Runs this program again on a machine of its own.
fn on_a_machine() -> Result<(), Error> {
    machine::requirements::check()?;
    let name = format!("orchestra-node-bench-{}", Generator::from_entropy().name_suffix(8));
    let mut command = machine::command(&name);
    command.arg(std::env::current_exe()?).args(std::env::args_os().skip(1)).arg("--inside");
    let status = command.status();
    cgroup::remove(|cgroup| cgroup == name);
    let status = status?;
    if status.success() { Ok(()) } else { Err(format!("not measured: {status}").into()) }
}

async fn measure(options: &Options) -> Result<(), Error> {
    let _containerd = Containerd::start(POD_CIDR).await?;
    let cluster = Cluster::builder().nodes(0).start().await?;
    let address = cluster.serve(([127, 0, 0, 1], 0).into()).await?;
    let kubelet = Process::start(address)?;
    let (mut bare, pods) = (Bare::default(), Pods::new(cluster.client()));
    pods.node_is_ready().await?;
    tokio::time::sleep(Duration::from_secs(options.idle)).await;
    println!("kubelet, no pods: {:.1} MB", kubelet.memory()?);

    // Once for all that is only slow at first.
    bare.start(1).await?;
    bare.end().await?;
    pods.start(1).await?;
    pods.end().await?;

    let (mut by_hand, mut by_kubelet) = (Vec::new(), Vec::new());
    for _ in 0..options.single {
        by_hand.push(bare.start(1).await?);
        bare.end().await?;
        by_kubelet.push(pods.start(1).await?);
        pods.end().await?;
    }
    let (hand, whole) = (median(by_hand), median(by_kubelet));
    println!(
        "one pod, median of {}: CRI by hand {}, bind to Ready {} (+{})",
        options.single,
        millis(hand),
        millis(whole),
        millis(whole.saturating_sub(hand))
    );

    let (mut by_hand, mut by_kubelet) = (Vec::new(), Vec::new());
    let mut own = Duration::ZERO;
    for round in 0..options.rounds {
        by_hand.push(bare.start(options.many).await?);
        bare.end().await?;
        let before = kubelet.processor_time()?;
        by_kubelet.push(pods.start(options.many).await?);
        own += kubelet.processor_time()?.saturating_sub(before);
        if round + 1 < options.rounds {
            pods.end().await?;
        }
    }
    let (hand, whole) = (median(by_hand), median(by_kubelet));
    println!(
        "{} pods at once, median of {}: CRI by hand {}, bind to Ready {} ({:.2} times)",
        options.many,
        options.rounds,
        millis(hand),
        millis(whole),
        whole.as_secs_f64() / hand.as_secs_f64()
    );

    let own = own / u32::try_from(options.rounds * options.many)?.max(1);
    println!("the kubelet's own time of a processor, a pod: {}", millis(own));

    let before = kubelet.processor_time()?;
    tokio::time::sleep(Duration::from_secs(options.idle)).await;
    let used = kubelet.processor_time()?.saturating_sub(before).as_secs_f64() / options.idle as f64;
    println!(
        "kubelet, {} steady pods: {:.2} % of a processor, {:.1} MB",
        options.many,
        used * 100.0,
        kubelet.memory()?
    );
    pods.start(options.many).await?;
    println!("kubelet, {} pods: {:.1} MB", 2 * options.many, kubelet.memory()?);
    pods.end().await?;
    drop(kubelet);
    cluster.shut_down().await;
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
