//! The scheduler alone, for any Kubernetes API server: in the place of kube-scheduler, or beside it under names of its own.
//!
//! ```text
//! cargo run --example scheduler -- --kubeconfig orchestra.kubeconfig --config scheduler.yaml
//! curl http://127.0.0.1:10259/readyz http://127.0.0.1:10259/metrics
//! ```
//!
//! It reads kube-scheduler's configuration file (`KubeSchedulerConfiguration`). Of several that run one works, and another goes on when it
//! dies. A plugin of one's own is one line: `Registry::kubernetes().with("MyPlugin", MyPlugin::new)`.

use std::{error::Error, future, net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use axum::{Router, http::StatusCode, routing::get};
use clap::Parser;
use k8s_openapi::api::core::v1::Node;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use mimalloc::MiMalloc;
use orchestra_core::{
    clock::SystemClock,
    event_recorder::EventRecorder,
    informer::{Informer, InformerFactory},
    leader_election::{LeaderElectionConfig, LeaderElector},
    random::Generator,
    scheduler::PodInfo,
};
use orchestra_examples::{program, stop::Signals};
use orchestra_sched::{
    config::{KubeSchedulerConfiguration, LeaderElection, Registry},
    driver::{DEFAULT_SCHEDULER_NAME, SchedulerDriver},
    framework::Framework,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::info;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// The upper bounds of durations, in seconds: from a tenth of a millisecond to a quarter of a minute.
const SECONDS: [f64; 19] = [
    0.0001, 0.0002, 0.0004, 0.0008, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048,
    4.096, 8.192, 16.384,
];
/// Those of one plugin's calls: from a tenth of a microsecond on.
const PLUGIN_SECONDS: [f64; 12] = [1e-7, 2e-7, 5e-7, 1e-6, 2e-6, 5e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0];
/// Those of what may take hours: kube-scheduler's.
const LONG_SECONDS: [f64; 20] = [
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84, 327.68, 655.36,
    1310.72, 2621.44, 5242.88,
];
/// The upper bounds of counts.
const COUNTS: [f64; 7] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];
/// How often measurements are gathered.
const UPKEEP: Duration = Duration::from_secs(5);

/// Schedules the pods of a cluster until SIGINT or SIGTERM.
///
/// RUST_LOG says what is logged to stderr: info by default.
#[derive(Parser)]
struct Arguments {
    /// A KubeSchedulerConfiguration of kubescheduler.config.k8s.io/v1; without one, kube-scheduler's defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How to reach the API server; without it what the configuration says, $KUBECONFIG, or the pod's service account.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Whether one of several schedulers is elected to work, whatever the configuration says.
    #[arg(long, value_name = "BOOL")]
    leader_elect: Option<bool>,
    /// Where to serve /healthz, /livez, /readyz and /metrics over HTTP; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:10259", value_name = "ADDRESS")]
    listen: SocketAddr,
}

#[tokio::main]
async fn main() -> ExitCode {
    program::run("info", run(Arguments::parse())).await
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let signals = Signals::new()?;
    let mut config = match &arguments.config {
        Some(path) => {
            let yaml = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
            KubeSchedulerConfiguration::from_yaml(&yaml).map_err(|error| format!("{}: {error}", path.display()))?
        }
        None => KubeSchedulerConfiguration::default(),
    };
    config.leader_election.leader_elect = arguments.leader_elect.unwrap_or(config.leader_election.leader_elect);
    config.validate()?;
    let measured = install_recorder()?;
    let client = client(arguments.kubeconfig.as_deref(), &config).await?;
    let informers = InformerFactory::compressed(client.clone());
    let driver = driver(&client, &informers, &config)?;
    // Who takes over has seen nodes and pods already.
    let seen =
        (!config.delay_cache_until_active).then(|| (informers.informer::<Node>(), informers.informer::<PodInfo>()));

    let listener = TcpListener::bind(arguments.listen).await?;
    let address = listener.local_addr()?;
    let serving = axum::serve(listener, endpoints(measured, seen)).into_future();
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        signals.first().await;
        stopping.cancel();
    });
    println!("serving on http://{address}");
    let scheduling = lead(client, &config.leader_election, stop, driver);
    tokio::select! {
        scheduled = scheduling => scheduled?,
        served = serving => served?,
    }
    informers.shut_down().await;
    Ok(())
}

