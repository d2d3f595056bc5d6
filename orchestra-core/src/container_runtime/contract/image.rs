//! Images.

use std::sync::Arc;

use super::{Check, Violation, World, check, ensure};
use crate::container_runtime::RuntimeError;

pub(super) const CHECKS: &[Check] = &[
    check!("image", an_image_is_there_when_it_was_fetched),
    check!("image", an_image_that_cannot_be_fetched_is_told_of),
];

/// And is found and listed with its size.
async fn an_image_is_there_when_it_was_fetched(world: Arc<World>) -> Result<(), Violation> {
    let name = &world.images().lines;
    // Twice: one that is there is no error.
    for _ in 0..2 {
        let reference = world.runtime().pull_image(name, None).await?;
        ensure!(!reference.is_empty(), "what was fetched has no name");
    }
    let Some(image) = world.runtime().image_status(name).await? else {
        return Err(Violation::new("what was fetched is not there"));
    };
    ensure!(!image.id.is_empty() && image.size > 0, "it has no id or no size: {image:?}");
    let listed = world.runtime().list_images().await?;
    ensure!(listed.iter().any(|other| other.id == image.id), "it is not listed");
    Ok(())
}

/// In words, and it is not there.
async fn an_image_that_cannot_be_fetched_is_told_of(world: Arc<World>) -> Result<(), Violation> {
    let name = &world.images().missing;
    match world.runtime().pull_image(name, None).await {
        Err(RuntimeError::ImagePull { reason }) => ensure!(!reason.is_empty(), "no reason is given"),
        Err(other) => return Err(Violation::new(format!("wrong error: {other:?}"))),
        Ok(reference) => return Err(Violation::new(format!("it was fetched as {reference}"))),
    }
    ensure!(world.runtime().image_status(name).await?.is_none(), "it is there all the same");
    // Removing it is no error either.
    world.runtime().remove_image(name).await?;
    Ok(())
}
