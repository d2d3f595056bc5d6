use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::spdy::{Headers, Session, SpdyError, Stream};

/// A stream that keeps its session: that one ends when all of its streams are dropped.
#[derive(Debug)]
pub(super) struct Held {
    stream: Stream,
    _session: Arc<Session>,
}

impl Held {
    /// Opens the stream of that type, with further headers.
    pub(super) async fn open(
        session: &Arc<Session>,
        kind: &str,
        more: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<Self, SpdyError> {
        let mut headers = Headers::from([("streamtype".to_owned(), kind.to_owned())]);
        headers.extend(more.into_iter().map(|(name, value)| (name.to_owned(), value)));
        Ok(Self { stream: session.open(headers).await?, _session: Arc::clone(session) })
    }
}

/// When the server is done it breaks off all streams that are still open, so that is the end of them. A session that broke is not: that is
/// another error.
impl AsyncRead for Held {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match ready!(Pin::new(&mut self.stream).poll_read(cx, buffer)) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Poll::Ready(Ok(())),
            other => Poll::Ready(other),
        }
    }
}

impl AsyncWrite for Held {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
