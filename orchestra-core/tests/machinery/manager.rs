use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use k8s_openapi::api::core::v1::ConfigMap;
use orchestra_core::{
    ObjectKey,
    clock::TokioClock,
    controller::{Action, Controller, ReconcileError, Watch},
    informer::{Informer, InformerFactory},
    leader_election::{LeaderElectionConfig, LeaderElector},
    manager::ControllerManager,
};
use tokio::{sync::mpsc, task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::api::Api;

/// Reports each call, and then does as `script` says for the call's number.
struct Scripted {
    name: &'static str,
    informer: Informer<ConfigMap>,
    calls: mpsc::UnboundedSender<(&'static str, String, Instant)>,
    script: fn(usize) -> Result<Action, ReconcileError>,
    count: std::sync::atomic::AtomicUsize,
}

#[async_trait]
impl Controller for Scripted {
    fn name(&self) -> &str {
        self.name
    }

    fn watches(&self) -> Vec<Watch> {
        vec![Watch::objects(&self.informer)]
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, ReconcileError> {
        self.calls.send((self.name, key.to_string(), Instant::now())).unwrap();
        (self.script)(self.count.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
    }
}

struct Bench {
    api: Api,
    informers: InformerFactory,
    sender: mpsc::UnboundedSender<(&'static str, String, Instant)>,
    calls: mpsc::UnboundedReceiver<(&'static str, String, Instant)>,
}

impl Bench {
    fn new() -> Self {
        let api = Api::default();
        api.put_config_map("a", "1");
        let informers = InformerFactory::new(api.client());
        let (sender, calls) = mpsc::unbounded_channel();
        Self { api, informers, sender, calls }
    }

    fn controller(&self, name: &'static str, script: fn(usize) -> Result<Action, ReconcileError>) -> Scripted {
        let informer = self.informers.informer();
        Scripted { name, informer, calls: self.sender.clone(), script, count: Default::default() }
    }

    fn elector(&self, identity: &str) -> LeaderElector {
        let clock = Arc::new(TokioClock::starting_at("2026-01-01T00:00:00Z".parse().unwrap()));
        LeaderElector::new(self.api.client(), LeaderElectionConfig::new("default", "managers", identity), clock)
    }

    /// The next call.
    async fn called(&mut self) -> (&'static str, String, Instant) {
        tokio::time::timeout(Duration::from_secs(300), self.calls.recv()).await.expect("no call").unwrap()
    }
}

fn run(manager: ControllerManager) -> (CancellationToken, JoinHandle<()>) {
    let stop = CancellationToken::new();
    (stop.clone(), tokio::spawn(manager.run(stop)))
}

fn done(_: usize) -> Result<Action, ReconcileError> {
    Ok(Action::Done)
}

#[tokio::test(start_paused = true)]
async fn a_failed_reconcile_is_tried_again_ever_later() {
    let mut bench = Bench::new();
    let controller = bench.controller("c", |call| {
        if call < 4 { Err("not yet".into()) } else { Ok(Action::RequeueAfter(Duration::from_secs(60))) }
    });
    let manager = ControllerManager::new().with(controller);
    let metrics = manager.metrics();
    let (stop, running) = run(manager);
    let mut times = Vec::new();
    for _ in 0..6 {
        times.push(bench.called().await.2);
    }
    let pauses: Vec<u128> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
    assert!(pauses[..4].windows(2).all(|pair| pair[0] < pair[1]), "{pauses:?}");
    assert!((60_000..60_100).contains(&pauses[4]), "{pauses:?}");
    stop.cancel();
    running.await.unwrap();
    let metrics = &metrics.read()[0];
    assert_eq!((metrics.failed, metrics.succeeded), (4, 2));
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_contained_and_tried_again() {
    let mut bench = Bench::new();
    let controller =
        bench.controller("c", |call| if call == 0 { panic!("by order of the test") } else { Ok(Action::Done) });
    let manager = ControllerManager::new().with(controller);
    let (stop, running) = run(manager);
    for _ in 0..2 {
        assert_eq!(bench.called().await.1, "default/a");
    }
    bench.api.put_config_map("b", "1");
    assert_eq!(bench.called().await.1, "default/b");
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn of_two_managers_one_works_and_the_other_takes_over() {
    let mut bench = Bench::new();
    let first = ControllerManager::new().with(bench.controller("first", done));
    let (stop_first, running_first) = run(first.with_leader_election(bench.elector("first")));
    assert_eq!(bench.called().await.0, "first");
    let second = ControllerManager::new().with(bench.controller("second", done));
    let (stop, running) = run(second.with_leader_election(bench.elector("second")));
    tokio::time::sleep(Duration::from_secs(60)).await;
    bench.api.put_config_map("b", "1");
    assert_eq!(bench.called().await.0, "first");
    let stopped = Instant::now();
    stop_first.cancel();
    running_first.await.unwrap();
    let (name, _, at) = bench.called().await;
    assert_eq!(name, "second");
    assert!(at - stopped < Duration::from_secs(5), "a lease that was given up is taken at once");
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_died_is_replaced_when_its_lease_has_run_out() {
    let mut bench = Bench::new();
    let first = ControllerManager::new().with(bench.controller("first", done));
    let (_stop, running_first) = run(first.with_leader_election(bench.elector("first")));
    assert_eq!(bench.called().await.0, "first");
    let second = ControllerManager::new().with(bench.controller("second", done));
    let (stop, running) = run(second.with_leader_election(bench.elector("second")));
    tokio::time::sleep(Duration::from_secs(10)).await;
    let died = Instant::now();
    running_first.abort();
    let (name, _, at) = bench.called().await;
    assert_eq!(name, "second");
    assert!((Duration::from_secs(10)..Duration::from_secs(20)).contains(&(at - died)), "{:?}", at - died);
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_cannot_renew_stops_working() {
    let mut bench = Bench::new();
    let manager = ControllerManager::new().with(bench.controller("c", done));
    let (_stop, running) = run(manager.with_leader_election(bench.elector("first")));
    bench.called().await;
    bench.api.change(|state| state.failures = 1_000);
    let ended = tokio::time::timeout(Duration::from_secs(15), running).await;
    assert!(ended.is_ok(), "still running after the deadline to renew");
}

/// Has a source that takes its time to end, and tells when it has.
struct Sourced {
    ended: mpsc::UnboundedSender<()>,
}

#[async_trait]
impl Controller for Sourced {
    fn name(&self) -> &str {
        "sourced"
    }

    fn watches(&self) -> Vec<Watch> {
        let ended = self.ended.clone();
        vec![Watch::source(|_, stop| async move {
            stop.cancelled().await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            ended.send(()).unwrap();
        })]
    }

    async fn reconcile(&self, _: &ObjectKey) -> Result<Action, ReconcileError> {
        Ok(Action::Done)
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_has_ended_when_the_manager_returns() {
    let (ended, mut sources) = mpsc::unbounded_channel();
    let (stop, running) = run(ControllerManager::new().with(Sourced { ended }));
    stop.cancel();
    running.await.unwrap();
    sources.try_recv().unwrap();
}
