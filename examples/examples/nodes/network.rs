//! The network between the nodes: a bridge, in a network namespace that a process of this program holds. With the namespace goes all of
//! it, also this machine's device on it and the routes by that.

use std::{net::Ipv4Addr, process::Command};

use orchestra_examples::machine::{cgroup, program::run};

use super::{
    Error,
    attendant::{Attendant, Principal},
};

/// This machine's device on the network.
const DEVICE: &str = "orchestra";
/// This machine's address on it.
pub(crate) const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 199, 0, 1);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What the names of cgroups begin with.
    #[arg(long)]
    cgroups: String,
}

/// Holds the namespace for as long as it is wanted, and then removes the cgroups, which no namespace takes along.
pub(crate) async fn hold(Arguments { cgroups }: Arguments) -> Result<(), Error> {
    if let Some(mut principal) = Principal::meet().await? {
        principal.gone().await;
    }
    cgroup::remove(|name| name.starts_with(&cgroups));
    Ok(())
}

/// The network, as seen by this machine.
pub(crate) struct Network(Attendant);

impl Network {
    /// Makes it. `name` is what the names of the nodes' cgroups begin with.
    pub(crate) async fn start(name: &str) -> Result<Self, Error> {
        if run("ip", &format!("link show {DEVICE}")).is_ok() {
            return Err(format!("there is a network device {DEVICE} already: does this program run already?").into());
        }
        let mut command = Command::new("unshare");
        command.arg("--net");
        let mut holder = Attendant::spawn(command, &["network", "--cgroups", name])?;
        holder.meet().await?;
        holder.go_on().await?;
        let network = Self(holder);
        network.inside("link add name nodes type bridge")?;
        network.inside("link set nodes up")?;
        run("ip", &format!("link add name {DEVICE} type veth peer name control-plane netns {}", network.0.id()))?;
        run("ip", &format!("address add {GATEWAY}/24 dev {DEVICE}"))?;
        run("ip", &format!("link set {DEVICE} up"))?;
        network.inside("link set control-plane master nodes up")?;
        Ok(network)
    }

    /// Gives the network namespace of the process `process` a device `eth0` on the network, as that of the node `number`, and this machine
    /// the way to its pods.
    pub(crate) fn connect(&self, process: u32, number: u8) -> Result<(), Error> {
        self.inside(&format!("link add name node-{number} type veth peer name eth0 netns {process}"))?;
        self.inside(&format!("link set node-{number} master nodes up"))?;
        run("ip", &format!("route add {} via {}", pod_cidr(number), address(number)))?;
        Ok(())
    }

    /// Removes it, and the nodes' cgroups.
    pub(crate) async fn end(self) {
        // It would go with the namespace, but a moment later.
        if let Err(error) = run("ip", &format!("link delete {DEVICE}")) {
            eprintln!("{error}");
        }
        self.0.end().await;
    }

    /// Runs `ip` in its namespace.
    fn inside(&self, arguments: &str) -> Result<(), Error> {
        run("nsenter", &format!("--net=/proc/{}/ns/net ip {arguments}", self.0.id()))?;
        Ok(())
    }
}

/// The address of a node.
pub(crate) fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 199, 0, 10 + number)
}

/// The addresses of a node's pods.
pub(crate) fn pod_cidr(number: u8) -> String {
    format!("10.244.{number}.0/24")
}
