//! A test in a process and in namespaces of its own.

use std::{path::Path, process::Stdio, time::Duration};

use tokio::{runtime, time::timeout};

use super::{Containerd, machine};

/// Set in the process that runs the test itself.
const INSIDE: &str = "ORCHESTRA_TEST_NODE";
/// How long a test may take.
const DEADLINE: Duration = Duration::from_secs(300);
/// What the names of cgroups of tests begin with; the process that runs the tests follows.
const PREFIX: &str = "orchestra-test-";

/// Runs `test` with containerd on a machine of its own. To be called once by a test, from its own function.
pub(crate) fn on_a_node<T: AsyncFnOnce(Containerd)>(test: T) {
    if std::env::var_os(INSIDE).is_none() {
        return again(name::<T>());
    }
    let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let node = Containerd::start().await;
        let outcome = timeout(DEADLINE, test(node)).await;
        outcome.unwrap_or_else(|_| panic!("not done after {DEADLINE:?}"));
    });
}

/// The name of the test whose closure `T` is, as the test harness knows it.
fn name<T>() -> &'static str {
    let path = std::any::type_name::<T>();
    let path = path.split_once("::").map_or(path, |(_krate, path)| path);
    path.split_once("::{{closure}}").map_or(path, |(path, _)| path)
}

/// Runs the test of that name in a process of its own.
fn again(name: &str) {
    let cgroup = Cgroup(format!("{PREFIX}{}-{}", std::process::id(), name.replace("::", "-")));
    sweep();
    // If this process is killed, so is the other one, and with it all of its machine.
    let output = machine::command(&cgroup.0)
        .arg(std::env::current_exe().expect("the test's own program"))
        .args(["--exact", name, "--nocapture", "--include-ignored", "--test-threads=1"])
        .env(INSIDE, "1")
        // What is written there goes with the test.
        .env("TMPDIR", "/run")
        .stdin(Stdio::null())
        .output()
        .expect("setpriv and unshare of util-linux");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{stdout}{stderr}");
    assert!(output.status.success(), "the test failed on its node (it needs root): {}", output.status);
    assert!(stdout.contains("1 passed"), "no test is named {name}");
}

/// Removes the cgroups of tests that were killed.
fn sweep() {
    machine::cgroup::remove(|name| {
        let process = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        process.is_some_and(|process| !Path::new("/proc").join(process).exists())
    });
}

/// The cgroup of a test's machine, in each hierarchy.
struct Cgroup(String);

impl Drop for Cgroup {
    fn drop(&mut self) {
        machine::cgroup::remove(|name| name == self.0);
    }
}
