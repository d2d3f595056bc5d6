//! One side of a connection: opens streams, and is offered those that the other side opens.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{Mutex as AsyncMutex, mpsc, oneshot},
};
use tokio_util::sync::CancellationToken;

use super::{
    Headers, SpdyError, Stream,
    driver::{self, Outgoing, Role},
    frame::REFUSED_STREAM,
};

/// How many frames wait to be written before writers wait.
const OUTGOING: usize = 16;
/// How many pieces of data wait to be read before the connection waits.
const INBOUND: usize = 16;
/// How many offers wait to be taken before the connection waits.
const OFFERS: usize = 16;
/// How many streams there may be at once; more are refused.
const MAX_STREAMS: usize = 4096;

/// One side of a connection. Dropping it ends the session when what was written until then is sent.
#[derive(Debug)]
pub struct Session {
    shared: Arc<Shared>,
    /// The number of the next stream. Streams must begin in the order of their numbers.
    next: AsyncMutex<u32>,
}

/// The streams that the other side opens, until the session ends.
pub type Offers = mpsc::Receiver<Offer>;

/// A stream that the other side wants to open. Dropping it refuses it.
#[derive(Debug)]
pub struct Offer {
    stream: Stream,
}

/// The side that was connected to.
///
/// The third value does the work: nothing happens unless it runs, and it ends with the session.
pub fn server(
    connection: impl AsyncRead + AsyncWrite + Send + 'static,
) -> (Session, Offers, impl Future<Output = Result<(), SpdyError>> + Send + 'static) {
    begin(connection, Role::Server)
}

/// The side that connected; otherwise as [`server`].
pub fn client(
    connection: impl AsyncRead + AsyncWrite + Send + 'static,
) -> (Session, Offers, impl Future<Output = Result<(), SpdyError>> + Send + 'static) {
    begin(connection, Role::Client)
}

fn begin(
    connection: impl AsyncRead + AsyncWrite + Send + 'static,
    role: Role,
) -> (Session, Offers, impl Future<Output = Result<(), SpdyError>> + Send + 'static) {
    let (outgoing, to_write) = mpsc::channel(OUTGOING);
    let (resets, to_reset) = mpsc::unbounded_channel();
    let (offers, offered) = mpsc::channel(OFFERS);
    let shared = Arc::new(Shared { streams: Mutex::default(), outgoing, resets, ended: CancellationToken::new() });
    let driver = driver::run(connection, role, Arc::clone(&shared), to_write, to_reset, offers);
    (Session { shared, next: AsyncMutex::new(role.first_stream()) }, offered, driver)
}

impl Session {
    /// Opens a stream and waits until the other side has taken it.
    pub async fn open(&self, headers: Headers) -> Result<Stream, SpdyError> {
        let (reply, replied) = oneshot::channel();
        let stream = {
            let mut next = self.next.lock().await;
            let id = *next;
            *next = next.checked_add(2).filter(|next| *next < 1 << 31).ok_or(SpdyError::Ended)?;
            let stream = self.shared.add(id, headers.clone(), Some(reply)).ok_or(SpdyError::Ended)?;
            self.shared.send(Outgoing::Open { stream: id, headers }).await?;
            stream
        };
        match replied.await {
            Ok(Ok(())) => Ok(stream),
            Ok(Err(status)) => Err(SpdyError::Refused(status)),
            Err(_) => Err(SpdyError::Ended),
        }
    }

    /// Ends the session when what was written until now is sent.
    pub fn close(self) {}
}

impl Drop for Session {
    fn drop(&mut self) {
        self.shared.ended.cancel();
    }
}

impl Offer {
    /// The headers of the stream.
    pub fn headers(&self) -> &Headers {
        self.stream.headers()
    }

    /// The number of the stream: those that the other side opens have ever greater ones, by two at least.
    pub fn id(&self) -> u32 {
        self.stream.id()
    }

    /// Takes the stream.
    pub async fn accept(self) -> Result<Stream, SpdyError> {
        self.stream.shared().send(Outgoing::Reply { stream: self.stream.id() }).await?;
        Ok(self.stream)
    }

    pub(super) fn new(stream: Stream) -> Self {
        Self { stream: stream.broken_off_with(REFUSED_STREAM) }
    }
}

/// How far the other side has come with a stream.
#[derive(Debug, Default)]
pub(super) struct Progress(AtomicU8);

impl Progress {
    pub(super) fn finish(&self) {
        self.0.fetch_or(1, Ordering::Release);
    }

    pub(super) fn reset(&self) {
        self.0.fetch_or(2, Ordering::Release);
    }

    /// Whether it sent all that it had to send.
    pub(super) fn is_finished(&self) -> bool {
        self.0.load(Ordering::Acquire) & 1 != 0
    }

    /// Whether it broke the stream off.
    pub(super) fn is_reset(&self) -> bool {
        self.0.load(Ordering::Acquire) & 2 != 0
    }
}

/// A stream as the connection knows it.
#[derive(Debug)]
pub(super) struct Entry {
    /// Where its data goes, until the other side has finished.
    pub(super) inbound: Option<mpsc::Sender<Bytes>>,
    pub(super) progress: Arc<Progress>,
    /// Who waits for the other side to take it.
    pub(super) reply: Option<oneshot::Sender<Result<(), u32>>>,
}

/// What a session, its streams and its driver share.
#[derive(Debug)]
pub(super) struct Shared {
    /// Those that neither side has broken off or dropped.
    pub(super) streams: Mutex<HashMap<u32, Entry>>,
    outgoing: mpsc::Sender<Outgoing>,
    resets: mpsc::UnboundedSender<(u32, u32)>,
    pub(super) ended: CancellationToken,
}

impl Shared {
    /// Adds a stream, unless there are too many.
    pub(super) fn add(
        self: &Arc<Self>,
        id: u32,
        headers: Headers,
        reply: Option<oneshot::Sender<Result<(), u32>>>,
    ) -> Option<Stream> {
        let (inbound, from_peer) = mpsc::channel(INBOUND);
        let progress = Arc::<Progress>::default();
        let entry = Entry { inbound: Some(inbound), progress: Arc::clone(&progress), reply };
        let mut streams = self.streams.lock();
        if streams.len() >= MAX_STREAMS {
            return None;
        }
        streams.insert(id, entry);
        Some(Stream::new(id, headers, from_peer, progress, self.outgoing.clone(), Arc::clone(self)))
    }

    pub(super) async fn send(&self, what: Outgoing) -> Result<(), SpdyError> {
        self.outgoing.send(what).await.map_err(|_| SpdyError::Ended)
    }

    /// Breaks a stream off: after what was written before, unless so much waits that this would have to wait too.
    pub(super) fn reset(&self, stream: u32, status: u32) {
        if self.outgoing.try_send(Outgoing::Reset { stream, status }).is_err() {
            // Without a driver there is nobody to tell.
            let _ = self.resets.send((stream, status));
        }
    }
}
