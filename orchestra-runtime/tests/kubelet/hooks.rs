//! What containers do after their start and before their end, and in which order they end.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use orchestra_runtime::container::{ExecScript, ImageScript, Scripted};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::node::{SECOND, Seen, started};

type Commands = Arc<Mutex<Vec<(String, u64)>>>;

/// An image whose commands take the seconds of their second word and end with the code of their third; and which were run, with when.
fn noting() -> (ImageScript, Commands) {
    let commands = Commands::default();
    let (noted, begun) = (Arc::clone(&commands), Instant::now());
    let exec = ExecScript::new(move |command| {
        noted.lock().unwrap().push((command[0].clone(), begun.elapsed().as_secs()));
        let number = |word: usize| command.get(word).map_or(0, |word| word.parse::<u64>().unwrap());
        let code = i32::try_from(number(2)).unwrap();
        Scripted { time: SECOND * u32::try_from(number(1)).unwrap(), ..Scripted::exits(code) }
    });
    (ImageScript { exec: Some(exec), ..ImageScript::default() }, commands)
}

fn exec(words: [&str; 3]) -> Value {
    json!({ "exec": { "command": words } })
}

fn with(lifecycle: Value) -> Value {
    json!({ "containers": [{ "name": "c", "image": "app", "lifecycle": lifecycle }] })
}

