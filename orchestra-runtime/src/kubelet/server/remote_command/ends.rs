//! The client's ends of a process' streams, whatever protocol they came by.

use std::{io, pin::Pin};

use futures::future;
use orchestra_core::container_runtime::{ProcessInput, ProcessOutput, ProcessStreams, RuntimeError, TerminalSize};
use serde::Deserialize;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
};

use super::status::Outcome;

pub(super) type Reader = Pin<Box<dyn AsyncRead + Send>>;
pub(super) type Writer = Pin<Box<dyn AsyncWrite + Send>>;

/// The longest that a terminal's size may be told in.
const MAX_SIZE: usize = 4 << 10;

/// The client's ends.
pub(super) struct Ends {
    pub(super) stdin: Option<Reader>,
    pub(super) stdout: Option<Writer>,
    pub(super) stderr: Option<Writer>,
    pub(super) resize: Option<Reader>,
    /// Where the outcome is told.
    pub(super) error: Writer,
    /// Whether as JSON; before version 4 it was text.
    pub(super) json: bool,
}

impl Ends {
    /// Copies until the process has ended, and returns its exit code; `None` if the client has gone.
    pub(super) async fn connect(&mut self, process: ProcessStreams) -> Option<Result<i32, RuntimeError>> {
        let ProcessStreams { stdin, stdout, stderr, resize, exit } = process;
        let outputs = async {
            tokio::try_join!(output(stdout, self.stdout.as_mut()), output(stderr, self.stderr.as_mut())).map(drop)
        };
        let exit = async { Ok::<_, io::Error>(exit.await) };
        let ended = async { tokio::try_join!(outputs, exit).ok().map(|((), code)| code) };
        let inputs = future::join(input(self.stdin.take(), stdin), sizes(self.resize.take(), resize));
        tokio::select! {
            ended = ended => ended,
            // The process goes on without input.
            _ = async { inputs.await; future::pending::<()>().await } => None,
        }
    }

    /// Ends all streams with how it went.
    pub(super) async fn tell(mut self, outcome: Outcome) {
        let text = if self.json { outcome.to_json() } else { outcome.to_text().into_bytes() };
        // Nobody is left to tell if these fail.
        for output in [&mut self.stdout, &mut self.stderr].into_iter().flatten() {
            let _ = output.shutdown().await;
        }
        let _ = self.error.write_all(&text).await;
        let _ = self.error.shutdown().await;
    }
}

/// Copies what the process writes. A client that is not there to read is the end; a process that fails to write is not.
async fn output(process: Option<ProcessOutput>, client: Option<&mut Writer>) -> io::Result<()> {
    let (Some(mut process), Some(client)) = (process, client) else { return Ok(()) };
    let mut piece = vec![0; 32 << 10];
    loop {
        let read = process.read(&mut piece).await.unwrap_or(0);
        if read == 0 {
            return client.flush().await;
        }
        client.write_all(piece.get(..read).unwrap_or_default()).await?;
    }
}

/// Copies what the client writes, and its end.
async fn input(client: Option<Reader>, process: Option<ProcessInput>) {
    let Some(mut client) = client else { return };
    if let Some(mut process) = process {
        // A process may end, or close its input, at any time.
        let _ = tokio::io::copy(&mut client, &mut process).await;
        let _ = process.shutdown().await;
    }
    // What nobody reads must not hold up the rest of the connection.
    let _ = tokio::io::copy(&mut client, &mut tokio::io::sink()).await;
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Size {
    width: u16,
    height: u16,
}

/// Passes the sizes of the client's terminal on: one JSON value after the other.
async fn sizes(client: Option<Reader>, process: mpsc::Sender<TerminalSize>) {
    let Some(mut client) = client else { return };
    let mut text = Vec::new();
    while text.len() < MAX_SIZE && client.read_buf(&mut text).await.is_ok_and(|read| read > 0) {
        let mut values = serde_json::Deserializer::from_slice(&text).into_iter::<Size>();
        let sizes: Vec<_> = values.by_ref().map_while(Result::ok).collect();
        let told = values.byte_offset();
        text.drain(..told);
        for Size { width, height } in sizes {
            // Without a terminal there is nothing to resize.
            let _ = process.send(TerminalSize { width, height }).await;
        }
    }
}
