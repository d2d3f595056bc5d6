use std::time::Duration;

use crate::{
    containerd::{
        on_a_node,
        registry::{Behavior, Registry},
    },
    machine::{self, Leftovers},
    program::Folder,
};

#[test]
fn it_runs_the_manifest_with_real_containers_and_leaves_nothing() {
    on_a_node(async |node| {
        machine::connect();
        let registry = Registry::start(&node).await;
        // Both pods are to find that the image is missing.
        registry.set(Behavior::Slow(Duration::from_millis(300)));
        let before = Leftovers::before();
        let output = Folder::new().run("quickstart", "--runtime containerd").await;
        let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert_eq!((output.status.code(), err.as_str()), (Some(0), ""), "{out}");
        let is_event = |line: &str| line.split_whitespace().nth(1) == Some("Normal");
        let events: Vec<_> = out.lines().filter(|line| is_event(line)).collect();
        let count = |reason| events.iter().filter(|line| line.split_whitespace().nth(2) == Some(reason)).count();
        let reasons = ["ScalingReplicaSet", "SuccessfulCreate", "Scheduled", "Pulling", "Pulled", "Created", "Started"];
        assert_eq!((events.len(), reasons.map(count)), (13, [1, 2, 2, 2, 2, 2, 2]), "{out}");
        let pulled = |line: &&&str| line.contains("Successfully pulled image \"nginx\" in ");
        assert_eq!(events.iter().filter(pulled).count(), 2, "{out}");
        assert!(out.contains("nginx   2/2     2            2"), "{out}");
        before.none().await;
    });
}

#[test]
fn what_is_missing_is_said_at_once() {
    on_a_node(async |node| {
        let folder = Folder::new();
        let said = folder.fails("quickstart", "--runtime containerd:/run/none.sock").await;
        assert!(said.starts_with("no containers by /run/none.sock: ") && said.contains("No such file"), "{said}");
        let said = folder.fails("quickstart", "--runtime containerd").await;
        assert_eq!(said, "this machine has no default route, and so no address by which its pods reach it");
        let said = folder.fails("standalone", "--runtime containerd --nodes 2 --store memory").await;
        assert_eq!(said, "this machine is one node, not 2; the example `nodes` makes several");
        assert_eq!(node.ctr(&["containers", "list", "-q"]), "");
    });
}
