//! What a test's machine needs to be a node, the node with kubectl, and what is left on it.

use std::{process::Command, time::Duration};

use orchestra_examples::nodes::{Nodes, Runtime};
use orchestra_runtime::Cluster;

use crate::{
    containerd::{Containerd, leftovers, registry::Registry},
    harness::Kubectl,
};

/// Gives it a way to others, as nodes have, by which its address is 192.0.2.1. Who is outside is 192.0.2.9, in the network namespace `outside`.
pub(crate) fn connect() {
    for words in [
        "netns add outside",
        "link add eth0 type veth peer name eth0 netns outside",
        "address add 192.0.2.1/24 dev eth0",
        "link set eth0 up",
        "route add default via 192.0.2.9",
        "-n outside address add 192.0.2.9/24 dev eth0",
        "-n outside link set eth0 up",
    ] {
        output("ip", words);
    }
}

/// This machine as a cluster's node, with a kubectl.
pub(crate) struct Machine {
    pub(crate) kubectl: Kubectl,
    nodes: Nodes,
    _node: Containerd,
    before: Leftovers,
    _registry: Registry,
}

impl Machine {
    pub(crate) async fn start(node: Containerd) -> Self {
        connect();
        let before = Leftovers::before();
        // Images that are `latest` are always pulled.
        let registry = Registry::start(&node).await;
        let nodes = Nodes { runtime: Runtime::Containerd(node.socket().into()), count: 1, outlive: false };
        let cluster = nodes.add(Cluster::builder().metrics_resolution(Duration::from_secs(1))).await.unwrap();
        let kubectl = Kubectl::with(cluster).await.expect("kubectl must be installed");
        Self { kubectl, nodes, before, _node: node, _registry: registry }
    }

    /// Starts the pod `web`, which serves its name on port 80.
    pub(crate) async fn web(&self) {
        self.kubectl.run("run web --image=registry.test/web --port=80").await;
        self.kubectl.run("wait --for=condition=Ready pod/web --timeout=50s").await;
    }

    /// Ends all pods and the cluster. Nothing may be left of them.
    pub(crate) async fn end(self) {
        self.nodes.end(self.kubectl.cluster()).await.unwrap();
        self.kubectl.end().await;
        self.before.none().await;
    }
}

/// What programs that end may not leave behind: see the module `leftovers`, and the tables of kube-proxy.
pub(crate) struct Leftovers(Vec<String>);

impl Leftovers {
    pub(crate) fn before() -> Self {
        Self(leftovers::what_there_is())
    }

    /// Fails if there is more than before.
    pub(crate) async fn none(self) {
        leftovers::until_there_is(self.0).await;
        assert_eq!(output("nft", "list tables"), "");
    }
}

/// What a command, whose words have no spaces within, prints.
pub(crate) fn output(program: &str, words: &str) -> String {
    let output = Command::new(program).args(words.split(' ')).output().unwrap();
    assert!(output.status.success(), "{program} {words}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
