use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{net::UdpSocket, time::sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::debug;

use crate::dns::{
    elsewhere::Later,
    message::{MAX_UDP_REQUEST, Transport},
    resolver::{Reply, Resolver},
};

/// How long to wait after nothing could be received.
const PAUSE: Duration = Duration::from_millis(10);

/// Takes requests from `socket` until `stop`. What the cluster's state answers is answered at once, before the next request; what others
/// are to be asked about is answered by a task of its own.
pub(super) async fn receive(
    socket: Arc<UdpSocket>,
    resolver: Arc<Resolver>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    // One more than is accepted: what fills it was cut off, and is no whole message.
    let mut buffer = vec![0; usize::from(MAX_UDP_REQUEST) + 1];
    while let Some(received) = stop.run_until_cancelled(socket.recv_from(&mut buffer)).await {
        let (length, client) = match received {
            Ok(received) => received,
            // The client's network's failure, reported late, or no memory.
            Err(error) => {
                debug!(%error, "nothing received");
                sleep(PAUSE).await;
                continue;
            }
        };
        // There is no answering to port 0.
        let Some(request) = buffer.get(..length).filter(|_| client.port() != 0) else { continue };
        match resolver.reply(request, Transport::Udp) {
            Reply::Never => {}
            Reply::Now(answer) => send(&socket, client, &answer).await,
            Reply::Later(later) => {
                let (socket, resolver, request) = (Arc::clone(&socket), Arc::clone(&resolver), request.to_vec());
                tasks.spawn(
                    stop.clone().run_until_cancelled_owned(answer_later(socket, client, resolver, *later, request)),
                );
            }
        }
    }
}

async fn answer_later(
    socket: Arc<UdpSocket>,
    client: SocketAddr,
    resolver: Arc<Resolver>,
    later: Later,
    request: Vec<u8>,
) {
    let answer = resolver.ask(later, &request).await;
    send(&socket, client, &answer).await;
}

async fn send(socket: &UdpSocket, client: SocketAddr, answer: &[u8]) {
    if let Err(error) = socket.send_to(answer, client).await {
        debug!(%client, %error, "answer not sent");
    }
}
