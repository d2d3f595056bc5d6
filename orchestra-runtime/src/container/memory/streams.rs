//! Ways into containers: commands, the output of their process, their ports.

use std::{
    io::{self, Cursor},
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use futures::{FutureExt, StreamExt, future};
use orchestra_core::container_runtime::{
    ContainerId, ContainerState, ExecOutput, LogLine, LogSource, PortConnection, ProcessInput, ProcessOutput,
    ProcessStreams, RuntimeError, RuntimeStream, SandboxId, StreamOptions,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, DuplexStream, ReadBuf, SimplexStream},
    net::TcpStream,
    sync::{mpsc, oneshot},
};

use super::{MemoryRuntime, Program, Scripted};

/// How much is on its way between two ends.
const BUFFER: usize = 64 << 10;

/// What answers at a port of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortScript {
    /// It sends back what it gets.
    Echo,
    /// What answers at this address.
    At(SocketAddr),
}

impl MemoryRuntime {
    /// What the command does in a container, which must run.
    pub(super) fn scripted(&self, id: &ContainerId, command: &[String]) -> Result<Scripted, RuntimeError> {
        let container = self.running(id)?;
        let script = {
            let state = self.shared.state.lock();
            state.containers.get(&container).and_then(|record| record.script.exec.clone())
        };
        let scripted = script.ok_or(RuntimeError::Unsupported("exec"))?.run(command);
        if scripted.program == Program::Missing {
            let program = command.first().map(String::as_str).unwrap_or_default();
            let why = format!("exec: {program:?}: executable file not found in $PATH");
            return Err(RuntimeError::Failed(format!("failed to exec in container: failed to start exec: {why}")));
        }
        Ok(scripted)
    }

    /// Lets time pass in a container, which must run all the while.
    pub(super) async fn pass(&self, id: &ContainerId, time: Duration) -> Result<(), RuntimeError> {
        let container = self.container(id)?;
        tokio::select! {
            biased;
            () = self.ended(container) => Err(RuntimeError::FailedPrecondition("container is not running".to_owned())),
            () = tokio::time::sleep(time) => Ok(()),
        }
    }

    pub(super) fn running(&self, id: &ContainerId) -> Result<u64, RuntimeError> {
        let container = self.container(id)?;
        let state = self.shared.state.lock();
        match state.containers.get(&container).map(|record| record.state) {
            Some(ContainerState::Running) => Ok(container),
            Some(state) => {
                let state = format!("{state:?}").to_uppercase();
                Err(RuntimeError::FailedPrecondition(format!("container is in CONTAINER_{state} state")))
            }
            None => Err(RuntimeError::no_container(&*id.0)),
        }
    }

    /// The process of a container as one who attaches finds it: what it writes from now on, and its input, which it writes too.
    pub(super) fn attachment(&self, id: &ContainerId, options: StreamOptions) -> Result<ProcessStreams, RuntimeError> {
        let container = self.running(id)?;
        let (near, far) = tokio::io::duplex(BUFFER);
        let lines = self.follow_log(id)?;
        let output = Attached { lines, piece: Bytes::new(), input: Some(far) };
        let (stdout, exit) = if options.stdout {
            let (done, ended) = oneshot::channel();
            let output = UntilEnd { output, done: Some(done) };
            (Some(Box::pin(output) as ProcessOutput), ended.map(|_| Ok(0)).boxed())
        } else {
            let runtime = self.clone();
            (None, async move { Ok(runtime.ended(container).map(|()| 0).await) }.boxed())
        };
        Ok(ProcessStreams {
            stdin: options.stdin.then(|| Box::pin(near) as ProcessInput),
            stdout,
            stderr: (options.stderr && !options.tty).then(|| Box::pin(tokio::io::empty()) as ProcessOutput),
            resize: mpsc::channel(1).0,
            exit,
        })
    }

    /// Connects with a port of the sandbox, if one of its containers has a script for it.
    pub(super) async fn connection(
        &self,
        id: &SandboxId,
        port: u16,
    ) -> Result<Pin<Box<dyn PortConnection>>, RuntimeError> {
        let sandbox = self.sandbox(id).ok_or_else(|| RuntimeError::no_sandbox(&*id.0))?;
        self.open(sandbox, port).await.map_err(|error| {
            RuntimeError::Failed(format!("failed to connect to localhost:{port} inside sandbox {:?}: {error}", id.0))
        })
    }

