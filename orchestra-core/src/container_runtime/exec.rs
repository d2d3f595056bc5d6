use std::{fmt, pin::Pin};

use futures::future::BoxFuture;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
};

use super::RuntimeError;

/// What a command left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecOutput {
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
    /// How it ended.
    pub exit_code: i32,
}

/// Which of a process' streams somebody wants to be connected with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamOptions {
    /// Whether to write to its standard input.
    pub stdin: bool,
    /// Whether to read its standard output.
    pub stdout: bool,
    /// Whether to read its standard error. With a terminal there is none: all is in the standard output.
    pub stderr: bool,
    /// Whether it has a terminal.
    pub tty: bool,
}

/// The size of a terminal in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalSize {
    /// Columns.
    pub width: u16,
    /// Lines.
    pub height: u16,
}

/// The reader's end of a process' output.
pub type ProcessOutput = Pin<Box<dyn AsyncRead + Send>>;
/// The writer's end of a process' input. Shutting it down is the end of the process' input.
pub type ProcessInput = Pin<Box<dyn AsyncWrite + Send>>;

/// The ends of a process' streams that were asked for. Dropping all of it gives up the process' output; whether the process goes on is the
/// runtime's affair, as in CRI.
pub struct ProcessStreams {
    /// Its standard input.
    pub stdin: Option<ProcessInput>,
    /// Its standard output.
    pub stdout: Option<ProcessOutput>,
    /// Its standard error.
    pub stderr: Option<ProcessOutput>,
    /// Takes the new sizes of its terminal; closed where it has none.
    pub resize: mpsc::Sender<TerminalSize>,
    /// Its exit code, when it has ended and all that it wrote was given out; zero for an attachment that ended.
    pub exit: BoxFuture<'static, Result<i32, RuntimeError>>,
}

impl fmt::Debug for ProcessStreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessStreams")
            .field("stdin", &self.stdin.is_some())
            .field("stdout", &self.stdout.is_some())
            .field("stderr", &self.stderr.is_some())
            .finish_non_exhaustive()
    }
}

/// A connection to a port in a sandbox.
pub trait PortConnection: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> PortConnection for T {}
