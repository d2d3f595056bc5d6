//! A test in a process and in namespaces of its own.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{runtime, time::timeout};

use super::{Containerd, machine};

/// Set in the process that runs the test itself.
const INSIDE: &str = "ORCHESTRA_TEST_NODE";
/// How long a test may take, in seconds, if this is set: some machines are slow.
const SECONDS: &str = "ORCHESTRA_TEST_SECONDS";
/// How long a test may take otherwise.
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
        in_time(test(node)).await;
    });
}

async fn in_time(test: impl Future<Output = ()>) {
    let seconds = std::env::var(SECONDS).ok().and_then(|seconds| seconds.parse().ok());
    let deadline = seconds.map_or(DEADLINE, Duration::from_secs);
    timeout(deadline, test).await.unwrap_or_else(|_| panic!("not done after {deadline:?}"));
}

/// Has systemd make the cgroups of what containerd runs.
const BY_SYSTEMD: &str = r#"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = true
"#;
/// Files are the test's own, but for the ways to systemd.
const BESIDE_SYSTEMD: &str = r#"
mount --make-rprivate /
ip link set lo up
mount -t tmpfs tmpfs /mnt
for folder in dbus systemd; do
  mkdir "/mnt/$folder"
  mount --rbind "/run/$folder" "/mnt/$folder"
done
mount -t tmpfs tmpfs /run
for folder in dbus systemd; do
  mkdir "/run/$folder"
  mount --rbind "/mnt/$folder" "/run/$folder"
done
for folder in etc var; do
  mkdir -p "/run/written/$folder/upper" "/run/written/$folder/work"
  layers="lowerdir=/$folder,upperdir=/run/written/$folder/upper,workdir=/run/written/$folder/work"
  mount -t overlay -o "$layers" overlay "/$folder"
done
mkdir -p /var/lib/containerd
mount -t tmpfs tmpfs /var/lib/containerd
mount --make-rshared /
echo "nameserver 192.0.2.1" >/etc/resolv.conf
echo 1 >/proc/sys/net/ipv4/ip_forward
exec "$@""#;

/// Runs `test` with a containerd whose cgroups systemd makes, the one of this machine: it has them to itself, and one such test runs at a time.
pub(crate) fn beside_systemd<T: AsyncFnOnce(Containerd)>(test: T) {
    if std::env::var_os(INSIDE).is_some() {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        return runtime.block_on(async {
            let node = Containerd::start_with(BY_SYSTEMD).await;
            in_time(test(node)).await;
        });
    }
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let name = name::<T>();
    let scope = format!("{PREFIX}{}.scope", std::process::id());
    let mut command = Command::new("systemd-run");
    command.args(["--quiet", "--scope", "--unit", &scope, "unshare", "--net", "--mount", "--ipc", "--uts"]).args([
        "sh",
        "-euc",
        BESIDE_SYSTEMD,
        "sh",
    ]);
    let outcome = inside(command, name);
    // Whatever the test did not end.
    for words in [["kill", "--signal=KILL", &scope], ["stop", &scope, "kubepods.slice"]] {
        let _ = Command::new("systemctl").args(words).stderr(Stdio::null()).status();
    }
    outcome.check(name);
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
    inside(machine::command(&cgroup.0), name).check(name);
}

/// Runs the test of that name by `command`, with what it writes in a folder that goes with its mounts.
fn inside(mut command: Command, name: &str) -> Outcome {
    let output = command
        .arg(std::env::current_exe().expect("the test's own program"))
        .args(["--exact", name, "--nocapture", "--include-ignored", "--test-threads=1"])
        .env(INSIDE, "1")
        // What is written there goes with the test.
        .env("TMPDIR", "/run")
        .stdin(Stdio::null())
        .output()
        .expect("setpriv and unshare of util-linux");
    Outcome(output)
}

/// What became of a test in a process of its own.
struct Outcome(Output);

impl Outcome {
    fn check(self, name: &str) {
        let Self(output) = self;
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        println!("{stdout}{stderr}");
        assert!(output.status.success(), "the test failed on its node (it needs root): {}", output.status);
        assert!(stdout.contains("1 passed"), "no test is named {name}");
    }
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
