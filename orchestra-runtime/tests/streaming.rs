//! Logs, exec, attach and port-forward through kube-rs, in this process and over HTTP.
#![allow(clippy::unwrap_used)]

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use futures::{AsyncBufReadExt, TryStreamExt};
use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::Status};
use kube::{
    Api, Client, Config,
    api::{AttachParams, AttachedProcess, LogParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    runtime::{conditions::is_pod_running, wait::await_condition},
};
use orchestra_core::container_runtime::ExecOutput;
use orchestra_runtime::{
    Cluster,
    container::{ExecScript, ImageScript, MemoryRuntime, PortScript, Scripted},
};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn web() -> ImageScript {
    let basic = ExecScript::basic();
    let exec = ExecScript::new(move |command| match command {
        [name] if name == "fail" => Scripted {
            output: ExecOutput { stderr: b"no\n".to_vec(), exit_code: 3, ..ExecOutput::default() },
            ..Scripted::default()
        },
        _ => basic.run(command),
    });
    ImageScript {
        log_lines: vec!["one".to_owned(), "two".to_owned()],
        later_log_lines: vec![(Duration::from_secs(1), "three".to_owned())],
        exit_code_after: Some((Duration::from_secs(5), 0)),
        exec: Some(exec),
        ports: BTreeMap::from([(80, PortScript::Echo)]),
        ..ImageScript::default()
    }
}

async fn pods(client: &Client, name: &str) -> Api<Pod> {
    let pods = Api::<Pod>::default_namespaced(client.clone());
    let spec = json!({ "containers": [{ "name": "c", "image": "web" }], "restartPolicy": "Never" });
    let pod = serde_json::from_value(json!({ "metadata": { "name": name }, "spec": spec })).unwrap();
    pods.create(&PostParams::default(), &pod).await.unwrap();
    await_condition(pods.clone(), name, is_pod_running()).await.unwrap();
    pods
}

async fn text(mut read: impl tokio::io::AsyncRead + Unpin) -> String {
    let mut text = String::new();
    read.read_to_string(&mut text).await.unwrap();
    text
}

/// What a process wrote, and how it ended.
async fn ended(mut process: AttachedProcess) -> (String, String, Status) {
    let status = process.take_status().unwrap();
    let (stdout, stderr) = (process.stdout().unwrap(), process.stderr().unwrap());
    let (stdout, stderr, status) = tokio::join!(text(stdout), text(stderr), status);
    (stdout, stderr, status.unwrap())
}

async fn check(client: Client, name: &str) {
    let pods = pods(&client, name).await;
    let both = AttachParams::default();
    let (out, _, status) = ended(pods.exec(name, ["echo", "hello", "there"], &both).await.unwrap()).await;
    assert_eq!((out.as_str(), status.status.as_deref()), ("hello there\n", Some("Success")));
    let (_, err, status) = ended(pods.exec(name, ["fail"], &both).await.unwrap()).await;
    let causes = status.details.unwrap().causes.unwrap();
    assert_eq!((err.as_str(), status.reason.as_deref()), ("no\n", Some("NonZeroExitCode")));
    assert_eq!((causes[0].reason.as_deref(), causes[0].message.as_deref()), (Some("ExitCode"), Some("3")));

    let mut cat = pods.exec(name, ["cat"], &AttachParams::default().stdin(true)).await.unwrap();
    let mut stdin = cat.stdin().unwrap();
    let feed = async move {
        stdin.write_all(&[b'x'; 100_000]).await.unwrap();
        stdin.shutdown().await.unwrap();
        drop(stdin);
    };
    let (out, ()) = tokio::join!(text(cat.stdout().unwrap()), feed);
    assert_eq!(out.len(), 100_000);

    let mut forward = pods.portforward(name, &[80]).await.unwrap();
    let mut stream = forward.take_stream(80).unwrap();
    stream.write_all(b"ping").await.unwrap();
    let mut pong = [0; 4];
    stream.read_exact(&mut pong).await.unwrap();
    assert_eq!(&pong, b"ping");
    drop(stream);

    let params = LogParams { follow: true, ..LogParams::default() };
    let lines = pods.log_stream(name, &params).await.unwrap().lines();
    let (lines, (attached, _, status)) = tokio::join!(lines.try_collect::<Vec<_>>(), async {
        ended(pods.attach(name, &AttachParams::default()).await.unwrap()).await
    });
    assert_eq!(lines.unwrap(), ["one", "two", "three"]);
    assert_eq!(status.status.as_deref(), Some("Success"));
    assert!(["three\n", ""].contains(&attached.as_str()), "{attached}");
}

async fn started() -> Cluster {
    let runtime = MemoryRuntime::new().image("web", web());
    Cluster::builder().node("node-1", Arc::new(runtime)).start().await.unwrap()
}

#[tokio::test]
async fn a_client_in_this_process_enters_containers() {
    let cluster = started().await;
    check(cluster.client(), "near").await;
    cluster.shut_down().await;
}

#[tokio::test]
async fn a_client_over_http_enters_containers() {
    let cluster = started().await;
    let address = cluster.serve(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    check(client(&cluster, address).await, "far").await;
    cluster.shut_down().await;
}

/// The kubelet is reached over a connection of its own, as that of another process.
#[tokio::test]
async fn a_kubelet_behind_a_socket_is_entered_too() {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let runtime = Arc::new(MemoryRuntime::new().image("web", web()));
    let cluster = Cluster::builder()
        .node_with("node-1", runtime, move |kubelet| kubelet.listen(any))
        .api_server(|server| server.network(Arc::new(orchestra_store::apiserver::Dial)))
        .start()
        .await
        .unwrap();
    let address = cluster.serve(any).await.unwrap();
    check(client(&cluster, address).await, "socket").await;
    cluster.shut_down().await;
}

async fn client(cluster: &Cluster, address: SocketAddr) -> Client {
    let kubeconfig = Kubeconfig::from_yaml(&cluster.kubeconfig(address)).unwrap();
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap().try_into().unwrap()
}
