//! Asks other servers what the cluster does not know.

mod exchange;
mod resolv_conf;

use std::{net::SocketAddr, time::Duration};

use hickory_proto::op::Query;
use orchestra_core::random::Generator;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};
use tracing::debug;

use self::{exchange::exchange, resolv_conf::servers};
use super::message::Transport;

/// CoreDNS' times: how long one server may take, and all that are tried together.
const SERVER_TIMEOUT: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long a server that did not answer is asked only if no other does.
const SHUNNED: Duration = Duration::from_secs(10);

/// Where questions go that are none of the cluster's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Upstream {
    /// The servers in a file of `resolv.conf`'s format, as it is when the server is built.
    ResolvConf(String),
    /// These servers.
    Servers(Vec<SocketAddr>),
    /// Nowhere: they are refused.
    None,
}

impl Upstream {
    pub(super) fn servers(self) -> Result<Vec<SocketAddr>, (String, std::io::Error)> {
        match self {
            Self::Servers(servers) => Ok(servers),
            Self::None => Ok(Vec::new()),
            Self::ResolvConf(path) => match std::fs::read_to_string(&path) {
                Ok(text) => Ok(servers(&text)),
                Err(error) => Err((path, error)),
            },
        }
    }
}

/// Asks servers, one after the other until one answers.
#[derive(Debug)]
pub(super) struct Forwarder {
    servers: Vec<Server>,
    generator: Generator,
}

#[derive(Debug)]
struct Server {
    address: SocketAddr,
    shunned_until: Mutex<Option<Instant>>,
}

impl Forwarder {
    pub(super) fn new(servers: Vec<SocketAddr>, generator: Generator) -> Self {
        let server = |address| Server { address, shunned_until: Mutex::new(None) };
        Self { servers: servers.into_iter().map(server).collect(), generator }
    }

    /// Whether there is anybody to ask.
    pub(super) fn has_servers(&self) -> bool {
        !self.servers.is_empty()
    }

    /// The answer to `request`, whose question is `query`, by the first server that gives one, whatever it says. `None` if none does in
    /// time.
    pub(super) async fn ask(&self, request: &[u8], query: &Query, transport: Transport) -> Option<Vec<u8>> {
        // An id of our own, so that nobody who sees the client's can answer in the server's stead.
        let id = self.id().to_be_bytes();
        let request = [&id, request.get(2..)?].concat();
        let deadline = Instant::now() + TIMEOUT;
        for server in self.in_turn() {
            let until = deadline.min(Instant::now() + SERVER_TIMEOUT);
            let failure = match timeout_at(until, exchange(&request, query, server.address, transport)).await {
                Ok(Ok(answer)) => {
                    *server.shunned_until.lock() = None;
                    return Some(answer);
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => "it does not answer".to_owned(),
            };
            debug!(server = %server.address, failure, "name server not of use");
            *server.shunned_until.lock() = Some(Instant::now() + SHUNNED);
            if Instant::now() >= deadline {
                break;
            }
        }
        None
    }

    pub(super) fn id(&self) -> u16 {
        u16::try_from(self.generator.below(1 << 16)).unwrap_or_default()
    }

    /// All servers, from any one on, as CoreDNS by default; those that lately did not answer last.
    fn in_turn(&self) -> Vec<&Server> {
        let first = self.generator.below(self.servers.len() as u64) as usize;
        let mut servers: Vec<&Server> = self.servers.iter().cycle().skip(first).take(self.servers.len()).collect();
        let now = Instant::now();
        servers.sort_by_key(|server| server.shunned_until.lock().is_some_and(|until| until > now));
        servers
    }
}
