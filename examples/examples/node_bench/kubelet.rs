//! The process that is measured: a kubelet and nothing else.

use std::{
    fs,
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use kube::{Client, Config};
use orchestra_examples::{machine::containerd, measure::resident_of};
use orchestra_runtime::{
    container::CriRuntime,
    kubelet::{Kubelet, Machine},
};
use tokio_util::sync::CancellationToken;

use super::{Error, NODE};

/// In what `/proc` counts a processor's time; Linux tells programs of no other.
const TICKS_PER_SECOND: u64 = 100;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where the API server is.
    #[arg(long)]
    server: SocketAddr,
}

/// Runs a kubelet until the process is killed.
pub(crate) async fn run(Arguments { server }: Arguments) -> Result<(), Error> {
    let client = Client::try_from(Config::new(format!("http://{server}").parse()?))?;
    Kubelet::builder(client, NODE, Arc::new(CriRuntime::connect(containerd::SOCKET)))
        .machine(Machine::local()?)
        .root_directory("/var/lib/kubelet")
        .build()
        .run(CancellationToken::new())
        .await;
    Ok(())
}

/// A kubelet's process. It is killed when this is dropped.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(server: SocketAddr) -> Result<Self, Error> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["kubelet", "--server", &server.to_string()]).stdin(Stdio::null());
        Ok(Self(command.spawn()?))
    }

    /// What it has of the memory, in MB.
    pub(crate) fn memory(&self) -> Result<f64, Error> {
        resident_of(&self.0.id().to_string()).ok_or_else(|| "the kubelet has ended".into())
    }

    /// The time of processors that it has had.
    pub(crate) fn processor_time(&self) -> Result<Duration, Error> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        // The name, which may have spaces in it, ends with the last parenthesis; the state is the third field.
        let fields: Vec<&str> = stat.rsplit_once(')').ok_or("no name")?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3).ok_or("no such field").map(|field| field.parse::<u64>());
        Ok(Duration::from_millis((field(14)?? + field(15)??) * 1000 / TICKS_PER_SECOND))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