async fn client(
    argument: Option<&std::path::Path>,
    config: &KubeSchedulerConfiguration,
) -> Result<Client, Box<dyn Error>> {
    let configured = Some(&config.client_connection.kubeconfig).filter(|path| !path.is_empty()).map(PathBuf::from);
    let path = argument.map(PathBuf::from).or(configured);
    let config = match path {
        Some(path) => {
            let kubeconfig = Kubeconfig::read_from(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?
        }
        None => Config::infer().await?,
    };
    Ok(Client::try_from(config)?)
}

fn driver(
    client: &Client,
    informers: &InformerFactory,
    config: &KubeSchedulerConfiguration,
) -> Result<SchedulerDriver, Box<dyn Error>> {
    let clock = Arc::new(SystemClock);
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let instance = format!("{DEFAULT_SCHEDULER_NAME}-{}", host.trim());
    let recorder = EventRecorder::reporting(client.clone(), DEFAULT_SCHEDULER_NAME, &instance, clock.clone());
    let scheduler = Arc::new(Framework::kubernetes());
    let generator = Generator::from_entropy();
    let driver = SchedulerDriver::new(client.clone(), informers.clone(), scheduler, recorder, clock, generator);
    let election = &config.leader_election;
    // When the lease is lost, another may lead from its end on.
    let grace = election.lease_duration.saturating_sub(election.renew_deadline) / 2;
    Ok(driver.with_configuration(config, &Registry::kubernetes())?.with_grace(grace))
}

/// Runs the driver while this process leads.
async fn lead(
    client: Client,
    election: &LeaderElection,
    stop: CancellationToken,
    driver: SchedulerDriver,
) -> Result<(), Box<dyn Error>> {
    if !election.leader_elect {
        driver.run(stop).await;
        return Ok(());
    }
    let identity = Generator::from_entropy().uid();
    let config = LeaderElectionConfig {
        lease_duration: election.lease_duration,
        renew_deadline: election.renew_deadline,
        retry_period: election.retry_period,
        ..LeaderElectionConfig::new(&election.resource_namespace, &election.resource_name, &identity)
    };
    info!(identity, lease = election.resource_name, "waiting to lead");
    let elector = LeaderElector::new(client, config, Arc::new(SystemClock));
    let leading = |stop| {
        println!("leading as {identity}");
        driver.run(stop)
    };
    // Another may lead by now: only a new process may begin again.
    elector.run(stop, leading).await.map_err(Into::into)
}

fn install_recorder() -> Result<PrometheusHandle, Box<dyn Error>> {
    let one = |name: &str| Matcher::Full(name.to_owned());
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(one("scheduler_plugin_execution_duration_seconds"), &PLUGIN_SECONDS)?
        .set_buckets_for_metric(one("scheduler_pod_scheduling_sli_duration_seconds"), &LONG_SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_attempts".to_owned()), &COUNTS)?
        .set_buckets_for_metric(Matcher::Suffix("_victims".to_owned()), &COUNTS)?
        .install_recorder()?;
    let upkept = handle.clone();
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(UPKEEP);
        loop {
            ticks.tick().await;
            upkept.run_upkeep();
        }
    });
    Ok(handle)
}

/// Who has not begun to watch is ready to lead.
fn endpoints(measured: PrometheusHandle, seen: Option<(Informer<Node>, Informer<PodInfo>)>) -> Router {
    let ready = move || {
        let synced = seen.as_ref().is_none_or(|(nodes, pods)| nodes.has_synced() && pods.has_synced());
        let answer =
            if synced { (StatusCode::OK, "ok") } else { (StatusCode::INTERNAL_SERVER_ERROR, "not yet listed") };
        future::ready(answer)
    };
    Router::new()
        .route("/healthz", get(|| future::ready("ok")))
        .route("/livez", get(|| future::ready("ok")))
        .route("/readyz", get(ready))
        .route("/metrics", get(move || future::ready(measured.render())))
}
