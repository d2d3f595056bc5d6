//! Sockets: where requests come in and answers go out.

mod frame;
mod sockets;
mod tcp;
mod udp;

use std::{io, sync::Arc};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(super) use self::{
    frame::{read_message, write_message},
    sockets::Sockets,
};
use super::resolver::Resolver;

/// How many tasks take requests from one UDP socket at most: no more than there are processors.
const MAX_RECEIVERS: usize = 4;

/// Serves requests on `sockets` in tasks of `tasks` until `stop`.
pub(super) fn serve(
    sockets: Vec<Sockets>,
    resolver: &Arc<Resolver>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> io::Result<()> {
    let receivers = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_RECEIVERS);
    for Sockets { udp, tcp } in sockets {
        let udp = Arc::new(tokio::net::UdpSocket::from_std(udp)?);
        for _ in 0..receivers {
            let (resolver, stop) = (Arc::clone(resolver), stop.clone());
            tasks.spawn(udp::receive(Arc::clone(&udp), resolver, tasks.clone(), stop));
        }
        let tcp = tokio::net::TcpListener::from_std(tcp)?;
        tasks.spawn(tcp::accept(tcp, Arc::clone(resolver), tasks.clone(), stop.clone()));
    }
    Ok(())
}
