use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep};

/// How often an idle watch tells how far it is (kube-apiserver's `bookmarkFrequency`).
const PERIOD: Duration = Duration::from_secs(60);
/// How long before its end a watch does so once more, so that the client can go on from there with the next one.
const BEFORE_THE_END: Duration = Duration::from_secs(2);

/// When a watch tells how far it is.
pub(super) struct Bookmarks {
    next: Pin<Box<Sleep>>,
    deadline: Instant,
}

impl Bookmarks {
    /// Those of a watch that ends at `deadline`.
    pub(super) fn until(deadline: Instant) -> Self {
        let next = Box::pin(tokio::time::sleep_until(next(Instant::now(), deadline)));
        Self { next, deadline }
    }

    /// Ready when a bookmark is due; the task is woken for the next one only after another poll.
    pub(super) fn poll_due(&mut self, context: &mut Context<'_>) -> Poll<()> {
        std::task::ready!(self.next.as_mut().poll(context));
        self.next.as_mut().reset(next(Instant::now(), self.deadline));
        Poll::Ready(())
    }
}

fn next(now: Instant, deadline: Instant) -> Instant {
    let periodic = now + PERIOD;
    match deadline.checked_sub(BEFORE_THE_END) {
        Some(last) if last > now => last.min(periodic),
        _ => periodic,
    }
}
