//! The subresources that pods alone have.

use futures::{AsyncBufReadExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    ResourceExt,
    api::{AttachParams, DeleteParams, EvictParams, LogParams, Patch, PatchParams, PostParams},
    runtime::wait::{await_condition, conditions::is_deleted},
};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::{World, of};

#[tokio::test]
async fn logs_are_read_and_followed() {
    let world = World::start().await;
    world.pod("one").await;
    let pods = world.api::<Pod>();
    assert_eq!(pods.logs("one", &LogParams::default()).await.unwrap(), "one\ntwo\n");
    let last = LogParams { tail_lines: Some(1), container: Some("main".to_owned()), ..LogParams::default() };
    assert_eq!(pods.logs("one", &last).await.unwrap(), "two\n");
    let follow = LogParams { follow: true, ..LogParams::default() };
    let mut lines = pods.log_stream("one", &follow).await.unwrap().lines();
    assert_eq!(lines.try_next().await.unwrap().as_deref(), Some("one"));
    pods.delete("one", &DeleteParams::default().grace_period(0)).await.unwrap();
    assert_eq!(lines.try_collect::<Vec<_>>().await.unwrap(), ["two"]);
    world.end().await;
}

#[tokio::test]
async fn commands_run_and_ports_are_forwarded() {
    let world = World::start().await;
    world.pod("one").await;
    let pods = world.api::<Pod>();
    let mut cat = pods.exec("one", ["cat"], &AttachParams::default().stdin(true).stderr(false)).await.unwrap();
    let (mut stdin, mut stdout, status) = (cat.stdin().unwrap(), cat.stdout().unwrap(), cat.take_status().unwrap());
    stdin.write_all(b"hello").await.unwrap();
    stdin.shutdown().await.unwrap();
    drop(stdin);
    let mut text = String::new();
    stdout.read_to_string(&mut text).await.unwrap();
    assert_eq!((text.as_str(), status.await.unwrap().status.as_deref()), ("hello", Some("Success")));
    cat.join().await.unwrap();
    let mut forwarder = pods.portforward("one", &[80]).await.unwrap();
    let mut port = forwarder.take_stream(80).unwrap();
    port.write_all(b"ping").await.unwrap();
    let mut answer = [0; 4];
    port.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"ping");
    drop(port);
    forwarder.join().await.unwrap();
    world.end().await;
}

#[tokio::test]
async fn pods_are_resized_debugged_and_evicted() {
    let world = World::start().await;
    let uid = world.pod("one").await.uid().unwrap();
    let pods = world.api::<Pod>();
    let resources = json!({"requests": {"cpu": "20m"}, "limits": {"cpu": "40m"}});
    let resize = Patch::Strategic(json!({"spec": {"containers": [{"name": "main", "resources": resources}]}}));
    let refused = pods.patch_resize("one", &PatchParams::default(), &resize).await;
    assert!(refused.is_err(), "its quality of service would change");
    let debug = json!({"name": "debug", "image": "web", "targetContainerName": "main"});
    let patch = Patch::Strategic(json!({"spec": {"ephemeralContainers": [debug]}}));
    let patched = pods.patch_ephemeral_containers("one", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(patched.spec.unwrap().ephemeral_containers.unwrap()[0].name, "debug");
    let mut read = pods.get_ephemeral_containers("one").await.unwrap();
    let more = of(json!({"name": "more", "image": "web"}));
    read.spec.as_mut().unwrap().ephemeral_containers.as_mut().unwrap().push(more);
    let replaced = pods.replace_ephemeral_containers("one", &PostParams::default(), &read).await.unwrap();
    assert_eq!(replaced.spec.unwrap().ephemeral_containers.unwrap().len(), 2);
    let post_options = PostParams { dry_run: true, ..PostParams::default() };
    let dry = EvictParams { post_options, ..EvictParams::default() };
    assert!(pods.evict("one", &dry).await.unwrap().is_success());
    let evicted = pods.evict("one", &EvictParams::default()).await.unwrap();
    assert!(evicted.is_success() && evicted.code == 201, "{evicted:?}");
    await_condition(pods, "one", is_deleted(&uid)).await.unwrap();
    world.end().await;
}
