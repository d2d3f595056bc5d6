//! What there is on the machine.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
    time::Duration,
};

use tokio::time::{sleep, timeout};

/// How long what a killed program has made may take to go.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);

/// All that a program could leave behind, but for cgroups: these are those of the whole machine, and of other tests.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct State {
    devices: String,
    routes: String,
    rules: String,
    mounts: String,
    /// By their ids.
    processes: BTreeMap<u32, String>,
    files: BTreeSet<String>,
}

impl State {
    /// What there is now; files are those in `folder`.
    pub(crate) fn now(folder: &Path) -> Self {
        let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().to_string_lossy().into_owned());
        Self {
            devices: printed("ip -o address"),
            routes: printed("ip route show table all"),
            rules: printed("nft list ruleset"),
            mounts: fs::read_to_string("/proc/self/mountinfo").unwrap(),
            processes: processes(),
            files: files.collect(),
        }
    }

    /// Waits until it is so again.
    pub(crate) async fn returns(&self, folder: &Path) {
        let returned = timeout(PATIENCE, async {
            while Self::now(folder) != *self {
                sleep(PAUSE).await;
            }
        });
        if returned.await.is_err() {
            assert_eq!(Self::now(folder), *self);
        }
    }
}

/// The cgroups that processes here are in and that the example made: `orchestra-nodes-NAME-NUMBER`.
pub(crate) fn cgroups() -> BTreeSet<String> {
    let of_process = |id| fs::read_to_string(format!("/proc/{id}/cgroup")).unwrap_or_default();
    let all: Vec<String> = processes().into_keys().map(of_process).collect();
    let names = all.iter().flat_map(|text| text.split(['/', ':', '\n']));
    names.filter(|name| name.starts_with("orchestra-nodes-")).map(str::to_owned).collect()
}

/// What the names of the cgroups begin with that the example makes, or is about to.
pub(crate) fn cluster() -> String {
    let holder = processes().into_values().find_map(|line| Some(line.split_once(" network --cgroups ")?.1.to_owned()));
    holder.expect("a process that holds the network").trim_end().to_owned()
}

/// Where a cgroup of that name is.
pub(crate) fn folders_of(cgroup: &str) -> Vec<String> {
    let hierarchies = fs::read_dir("/sys/fs/cgroup").unwrap().map(|entry| entry.unwrap().path());
    let folders = hierarchies.chain(["/sys/fs/cgroup".into()]).map(|hierarchy| hierarchy.join(cgroup));
    folders.filter(|folder| folder.exists()).map(|folder| folder.display().to_string()).collect()
}

/// The ids of the processes whose command lines hold `words`.
pub(crate) fn processes_with(words: &str) -> Vec<u32> {
    processes().into_iter().filter(|(_, line)| line.contains(words)).map(|(id, _)| id).collect()
}

/// The processes but for those that end, with their command lines.
fn processes() -> BTreeMap<u32, String> {
    let entries = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name());
    let ids = entries.filter_map(|name| name.to_str()?.parse().ok());
    let line = |id: u32| Some((id, fs::read_to_string(format!("/proc/{id}/cmdline")).ok()?.replace('\0', " ")));
    ids.filter_map(line).collect()
}

pub(crate) fn printed(command: &str) -> String {
    let mut words = command.split(' ');
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
