//! A cluster without kubelets answers, and its controllers and scheduler write, as the recorded Kubernetes did.

use std::sync::Arc;

use orchestra_core::clock::TokioClock;
use orchestra_runtime::Cluster;

#[path = "../../orchestra-store/tests/golden/harness/mod.rs"]
mod harness;

#[tokio::test(start_paused = true)]
async fn controllers_do_as_those_of_kubernetes() {
    let Some(folder) = harness::folder() else { return };
    let clock = TokioClock::starting_at("2026-11-24T07:54:00Z".parse().expect("a time"));
    let cluster = Cluster::builder().nodes(0).clock(Arc::new(clock)).seed(1).start().await.expect("the cluster starts");
    let scenarios = ["08-rollout", "09-scheduling", "10-namespaces", "11-services"];
    let mut replay = harness::Replay::new(cluster.server().router(), true).await;
    for name in scenarios {
        replay.run(&harness::scenario(&folder, name)).await;
    }
    cluster.shut_down().await;
    harness::assert_none(&replay.finish(&scenarios));
}
