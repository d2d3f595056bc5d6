//! Pods go.

use std::time::Duration;

use orchestra_runtime::container::ImageScript;
use serde_json::json;
use tokio::time::sleep;

use crate::node::{SECOND, Seen, started};

#[tokio::test(start_paused = true)]
async fn a_deleted_pod_stops_gracefully_and_then_goes() {
    let slow = ImageScript { stop_time: SECOND * 5, ..ImageScript::default() };
    let node = started(&[("slow", slow)]).await;
    node.add_pod("a", "slow", json!({})).await;
    let before = node.until("running", "a", Seen::is_running).await;
    node.delete_pod("a", 30).await;
    let after = node.until_gone("a").await;
    assert_eq!((after - before).as_secs(), 5);
    assert_eq!(node.until_events(5).await[4], "Normal Killing spec.containers{c}: Stopping container c");
    assert_eq!(node.runtime.counts(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_pod_removed_by_force_is_killed_at_once() {
    let stubborn = ImageScript { stop_time: Duration::MAX, ..ImageScript::default() };
    let node = started(&[("stubborn", stubborn)]).await;
    node.add_pod("a", "stubborn", json!({})).await;
    node.until("running", "a", Seen::is_running).await;
    node.delete_pod("a", 1_000_000).await;
    sleep(SECOND).await;
    assert_eq!(node.runtime.counts(), (1, 1));
    node.delete_pod("a", 0).await;
    sleep(SECOND).await;
    assert_eq!(node.runtime.counts(), (0, 0));
}
