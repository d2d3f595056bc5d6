//! A node, as seen from the control plane.

use std::net::SocketAddr;

use orchestra_examples::machine;

use super::{Error, attendant::Attendant, network::Network};

pub(crate) struct Node {
    number: u8,
    agent: Attendant,
}

impl Node {
    /// Makes a machine that is on the network, and starts an agent there which joins the API server at `server`. `cluster` is what the
    /// name of its cgroup begins with.
    pub(crate) async fn start(cluster: &str, network: &Network, number: u8, server: SocketAddr) -> Result<Self, Error> {
        let command = machine::command(&format!("{cluster}-{number}"));
        let arguments = ["agent", "--number", &number.to_string(), "--server", &server.to_string()];
        let mut agent = Attendant::start(command, &arguments).await?;
        network.connect(agent.id(), number)?;
        agent.go_on().await?;
        Ok(Self { number, agent })
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
