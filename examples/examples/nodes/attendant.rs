//! Processes that work for this one, in namespaces of their own.

use std::process::{ExitStatus, Stdio};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines, Stdin},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::{Duration, timeout},
};

use super::Error;

/// What it says when its namespaces are there.
const HERE: &str = "here";
/// What it is told when it may go on.
const GO_ON: &[u8] = b"go on\n";
/// How long it may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(30);

/// Such a process, as seen by the one that it works for. It ends when its standard input does, so at the latest when that one is gone.
pub(crate) struct Attendant {
    process: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    id: u32,
}

impl Attendant {
    /// Starts one by `command`, to which this program's arguments `arguments` are added.
    pub(crate) fn spawn(command: std::process::Command, arguments: &[&str]) -> Result<Self, Error> {
        let program = command.get_program().to_string_lossy().into_owned();
        let mut process = Command::from(command)
            .arg(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C is for the one that it works for.
            .process_group(0)
            .spawn()
            .map_err(|error| format!("{program}: {error}"))?;
        let id = process.id().ok_or("it has ended")?;
        let (Some(input), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
            return Err("it has no pipes".into());
        };
        Ok(Self { process, input, output: BufReader::new(output).lines(), id })
    }

    /// Waits until its namespaces are there.
    pub(crate) async fn meet(&mut self) -> Result<(), Error> {
        if self.output.next_line().await?.as_deref() == Some(HERE) {
            return Ok(());
        }
        Err(format!("namespaces cannot be made: {}", self.process.wait().await?).into())
    }

    /// A process that has its network.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// Lets it go on.
    pub(crate) async fn go_on(&mut self) -> Result<(), Error> {
        Ok(self.input.write_all(GO_ON).await?)
    }

    /// Waits until it ends by itself.
    pub(crate) async fn ended(&mut self) -> Result<ExitStatus, Error> {
        Ok(self.process.wait().await?)
    }

    /// Ends it.
    pub(crate) async fn end(self) {
        // Its output stays open: it may be about to say that it is there.
        let Self { mut process, input, output: _output, .. } = self;
        drop(input);
        if timeout(PATIENCE, process.wait()).await.is_err() {
            // With it go its namespaces.
            let _ = process.kill().await;
        }
    }
}

/// The other side: the one that it works for, as seen from within.
pub(crate) struct Principal(Lines<BufReader<Stdin>>);

impl Principal {
    /// Tells it that the namespaces are there, and waits until it lets this process go on; `None` if it is gone.
    pub(crate) async fn meet() -> Result<Option<Self>, Error> {
        println!("{HERE}");
        let mut input = BufReader::new(tokio::io::stdin()).lines();
        Ok(input.next_line().await?.map(|_| Self(input)))
    }

    /// Waits until it wants no more, or is gone.
    pub(crate) async fn gone(&mut self) {
        while let Ok(Some(_)) = self.0.next_line().await {}
    }
}
