//! Where the machine's cgroups are mounted, by `/proc/self/mountinfo`.

use std::{collections::BTreeMap, path::PathBuf};

use super::hierarchies::{Hierarchies, Legacy};

/// What is needed of a machine's cgroups.
const NEEDED: [&str; 2] = ["cpu", "memory"];
/// The options of a mount of cgroup v1 that name no controller.
const OPTIONS: [&str; 5] = ["rw", "ro", "xattr", "noprefix", "clone_children"];

/// What `mountinfo` tells: cgroup v1 if its controllers are there, beside which a hierarchy of v2 may hold processes only.
pub(super) fn hierarchies(mountinfo: &str) -> Option<Hierarchies> {
    let (mut controllers, mut folders, mut unified) = (BTreeMap::new(), Vec::new(), None);
    // A hierarchy may be mounted more than once, and parts of it too: the first mount of all of it counts.
    let mut mounts: Vec<_> = mountinfo.lines().filter_map(Mount::parse).collect();
    mounts.sort_by_key(|mount| mount.root != "/");
    for mount in mounts {
        match mount.kind {
            "cgroup2" => unified = unified.or(Some(mount.at)),
            "cgroup" => {
                let mut names = mount.options.split(',').filter(|name| !OPTIONS.contains(name)).peekable();
                // Those of one hierarchy go together.
                if names.peek().is_some_and(|name| !controllers.contains_key(*name)) {
                    controllers.extend(names.map(|name| (name.to_owned(), mount.at.clone())));
                    folders.push(mount.at);
                }
            }
            _ => {}
        }
    }
    if NEEDED.iter().all(|name| controllers.contains_key(*name)) {
        return Some(Hierarchies::V1(Legacy { controllers, folders, processes_only: unified }));
    }
    unified.map(Hierarchies::V2)
}

struct Mount<'a> {
    /// What of the file system is there.
    root: &'a str,
    at: PathBuf,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    /// `31 23 0:28 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu`. Blanks in paths are told otherwise.
    fn parse(line: &'a str) -> Option<Self> {
        let (own, of_type) = line.split_once(" - ")?;
        let mut of_type = of_type.split(' ');
        let (kind, options) = (of_type.next()?, of_type.nth(1)?);
        let mut own = own.split(' ').skip(3);
        Some(Self { root: own.next()?, at: own.next()?.into(), kind, options })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controllers_that_are_mounted_are_what_counts() {
        let hybrid = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
";
        let Some(Hierarchies::V1(v1)) = hierarchies(hybrid) else { panic!("it is v1") };
        let at = |name: &str| v1.controllers.get(name).and_then(|at| at.to_str());
        assert_eq!(at("cpuacct"), Some("/sys/fs/cgroup/cpu,cpuacct"));
        assert_eq!(at("name=systemd"), Some("/sys/fs/cgroup/systemd"));
        assert_eq!((v1.folders.len(), v1.processes_only), (3, Some("/sys/fs/cgroup/unified".into())));
        let unified = "24 23 0:21 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
        assert!(matches!(hierarchies(unified), Some(Hierarchies::V2(at)) if at.to_str() == Some("/sys/fs/cgroup")));
        assert!(hierarchies("23 1 8:1 / / rw - ext4 /dev/vda rw\n").is_none());
    }

    #[test]
    fn of_mounts_of_one_hierarchy_the_first_of_all_of_it_counts() {
        let often = "\
30 23 0:29 /docker/1 /run/part/cpu rw - cgroup cgroup rw,cpu,cpuacct
31 23 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct
32 23 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
33 23 0:29 / /mnt/cpu rw - cgroup cgroup rw,cpu,cpuacct
34 23 0:38 /docker/1 /run/part/unified rw - cgroup2 cgroup2 rw
35 23 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";
        let Some(Hierarchies::V1(v1)) = hierarchies(often) else { panic!("it is v1") };
        let at = |name: &str| v1.controllers.get(name).and_then(|at| at.to_str());
        assert_eq!((at("cpu"), at("cpuacct")), (Some("/sys/fs/cgroup/cpu"), Some("/sys/fs/cgroup/cpu")));
        assert_eq!(v1.folders, ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/memory"].map(PathBuf::from));
        assert_eq!(v1.processes_only, Some("/sys/fs/cgroup/unified".into()));
    }
}
