//! `standalone` with real containers, which outlive it where its state does.

use std::collections::BTreeSet;

use tokio::process::Command;

use crate::{
    containerd::{Containerd, on_a_node, registry::Registry},
    machine::{self, Leftovers},
    program::{Folder, Program},
};

/// Starts it with its state in `store`, and returns it with a kubectl's arguments to reach it.
async fn started(folder: &Folder, store: &str) -> (Program, String) {
    let arguments = format!("--listen 127.0.0.1:0 --runtime containerd --kubeconfig kubeconfig --store {store}");
    let mut program = folder.start("standalone", &arguments);
    let address = program.address().await;
    (program, format!("--server=http://{address}"))
}

async fn kubectl(server: &str, line: &str) -> String {
    let output = Command::new("kubectl").arg(server).args(line.split(' ')).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "kubectl {line}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// The lines of the runtime's list of tasks, which it gives in no order.
fn tasks(node: &Containerd) -> BTreeSet<String> {
    node.ctr(&["tasks", "list"]).lines().map(str::to_owned).collect()
}

#[test]
fn pods_run_on_while_it_is_away_if_its_state_is_kept() {
    on_a_node(async |node| {
        machine::connect();
        let _registry = Registry::start(&node).await;
        let folder = Folder::new();
        let status = "get pod web -o jsonpath={.status.containerStatuses[0]['containerID','restartCount','state']}{.status.podIP}";
        let (program, server) = started(&folder, "durable:state").await;
        kubectl(&server, "run web --image=registry.test/web").await;
        kubectl(&server, "wait --for=condition=Ready pod/web --timeout=50s").await;
        let before = kubectl(&server, status).await;
        assert!(before.contains("containerd://") && before.contains("startedAt"), "{before}");
        program.signal("TERM").await;
        assert_eq!(program.exit_code().await, Some(0));
        let running = tasks(&node);

        let (program, server) = started(&folder, "durable:state").await;
        kubectl(&server, "wait --for=condition=Ready node/node --timeout=50s").await;
        assert_eq!(kubectl(&server, "exec web -- hostname").await, "web\n");
        assert_eq!(kubectl(&server, status).await, before);
        assert_eq!(tasks(&node), running);
        kubectl(&server, "delete pod web --timeout=50s").await;
        assert_eq!(node.ctr(&["containers", "list", "-q"]), "");
        program.signal("TERM").await;
        assert_eq!(program.exit_code().await, Some(0));
    });
}

#[test]
fn pods_end_with_it_if_its_state_does() {
    on_a_node(async |node| {
        machine::connect();
        let _registry = Registry::start(&node).await;
        let before = Leftovers::before();
        let folder = Folder::new();
        let (program, server) = started(&folder, "memory").await;
        kubectl(&server, "create deployment web --image=registry.test/web --replicas=2").await;
        kubectl(&server, "rollout status deployment/web --timeout=50s").await;
        program.signal("INT").await;
        assert_eq!(program.exit_code().await, Some(0));
        before.none().await;
    });
}
