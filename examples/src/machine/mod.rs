//! A machine of its own for each node, made of namespaces, with containerd on it and images that were made by hand.
//!
//! What runs by [`command`] has a network, mounts, processes, IPC, a host name and cgroups of its own. So it finds all paths as on a machine
//! (`/run/containerd`, `/var/lib/kubelet`, `/etc/cni/net.d`), all ports are free, and when its first process ends, all others are killed, and the
//! mounts, network devices and rules are gone. Its cgroup is left: [`cgroup::remove`] is for that.

pub mod cgroup;
pub mod containerd;
pub mod image;
pub mod program;
pub mod requirements;

use std::process::Command;

/// Makes what is seen on the machine, from within its namespaces.
pub const ISOLATION: &str = include_str!("isolation.sh");

/// A command that runs what its further arguments say on a machine of its own, in the cgroup `cgroup`, which must not be there yet. It needs
/// root.
///
/// All of the machine is killed when the process is, or when the thread that started it ends.
pub fn command(cgroup: &str) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", "unshare"])
        .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--ipc", "--uts"])
        .args(["sh", "-c", ISOLATION, "sh", cgroup]);
    command
}
