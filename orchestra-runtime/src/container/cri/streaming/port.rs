//! A port: a stream for the bytes of both directions, and one for what went wrong.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use orchestra_core::container_runtime::{PortConnection, RuntimeError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::{
    held::Held,
    upgrade::{unreachable, upgrade},
};
use crate::spdy::SpdyError;

const PROTOCOL: &str = "portforward.k8s.io";
/// How much of what went wrong is read.
const LIMIT: u64 = 64 * 1024;

/// Connects with a port of the sandbox that `url` stands for.
pub(super) async fn connect(
    url: &str,
    port: u16,
    deadline: Duration,
) -> Result<Pin<Box<dyn PortConnection>>, RuntimeError> {
    let session = upgrade(url, PROTOCOL, deadline).await?;
    let open = async {
        let headers = || [("port", port.to_string()), ("requestid", "0".to_owned())];
        let mut errors = Held::open(&session, "error", headers()).await?;
        // Nothing goes wrong on this side.
        errors.shutdown().await?;
        Ok::<_, SpdyError>((Held::open(&session, "data", headers()).await?, errors))
    };
    let late = |_| RuntimeError::DeadlineExceeded(format!("no streams after {deadline:?}"));
    let (data, mut errors) = tokio::time::timeout(deadline, open).await.map_err(late)?.map_err(unreachable)?;
    let failure = async move {
        let mut told = Vec::new();
        (&mut errors).take(LIMIT).read_to_end(&mut told).await?;
        if told.is_empty() { Ok(()) } else { Err(io::Error::other(String::from_utf8_lossy(&told).into_owned())) }
    };
    Ok(Box::pin(Port { data, failure: Some(failure.boxed()) }))
}

struct Port {
    data: Held,
    /// What went wrong, told at the end of the data.
    failure: Option<BoxFuture<'static, io::Result<()>>>,
}

impl AsyncRead for Port {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if self.failure.is_some() {
            ready!(Pin::new(&mut self.data).poll_read(cx, buffer))?;
        }
        if buffer.filled().len() > before || buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let Some(failure) = &mut self.failure else { return Poll::Ready(Ok(())) };
        let outcome = ready!(failure.poll_unpin(cx));
        self.failure = None;
        Poll::Ready(outcome)
    }
}

impl AsyncWrite for Port {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.data).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.data).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.data).poll_shutdown(cx)
    }
}
