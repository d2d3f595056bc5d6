//! What is done about connections to containers over which nothing goes (`streamingConnectionIdleTimeout`).

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, sleep_until},
};

/// After how long they are ended.
const IDLE: Duration = Duration::from_secs(4 * 60 * 60);

/// When something went over a connection last. Clones share it.
#[derive(Clone)]
pub(super) struct Activity(Arc<Mutex<Instant>>);

impl Activity {
    /// Of a connection that begins now.
    pub(super) fn begun() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    /// Something goes over it.
    pub(super) fn note(&self) {
        *self.0.lock() = Instant::now();
    }

    /// Waits until nothing has gone over it for too long.
    pub(super) async fn ceased(&self) {
        loop {
            let end = *self.0.lock() + IDLE;
            if end <= Instant::now() {
                return;
            }
            sleep_until(end).await;
        }
    }
}

/// A connection of which is noted when something goes over it.
pub(super) struct Noted<S> {
    connection: S,
    activity: Activity,
}

impl<S> Noted<S> {
    /// The connection, and what is noted of it.
    pub(super) fn new(connection: S) -> (Self, Activity) {
        let activity = Activity::begun();
        (Self { connection, activity: activity.clone() }, activity)
    }

    fn noted<T>(&self, done: Poll<T>) -> Poll<T> {
        if done.is_ready() {
            self.activity.note();
        }
        done
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Noted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.connection).poll_read(cx, buffer);
        self.noted(done)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Noted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.connection).poll_write(cx, data);
        self.noted(done)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        time::{sleep, timeout},
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_lives_as_long_as_something_goes_over_it() {
        let hour = Duration::from_secs(60 * 60);
        let (near, mut far) = tokio::io::duplex(8);
        let (mut near, activity) = Noted::new(near);
        sleep(hour * 3).await;
        far.write_all(b"a").await.unwrap();
        near.read_u8().await.unwrap();
        assert!(timeout(hour * 3, activity.ceased()).await.is_err());
        near.write_all(b"b").await.unwrap();
        let begun = Instant::now();
        activity.ceased().await;
        assert_eq!(begun.elapsed(), IDLE);
    }
}
