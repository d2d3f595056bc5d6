//! The program `nft`.

use std::{
    io,
    process::{Output, Stdio},
};

use tokio::{io::AsyncWriteExt, process::Command};

/// Why nftables did not do as it was told.
#[derive(Debug, thiserror::Error)]
pub enum NftError {
    /// The program could not be run.
    #[error("cannot run {program}: {source}")]
    Run {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// The program ran and refused; nothing of the transaction is in force.
    #[error("{program}: {words}")]
    Refused {
        /// The program.
        program: String,
        /// The first lines of what it said.
        words: String,
    },
}

/// A program and the arguments that come before all others: `nft`, or `ip netns exec blue nft` to work in a network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    program: String,
    arguments: Vec<String>,
}

impl Program {
    /// The program of this name, or at this path.
    pub fn new(program: &str) -> Self {
        Self { program: program.to_owned(), arguments: Vec::new() }
    }

    /// The same program, run by `prefix`: a program and its arguments.
    #[must_use]
    pub fn run_by(self, prefix: &[String]) -> Self {
        let Some((first, rest)) = prefix.split_first() else { return self };
        let mut arguments = rest.to_vec();
        arguments.push(self.program);
        arguments.extend(self.arguments);
        Self { program: first.clone(), arguments }
    }

    /// Runs it with `input` and gives what it said; an error if it ended with anything but success.
    pub(in super::super) async fn run(&self, arguments: &[&str], input: &str) -> Result<String, NftError> {
        let output = self.output(arguments, input).await.map_err(|source| self.cannot_run(source))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        // It repeats the command that it refuses, which may be all elements of a map in one line.
        let lines = said.lines().take(4).map(|line| line.chars().take(200).collect::<String>());
        Err(NftError::Refused { program: self.program.clone(), words: lines.collect::<Vec<_>>().join("; ") })
    }

    async fn output(&self, arguments: &[&str], input: &str) -> io::Result<Output> {
        let mut child = self.command(arguments).spawn()?;
        let stdin = child.stdin.take();
        let write = async {
            if let Some(mut stdin) = stdin {
                // One that refuses early does not read to the end; what it says then is worth more than this error.
                let _ = stdin.write_all(input.as_bytes()).await;
            }
        };
        let ((), output) = tokio::join!(write, child.wait_with_output());
        output
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).args(arguments).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn cannot_run(&self, source: io::Error) -> NftError {
        NftError::Run { program: self.program.clone(), source }
    }
}