fn names(commands: &Commands) -> Vec<(String, u64)> {
    commands.lock().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn a_container_runs_only_after_its_post_start_hook() {
    let (script, _) = noting();
    let node = started(&[("app", script)]).await;
    node.add_pod("a", "app", with(json!({ "postStart": exec(["begin", "5", "0"]) }))).await;
    sleep(SECOND * 3).await;
    let pod = node.pod("a").await.unwrap();
    assert_eq!((pod.phase(), pod.waiting()), ("Pending", "ContainerCreating"));
    assert_eq!(node.until("ready", "a", Seen::is_ready).await.as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_failed_post_start_hook_kills_the_container() {
    let (script, _) = noting();
    let node = started(&[("app", script)]).await;
    node.add_pod("a", "app", with(json!({ "postStart": exec(["begin", "1", "7"]) }))).await;
    node.until("failed", "a", |pod| pod.waiting() == "PostStartHookError").await;
    let state = node.status("a").await["containerStatuses"][0]["state"]["waiting"]["message"].clone();
    let uid = node.uid("a").await;
    assert_eq!(
        state,
        format!(
            "Exec lifecycle hook ([begin 1 7]) for Container \"c\" in Pod \"a_default({uid})\" failed - error: \
             command 'begin 1 7' exited with 7: , message: \"\""
        )
    );
    node.until("held off", "a", |pod| pod.waiting() == "CrashLoopBackOff").await;
    let events = node.events().await;
    for expected in [
        "Warning FailedPostStartHook spec.containers{c}: PostStartHook failed",
        "Normal Killing spec.containers{c}: FailedPostStartHook",
    ] {
        assert!(events.iter().any(|event| event.starts_with(expected)), "{events:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_goes_does_not_wait_for_its_post_start_hook() {
    let (script, _) = noting();
    let node = started(&[("app", script)]).await;
    node.add_pod("a", "app", with(json!({ "postStart": exec(["begin", "500", "0"]) }))).await;
    sleep(SECOND * 2).await;
    node.delete_pod("a", 30).await;
    assert!(node.until_gone("a").await < SECOND * 3);
}

#[tokio::test(start_paused = true)]
async fn a_pre_stop_hook_takes_of_the_grace_period() {
    for (hook, stop_time, expected) in [
        // The hook, then what the container takes.
        (exec(["end", "4", "0"]), SECOND * 3, 7),
        (json!({ "sleep": { "seconds": 4 } }), SECOND * 3, 7),
        // The hook fails: the container is stopped all the same.
        (exec(["end", "1", "1"]), SECOND * 3, 4),
        // What the hook leaves of ten seconds.
        (exec(["end", "6", "0"]), Duration::MAX, 10),
        // It leaves nothing: two seconds more.
        (exec(["end", "60", "0"]), Duration::MAX, 12),
    ] {
        let (script, _) = noting();
        let node = started(&[("app", ImageScript { stop_time, ..script })]).await;
        node.add_pod("a", "app", with(json!({ "preStop": hook }))).await;
        let begun = node.until("ready", "a", Seen::is_ready).await;
        node.delete_pod("a", 10).await;
        assert_eq!((node.until_gone("a").await - begun).as_secs(), expected, "{hook}");
        let failed = node.events().await.iter().any(|event| event.contains("FailedPreStopHook"));
        assert_eq!(failed, hook["exec"]["command"][2] == "1");
    }
}

#[tokio::test(start_paused = true)]
async fn a_shorter_grace_period_cuts_a_hook_short() {
    let (script, _) = noting();
    let node = started(&[("app", script)]).await;
    node.add_pod("a", "app", with(json!({ "preStop": exec(["end", "900", "0"]) }))).await;
    let begun = node.until("ready", "a", Seen::is_ready).await;
    node.delete_pod("a", 1000).await;
    sleep(SECOND * 10).await;
    node.delete_pod("a", 5).await;
    assert_eq!((node.until_gone("a").await - begun).as_secs(), 15);
}

#[tokio::test(start_paused = true)]
async fn sidecars_start_first_and_end_last() {
    let (script, commands) = noting();
    let script = ImageScript { stop_time: SECOND * 2, ..script };
    let node = started(&[("app", script)]).await;
    let container = |name: &str, more: Value| {
        let hook = |when: &str| exec([&format!("{when} {name}"), "0", "0"]);
        let lifecycle = json!({ "postStart": hook("start"), "preStop": hook("stop") });
        let mut container = json!({ "name": name, "image": "app", "lifecycle": lifecycle });
        container.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        container
    };
    let sidecar = || json!({ "restartPolicy": "Always" });
    let spec = json!({
        "initContainers": [container("s1", sidecar()), container("s2", sidecar())],
        "containers": [container("c", json!({}))],
    });
    node.add_pod("a", "app", spec).await;
    let begun = node.until("ready", "a", Seen::is_ready).await;
    node.delete_pod("a", 30).await;
    // Each has two seconds, one after the other.
    assert_eq!((node.until_gone("a").await - begun).as_secs(), 6);
    let names = names(&commands).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    // The hooks before the end run at once, as in Kubernetes.
    assert_eq!(names, ["start s1", "start s2", "start c", "stop c", "stop s2", "stop s1"]);
}

#[tokio::test(start_paused = true)]
async fn a_kubelet_killed_while_a_pod_ends_goes_on() {
    let (script, commands) = noting();
    let mut node = started(&[("app", script)]).await;
    node.add_pod("a", "app", with(json!({ "preStop": exec(["end", "20", "0"]) }))).await;
    node.until("ready", "a", Seen::is_ready).await;
    node.delete_pod("a", 30).await;
    sleep(SECOND * 5).await;
    node.stop().await;
    sleep(SECOND * 5).await;
    assert_eq!(node.runtime.counts(), (1, 1));
    node.start();
    node.until_gone("a").await;
    assert_eq!(node.runtime.counts(), (0, 0));
    // It is run again, as nobody knows how far it came.
    assert_eq!(names(&commands).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_went_while_no_kubelet_ran_is_stopped_with_grace() {
    let (script, _) = noting();
    let mut node = started(&[("app", ImageScript { stop_time: Duration::MAX, ..script })]).await;
    node.add_pod("a", "app", json!({})).await;
    node.until("ready", "a", Seen::is_ready).await;
    node.stop().await;
    node.delete_pod("a", 0).await;
    node.start();
    sleep(SECOND * 29).await;
    assert_eq!(node.runtime.counts(), (1, 1));
    sleep(SECOND * 2).await;
    assert_eq!(node.runtime.counts(), (0, 0));
}
