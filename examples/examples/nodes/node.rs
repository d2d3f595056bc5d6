//! A node, as seen from the control plane.

use std::net::SocketAddr;

use orchestra_examples::machine;

use super::{Error, attendant::Attendant, network::Network};

pub(crate) struct Node {
    number: u8,
    agent: Attendant,
}

impl Node {
    /// Begins to make a machine, with an agent that is to join the API server at `server`. `cluster` is what the name of its cgroup begins
    /// with.
    pub(crate) fn spawn(cluster: &str, number: u8, server: SocketAddr) -> Result<Self, Error> {
        let command = machine::command(&format!("{cluster}-{number}"));
        let arguments = ["agent", "--number", &number.to_string(), "--server", &server.to_string()];
        Ok(Self { number, agent: Attendant::spawn(command, &arguments)? })
    }

    /// Puts the machine on the network when it is there, and lets the agent go on.
    pub(crate) async fn join(&mut self, network: &Network) -> Result<(), Error> {
        self.agent.meet().await?;
        network.connect(self.agent.id(), self.number)?;
        self.agent.go_on().await
    }

    /// Waits until it is down, which it should not be, and tells so.
    pub(crate) async fn down(&mut self) -> Error {
        match self.agent.ended().await {
            Ok(status) => format!("node-{} is down: {status}", self.number).into(),
            Err(error) => error,
        }
    }

    /// Takes it down, with all that runs on it.
    pub(crate) async fn end(self) {
        self.agent.end().await;
    }
}
