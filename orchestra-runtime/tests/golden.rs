//! A cluster without kubelets answers, and its controllers and scheduler write, as the recorded Kubernetes did.

use std::sync::Arc;

use orchestra_core::clock::TokioClock;
use orchestra_runtime::Cluster;
use orchestra_store::apiserver::kinds::service::ServiceRanges;
use tokio_util::sync::CancellationToken;

#[path = "../../orchestra-store/tests/golden/harness/mod.rs"]
mod harness;

#[tokio::test(start_paused = true)]
async fn controllers_do_as_those_of_kubernetes() {
    let Some(folder) = harness::folder() else { return };
    let clock = TokioClock::starting_at("2026-11-24T07:54:00Z".parse().expect("a time"));
    let network = ServiceRanges::single("10.0.0.0/16".parse().expect("a range"));
    let cluster = Cluster::builder().nodes(0).clock(Arc::new(clock)).seed(1);
    let cluster = cluster.api_server(move |server| server.service_ranges(network));
    let cluster = cluster.start().await.expect("the cluster starts");
    let stop = CancellationToken::new();
    let address = "192.0.2.2:16443".parse().expect("an address");
    let advertising = tokio::spawn(cluster.server().clone().advertise(address, stop.clone()));
    let scenarios = ["08-rollout", "09-scheduling", "10-namespaces", "11-services"];
    let mut replay = harness::Replay::new(cluster.server().router(), true).await;
    for name in scenarios {
        replay.run(&harness::scenario(&folder, name)).await;
    }
    stop.cancel();
    advertising.await.expect("it stops when it is told to");
    cluster.shut_down().await;
    harness::assert_none(&replay.finish(&scenarios));
}