    pub(super) async fn open(&self, sandbox: u64, port: u16) -> io::Result<Pin<Box<dyn PortConnection>>> {
        let script = {
            let state = self.shared.state.lock();
            let mut running = state.containers.values().filter(|container| container.is_running_in(sandbox));
            running.find_map(|container| container.script.ports.get(&port).copied())
        };
        match script {
            Some(PortScript::Echo) => Ok(Box::pin(SimplexStream::new_unsplit(BUFFER))),
            Some(PortScript::At(address)) => Ok(Box::pin(TcpStream::connect(address).await?)),
            None => Err(io::ErrorKind::ConnectionRefused.into()),
        }
    }
}

/// The streams of a command.
pub(super) fn process(scripted: Scripted, options: StreamOptions) -> ProcessStreams {
    let ExecOutput { mut stdout, mut stderr, exit_code } = scripted.output;
    if options.tty {
        stdout.append(&mut stderr);
    }
    let stderr = (options.stderr && !options.tty).then(|| Box::pin(Cursor::new(stderr)) as ProcessOutput);
    let resize = mpsc::channel(1).0;
    if scripted.program != Program::Cat {
        return ProcessStreams {
            stdin: options.stdin.then(|| Box::pin(tokio::io::sink()) as ProcessInput),
            stdout: options.stdout.then(|| Box::pin(Cursor::new(stdout)) as ProcessOutput),
            stderr,
            resize,
            exit: future::ready(Ok(exit_code)).boxed(),
        };
    }
    let (near, far) = tokio::io::duplex(BUFFER);
    let mut output = far.chain(Cursor::new(stdout));
    let (stdout, exit) = if options.stdout {
        let (done, ended) = oneshot::channel();
        let output = UntilEnd { output, done: Some(done) };
        (Some(Box::pin(output) as ProcessOutput), ended.map(move |_| Ok(exit_code)).boxed())
    } else {
        let reading = async move {
            // There is nobody to tell of a failure, and an input in memory has none.
            let _ = tokio::io::copy(&mut output, &mut tokio::io::sink()).await;
            Ok(exit_code)
        };
        (None, reading.boxed())
    };
    ProcessStreams { stdin: options.stdin.then(|| Box::pin(near) as ProcessInput), stdout, stderr, resize, exit }
}

/// Tells when all of an output was read.
struct UntilEnd<R> {
    output: R,
    done: Option<oneshot::Sender<()>>,
}

impl<R: AsyncRead + Unpin> AsyncRead for UntilEnd<R> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.output).poll_read(cx, buffer))?;
        if buffer.filled().len() == before && buffer.remaining() > 0 {
            // Whoever waits may be gone.
            self.done.take().map(|done| done.send(()));
        }
        Poll::Ready(Ok(()))
    }
}

/// The output of a container's own process: the lines that it writes, and what it reads.
struct Attached {
    lines: RuntimeStream<LogLine>,
    piece: Bytes,
    input: Option<DuplexStream>,
}

impl AsyncRead for Attached {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(input) = &mut self.input {
            let before = buffer.filled().len();
            match Pin::new(input).poll_read(cx, buffer)? {
                Poll::Ready(()) if buffer.filled().len() > before => return Poll::Ready(Ok(())),
                Poll::Ready(()) => self.input = None,
                Poll::Pending => {}
            }
        }
        while self.piece.is_empty() {
            match ready!(self.lines.poll_next_unpin(cx)) {
                Some(Ok(LogLine { source: LogSource::Stdout, mut line, .. })) => {
                    line.push(b'\n');
                    self.piece = line.into();
                }
                Some(_) => {}
                None => return Poll::Ready(Ok(())),
            }
        }
        let length = self.piece.len().min(buffer.remaining());
        buffer.put_slice(self.piece.get(..length).unwrap_or_default());
        self.piece.advance(length);
        Poll::Ready(Ok(()))
    }
}
