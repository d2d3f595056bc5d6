//! etcd itself, started by the test that needs it and stopped with it.

use std::{
    fs::File,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, AtomicU32, Ordering},
    time::Duration,
};

use orchestra_core::store::StoreError;
use orchestra_store::etcd::{EtcdStore, EtcdStoreOptions};
use tokio::time::{Instant, sleep};

/// How long etcd may take to come up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A member of etcd with a data directory of its own.
pub(crate) struct Etcd {
    name: String,
    directory: Directory,
    /// Of the client's and of the peers' URLs.
    ports: (u16, u16),
    scheme: &'static str,
    arguments: Vec<String>,
    process: Option<Child>,
}

impl Etcd {
    /// A cluster of one.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// A cluster of one, with more arguments.
    pub(crate) async fn start_with(arguments: &[&str]) -> Self {
        // Quick elections; there is nobody to elect but itself. Leases may be as short as a second.
        let quick = ["--heartbeat-interval=10", "--election-timeout=100"];
        let arguments: Vec<String> = quick.iter().chain(arguments).map(|&argument| argument.to_owned()).collect();
        let scheme =
            if arguments.iter().any(|argument| argument.starts_with("--cert-file")) { "https" } else { "http" };
        loop {
            let mut etcd = Self::new("default", scheme, free_ports(), arguments.clone());
            let cluster = etcd.peer();
            etcd.arguments.push(format!("--initial-cluster={cluster}"));
            // The ports may have been taken by another meanwhile.
            if etcd.run().await {
                return etcd;
            }
        }
    }

    /// A cluster of `count` members.
    pub(crate) async fn start_cluster(count: usize) -> Vec<Self> {
        loop {
            let arguments = || vec!["--heartbeat-interval=50".to_owned(), "--election-timeout=500".to_owned()];
            let member = |i| Self::new(&format!("m{i}"), "http", free_ports(), arguments());
            let mut members: Vec<Self> = (0..count).map(member).collect();
            let cluster: Vec<String> = members.iter().map(Self::peer).collect();
            let cluster = cluster.join(",");
            for member in &mut members {
                member.arguments.push(format!("--initial-cluster={cluster}"));
                member.spawn();
            }
            let mut all = true;
            for member in &mut members {
                all &= member.listens().await;
            }
            if all {
                return members;
            }
        }
    }

    fn new(name: &str, scheme: &'static str, ports: (u16, u16), arguments: Vec<String>) -> Self {
        Self { name: name.to_owned(), directory: Directory::new(), ports, scheme, arguments, process: None }
    }

    fn peer(&self) -> String {
        format!("{}=http://127.0.0.1:{}", self.name, self.ports.1)
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.0)
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address())
    }

    pub(crate) fn options(&self) -> EtcdStoreOptions {
        options([self.url()])
    }

    /// A store over it.
    pub(crate) async fn store(&self) -> EtcdStore {
        connect(self.options()).await
    }

    fn spawn(&mut self) {
        let peer = format!("http://127.0.0.1:{}", self.ports.1);
        let log = File::options().create(true).append(true).open(self.log()).expect("log file");
        let process = Command::new("etcd")
            .arg(format!("--name={}", self.name))
            .arg(format!("--data-dir={}", self.directory.path().join("data").display()))
            .arg(format!("--listen-client-urls={}", self.url()))
            .arg(format!("--advertise-client-urls={}", self.url()))
            .arg(format!("--listen-peer-urls={peer}"))
            .arg(format!("--initial-advertise-peer-urls={peer}"))
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.process = Some(process.expect("etcd, 3.4 or newer, must be installed"));
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    /// Waits until it takes connections; `false` if it has ended instead.
    async fn listens(&mut self) -> bool {
        let begun = Instant::now();
        while TcpStream::connect(self.address()).is_err() {
            let process = self.process.as_mut().expect("started");
            if process.try_wait().expect("the process is ours").is_some() {
                return false;
            }
            if begun.elapsed() > PATIENCE {
                panic!("etcd does not come up:\n{}", std::fs::read_to_string(self.log()).unwrap_or_default());
            }
            sleep(Duration::from_millis(10)).await;
        }
        true
    }

    async fn run(&mut self) -> bool {
        self.spawn();
        self.listens().await
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("the process is ours");
            process.wait().expect("the process is ours");
        }
    }

    /// Starts it on the data that it had.
    pub(crate) async fn restart(&mut self) {
        self.kill();
        assert!(self.run().await, "etcd ends:\n{}", std::fs::read_to_string(self.log()).unwrap_or_default());
    }

    /// Starts it without data.
    pub(crate) async fn restart_empty(&mut self) {
        self.kill();
        self.directory = Directory::new();
        self.restart().await;
    }

    /// Writes its state into `file`.
    pub(crate) fn back_up(&self, file: &Path) {
        self.ctl(&["snapshot", "save", &file.display().to_string()]);
    }

    /// Starts it on the state in `file`, as a new cluster.
    pub(crate) async fn restore(&mut self, file: &Path) {
        self.kill();
        self.directory = Directory::new();
        self.ctl(&[
            "snapshot",
            "restore",
            &file.display().to_string(),
            &format!("--name={}", self.name),
            &format!("--data-dir={}", self.directory.path().join("data").display()),
            &format!("--initial-cluster={}", self.peer()),
            &format!("--initial-advertise-peer-urls=http://127.0.0.1:{}", self.ports.1),
            "--initial-cluster-token=restored",
        ]);
        self.restart().await;
    }

    /// What etcdctl prints.
    pub(crate) fn ctl(&self, arguments: &[&str]) -> String {
        let output = Command::new("etcdctl")
            .env("ETCDCTL_API", "3")
            .arg(format!("--endpoints={}", self.url()))
            .args(arguments)
            .output()
            .expect("etcdctl must be installed");
        let (told, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "etcdctl {arguments:?}: {error}");
        told.into_owned()
    }
}

impl Etcd {
    /// The sum of the metric of that name whose labels contain `label`.
    pub(crate) fn metric(&self, name: &str, label: &str) -> f64 {
        let mut connection = TcpStream::connect(self.address()).expect("etcd is up");
        let request = format!("GET /metrics HTTP/1.0\r\nHost: {}\r\n\r\n", self.address());
        connection.write_all(request.as_bytes()).expect("etcd takes the request");
        let mut answer = String::new();
        connection.read_to_string(&mut answer).expect("etcd answers");
        let lines = answer.lines().filter(|line| line.starts_with(name) && line.contains(label));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Of a store that leaves it to the test when etcd is compacted.
pub(crate) fn options<E: Into<String>>(endpoints: impl IntoIterator<Item = E>) -> EtcdStoreOptions {
    EtcdStoreOptions { compaction_interval: None, ..EtcdStoreOptions::new(endpoints) }
}

/// A store, as soon as etcd is there for it.
pub(crate) async fn connect(options: EtcdStoreOptions) -> EtcdStore {
    let begun = Instant::now();
    loop {
        match EtcdStore::connect(options.clone()).await {
            Ok(store) => return store,
            Err(StoreError::Unavailable(_)) if begun.elapsed() < PATIENCE => sleep(Duration::from_millis(10)).await,
            Err(error) => panic!("no store: {error}"),
        }
    }
}

/// Two ports of which nobody else takes one by chance: they lie below those that the system gives out.
pub(crate) fn free_ports() -> (u16, u16) {
    (free_port(), free_port())
}

fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let offset = (std::process::id() as u16).wrapping_mul(61).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 10_000 + offset % 20_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A directory that goes with its owner.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("etcd-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).expect("directory");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What is left over lies in the build directory.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
