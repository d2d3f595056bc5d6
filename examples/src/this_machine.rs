//! This machine as a node: real containers, Services on nftables, names by cluster DNS.

use std::{path::Path, process::Stdio, sync::Arc};

use orchestra_core::container_runtime::ContainerRuntime;
use orchestra_runtime::{ClusterBuilder, container::CriRuntime, kubelet::Machine};
use tokio::process::Command;

use crate::nodes::NodesError;

/// Where Kubernetes' kubelet keeps the pods' files.
const ROOT_DIRECTORY: &str = "/var/lib/kubelet";
/// What kube-proxy works with.
const PROGRAMS: [&str; 2] = ["nft", "conntrack"];

/// Adds this machine, whose containers the runtime at `socket` runs. The node has the machine's name.
pub(crate) async fn add(cluster: ClusterBuilder, socket: &Path, outlive: bool) -> Result<ClusterBuilder, NodesError> {
    let runtime = CriRuntime::connect(socket);
    runtime.version().await.map_err(|source| NodesError::Runtime { socket: socket.to_owned(), source })?;
    for program in PROGRAMS {
        let run = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().await;
        run.map_err(|source| NodesError::Program { program, source })?;
    }
    let machine = Machine::local()?;
    let (name, address) = (machine.host_name()?, machine.address().ok_or(NodesError::NoAddress)?);
    let cluster = cluster
        .node_with(&name, Arc::new(runtime), |kubelet| kubelet.machine(machine).root_directory(ROOT_DIRECTORY))
        .kube_proxy(&name, move |proxy| proxy.clean_up(!outlive))
        // The port does not matter: pods ask the Service.
        .dns(move |dns| dns.listen((address, 0).into()));
    Ok(cluster)
}
