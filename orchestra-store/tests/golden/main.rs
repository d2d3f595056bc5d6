//! The API server answers as the recorded Kubernetes did.

use std::sync::Arc;

use orchestra_core::{clock::TokioClock, random::Generator};
use orchestra_store::{MemoryStore, apiserver::ApiServer};
use tokio_util::sync::CancellationToken;

mod harness;

#[tokio::test(start_paused = true)]
async fn answers_are_those_of_kubernetes() {
    let Some(folder) = harness::folder() else { return };
    let server = ApiServer::builder(Arc::new(MemoryStore::default()))
        .clock(Arc::new(TokioClock::starting_at("2026-11-24T07:54:00Z".parse().expect("a time"))))
        .generator(Generator::seeded(1))
        .start()
        .await
        .expect("the server starts");
    let (stop, address) = (CancellationToken::new(), "192.0.2.2:16443".parse().expect("an address"));
    let advertising = tokio::spawn(server.clone().advertise(address, stop.clone()));
    let scenarios = ["02-objects", "03-patch", "05-lists", "06-watch", "07-pods"];
    let mut replay = harness::Replay::new(server.router(), false).await;
    for name in scenarios {
        replay.run(&harness::scenario(&folder, name)).await;
    }
    stop.cancel();
    advertising.await.expect("it stops when it is told to");
    harness::assert_none(&replay.finish(&scenarios));
}

#[test]
fn every_recording_is_understood() {
    let Some(folder) = harness::folder() else { return };
    let files = std::fs::read_dir(&folder).expect("the folder of recordings");
    let names = files.filter_map(|file| file.ok()?.file_name().to_str()?.strip_suffix(".jsonl").map(str::to_owned));
    assert!(names.map(|name| harness::scenario(&folder, &name)).all(|scenario| !scenario.steps.is_empty()));
}
