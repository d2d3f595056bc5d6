//! How real containers end, and what is told of it.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    containerd::{
        image,
        leftovers::{until_there_is, what_there_is},
        on_a_node,
    },
    world::World,
};

#[test]
fn ends_have_their_codes_reasons_and_last_words() {
    on_a_node(async |node| {
        let before = what_there_is();
        let world = World::start(&node).await;
        futures::join!(
            last_words_are_read(&world),
            what_cannot_start_says_so(&world),
            memory_runs_out(&world),
            what_fails_is_held_off(&world),
            what_takes_no_notice_is_killed_after_its_grace(&world),
        );
        for pod in ["says", "writes", "elsewhere", "quiet", "absent", "again", "greedy", "crashes"] {
            world.begin_delete(pod, 1).await;
        }
        for pod in ["says", "writes", "elsewhere", "quiet", "absent", "again", "greedy", "crashes"] {
            world.gone(pod).await;
        }
        assert_eq!(world.count().await, (0, 0));
        until_there_is(before).await;
        world.shut_down().await;
    });
}

async fn once(world: &World, pod: &str, container: Value) {
    world.add(pod, json!({ "containers": [container], "restartPolicy": "Never" })).await;
}

/// How the pod's container ended, as soon as it has.
async fn end(world: &World, pod: &str) -> Value {
    let ended = |container: &Value| container["state"]["terminated"].is_object();
    let pod = world.until_first("ended", pod, ended).await;
    pod["status"]["containerStatuses"][0]["state"]["terminated"].clone()
}

async fn last_words_are_read(world: &World) {
    let fallback = "FallbackToLogsOnError";
    let says = json!({ "command": ["sh", "-c", "echo sorry; exit 7"], "terminationMessagePolicy": fallback });
    once(world, "says", says).await;
    once(world, "writes", json!({ "command": ["sh", "-c", "echo words > /dev/termination-log"] })).await;
    let elsewhere = json!({
        "command": ["sh", "-c", "echo log; echo file > /tmp/words; exit 1"],
        "terminationMessagePath": "/tmp/words", "terminationMessagePolicy": fallback,
    });
    once(world, "elsewhere", elsewhere).await;
    let quiet = json!({ "command": ["sh", "-c", "echo log"], "terminationMessagePolicy": fallback });
    once(world, "quiet", quiet).await;
    let says = end(world, "says").await;
    assert_eq!((&says["exitCode"], &says["reason"], &says["message"]), (&json!(7), &json!("Error"), &json!("sorry\n")));
    let writes = end(world, "writes").await;
    assert_eq!((&writes["exitCode"], &writes["reason"]), (&json!(0), &json!("Completed")));
    assert_eq!(writes["message"], "words\n");
    assert_eq!(end(world, "elsewhere").await["message"], "file\n");
    assert_eq!(end(world, "quiet").await["message"], Value::Null);
    assert_eq!(world.pod("says").await["status"]["phase"], "Failed");
    assert_eq!(world.pod("quiet").await["status"]["phase"], "Succeeded");
}

async fn what_cannot_start_says_so(world: &World) {
    once(world, "absent", json!({ "command": ["/absent"] })).await;
    let end = end(world, "absent").await;
    assert_eq!((&end["exitCode"], &end["reason"]), (&json!(128), &json!("StartError")), "{end}");
    assert_eq!(end["startedAt"], "1970-01-01T00:00:00Z");
    let words = "exec: \"/absent\": stat /absent: no such file or directory";
    assert!(end["message"].as_str().unwrap().contains(words), "{end}");
    let event = world.event("Failed: Error: failed to create containerd task: ").await;
    assert!(event.contains(words), "{event}");

    world.add("again", json!({ "containers": [{ "command": ["/absent"] }] })).await;
    let message = world.waits("again", "RunContainerError").await;
    assert!(message.contains(words), "{message}");
    let pod = world.until_first("tried again", "again", |container| container["restartCount"] == 1).await;
    let last = &pod["status"]["containerStatuses"][0]["lastState"]["terminated"];
    assert_eq!((&last["exitCode"], &last["reason"]), (&json!(128), &json!("StartError")), "{last}");
}

async fn memory_runs_out(world: &World) {
    let limits = json!({ "limits": { "memory": "24Mi" } });
    once(world, "greedy", json!({ "command": ["tail", "/dev/zero"], "resources": limits })).await;
    let end = end(world, "greedy").await;
    assert_eq!((&end["exitCode"], &end["reason"]), (&json!(137), &json!("OOMKilled")), "{end}");
}

async fn what_fails_is_held_off(world: &World) {
    world.add("crashes", json!({ "containers": [{ "image": image::EXIT_7 }] })).await;
    // As it is found first: it is started again in ten seconds, which slow machines may take to look twice.
    let waits = |container: &Value| container["state"]["waiting"]["reason"] == "CrashLoopBackOff";
    let pod = world.until_first("held off", "crashes", waits).await;
    let container = &pod["status"]["containerStatuses"][0];
    let message = container["state"]["waiting"]["message"].as_str().unwrap();
    assert!(message.starts_with("back-off 10s restarting failed container=c0 pod=crashes_default("), "{message}");
    world.event("BackOff: Back-off restarting failed container c0 in pod crashes_default(").await;
    assert_eq!(container["lastState"]["terminated"]["exitCode"], 7);
    assert_eq!((&container["restartCount"], &pod["status"]["phase"]), (&json!(1), &json!("Running")));
}

async fn what_takes_no_notice_is_killed_after_its_grace(world: &World) {
    world.add("stubborn", json!({ "containers": [{ "image": image::STUBBORN }] })).await;
    world.ready("stubborn").await;
    let begun = Instant::now();
    world.begin_delete("stubborn", 3).await;
    let ended = |pod: &Value| pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 137;
    world.until("killed", "stubborn", |pod| pod.is_null() || ended(pod)).await;
    world.gone("stubborn").await;
    assert!(begun.elapsed() >= Duration::from_secs(3));
    world.event("Killing: Stopping container c0").await;
}
