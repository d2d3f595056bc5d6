//! Kubernetes' own Python client, unmodified, against a cluster in this process.
//!
//! Without the client (package `kubernetes`) the test says so and passes; with `ORCHESTRA_REQUIRE_PYTHON` set it fails.
//! `ORCHESTRA_PYTHON` names the interpreter; by default it is `python3`.
#![allow(missing_docs, reason = "a test")]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::{collections::BTreeMap, env, net::SocketAddr, process::Stdio, sync::Arc, time::Duration};

use orchestra_runtime::{
    Cluster,
    container::{ExecScript, ImageScript, MemoryRuntime, PortScript},
};
use tokio::process::Command;

/// The longest that all checks may take, so that a fault is a failure and not a test without end.
const PATIENCE: Duration = Duration::from_secs(120);

fn python() -> Command {
    let mut command = Command::new(env::var_os("ORCHESTRA_PYTHON").unwrap_or_else(|| "python3".into()));
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_client_finds_what_it_expects() {
    let found = python().args(["-c", "import kubernetes"]).output().await;
    if !found.is_ok_and(|output| output.status.success()) {
        assert!(env::var_os("ORCHESTRA_REQUIRE_PYTHON").is_none(), "the Python client is required and absent");
        println!("skipped: there is no Python client");
        return;
    }
    let web = ImageScript {
        log_lines: vec!["one".to_owned(), "two".to_owned()],
        exec: Some(ExecScript::basic()),
        ports: BTreeMap::from([(80, PortScript::Echo)]),
        ..ImageScript::default()
    };
    let runtime = MemoryRuntime::new().image("web", web);
    let cluster = Cluster::builder().node("node-1", Arc::new(runtime)).start().await.unwrap();
    let address = cluster.serve(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let kubeconfig = env::temp_dir().join(format!("orchestra-python-{}", std::process::id()));
    std::fs::write(&kubeconfig, cluster.kubeconfig(address)).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python_client/checks.py");
    let checks = python().arg(script).arg(&kubeconfig).output();
    let output = tokio::time::timeout(PATIENCE, checks).await.expect("the checks end").unwrap();
    std::fs::remove_file(kubeconfig).unwrap();
    cluster.shut_down().await;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
}
