//! What containers' cgroups are told beside their limits, where there is cgroup v2 alone (`calculateLinuxResources` and
//! `configureContainerSwapResources` of `pkg/kubelet/kuberuntime`).

use std::{collections::BTreeMap, fs, path::Path};

use super::{hierarchies::Hierarchies, mounts};

/// What this machine's are told, by the names of the kernel's files; nothing with cgroup v1. A container that lacks memory dies as a whole
/// unless `single_process_oom_kill`, and none swaps, as with Kubernetes' default `NoSwap`.
pub(in crate::kubelet) fn of_machine(single_process_oom_kill: bool) -> BTreeMap<String, String> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    match mounts::hierarchies(&read("/proc/self/mountinfo")) {
        Some(Hierarchies::V2(root)) => {
            settings(single_process_oom_kill, can_limit_swap(&root, &read("/proc/self/cgroup")))
        }
        Some(Hierarchies::V1(_)) | None => BTreeMap::new(),
    }
}

fn settings(single_process_oom_kill: bool, can_limit_swap: bool) -> BTreeMap<String, String> {
    let oom_group = (!single_process_oom_kill).then_some(("memory.oom.group", "1"));
    let swap = can_limit_swap.then_some(("memory.swap.max", "0"));
    oom_group.into_iter().chain(swap).map(|(file, value)| (file.to_owned(), value.to_owned())).collect()
}

/// The root has no such file: a process' own cgroup tells.
fn can_limit_swap(root: &Path, of_process: &str) -> bool {
    let own = of_process.lines().find_map(|line| line.strip_prefix("0::/"));
    own.is_some_and(|own| root.join(own).join("memory.swap.max").exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_die_as_a_whole_and_do_not_swap() {
        let of = |single, swap| {
            let settings: Vec<_> = settings(single, swap).into_iter().collect();
            settings.into_iter().map(|(file, value)| format!("{file}={value}")).collect::<Vec<_>>()
        };
        assert_eq!(of(false, true), ["memory.oom.group=1", "memory.swap.max=0"]);
        assert_eq!(of(true, true), ["memory.swap.max=0"]);
        assert_eq!(of(false, false), ["memory.oom.group=1"]);
    }
}
