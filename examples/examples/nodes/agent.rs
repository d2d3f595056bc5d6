//! What runs on a node: containerd, and in this process a kubelet and a kube-proxy.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use orchestra_examples::machine::{
    containerd::{self, Containerd},
    program,
};
use orchestra_runtime::{
    container::CriRuntime,
    kubelet::{Kubelet, Machine},
    proxy::KubeProxy,
};
use tokio_util::sync::CancellationToken;

use super::{
    Error,
    attendant::Principal,
    control_plane,
    network::{GATEWAY, address, pod_cidr},
};

/// The address of the Service that leads to cluster DNS: the tenth of the range of Services.
const CLUSTER_DNS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
/// The range of the addresses of Services.
const SERVICES: &str = "10.96.0.0/12";
/// Where kubelets serve their API.
const KUBELET_PORT: u16 = 10250;
/// As many nodes as there may be.
const NODES: std::ops::RangeInclusive<u8> = 1..=4;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Which of the nodes it is.
    #[arg(long)]
    number: u8,
    /// Where the API server is.
    #[arg(long)]
    server: SocketAddr,
}

pub(crate) async fn run(Arguments { number, server }: Arguments) -> Result<(), Error> {
    let Some(mut control_plane) = Principal::meet().await? else { return Ok(()) };
    let node = format!("node-{number}");
    program::run("hostname", &node)?;
    connect(number)?;
    let mut containerd = Containerd::start(&pod_cidr(number)).await?;
    let client = control_plane::client(server)?;
    let kubelet = Kubelet::builder(client.clone(), &node, Arc::new(CriRuntime::connect(containerd::SOCKET)))
        .machine(Machine::local()?)
        .address(address(number).into())
        .listen((address(number), KUBELET_PORT).into())
        .cgroup_root("/")
        .pod_cidr(pod_cidr(number).parse()?)
        .root_directory("/var/lib/kubelet")
        .cluster_dns([CLUSTER_DNS.into()])
        .build();
    let proxy = KubeProxy::builder(client, &node).build();
    let stop = CancellationToken::new();
    let (kubelet, proxy) = (tokio::spawn(kubelet.run(stop.clone())), tokio::spawn(proxy.run(stop.clone())));
    let ended = tokio::select! {
        () = control_plane.gone() => Ok(()),
        ended = containerd.ended() => Err(ended.into()),
    };
    stop.cancel();
    kubelet.await?;
    proxy.await?;
    // The pods go with this machine's first process.
    ended
}

/// Takes the node's address, and the ways to the pods of other nodes. Addresses of Services need a way too, though none leads there: packets get
/// other addresses on the way out.
fn connect(number: u8) -> Result<(), Error> {
    let ip = |arguments: String| program::run("ip", &arguments);
    ip(format!("address add {}/24 dev eth0", address(number)))?;
    ip("link set eth0 up".to_owned())?;
    ip(format!("route add {SERVICES} via {GATEWAY}"))?;
    for other in NODES.filter(|other| *other != number) {
        ip(format!("route add {} via {}", pod_cidr(other), address(other)))?;
    }
    Ok(())
}
