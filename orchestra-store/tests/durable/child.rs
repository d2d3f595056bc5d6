//! Processes of a test's own: this program again, with one of its tests, told by an environment variable that it is the child.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{self, ChildStdout, Command, ExitStatus, Stdio},
};

const FOLDER: &str = "ORCHESTRA_DURABLE_CHILD";
/// What begins a line that is for the parent, among those of the test harness.
const TOLD: &str = "told: ";

/// The folder that a child is for; `None` in the parent.
pub(crate) fn folder() -> Option<PathBuf> {
    env::var_os(FOLDER).map(PathBuf::from)
}

/// Tells the parent a line, at once.
pub(crate) fn tell(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("\n{TOLD}{line}\n").as_bytes()).expect("the parent listens");
    out.flush().expect("the parent listens");
}

/// A running child. It is killed when it is dropped.
pub(crate) struct Child {
    process: process::Child,
    out: BufReader<ChildStdout>,
}

impl Child {
    /// Starts the test of that name.
    pub(crate) fn start(test: &str, folder: &Path) -> Self {
        Self::start_by(Command::new(env::current_exe().expect("this program")), test, folder)
    }

    /// Starts the test by a command that ends with this program.
    pub(crate) fn start_by(mut command: Command, test: &str, folder: &Path) -> Self {
        command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(FOLDER, folder);
        let mut process = command.stdout(Stdio::piped()).spawn().expect("the child starts");
        let out = BufReader::new(process.stdout.take().expect("it is piped"));
        Self { process, out }
    }

    /// The next whole line that it tells; `None` at its end.
    pub(crate) fn line(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            self.out.read_line(&mut line).expect("the child tells UTF-8");
            if line.is_empty() {
                return None;
            }
            if let Some(told) = line.strip_prefix(TOLD).and_then(|told| told.strip_suffix('\n')) {
                return Some(told.to_owned());
            }
        }
    }

    /// Ends it by SIGKILL. What it has told by then can still be read.
    pub(crate) fn kill(&mut self) {
        self.process.kill().expect("the child is ours");
        self.process.wait().expect("the child ends");
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.process.wait().expect("the child ends")
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
