//! Logs, exec, attach and port-forward, with both of the protocols that kubectl speaks.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use orchestra_core::container_runtime::ExecOutput;
use orchestra_runtime::{
    Cluster,
    container::{ExecScript, ImageScript, MemoryRuntime, PortScript, Scripted},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::harness::{Kubectl, holds};

/// WebSocket, and SPDY for remote commands.
const REMOTE_COMMANDS: [(&str, &str); 2] =
    [("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "true"), ("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "false")];
/// SPDY in WebSocket, and SPDY alone for port-forward.
const PORT_FORWARDS: [(&str, &str); 2] =
    [("KUBECTL_PORT_FORWARD_WEBSOCKETS", "true"), ("KUBECTL_PORT_FORWARD_WEBSOCKETS", "false")];

fn web() -> ImageScript {
    let basic = ExecScript::basic();
    let exec = ExecScript::new(move |command| match command {
        [name] if name == "both" => {
            let output = ExecOutput { stdout: b"out\n".to_vec(), stderr: b"err\n".to_vec(), exit_code: 3 };
            Scripted { output, ..Scripted::default() }
        }
        _ => basic.run(command),
    });
    ImageScript {
        log_lines: ["one", "two", "three"].map(str::to_owned).to_vec(),
        error_lines: vec!["bad".to_owned()],
        later_log_lines: vec![
            (Duration::from_millis(1500), "later".to_owned()),
            (Duration::from_secs(4), "last".to_owned()),
        ],
        exec: Some(exec),
        ports: BTreeMap::from([(80, PortScript::Echo)]),
        ..ImageScript::default()
    }
}

/// A cluster with a pod `web` that is ready.
async fn started() -> Option<Kubectl> {
    let crash = ImageScript {
        exit_code_after: Some((Duration::from_millis(10), 1)),
        log_lines: vec!["crashed".to_owned()],
        ..ImageScript::default()
    };
    let ticks = (1..=5).map(|second| (Duration::from_secs(second), format!("tick {second}")));
    let talker = ImageScript {
        later_log_lines: ticks.collect(),
        exit_code_after: Some((Duration::from_millis(5500), 0)),
        ..ImageScript::default()
    };
    let missing = ImageScript { failing_pull: Some("no such image".to_owned()), ..ImageScript::default() };
    let runtime = MemoryRuntime::new()
        .image("web", web())
        .image("crash", crash)
        .image("missing", missing)
        .image("talker", talker);
    let kubectl = Kubectl::with(Cluster::builder().node("node-1", Arc::new(runtime))).await?;
    kubectl.run("run web --image=web").await;
    kubectl.run("wait --for=condition=Ready pod/web --timeout=50s").await;
    Some(kubectl)
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_read_from_where_and_as_far_as_one_wants() {
    let Some(kubectl) = started().await else { return };
    let begun = "one\ntwo\nthree\nbad\n";
    assert!(kubectl.run("logs web").await.starts_with(begun));
    assert!(kubectl.run("logs web -c web --since=1h").await.starts_with(begun));
    assert_eq!(kubectl.run("logs web --limit-bytes=5").await, "one\nt");
    assert_eq!(kubectl.run("logs web --tail=0").await, "");
    let stamped = kubectl.run("logs web --timestamps --tail=1").await;
    let (time, _) = stamped.split_once(' ').unwrap();
    assert!(time.len() == "2026-01-01T00:00:00.000000000Z".len() && time.ends_with('Z'), "{stamped}");
    let errors = kubectl.run("get --raw /api/v1/namespaces/default/pods/web/log?stream=Stderr").await;
    assert_eq!(errors, "bad\n");
    let mut follow = kubectl.watch("logs -f web");
    follow.line_with(&["one"]).await;
    follow.line_with(&["later"]).await;
    kubectl.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_that_are_not_there_are_errors_in_kubernetes_words() {
    let Some(kubectl) = started().await else { return };
    let said = kubectl.fails("logs web -p").await;
    assert!(said.ends_with("previous terminated container \"web\" in pod \"web\" not found\n"), "{said}");
    let said = kubectl.fails("logs web -c other").await;
    assert!(said.contains("container other is not valid for pod web"), "{said}");
    let said = kubectl.fails("logs none").await;
    assert!(said.contains("pods \"none\" not found"), "{said}");
    kubectl.run("run missing --image=missing").await;
    kubectl.watch("get events --watch").line_with(&["Failed", "pod/missing", "ImagePull"]).await;
    let said = kubectl.fails("logs missing").await;
    assert!(
        holds(&said, &["(BadRequest)", "container \"missing\" in pod \"missing\" is waiting to start: "]),
        "{said}"
    );
    let two = "apiVersion: v1\nkind: Pod\nmetadata: {name: two}\nspec:\n  initContainers: [{name: i, image: web}]\n  containers: [{name: a, image: web}, {name: b, image: web}]\n";
    let file = kubectl.manifest(two);
    kubectl.run(&format!("apply -f {file}")).await;
    let said = kubectl.fails("get --raw /api/v1/namespaces/default/pods/two/log").await;
    let words =
        "a container name must be specified for pod two, choose one of: [a b] or one of the init containers: [i]";
    assert!(said.contains(words), "{said}");
    kubectl.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_the_container_before_is_kept() {
    let Some(kubectl) = started().await else { return };
    kubectl.run("run crash --image=crash").await;
    kubectl.watch("get pods -w").line_with(&["crash", "0/1", "CrashLoopBackOff"]).await;
    assert_eq!(kubectl.run("logs crash").await, "crashed\n");
    assert_eq!(kubectl.run("logs crash -p").await, "crashed\n");
    kubectl.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_have_output_input_and_exit_codes() {
    let Some(kubectl) = started().await else { return };
    for protocol in REMOTE_COMMANDS {
        let exec = async |line: &str, input: &str| {
            let (code, out, err) = kubectl.run_with(protocol, line, input).await;
            // kubectl says so, and goes on, if the empty message by which servers tell that they are connected finds it not ready yet.
            let told =
                err.split_inclusive('\n').filter(|line| !line.contains("Unknown stream id 1, discarding message"));
            (code, out, told.collect::<String>())
        };
        let (code, out, err) = exec("exec web -- echo hello there", "").await;
        assert_eq!((code, out.as_str(), err.as_str()), (Some(0), "hello there\n", ""), "{protocol:?}");
        let (code, out, err) = exec("exec web -- both", "").await;
        assert_eq!((code, out.as_str()), (Some(3), "out\n"), "{protocol:?}");
        assert_eq!(err, "err\ncommand terminated with exit code 3\n", "{protocol:?}");
        let long: String = (0..50_000).map(|i| format!("line {i}\n")).collect();
        let (code, out, err) = exec("exec -i web -- cat", &long).await;
        assert_eq!((code, err.as_str()), (Some(0), ""), "{protocol:?}");
        assert!(out == long, "{protocol:?}: {} of {} bytes", out.len(), long.len());
        let (code, _, err) = exec("exec web -- vi", "").await;
        let words =
            ["Internal error occurred: error executing command in container", "\"vi\": executable file not found"];
        assert!(code == Some(1) && holds(&err, &words), "{protocol:?}: {err}");
        let (code, _, err) = exec("exec web -c other -- true", "").await;
        assert!(code == Some(1) && err.contains("container other is not valid for pod web"), "{protocol:?}: {err}");
    }
    kubectl.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attaching_shows_what_comes_and_takes_input() {
    let Some(kubectl) = started().await else { return };
    for (protocol, pod) in REMOTE_COMMANDS.into_iter().zip(["first", "second"]) {
        kubectl.run(&format!("run {pod} --image=talker --restart=Never")).await;
        kubectl.run(&format!("wait --for=condition=Ready pod/{pod} --timeout=50s")).await;
        // It ends with the container.
        let (code, out, err) = kubectl.run_with(protocol, &format!("attach -i {pod}"), "hello\n").await;
        assert_eq!(code, Some(0), "{protocol:?}: {out}{err}");
        assert!(holds(&out, &["hello\n"]) && holds(&out, &["tick 4\n", "tick 5\n"]), "{protocol:?}: {out}{err}");
    }
    kubectl.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forwarded_port_answers() {
    let Some(kubectl) = started().await else { return };
    for protocol in PORT_FORWARDS {
        let mut forward = kubectl.watch_with(protocol, "port-forward pod/web :80");
        let said = forward.line_with(&["Forwarding from 127.0.0.1:", "-> 80"]).await;
        let port = said.split(':').nth(1).unwrap().split(' ').next().unwrap().parse::<u16>().unwrap();
        // More than one connection, one after the other and at once.
        let mut first = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        for text in ["hello", "again"] {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut back = String::new();
            stream.read_to_string(&mut back).await.unwrap();
            assert_eq!(back, text, "{protocol:?}");
        }
        let data = vec![7; 2_000_000];
        let (mut read, mut write) = first.split();
        let send = async {
            write.write_all(&data).await.unwrap();
            write.shutdown().await.unwrap();
        };
        let mut back = Vec::new();
        let (_, read) = tokio::join!(send, read.read_to_end(&mut back));
        read.unwrap();
        assert!(back == data, "{protocol:?}: {} bytes", back.len());
    }
    kubectl.end().await;
}
