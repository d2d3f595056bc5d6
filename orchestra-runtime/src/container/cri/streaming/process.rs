//! A process: a stream each for its input, its outputs, the terminal's size, and how it ended.

use std::{sync::Arc, time::Duration};

use orchestra_core::container_runtime::{
    ProcessInput, ProcessOutput, ProcessStreams, RuntimeError, StreamOptions, TerminalSize,
};
use tokio::{io::AsyncWriteExt, sync::mpsc};

use super::{
    held::Held,
    outcome::outcome,
    upgrade::{unreachable, upgrade},
};
use crate::spdy::{Session, SpdyError};

/// The newest of the protocols that are spoken over SPDY.
const PROTOCOL: &str = "v4.channel.k8s.io";

/// Connects with the process that `url` stands for.
pub(super) async fn connect(
    url: &str,
    options: StreamOptions,
    deadline: Duration,
) -> Result<ProcessStreams, RuntimeError> {
    let session = upgrade(url, PROTOCOL, deadline).await?;
    let streams = open(&session, options);
    let late = |_| RuntimeError::DeadlineExceeded(format!("no streams after {deadline:?}"));
    tokio::time::timeout(deadline, streams).await.map_err(late)?.map_err(unreachable)
}

/// The server begins when it has the streams that were announced to it.
async fn open(session: &Arc<Session>, options: StreamOptions) -> Result<ProcessStreams, SpdyError> {
    let stream = async |kind, is_wanted: bool| match is_wanted {
        true => Held::open(session, kind, []).await.map(Some),
        false => Ok(None),
    };
    let errors = Held::open(session, "error", []).await?;
    let stdin = stream("stdin", options.stdin).await?;
    let stdout = stream("stdout", options.stdout).await?;
    let stderr = stream("stderr", options.stderr).await?;
    let (resize, sizes) = mpsc::channel(1);
    if let Some(terminal) = stream("resize", options.tty).await? {
        tokio::spawn(tell_sizes(terminal, sizes));
    }
    Ok(ProcessStreams {
        stdin: stdin.map(|stream| -> ProcessInput { Box::pin(stream) }),
        stdout: stdout.map(|stream| -> ProcessOutput { Box::pin(stream) }),
        stderr: stderr.map(|stream| -> ProcessOutput { Box::pin(stream) }),
        resize,
        exit: Box::pin(outcome(errors)),
    })
}

/// Until nobody is left who could change it, or nobody who listens.
async fn tell_sizes(mut terminal: Held, mut sizes: mpsc::Receiver<TerminalSize>) {
    while let Some(TerminalSize { width, height }) = sizes.recv().await {
        let size = format!("{{\"Width\":{width},\"Height\":{height}}}\n");
        if terminal.write_all(size.as_bytes()).await.is_err() {
            return;
        }
    }
}
