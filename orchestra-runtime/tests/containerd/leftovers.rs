//! What is left of pods: compared before and after.

use std::{fs, path::Path, time::Duration};

use tokio::time::sleep;

/// Waits until nothing is left of what was not there before: runtimes' own processes may take a moment to end.
pub(crate) async fn until_there_is(before: Vec<String>) {
    for _ in 0..500 {
        if what_there_is() == before {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(what_there_is(), before);
}

/// Mounts, network namespaces and addresses, devices, cgroups, files of pods and processes that the test's machine has and another one need not
/// have.
pub(crate) fn what_there_is() -> Vec<String> {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("mounts");
    let own = mounts.split_once("tmpfs /run tmpfs").expect("a machine of its own").1;
    let hierarchies = names("/sys/fs/cgroup").into_iter();
    let cgroups = hierarchies.flat_map(|hierarchy| names(&format!("{hierarchy}/k8s.io")));
    let cgroups = cgroups.filter(|path| Path::new(path).is_dir());
    let devices = names("/sys/class/net").into_iter().filter(|name| name.contains("veth"));
    let processes = names("/proc").into_iter().filter_map(|entry| {
        let command = fs::read_to_string(format!("{entry}/comm")).ok()?;
        // containerd starts others as it needs them.
        ["containerd-shim", "runc", "sh", "sleep"].contains(&command.trim()).then(|| format!("{entry} {command}"))
    });
    // Beside addresses there is the last one, and a lock.
    let addresses = names("/var/lib/cni/networks/pods").into_iter().filter(|name| name.contains("/10."));
    let files = [
        "/run/netns",
        "/var/lib/kubelet/pods",
        "/var/log/pods",
        "/run/containerd/io.containerd.runtime.v2.task/k8s.io",
    ];
    let files = files.into_iter().flat_map(names);
    own.lines()
        .map(str::to_owned)
        .chain(files)
        .chain(cgroups)
        .chain(devices)
        .chain(addresses)
        .chain(processes)
        .collect()
}

fn names(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| format!("{folder}/{}", entry.file_name().to_string_lossy())).collect();
    names.sort();
    names
}
