//! A test in a process and in namespaces of its own.

use std::{
    process::{Command, Stdio},
    thread::sleep,
    time::Duration,
};

use crate::state::processes_with;

/// Set in the process that runs the test itself.
const INSIDE: &str = "ORCHESTRA_TEST_HOST";
/// How long what a test leaves may take to go.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(20);
/// Process 1 reaps what others leave behind. Files are where no other test's are, and go with the mounts.
const HOST: &str = r#"
ip link set lo up
mount -t tmpfs tmpfs /mnt
"$@" &
wait $!"#;

/// Runs `test` where there are no network devices, mounts and processes of others. To be called once by a test, from its own function.
pub(crate) fn alone<T: AsyncFnOnce()>(test: T) {
    if std::env::var_os(INSIDE).is_none() {
        return again(name::<T>());
    }
    let _aftermath = Aftermath;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(test());
}

/// A test that fails kills its programs. What outlives them to remove their cgroups is let end, before this process is killed with all others.
struct Aftermath;

impl Drop for Aftermath {
    fn drop(&mut self) {
        let mut waited = Duration::ZERO;
        while !processes_with(" network --cgroups ").is_empty() && waited < PATIENCE {
            sleep(PAUSE);
            waited += PAUSE;
        }
    }
}

/// The name of the test whose closure `T` is, as the test harness knows it.
fn name<T>() -> &'static str {
    let path = std::any::type_name::<T>();
    let path = path.split_once("::").map_or(path, |(_krate, path)| path);
    path.split_once("::{{closure}}").map_or(path, |(path, _)| path)
}

/// Runs the test of that name in a process of its own. If this process is killed, so is that one with all that it started.
fn again(name: &str) {
    let output = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"])
        .args(["sh", "-euc", HOST, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--include-ignored", "--test-threads=1"])
        .env(INSIDE, "1")
        .env("TMPDIR", "/mnt")
        .stdin(Stdio::null())
        .output()
        .expect("setpriv and unshare of util-linux");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{stdout}{stderr}");
    assert!(output.status.success(), "the test failed (it needs root): {}", output.status);
    assert!(stdout.contains("1 passed"), "no test is named {name}");
}
