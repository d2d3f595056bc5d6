//! Pods by hand: only the calls of CRI that each needs, with what a kubelet gives the container of a plain pod.

use std::{fs, io, path::Path, time::Duration};

use futures::future::try_join_all;
use orchestra_core::container_runtime::{
    ContainerConfig, ContainerMetadata, ContainerResources, ContainerRuntime, Mount, RuntimeError, SandboxConfig,
    SandboxId, SandboxMetadata,
};
use orchestra_examples::machine::containerd;
use orchestra_runtime::container::CriRuntime;
use tokio::time::Instant;

use super::{Error, pods::IMAGE};

/// Where what is mounted lies.
const FOLDER: &str = "/var/lib/bare";
const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

pub(crate) struct Bare {
    runtime: CriRuntime,
    sandboxes: Vec<SandboxId>,
    made: usize,
}

impl Default for Bare {
    fn default() -> Self {
        Self { runtime: CriRuntime::connect(containerd::SOCKET), sandboxes: Vec::new(), made: 0 }
    }
}

impl Bare {
    /// Starts `count` pods of one container at once, and returns how long it took until the last ran.
    pub(crate) async fn start(&mut self, count: usize) -> Result<Duration, Error> {
        let names: Vec<String> = (self.made..self.made + count).map(|number| format!("bare-{number}")).collect();
        self.made += count;
        names.iter().try_for_each(|name| files(name))?;
        let begun = Instant::now();
        let sandboxes = try_join_all(names.into_iter().map(|name| one(&self.runtime, name))).await?;
        let took = begun.elapsed();
        self.sandboxes.extend(sandboxes);
        Ok(took)
    }

    /// Ends all of them.
    pub(crate) async fn end(&mut self) -> Result<(), RuntimeError> {
        let runtime = &self.runtime;
        try_join_all(self.sandboxes.drain(..).map(|id| async move {
            runtime.stop_pod_sandbox(&id).await?;
            runtime.remove_pod_sandbox(&id).await
        }))
        .await
        .map(drop)
    }
}

/// The hosts file, the last words and the token of a pod.
fn files(name: &str) -> io::Result<()> {
    let folder = Path::new(FOLDER).join(name);
    fs::create_dir_all(folder.join("token"))?;
    ["hosts", "last-words"].iter().try_for_each(|file| fs::write(folder.join(file), ""))
}

fn mount(name: &str, file: &str, path: &str, readonly: bool) -> Mount {
    let host_path = format!("{FOLDER}/{name}/{file}");
    Mount { container_path: path.to_owned(), host_path, readonly, ..Mount::default() }
}

async fn one(runtime: &CriRuntime, name: String) -> Result<SandboxId, RuntimeError> {
    let mounts = vec![
        mount(&name, "token", TOKEN, true),
        mount(&name, "hosts", "/etc/hosts", false),
        mount(&name, "last-words", "/dev/termination-log", false),
    ];
    let metadata =
        SandboxMetadata { uid: name.clone(), name: name.clone(), namespace: "default".to_owned(), attempt: 0 };
    let log_directory = format!("/var/log/pods/{name}");
    let config = SandboxConfig { metadata, hostname: name, log_directory, ..SandboxConfig::default() };
    let sandbox = runtime.run_pod_sandbox(config).await?;
    let config = ContainerConfig {
        metadata: ContainerMetadata { name: "web".to_owned(), attempt: 0 },
        image: IMAGE.into(),
        mounts,
        // Of a container that asks for nothing.
        resources: ContainerResources { cpu_shares: 2, oom_score_adj: 1000, ..ContainerResources::default() },
        log_path: "web/0.log".to_owned(),
        ..ContainerConfig::default()
    };
    let container = runtime.create_container(&sandbox, config).await?;
    runtime.start_container(&container).await?;
    Ok(sandbox)
}
