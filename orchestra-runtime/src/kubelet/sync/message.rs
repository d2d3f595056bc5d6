//! What containers leave behind as their last words.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use futures::StreamExt;
use k8s_openapi::api::core::v1::Container;
use orchestra_core::container_runtime::{LogOptions, RuntimeError};

use super::Work;
use crate::kubelet::{
    pod::{all_containers, record::Instance},
    volume::PodFolder,
};

/// How much of its log stands in for a message: lines, and bytes of them.
const MAX_LOG_LINES: usize = 80;
const MAX_LOG: usize = 2048;
/// How long a container's message may be, and all of a pod's together.
const MAX_MESSAGE: usize = 4096;
const MAX_MESSAGES: usize = 12 * 1024;

impl Work<'_> {
    /// Reads the messages of containers that ended since the last time.
    pub(super) async fn read_messages(&mut self) {
        let pod = std::sync::Arc::clone(&self.pod);
        let limit = MAX_MESSAGE.min(MAX_MESSAGES / all_containers(&pod).count().max(1));
        for container in all_containers(&pod) {
            let Some(known) = self.known.record.containers.get(&container.name) else { continue };
            let Some(instance) = known.current.as_ref().filter(|instance| is_unread(instance)) else { continue };
            let message = self.last_words(container, instance).await;
            let known = self.known.record.containers.get_mut(&container.name);
            if let Some(instance) = known.and_then(|known| known.current.as_mut()) {
                instance.message_read = true;
                instance.message.push_str(&message);
                keep_start(&mut instance.message, limit);
            }
        }
    }

    async fn last_words(&self, container: &Container, instance: &Instance) -> String {
        let written = self.written(container, instance).await;
        if !written.is_empty() {
            return written;
        }
        let falls_back = container.termination_message_policy.as_deref() == Some("FallbackToLogsOnError");
        if !falls_back || (instance.exit() == Some(0) && instance.reason != "OOMKilled") {
            return String::new();
        }
        // One whose log is not to be had has no last words.
        self.end_of_log(instance).await.unwrap_or_default()
    }

    /// What the container wrote into the file for that.
    async fn written(&self, container: &Container, instance: &Instance) -> String {
        let (Some(root), uid) = (&self.context.config.root, self.pod.metadata.uid.as_deref().unwrap_or_default())
        else {
            return String::new();
        };
        let Ok(folder) = PodFolder::of(root, uid) else { return String::new() };
        let path = folder.termination_message(&container.name, instance.attempt);
        let text = tokio::task::spawn_blocking(move || read_end(&path)).await;
        // A file that is not there, or not to be read, says nothing.
        text.ok().and_then(Result::ok).unwrap_or_default()
    }

    async fn end_of_log(&self, instance: &Instance) -> Result<String, RuntimeError> {
        let options = LogOptions { tail: Some(MAX_LOG_LINES), ..LogOptions::default() };
        let mut lines = self.context.runtime.logs(&instance.id, options).await?;
        let mut text = Vec::new();
        while let Some(line) = lines.next().await {
            text.extend(line?.line);
            text.push(b'\n');
        }
        let start = text.len().saturating_sub(MAX_LOG);
        Ok(String::from_utf8_lossy(&text[start..]).into_owned())
    }
}

/// The last of a file, as much as a message may be.
fn read_end(path: &Path) -> io::Result<String> {
    let most = u64::try_from(MAX_MESSAGE).unwrap_or(u64::MAX);
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(most)))?;
    let mut text = Vec::new();
    file.take(most).read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn is_unread(instance: &Instance) -> bool {
    instance.exit().is_some() && !instance.message_read
}

/// Cuts a text after so many bytes, between characters.
fn keep_start(text: &mut String, bytes: usize) {
    text.truncate(text.floor_char_boundary(bytes));
}
