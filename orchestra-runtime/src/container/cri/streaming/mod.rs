//! Being connected with a process or a port: CRI names a URL of the runtime's own streaming server, and that one speaks SPDY, which unlike
//! WebSockets as Kubernetes uses them can tell that a process' input has ended.

mod held;
mod outcome;
mod port;
mod process;
mod upgrade;

use std::pin::Pin;

use k8s_cri::v1;
use orchestra_core::container_runtime::{
    ContainerId, PortConnection, ProcessStreams, RuntimeError, SandboxId, StreamOptions,
};

use super::{CriRuntime, connection::within, error::Subject};

impl CriRuntime {
    pub(super) async fn run_connected(
        &self,
        id: &ContainerId,
        command: Vec<String>,
        streams: StreamOptions,
    ) -> Result<ProcessStreams, RuntimeError> {
        let streams = valid(streams)?;
        let StreamOptions { stdin, stdout, stderr, tty } = streams;
        let request = v1::ExecRequest { container_id: id.to_string(), cmd: command, tty, stdin, stdout, stderr };
        let mut client = self.shared.connection.runtime();
        let answer = within(self.shared.options.deadline, client.exec(request)).await;
        let answer = answer.map_err(|status| Subject::Container(&id.0).error(&status))?;
        process::connect(&answer.url, streams, self.shared.options.deadline).await
    }

    pub(super) async fn connect_with_process(
        &self,
        id: &ContainerId,
        streams: StreamOptions,
    ) -> Result<ProcessStreams, RuntimeError> {
        let streams = valid(streams)?;
        let StreamOptions { stdin, stdout, stderr, tty } = streams;
        let request = v1::AttachRequest { container_id: id.to_string(), stdin, tty, stdout, stderr };
        let mut client = self.shared.connection.runtime();
        let answer = within(self.shared.options.deadline, client.attach(request)).await;
        let answer = answer.map_err(|status| Subject::Container(&id.0).error(&status))?;
        process::connect(&answer.url, streams, self.shared.options.deadline).await
    }

    pub(super) async fn connect_with_port(
        &self,
        id: &SandboxId,
        port: u16,
    ) -> Result<Pin<Box<dyn PortConnection>>, RuntimeError> {
        let request = v1::PortForwardRequest { pod_sandbox_id: id.to_string(), port: vec![port.into()] };
        let mut client = self.shared.connection.runtime();
        let answer = within(self.shared.options.deadline, client.port_forward(request)).await;
        let answer = answer.map_err(|status| Subject::Sandbox(&id.0).error(&status))?;
        port::connect(&answer.url, port, self.shared.options.deadline).await
    }
}

/// With a terminal there is no standard error; without any stream there is nothing to connect.
fn valid(streams: StreamOptions) -> Result<StreamOptions, RuntimeError> {
    let streams = StreamOptions { stderr: streams.stderr && !streams.tty, ..streams };
    if streams.stdin || streams.stdout || streams.stderr {
        Ok(streams)
    } else {
        Err(RuntimeError::InvalidArgument("one of stdin, stdout, or stderr must be set".to_owned()))
    }
}
