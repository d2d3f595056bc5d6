use std::{
    env,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use orchestra_examples::etcd::Etcd;
use orchestra_runtime::{Cluster, ClusterBuilder};
use orchestra_store::StoreLocation;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

/// The longest that one command may take, so that a fault is a failure and not a test without end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A served cluster with a kubectl whose home, and so whose cache, is its own.
pub(crate) struct Kubectl {
    cluster: Cluster,
    home: PathBuf,
    /// Ends when dropped.
    etcd: Option<Etcd>,
}

/// A command that goes on.
pub(crate) struct Watch {
    lines: Lines<BufReader<ChildStdout>>,
    /// Ends when dropped.
    _child: Child,
}

impl Kubectl {
    /// Starts a cluster of two nodes; `None` if there is no kubectl and none is demanded.
    pub(crate) async fn start() -> Option<Self> {
        Self::with(Cluster::builder().nodes(2)).await
    }

    /// Starts the cluster that `builder` describes.
    pub(crate) async fn with(builder: ClusterBuilder) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let found = Command::new("kubectl").args(["version", "--client"]).output().await;
        if !found.is_ok_and(|output| output.status.success()) {
            assert!(env::var_os("ORCHESTRA_REQUIRE_KUBECTL").is_none(), "kubectl is required and absent");
            println!("skipped: there is no kubectl");
            return None;
        }
        let name = format!("orchestra-kubectl-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let home = env::temp_dir().join(name);
        std::fs::create_dir_all(&home).unwrap();
        let (store, etcd) = store(&home).await;
        let cluster = builder.store(store.open().await.unwrap()).start().await.unwrap();
        let address = cluster.serve(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        std::fs::write(home.join("config"), cluster.kubeconfig(address)).unwrap();
        Some(Self { cluster, home, etcd })
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The folder in which commands run.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// A command that has yet to be run.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new("kubectl");
        command
            .args(line.split_whitespace())
            .env("HOME", &self.home)
            .env("KUBECONFIG", self.home.join("config"))
            .env("KUBECACHEDIR", self.home.join("cache"))
            .current_dir(&self.home)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    async fn output(&self, line: &str) -> Output {
        let output = tokio::time::timeout(PATIENCE, self.command(line).output()).await;
        output.unwrap_or_else(|_| panic!("kubectl {line}: no end")).unwrap()
    }

    /// Runs a command with a variable of its environment set and something to read, and returns its exit code and what it prints.
    pub(crate) async fn run_with(
        &self,
        variable: (&str, &str),
        line: &str,
        input: &str,
    ) -> (Option<i32>, String, String) {
        let mut command = self.command(line);
        command.env(variable.0, variable.1).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let feed = async {
            // A command that does not read its input closes it.
            let _ = stdin.write_all(input.as_bytes()).await;
            drop(stdin);
        };
        let ended = tokio::time::timeout(PATIENCE, async { tokio::join!(feed, child.wait_with_output()).1 }).await;
        let Output { status, stdout, stderr } = ended.unwrap_or_else(|_| panic!("kubectl {line}: no end")).unwrap();
        (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    }

    /// Runs a command, whose words have no spaces within, and returns what it prints.
    pub(crate) async fn run(&self, line: &str) -> String {
        let Output { status, stdout, stderr } = self.output(line).await;
        let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
        assert!(status.success(), "kubectl {line}: {status}\n{stdout}{stderr}");
        stdout
    }

    /// Runs a command that must fail, and returns what it says.
    pub(crate) async fn fails(&self, line: &str) -> String {
        let output = self.output(line).await;
        assert!(!output.status.success(), "kubectl {line} did not fail");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Writes a manifest for `-f` and returns its name.
    pub(crate) fn manifest(&self, text: &str) -> &'static str {
        std::fs::write(self.home.join("manifest.yaml"), text).unwrap();
        "manifest.yaml"
    }

    /// Creates what a manifest has.
    pub(crate) async fn create(&self, text: &str) {
        let file = self.manifest(text);
        self.run(&format!("create -f {file}")).await;
    }

    /// Applies the manifest of the examples (two replicas of nginx) and waits until it has rolled out.
    pub(crate) async fn nginx(&self) {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/nginx.yaml");
        std::fs::copy(manifest, self.home.join("nginx.yaml")).unwrap();
        assert_eq!(self.run("apply -f nginx.yaml").await, "deployment.apps/nginx created\n");
        self.rolled_out().await;
    }

    /// Waits until the deployment `nginx` has rolled out.
    pub(crate) async fn rolled_out(&self) {
        let said = self.run("rollout status deployment/nginx --timeout=50s").await;
        assert!(said.ends_with("deployment \"nginx\" successfully rolled out\n"), "{said}");
    }

    /// Starts a command that goes on.
    pub(crate) fn watch(&self, line: &str) -> Watch {
        self.watch_with(("LC_ALL", "C"), line)
    }

    /// As [`watch`](Self::watch), with a variable of its environment set.
    pub(crate) fn watch_with(&self, variable: (&str, &str), line: &str) -> Watch {
        let mut child = self.command(line).env(variable.0, variable.1).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Watch { lines, _child: child }
    }

    /// Stops the cluster and removes the home.
    pub(crate) async fn end(self) {
        self.cluster.shut_down().await;
        drop(self.etcd);
        std::fs::remove_dir_all(self.home).unwrap();
    }
}

/// The store that `ORCHESTRA_TEST_STORE` names, in memory where it names none, and the etcd that it needs.
async fn store(home: &Path) -> (StoreLocation, Option<Etcd>) {
    let name = env::var("ORCHESTRA_TEST_STORE").unwrap_or_else(|_| "memory".to_owned());
    let (location, etcd) = match name.as_str() {
        "memory" => (name, None),
        "durable" => (format!("durable:{}", home.join("store").display()), None),
        "etcd" => {
            // There is nobody to elect but itself.
            let quick = ["--heartbeat-interval=10", "--election-timeout=100"];
            let etcd = Etcd::start(&home.join("etcd"), &quick).await.expect("etcd, 3.4 or newer, must be installed");
            (format!("etcd:{}", etcd.url()), Some(etcd))
        }
        other => panic!("ORCHESTRA_TEST_STORE is {other:?}, none of memory, durable, etcd"),
    };
    (location.parse().unwrap(), etcd)
}

impl Watch {
    /// Waits for a line that holds all of `words`, in this order.
    pub(crate) async fn line_with(&mut self, words: &[&str]) -> String {
        let mut seen = Vec::new();
        let found = tokio::time::timeout(PATIENCE, async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                if holds(&line, words) {
                    return Some(line);
                }
                seen.push(line);
            }
            None
        });
        let found = found.await.ok().flatten();
        found.unwrap_or_else(|| panic!("no line with {words:?} in\n{}", seen.join("\n")))
    }
}

/// Whether `text` holds all of `words`, in this order.
pub(crate) fn holds(text: &str, words: &[&str]) -> bool {
    words.iter().try_fold(text, |rest, word| rest.split_once(word).map(|(_, rest)| rest)).is_some()
}
