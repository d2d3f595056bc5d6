//! What fails is tried again, ever later.

use orchestra_runtime::container::ImageScript;
use serde_json::json;

use crate::node::{SECOND, Seen, crashing, started};

#[tokio::test(start_paused = true)]
async fn a_crashing_container_restarts_with_growing_back_off() {
    let node = started(&[("bad", crashing())]).await;
    node.add_pod("a", "bad", json!({})).await;
    let mut restarts = Vec::new();
    for count in 1..=6 {
        restarts.push(node.until("restart", "a", |pod| pod.restarts() == count).await.as_secs());
        if count > 1 {
            node.until("back-off", "a", |pod| pod.waiting() == "CrashLoopBackOff").await;
        }
    }
    let gaps: Vec<u64> = restarts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // A second to crash, then the back-off.
    assert_eq!(gaps, [11, 21, 41, 81, 161]);
    let uid = node.uid("a").await;
    // A sixth is one event too many about this pod, as in Kubernetes.
    let back_off = format!(
        "Warning BackOff spec.containers{{c}}: Back-off restarting failed container c in pod a_default({uid}) x5"
    );
    node.server.until("fifth back-off", async || node.events().await.contains(&back_off).then_some(())).await;
    let status = node.status("a").await;
    let container = &status["containerStatuses"][0];
    assert_eq!((status["phase"].as_str(), &container["ready"]), (Some("Running"), &json!(false)));
    assert_eq!(container["lastState"]["terminated"]["exitCode"], 1);
    let message = format!("back-off 5m0s restarting failed container=c pod=a_default({uid})");
    assert_eq!(container["state"]["waiting"]["message"], message);
}

#[tokio::test(start_paused = true)]
async fn an_image_that_cannot_be_pulled_is_tried_again() {
    let failing = ImageScript { failing_pull: Some("not found".to_owned()), ..ImageScript::default() };
    let node = started(&[("bad", failing)]).await;
    node.add_pod("a", "bad", json!({})).await;
    node.until("failed", "a", |pod| pod.waiting() == "ErrImagePull").await;
    node.until("held off", "a", |pod| pod.waiting() == "ImagePullBackOff").await;
    assert_eq!(
        node.until_events(5).await,
        [
            "Normal Pulling spec.containers{c}: Pulling image \"bad\"",
            "Warning Failed spec.containers{c}: Failed to pull image \"bad\": not found",
            "Warning Failed spec.containers{c}: Error: ErrImagePull",
            "Normal BackOff spec.containers{c}: Back-off pulling image \"bad\"",
            "Warning Failed spec.containers{c}: Error: ImagePullBackOff",
        ]
    );
    node.runtime.set_image("bad", ImageScript::default());
    assert_eq!(node.until("running", "a", Seen::is_running).await.as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_container_of_another_image_takes_the_place_of_a_running_one() {
    let node = started(&[]).await;
    node.add_pod("a", "one", json!({ "restartPolicy": "Never" })).await;
    node.until("running", "a", Seen::is_running).await;
    node.set_image("a", "two").await;
    node.until("replaced", "a", |pod| pod.restarts() == 1 && pod.is_ready()).await;
    let status = node.status("a").await;
    let (container, image) = (&status["containerStatuses"][0], "docker.io/library/two@");
    assert!(container["imageID"].as_str().unwrap().starts_with(image), "{container}");
    assert_eq!(status["phase"], "Running");
    let restarted = "Normal Started spec.containers{c}: Container started x2";
    let ended = |events: &Vec<String>| events.last().is_some_and(|last| last == restarted);
    let events = node.server.until("restart told", async || Some(node.events().await).filter(ended)).await;
    assert_eq!(
        events[2..],
        [
            "Normal Killing spec.containers{c}: Container c definition changed, will be restarted",
            "Normal Pulling spec.containers{c}: Pulling image \"two\"",
            "Normal Pulled spec.containers{c}: Successfully pulled image \"two\" in 0s (0s including waiting). Image size: 50000000 bytes.",
            "Normal Created spec.containers{c}: Container created x2",
            restarted,
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_image_that_is_mended_is_not_waited_for() {
    let failing = ImageScript { failing_pull: Some("not found".to_owned()), ..ImageScript::default() };
    let node = started(&[("bad", failing), ("crashing", crashing())]).await;
    for image in ["bad", "crashing"] {
        node.add_pod(image, image, json!({})).await;
    }
    node.until("pull held off", "bad", |pod| pod.waiting() == "ImagePullBackOff").await;
    let held_off = |pod: &Seen| pod.restarts() == 3 && pod.waiting() == "CrashLoopBackOff";
    let begun = node.until("restart held off", "crashing", held_off).await;
    for pod in ["bad", "crashing"] {
        node.set_image(pod, "good").await;
        assert_eq!(node.until("running", pod, Seen::is_ready).await, begun);
    }
}

#[tokio::test(start_paused = true)]
async fn pods_that_never_restart_succeed_or_fail() {
    let good = ImageScript { exit_code_after: Some((SECOND, 0)), ..ImageScript::default() };
    let node = started(&[("good", good), ("bad", crashing())]).await;
    node.add_pod("a", "good", json!({ "restartPolicy": "Never" })).await;
    node.add_pod("b", "bad", json!({ "restartPolicy": "Never" })).await;
    node.until("succeeded", "a", |pod| pod.phase() == "Succeeded").await;
    node.until("failed", "b", |pod| pod.phase() == "Failed").await;
    let pod = node.pod("a").await.unwrap();
    let ready = pod.condition("Ready").unwrap();
    assert_eq!((ready["status"].as_str(), ready["reason"].as_str()), (Some("False"), Some("PodCompleted")));
    node.delete_pod("a", 30).await;
    node.until_gone("a").await;
}
