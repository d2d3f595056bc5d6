//! Takes away what nobody needs any more: images that no container has, containers that have ended and are not the last of their name.

mod containers;
mod images;

use std::time::Duration;

use tokio::time::{Instant, sleep};

use self::images::Images;
use super::super::Context;

/// Kubernetes' periods: for containers a minute, for images five.
const PERIOD: Duration = Duration::from_secs(60);
const IMAGES_PERIOD: Duration = Duration::from_secs(300);

/// Collects until the future is dropped. A simulated node has nothing that takes room.
pub(in crate::kubelet) async fn run(context: &Context) {
    if context.config.machine.is_none() {
        return std::future::pending().await;
    }
    let mut images = Images::default();
    let mut collected = Instant::now();
    loop {
        sleep(PERIOD).await;
        Box::pin(containers::collect(context)).await;
        images.look(context).await;
        if collected.elapsed() >= IMAGES_PERIOD {
            Box::pin(images.collect(context)).await;
            collected = Instant::now();
        }
    }
}

/// Takes away all that is not needed, at once: something else needs the room.
pub(super) async fn all(context: &Context) {
    containers::collect(context).await;
    images::remove_unused(context).await;
}
