//! Containers' logs: the files that a CRI runtime writes their output to, a line each `TIME STREAM TAG CONTENT`.

mod entry;
pub(super) mod files;
mod lines;
mod reader;
mod tail;

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use orchestra_core::container_runtime::{
    ContainerId, ContainerState, LogLine, LogOptions, RuntimeError, RuntimeStream,
};
use tokio::time::{Instant, sleep};

use self::reader::Reader;
use super::{CriRuntime, convert};

/// How often the container is looked at while its log is followed and nothing more comes.
const STATE_PERIOD: Duration = Duration::from_secs(1);

impl CriRuntime {
    pub(super) async fn read_log(
        &self,
        id: &ContainerId,
        options: LogOptions,
    ) -> Result<RuntimeStream<LogLine>, RuntimeError> {
        let path = self.container_details(id).await?.log_path;
        if path.is_empty() {
            return Err(RuntimeError::FailedPrecondition(format!("container {:?} has no log", &*id.0)));
        }
        let follow = options.follow.then(|| Follow { runtime: self.clone(), id: id.clone(), looked: Instant::now() });
        let reader = files::in_background(move || Reader::open(path.into(), &options)).await?;
        let blocks = stream::try_unfold(Some((reader, follow)), |rest| async {
            let Some((reader, follow)) = rest else { return Ok(None) };
            next(reader, follow).await.map(Some)
        });
        Ok(blocks.map_ok(|lines| stream::iter(lines.into_iter().map(Ok))).try_flatten().boxed())
    }
}

type Rest = Option<(Reader, Option<Follow>)>;

/// The next lines, and what to go on with; nothing at the end of the log.
async fn next(mut reader: Reader, mut follow: Option<Follow>) -> Result<(Vec<LogLine>, Rest), RuntimeError> {
    let mut has_ended = follow.is_none();
    loop {
        let read = files::in_background(move || {
            let lines = reader.read();
            (reader, lines)
        });
        let (came_back, lines) = read.await;
        reader = came_back;
        let lines = lines?;
        if !lines.is_empty() {
            return Ok((lines, Some((reader, follow))));
        }
        match &mut follow {
            Some(follow) if !has_ended || reader.has_next() => has_ended |= follow.wait().await?,
            _ => return Ok((reader.rest(), None)),
        }
    }
}

/// Waits for more of a container's log.
struct Follow {
    runtime: CriRuntime,
    id: ContainerId,
    /// When the container was last looked at.
    looked: Instant,
}

impl Follow {
    /// Waits a moment; whether the container has ended, so that what is in its log now is all of it.
    async fn wait(&mut self) -> Result<bool, RuntimeError> {
        sleep(self.runtime.shared.options.log_period).await;
        if self.looked.elapsed() < STATE_PERIOD {
            return Ok(false);
        }
        self.looked = Instant::now();
        match self.runtime.container_details(&self.id).await {
            Ok(status) => {
                let state = convert::state(status.state());
                Ok(matches!(state, ContainerState::Exited | ContainerState::Unknown))
            }
            Err(error) if error.is_not_found() => Ok(true),
            // Its log is there without it.
            Err(RuntimeError::Unavailable(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
