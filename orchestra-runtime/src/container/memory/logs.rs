//! What containers write, as time passes.

use std::{collections::VecDeque, time::Duration};

use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use orchestra_core::container_runtime::{ContainerId, LogLine, LogOptions, LogSource, RuntimeError, RuntimeStream};

use super::{ImageScript, MemoryRuntime};

impl ImageScript {
    /// All that a container writes that started then, if it lives long enough; in order.
    fn lines(&self, started_at: Timestamp) -> VecDeque<LogLine> {
        let line = |source, at, line: &String| LogLine { at, source, line: line.clone().into_bytes(), goes_on: false };
        let out = self.log_lines.iter().map(|text| line(LogSource::Stdout, started_at, text));
        let errors = self.error_lines.iter().map(|text| line(LogSource::Stderr, started_at, text));
        let mut later: Vec<_> = self.later_log_lines.iter().collect();
        later.sort_by_key(|(after, _)| *after);
        let later = later.into_iter().filter_map(|(after, text)| {
            let at = started_at.checked_add(SignedDuration::try_from(*after).ok()?).ok()?;
            Some(line(LogSource::Stdout, at, text))
        });
        out.chain(errors).chain(later).collect()
    }
}

/// What a container has written, and is yet to write.
struct Log {
    runtime: MemoryRuntime,
    container: u64,
    lines: VecDeque<LogLine>,
}

impl Log {
    fn of(runtime: &MemoryRuntime, id: &ContainerId) -> Result<Self, RuntimeError> {
        let container = runtime.container(id)?;
        let state = runtime.shared.state.lock();
        let record = state.containers.get(&container).ok_or_else(|| RuntimeError::no_container(&*id.0))?;
        let lines = record.started_at.map(|at| record.script.lines(at)).unwrap_or_default();
        Ok(Self { runtime: runtime.clone(), container, lines })
    }

    /// The last moment of which anything can be told: now, or when the container ended.
    fn until(&self) -> Timestamp {
        let state = self.runtime.shared.state.lock();
        let finished = state.containers.get(&self.container).and_then(|record| record.finished_at);
        drop(state);
        finished.unwrap_or_else(|| self.runtime.now())
    }

    /// Takes out the lines that were written until now.
    fn written(&mut self) -> VecDeque<LogLine> {
        let until = self.until();
        let later = self.lines.iter().position(|line| line.at > until).unwrap_or(self.lines.len());
        let rest = self.lines.split_off(later);
        std::mem::replace(&mut self.lines, rest)
    }

    /// Waits for the next line; `None` if the container ended before.
    async fn next(&mut self) -> Option<LogLine> {
        loop {
            let Some(line) = self.lines.front() else {
                self.runtime.ended(self.container).await;
                return None;
            };
            let wait = Duration::try_from(line.at.duration_since(self.runtime.now())).unwrap_or_default();
            if wait.is_zero() {
                return self.lines.pop_front().filter(|line| line.at <= self.until());
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.runtime.ended(self.container) => {
                    return self.lines.pop_front().filter(|line| line.at <= self.until());
                }
            }
        }
    }

    fn follow(self) -> RuntimeStream<LogLine> {
        stream::unfold(self, |mut log| async {
            let line = log.next().await?;
            Some((Ok(line), log))
        })
        .boxed()
    }
}

impl MemoryRuntime {
    pub(super) fn read_log(
        &self,
        id: &ContainerId,
        options: &LogOptions,
    ) -> Result<RuntimeStream<LogLine>, RuntimeError> {
        let mut log = Log::of(self, id)?;
        let mut written = log.written();
        written.retain(|line| options.since.is_none_or(|since| line.at >= since));
        let skip = options.tail.map_or(0, |tail| written.len().saturating_sub(tail));
        let written = stream::iter(written.into_iter().skip(skip).map(Ok));
        Ok(if options.follow { written.chain(log.follow()).boxed() } else { written.boxed() })
    }

    /// What a container writes from now on.
    pub(super) fn follow_log(&self, id: &ContainerId) -> Result<RuntimeStream<LogLine>, RuntimeError> {
        let mut log = Log::of(self, id)?;
        log.written();
        Ok(log.follow())
    }
}
