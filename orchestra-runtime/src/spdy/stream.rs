use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::mpsc,
};
use tokio_util::sync::PollSender;

use super::{
    Headers,
    driver::Outgoing,
    frame::{CANCEL, MAX_DATA},
    session::{Progress, Shared},
};

/// A stream. Reading ends when the other side has finished its direction; [`shutdown`](tokio::io::AsyncWriteExt::shutdown) finishes this
/// one. Dropping a stream before that breaks it off.
pub struct Stream {
    id: u32,
    headers: Headers,
    inbound: mpsc::Receiver<Bytes>,
    /// What was received and not read.
    piece: Bytes,
    progress: Arc<Progress>,
    outgoing: PollSender<Outgoing>,
    finished: bool,
    /// What the other side is told if it is dropped too early.
    status: u32,
    shared: Arc<Shared>,
}

impl Stream {
    pub(super) fn new(
        id: u32,
        headers: Headers,
        inbound: mpsc::Receiver<Bytes>,
        progress: Arc<Progress>,
        outgoing: mpsc::Sender<Outgoing>,
        shared: Arc<Shared>,
    ) -> Self {
        let outgoing = PollSender::new(outgoing);
        Self { id, headers, inbound, piece: Bytes::new(), progress, outgoing, finished: false, status: CANCEL, shared }
    }

    pub(super) fn broken_off_with(mut self, status: u32) -> Self {
        self.status = status;
        self
    }

    /// The headers that it was opened with.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// Whether the other side has broken it off.
    pub fn is_reset(&self) -> bool {
        self.progress.is_reset()
    }

    pub(super) fn id(&self) -> u32 {
        self.id
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Sends the next frame, when there is room for it.
    fn poll_send(&mut self, cx: &mut Context<'_>, data: &[u8], fin: bool) -> Poll<io::Result<usize>> {
        if self.finished || self.progress.is_reset() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let broken = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        ready!(self.outgoing.poll_reserve(cx)).map_err(broken)?;
        let data = Bytes::copy_from_slice(data.get(..MAX_DATA).unwrap_or(data));
        let sent = data.len();
        self.outgoing.send_item(Outgoing::Data { stream: self.id, data, fin }).map_err(broken)?;
        Poll::Ready(Ok(sent))
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.piece.is_empty() {
            match ready!(self.inbound.poll_recv(cx)) {
                Some(piece) => self.piece = piece,
                None if self.progress.is_reset() => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                None if self.progress.is_finished() => return Poll::Ready(Ok(())),
                None => return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
            }
        }
        let length = self.piece.len().min(buffer.remaining());
        buffer.put_slice(self.piece.get(..length).unwrap_or_default());
        self.piece.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if data.is_empty() { Poll::Ready(Ok(0)) } else { self.poll_send(cx, data, false) }
    }

    /// There is nothing to do: the driver sends what it has as soon as it can.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.finished {
            ready!(self.poll_send(cx, &[], true))?;
            self.finished = true;
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let known = self.shared.streams.lock().remove(&self.id).is_some();
        // One that was finished may have data on its way, which a reset would overtake.
        if known && !self.finished {
            self.shared.reset(self.id, self.status);
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("id", &self.id).field("headers", &self.headers).finish_non_exhaustive()
    }
}
