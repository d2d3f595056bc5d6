//! The cgroups of machines.

use std::{fs, path::Path, thread::sleep, time::Duration};

/// How long the kernel may take to let go of a cgroup whose processes are dead.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(5);

/// Removes the cgroups whose names are `meant`, in every hierarchy, and all beneath them. Their processes must be dead or dying; it takes the
/// kernel a moment to know, and this waits for it. What still has processes after ten seconds stays.
pub fn remove(meant: impl Fn(&str) -> bool) {
    let Ok(hierarchies) = fs::read_dir("/sys/fs/cgroup") else { return };
    let hierarchies =
        hierarchies.flatten().map(|entry| entry.path()).filter(|path| path.is_dir() && !path.is_symlink());
    // With cgroup v2 alone the one hierarchy is the folder itself.
    for hierarchy in hierarchies.chain(["/sys/fs/cgroup".into()]) {
        for entry in fs::read_dir(hierarchy).into_iter().flatten().flatten() {
            if meant(&entry.file_name().to_string_lossy()) {
                remove_tree(&entry.path());
            }
        }
    }
}

fn remove_tree(cgroup: &Path) {
    let mut waited = Duration::ZERO;
    while cgroup.is_dir() && waited < PATIENCE {
        for child in fs::read_dir(cgroup).into_iter().flatten().flatten().filter(|child| child.path().is_dir()) {
            remove_tree(&child.path());
        }
        if fs::remove_dir(cgroup).is_ok() {
            return;
        }
        sleep(PAUSE);
        waited += PAUSE;
    }
}
