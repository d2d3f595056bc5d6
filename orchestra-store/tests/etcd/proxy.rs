//! A line to etcd that can be cut, and that can fall silent.

use std::sync::Arc;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    sync::{Notify, watch},
    task::JoinHandle,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Whole,
    /// Connections break, and new ones at once.
    Cut,
    /// Connections stay, and bytes vanish in both directions, those of new connections too.
    Silent,
    /// What is sent arrives, what is answered does not.
    Deaf,
    /// What is sent arrives, what is answered waits until the line is whole.
    Late,
}

/// What becomes of bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Pass,
    Wait,
    Vanish,
}

impl Line {
    fn of_requests(self) -> Fate {
        if self == Self::Silent { Fate::Vanish } else { Fate::Pass }
    }

    fn of_answers(self) -> Fate {
        match self {
            Self::Silent | Self::Deaf => Fate::Vanish,
            Self::Late => Fate::Wait,
            _ => Fate::Pass,
        }
    }
}

/// A TCP proxy before one address.
pub(crate) struct Proxy {
    address: String,
    line: Arc<watch::Sender<Line>>,
    /// Told when bytes have vanished, or wait.
    swallowed: Arc<Notify>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn before(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let line = Arc::new(watch::Sender::new(Line::Whole));
        let swallowed = Arc::new(Notify::new());
        let (lines, swallows) = (Arc::clone(&line), Arc::clone(&swallowed));
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, target.clone(), lines.subscribe(), Arc::clone(&swallows)));
            }
        });
        Self { address, line, swallowed, accepting }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn set(&self, line: Line) {
        self.line.send_replace(line);
    }

    /// Waits until bytes have vanished, or wait, that nobody waited for yet.
    pub(crate) async fn swallows(&self) {
        self.swallowed.notified().await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.set(Line::Cut);
    }
}

async fn carry(client: TcpStream, target: String, line: watch::Receiver<Line>, swallowed: Arc<Notify>) {
    if *line.borrow() == Line::Cut {
        return;
    }
    let Ok(server) = TcpStream::connect(target).await else { return };
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let asked = pump(from_client, to_server, line.clone(), &swallowed, Line::of_requests);
    let answered = pump(from_server, to_client, line, &swallowed, Line::of_answers);
    // Where one direction ends the connection does.
    tokio::select! {
        () = asked => {}
        () = answered => {}
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut line: watch::Receiver<Line>,
    told: &Notify,
    fate: fn(Line) -> Fate,
) {
    let mut buffer = vec![0; 64 << 10];
    // What has swallowed something swallows all that follows: the rest would make no sense.
    let mut swallowed = false;
    loop {
        let count = tokio::select! {
            read = from.read(&mut buffer) => match read {
                Ok(count) if count > 0 => count,
                _ => return,
            },
            cut = line.wait_for(|line| *line == Line::Cut) => {
                drop(cut);
                return;
            }
        };
        if fate(*line.borrow()) == Fate::Wait {
            told.notify_one();
            let _ = line.wait_for(|line| fate(*line) != Fate::Wait).await;
        }
        swallowed |= fate(*line.borrow()) == Fate::Vanish;
        if swallowed {
            told.notify_one();
        } else if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
