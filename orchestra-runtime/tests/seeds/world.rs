//! The cluster that a seed gives: its nodes, the images they can run, and the line to the API server.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use kube::Client;
use orchestra_core::{clock::TokioClock, random::Generator};
use orchestra_runtime::{
    Cluster,
    container::{ImageScript, MemoryRuntime, Readiness},
};
use orchestra_store::{MemoryStore, apiserver::Faults};
use parking_lot::Mutex;

use crate::Line;

/// Nodes by name, CPUs and pods. The last one's CPU is taken from the beginning.
const NODES: [(&str, &str, &str); 4] =
    [("n1", "3", "110"), ("n2", "3", "110"), ("few-pods", "8", "5"), (FULL, "1", "110")];

/// The node on which there is no room.
pub(crate) const FULL: &str = "full";
/// Images that come up and stay up.
pub(crate) const SOUND_IMAGES: [&str; 4] = ["app:v1", "app:v2", "app:v3", "app:v4"];
/// An image that serves for a while, and then crashes.
pub(crate) const FLAKY_IMAGE: &str = "app:flaky";
/// An image that crashes before it serves.
pub(crate) const CRASHING_IMAGE: &str = "app:crash";
/// An image that cannot be fetched.
pub(crate) const MISSING_IMAGE: &str = "app:missing";

pub(crate) struct World {
    pub(crate) seed: u64,
    /// For what the scenario decides.
    pub(crate) generator: Generator,
    /// A client that always gets through.
    pub(crate) client: Client,
    pub(crate) clock: TokioClock,
    pub(crate) store: MemoryStore,
    /// The runtime of each node.
    pub(crate) runtimes: Vec<(&'static str, MemoryRuntime)>,
    /// The uids of pods that a user has deleted, or is about to.
    pub(crate) deleted_by_user: Arc<Mutex<BTreeSet<String>>>,
    cluster: Cluster,
}

impl World {
    pub(crate) async fn start(seed: u64, line: Line) -> Self {
        let clock = TokioClock::starting_at("2026-01-01T00:00:00Z".parse().expect("a time"));
        let store = MemoryStore::default();
        let generator = Generator::seeded(seed);
        let scripts = scripts(&generator);
        let mut builder = Cluster::builder().seed(seed).clock(Arc::new(clock)).store(Arc::new(store.clone()));
        if line == Line::Bad {
            let faults = faults(generator.fork());
            builder = builder.wrap_transport(|server| faults.wrap(server));
        }
        let mut runtimes = Vec::new();
        for (name, cpu, pods) in NODES {
            let runtime = MemoryRuntime::new().clock(Arc::new(clock));
            scripts.iter().for_each(|(image, script)| runtime.set_image(image, script.clone()));
            let capacity = move |kubelet: orchestra_runtime::kubelet::KubeletBuilder| {
                kubelet.capacity([("cpu", cpu), ("pods", pods)])
            };
            builder = builder.node_with(name, Arc::new(runtime.clone()), capacity);
            runtimes.push((name, runtime));
        }
        let cluster = builder.start().await.expect("the cluster starts");
        let client = cluster.client();
        Self { seed, generator, client, clock, store, runtimes, deleted_by_user: Arc::default(), cluster }
    }

    pub(crate) async fn shut_down(self) {
        self.cluster.shut_down().await;
    }
}

fn faults(generator: Generator) -> Faults {
    Faults::new(generator)
        .failures(5)
        .lost_answers(5)
        .broken_watches(1)
        .delay(Duration::from_millis(20))
        .lag(Duration::from_millis(80))
}

fn scripts(generator: &Generator) -> Vec<(&'static str, ImageScript)> {
    let up_to = |millis| Duration::from_millis(generator.below(millis));
    let sound = || ImageScript {
        pull_time: up_to(3000),
        start_time: up_to(1000),
        readiness: Readiness::After(up_to(4000)),
        stop_time: up_to(4000),
        ..ImageScript::default()
    };
    let mut scripts: Vec<_> = SOUND_IMAGES.into_iter().map(|image| (image, sound())).collect();
    scripts.push((FLAKY_IMAGE, ImageScript { exit_code_after: Some((Duration::from_secs(20), 1)), ..sound() }));
    let crash = Some((up_to(2000), 1));
    scripts.push((CRASHING_IMAGE, ImageScript { exit_code_after: crash, readiness: Readiness::Never, ..sound() }));
    scripts.push((MISSING_IMAGE, ImageScript { failing_pull: Some("not found".to_owned()), ..sound() }));
    scripts
}
