use std::{io, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::debug;

use super::{read_message, write_message};
use crate::dns::{
    message::Transport,
    resolver::{Reply, Resolver},
};

/// How long to wait after a connection could not be accepted.
const PAUSE: Duration = Duration::from_millis(10);
/// CoreDNS' times: how long a client may be silent, and how long it may take to take an answer.
const IDLE: Duration = Duration::from_secs(10);
const WRITE: Duration = Duration::from_secs(5);
/// How many connections there may be at a time; more wait to be accepted.
const MAX_CONNECTIONS: usize = 1_000;

/// Serves connections until `stop`.
pub(super) async fn accept(
    listener: TcpListener,
    resolver: Arc<Resolver>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepting = async {
            let permit = Arc::clone(&room).acquire_owned().await;
            (permit, listener.accept().await)
        };
        match stop.run_until_cancelled(accepting).await {
            None => return,
            Some((permit, Ok((stream, _)))) => {
                let (resolver, stop) = (Arc::clone(&resolver), stop.clone());
                tasks.spawn(async move {
                    let _permit = permit;
                    if let Some(Err(error)) = stop.run_until_cancelled(serve(stream, &resolver)).await {
                        debug!(%error, "connection ended");
                    }
                });
            }
            // One client's failure, or too many open files: the next may do better.
            Some((_, Err(error))) => {
                debug!(%error, "connection not accepted");
                sleep(PAUSE).await;
            }
        }
    }
}

/// Answers one request after the other until the client has no more. One that is not answered ends the connection.
async fn serve(mut stream: TcpStream, resolver: &Resolver) -> io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let request = timeout(IDLE, read_message(&mut stream)).await??;
        let answer = match resolver.reply(&request, Transport::Tcp) {
            Reply::Never => return Ok(()),
            Reply::Now(answer) => answer,
            Reply::Later(later) => resolver.ask(*later, &request).await,
        };
        timeout(WRITE, write_message(&mut stream, &answer)).await??;
    }
}
