//! A kubelet in a process of its own, which can be stopped, and killed in the middle of what it does.

use std::{
    env, fs,
    io::{self, Read},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use kube::{Client, Config};
use orchestra_core::container_runtime::CgroupDriver;
use orchestra_runtime::{
    container::CriRuntime,
    kubelet::{EvictionThresholds, Kubelet, LogRotation, Machine},
};
use serde::{Deserialize, Serialize};
use tokio::{runtime, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    hooked::Hooked,
    stall::{STALLED, Stall, Stalling},
    world::NODE,
};

/// Set in the process that is a kubelet: its [`Settings`].
const SETTINGS: &str = "ORCHESTRA_TEST_KUBELET";

/// What the kubelet is told.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Settings {
    /// Where the API server is.
    pub(crate) server: String,
    pub(crate) socket: String,
    /// Where it does not go on.
    pub(crate) stall: Option<Stall>,
    /// What has to be left of the machine's resources; unless something is named, the node is not described as a machine.
    pub(crate) thresholds: Vec<(String, String)>,
    /// For how many seconds the node tells of a lack that it had.
    pub(crate) pressure_transition: Option<u64>,
    /// Size and number of log files, and how often it is looked at them, in milliseconds.
    pub(crate) logs: Option<(u64, usize, u64)>,
    /// The folder of static pods.
    pub(crate) static_pods: Option<String>,
    /// How many processes a pod may have; then pods have cgroups of their own.
    pub(crate) pod_pids: Option<u64>,
    /// Whether systemd makes them.
    pub(crate) by_systemd: bool,
    /// Whether a container that lacks memory loses one process only.
    pub(crate) single_process_oom_kill: bool,
}

/// A kubelet that runs.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(settings: &Settings) -> Self {
        let _ = fs::remove_file(STALLED);
        let child = Command::new(env::current_exe().expect("the test's own program"))
            .args(["--exact", "process::kubelet", "--nocapture", "--include-ignored", "--test-threads=1"])
            .env(SETTINGS, serde_json::to_string(settings).expect("plain values"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        Self(child.expect("the test's own program"))
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.0.kill().expect("the process is ours");
        self.0.wait().expect("the process is ours");
    }

    /// Has it end as when a machine's services are stopped.
    pub(crate) fn stop(mut self) {
        drop(self.0.stdin.take());
        let status = self.0.wait().expect("the process is ours");
        assert!(status.success(), "the kubelet: {status}");
    }

    /// Waits until it is where it does not go on.
    pub(crate) async fn stalled(&mut self) {
        while !Path::new(STALLED).exists() {
            self.assert_running();
            sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) fn assert_running(&mut self) {
        let ended = self.0.try_wait().expect("the process is ours");
        assert!(ended.is_none(), "the kubelet: {ended:?}");
    }

    /// The most memory that it ever took, in bytes.
    pub(crate) fn peak(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux tells");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing happens if it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "it is what the other tests start as a kubelet"]
fn kubelet() {
    let Ok(settings) = env::var(SETTINGS) else { return };
    let settings: Settings = serde_json::from_str(&settings).unwrap();
    let stop = CancellationToken::new();
    let told = stop.clone();
    thread::spawn(move || {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        told.cancel();
    });
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = Client::try_from(Config::new(settings.server.parse().unwrap())).unwrap();
        let cri = CriRuntime::connect(&settings.socket);
        let runtime = Hooked { inner: cri, hooks: Stalling(settings.stall) };
        let mut kubelet = Kubelet::builder(client, NODE, Arc::new(runtime))
            .root_directory("/var/lib/kubelet")
            .cluster_dns(["10.96.0.10".parse().unwrap()])
            .node_events(true)
            .listen("127.0.0.1:0".parse().unwrap());
        if !settings.thresholds.is_empty() {
            let thresholds = settings.thresholds.iter().map(|(signal, amount)| (signal.as_str(), amount.as_str()));
            kubelet = kubelet
                .machine(Machine::local().unwrap())
                .address([127, 0, 0, 1].into())
                .eviction_thresholds(EvictionThresholds::parse(thresholds).unwrap());
        }
        if let Some(seconds) = settings.pressure_transition {
            kubelet = kubelet.eviction_pressure_transition(Duration::from_secs(seconds));
        }
        if let Some((max_size, max_files, period)) = settings.logs {
            let period = Duration::from_millis(period);
            kubelet = kubelet.log_rotation(LogRotation { max_size, max_files, period });
        }
        if let Some(most) = settings.pod_pids {
            let driver = if settings.by_systemd { CgroupDriver::Systemd } else { CgroupDriver::Cgroupfs };
            kubelet = kubelet.cgroup_root("/").cgroup_driver(driver).pod_pids_limit(most);
        }
        kubelet = kubelet.single_process_oom_kill(settings.single_process_oom_kill);
        if let Some(folder) = settings.static_pods {
            kubelet = kubelet.static_pods(folder);
        }
        kubelet.build().run(stop).await;
    });
}
