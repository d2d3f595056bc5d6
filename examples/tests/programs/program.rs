use std::{
    env,
    fs::{create_dir, remove_dir_all, write},
    net::SocketAddr,
    path::PathBuf,
    process::{Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

/// The longest that a program may take for one thing, so that a fault is a failure and not a test without end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder in which programs run; removed when dropped.
pub(crate) struct Folder(PathBuf);

/// A program that goes on.
pub(crate) struct Program {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// Where the example `name` is.
pub(crate) fn built(name: &str) -> PathBuf {
    // Tests are in `deps`, examples beside it.
    let built = env::current_exe().unwrap().ancestors().nth(2).unwrap().join("examples").join(name);
    assert!(built.exists(), "{} is missing: run cargo build --examples", built.display());
    built
}

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("orchestra-programs-{}-{count}", std::process::id()));
        create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        write(self.path(name), content).unwrap();
    }

    fn command(&self, name: &str, arguments: &str) -> Command {
        let mut command = Command::new(built(name));
        command.args(arguments.split_whitespace()).current_dir(&self.0).stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Runs a program, whose arguments have no spaces within, to its end.
    pub(crate) async fn run(&self, name: &str, arguments: &str) -> Output {
        let output = tokio::time::timeout(PATIENCE, self.command(name, arguments).output()).await;
        output.unwrap_or_else(|_| panic!("{name} {arguments}: no end")).unwrap()
    }

    /// Runs a program that must fail and say why in one line on stderr and nothing on stdout; returns that line.
    pub(crate) async fn fails(&self, name: &str, arguments: &str) -> String {
        let Output { status, stdout, stderr } = self.run(name, arguments).await;
        assert_eq!(status.code(), Some(1), "{name} {arguments}");
        assert_eq!(String::from_utf8(stdout).unwrap(), "", "{name} {arguments}");
        let said = String::from_utf8(stderr).unwrap();
        let line = said.strip_suffix('\n').filter(|line| !line.contains('\n'));
        line.unwrap_or_else(|| panic!("{name} {arguments}: one line expected, not {said:?}")).to_owned()
    }

    /// Starts a program.
    pub(crate) fn start(&self, name: &str, arguments: &str) -> Program {
        let mut child = self.command(name, arguments).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Program { child, lines }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = remove_dir_all(&self.0);
    }
}

impl Program {
    /// The next line that it prints.
    pub(crate) async fn line(&mut self) -> String {
        self.next_line().await.expect("a line")
    }

    /// The next line that it prints; `None` when there are no more.
    pub(crate) async fn next_line(&mut self) -> Option<String> {
        tokio::time::timeout(PATIENCE, self.lines.next_line()).await.expect("a line or the end").unwrap()
    }

    /// Where it serves, of which its first line tells.
    pub(crate) async fn address(&mut self) -> SocketAddr {
        let line = self.line().await;
        let rest = line.strip_prefix("serving on http://").unwrap_or_else(|| panic!("{line}"));
        let end = rest.find([',', ' ']).unwrap_or(rest.len());
        rest[..end].parse().unwrap()
    }

    /// Ends it as a crash does.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Sends `INT` or `TERM`.
    pub(crate) async fn signal(&self, name: &str) {
        let id = self.child.id().expect("it runs").to_string();
        let sent = Command::new("sh").args(["-c", "kill -s $0 $1", name, &id]).status().await.unwrap();
        assert!(sent.success());
    }

    /// The code that it exits with.
    pub(crate) async fn exit_code(mut self) -> Option<i32> {
        tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("an end").unwrap().code()
    }
}
