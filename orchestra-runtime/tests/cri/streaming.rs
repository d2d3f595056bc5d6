//! Being connected with processes and ports.

use std::time::Duration;

use orchestra_core::container_runtime::{
    ContainerConfig, ContainerId, ContainerRuntime, ProcessOutput, RuntimeError, SandboxId, StreamOptions, TerminalSize,
};
use orchestra_runtime::container::CriRuntime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    containerd::{image, on_a_node},
    pod::{container, run, sandbox},
};

const ALL: StreamOptions = StreamOptions { stdin: true, stdout: true, stderr: true, tty: false };
const TERMINAL: StreamOptions = StreamOptions { stdin: true, stdout: true, stderr: false, tty: true };

async fn forever(socket: &str) -> (CriRuntime, SandboxId, ContainerId) {
    let runtime = CriRuntime::connect(socket);
    let sandbox = sandbox(&runtime).await;
    let id = run(&runtime, &sandbox, container("forever", image::FOREVER)).await;
    (runtime, sandbox, id)
}

fn sh(script: &str) -> Vec<String> {
    ["sh", "-c", script].map(str::to_owned).into()
}

async fn all(output: Option<ProcessOutput>) -> String {
    let mut text = String::new();
    output.expect("it was asked for").read_to_string(&mut text).await.expect("text");
    text
}

/// Reads until `text` has come.
async fn until(output: &mut ProcessOutput, text: &str) {
    let (mut read, mut buffer) = (String::new(), [0; 1024]);
    while !read.contains(text) {
        let count = output.read(&mut buffer).await.expect("output");
        assert!(count > 0, "{text:?} does not come, only {read:?}");
        read.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
}

#[test]
fn a_command_reads_to_the_end_of_its_input_and_tells_its_exit_code() {
    on_a_node(async |node| {
        let (runtime, _, id) = forever(node.socket()).await;
        let streams = runtime.exec(&id, sh("wc -c; echo bad >&2; exit 7"), ALL).await.expect("a process");
        let mut stdin = streams.stdin.expect("it was asked for");
        let write = async {
            // More than any buffer on the way holds.
            stdin.write_all(&vec![b'x'; 3_000_000]).await.expect("it reads");
            stdin.shutdown().await.expect("it ends");
        };
        let (_, stdout, stderr) = futures::join!(write, all(streams.stdout), all(streams.stderr));
        assert_eq!((stdout.trim(), stderr.trim()), ("3000000", "bad"));
        assert_eq!(streams.exit.await, Ok(7));
        let streams = runtime.exec(&id, sh("true"), ALL).await.expect("a process");
        assert_eq!(streams.exit.await, Ok(0));
    });
}

#[test]
fn what_cannot_be_run_is_told() {
    on_a_node(async |node| {
        let (runtime, _, id) = forever(node.socket()).await;
        let streams = runtime.exec(&id, vec!["no-such-command".to_owned()], ALL).await.expect("a process");
        let error = streams.exit.await.expect_err("there is none");
        assert!(matches!(&error, RuntimeError::Failed(message) if message.contains("no-such-command")), "{error}");
        let nobody = ContainerId("nobody".into());
        assert!(runtime.exec(&nobody, sh("true"), ALL).await.expect_err("there is none").is_not_found());
        let none = StreamOptions::default();
        let error = runtime.exec(&id, sh("true"), none).await.expect_err("nothing to connect");
        assert!(matches!(error, RuntimeError::InvalidArgument(_)), "{error}");
    });
}

#[test]
fn a_terminal_has_the_size_that_it_was_given_last() {
    on_a_node(async |node| {
        let (runtime, _, id) = forever(node.socket()).await;
        let mut streams = runtime.exec(&id, vec!["sh".to_owned()], TERMINAL).await.expect("a process");
        assert!(streams.stderr.is_none());
        let (mut stdin, mut stdout) =
            (streams.stdin.take().expect("asked for"), streams.stdout.take().expect("asked for"));
        for (width, height) in [(100, 30), (120, 40)] {
            streams.resize.send(TerminalSize { width, height }).await.expect("it has a terminal");
            // The size may take a moment to arrive there.
            let wait =
                format!("until [ \"$(stty size)\" = '{height} {width}' ]; do sleep 0.01; done; echo is $((6*7))\n");
            stdin.write_all(wait.as_bytes()).await.expect("it reads");
            until(&mut stdout, "is 42").await;
        }
        stdin.write_all(b"exit 3\n").await.expect("it reads");
        assert_eq!(streams.exit.await, Ok(3));
    });
}

#[test]
fn who_attaches_is_connected_with_the_containers_own_process() {
    on_a_node(async |node| {
        let runtime = CriRuntime::connect(node.socket());
        let sandbox = sandbox(&runtime).await;
        let echo = ContainerConfig {
            command: sh("while read line; do echo you said $line; done; echo over"),
            stdin: true,
            stdin_once: true,
            ..container("echo", image::BUSYBOX)
        };
        let id = run(&runtime, &sandbox, echo).await;
        let mut streams = runtime.attach(&id, ALL).await.expect("the process");
        let (mut stdin, mut stdout) =
            (streams.stdin.take().expect("asked for"), streams.stdout.take().expect("asked for"));
        stdin.write_all(b"hello\n").await.expect("it reads");
        until(&mut stdout, "you said hello").await;
        stdin.shutdown().await.expect("it ends");
        until(&mut stdout, "over").await;
        assert_eq!(streams.exit.await, Ok(0));
    });
}

#[test]
fn a_port_of_a_sandbox_is_reached_and_a_closed_one_refuses() {
    on_a_node(async |node| {
        let (runtime, sandbox, id) = forever(node.socket()).await;
        let listen = sh("nc -ll -p 8081 -e sh -c 'read line; echo got $line' >/dev/null 2>&1 &");
        runtime.exec_sync(&id, listen, Some(Duration::from_secs(20))).await.expect("it listens");
        let wait = sh("until netstat -ltn | grep -q :8081; do sleep 0.01; done");
        runtime.exec_sync(&id, wait, Some(Duration::from_secs(20))).await.expect("it listens");
        for _ in 0..2 {
            let mut port = runtime.port_forward(&sandbox, 8081).await.expect("a connection");
            port.write_all(b"hello\n").await.expect("it reads");
            let mut answer = String::new();
            port.read_to_string(&mut answer).await.expect("an answer");
            assert_eq!(answer, "got hello\n");
        }
        let mut port = runtime.port_forward(&sandbox, 9).await.expect("a connection");
        let error = port.read_to_end(&mut Vec::new()).await.expect_err("nobody listens");
        assert!(error.to_string().contains("refused"), "{error}");
    });
}
