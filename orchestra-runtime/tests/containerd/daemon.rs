//! containerd, with a bridge network and the images that were made by hand.

use std::{
    fs::{self, File},
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::{
    image,
    machine::{
        containerd::{CONFIG, IMAGES, LOG, NETWORK, SOCKET, config},
        image::Images,
    },
};

/// How long containerd may take to come up.
const PATIENCE: Duration = Duration::from_secs(60);

/// containerd on the machine of the test, at its usual paths.
pub(crate) struct Containerd {
    process: Option<Child>,
    images: Images,
}

impl Containerd {
    /// Starts it, with a network and all images but those [of the registry](image::is_remote).
    pub(crate) async fn start() -> Self {
        Self::start_with("").await
    }

    /// The same, configured with `more`.
    pub(crate) async fn start_with(more: &str) -> Self {
        fs::create_dir_all("/etc/containerd").expect("a folder");
        fs::write(CONFIG, config(image::PAUSE) + more).expect("a file");
        fs::create_dir_all(IMAGES).expect("a folder");
        let images = Images::make(Path::new(IMAGES), &image::RECIPES).expect("busybox-static, tar and coreutils");
        images.archive(Path::new(IMAGES), |name| !image::is_remote(name)).expect("an archive");
        let mut node = Self { process: None, images };
        node.connect_network();
        node.resume().await;
        node.ctr(&["images", "import", &format!("{IMAGES}/images.tar")]);
        node
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> &'static str {
        SOCKET
    }

    /// The images that it has, and those of the registry.
    pub(crate) fn images(&self) -> &Images {
        &self.images
    }

    /// What it wrote about itself.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(LOG).unwrap_or_default()
    }

    /// SIGKILL. Its containers run on.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("the process is ours");
            process.wait().expect("the process is ours");
        }
    }

    /// Starts it again on what it had, and waits until it takes connections.
    pub(crate) async fn resume(&mut self) {
        let log = File::options().create(true).append(true).open(LOG).expect("a file");
        let mut process = Command::new("containerd")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("containerd, 1.6 or newer, must be installed");
        let begun = Instant::now();
        while UnixStream::connect(SOCKET).is_err() {
            let ended = process.try_wait().expect("the process is ours");
            assert!(ended.is_none() && begun.elapsed() < PATIENCE, "containerd does not come up:\n{}", self.log());
            sleep(Duration::from_millis(10)).await;
        }
        self.process = Some(process);
    }

    /// Gives sandboxes that are made from now on a network: a bridge, addresses of 10.88.0.0/16, host ports.
    pub(crate) fn connect_network(&self) {
        let network = r#"{"cniVersion": "0.4.0", "name": "pods", "plugins": [
            {"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true, "ipam":
                {"type": "host-local", "ranges": [[{"subnet": "10.88.0.0/16"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
            {"type": "portmap", "capabilities": {"portMappings": true}}]}"#;
        self.set_network(network);
    }

    /// Has no network any more, and no plugin for one.
    pub(crate) fn remove_network(&self) {
        fs::remove_file(NETWORK).expect("a network");
    }

    /// Has every sandbox that is made from now on fail for want of a network plugin.
    pub(crate) fn break_network(&self) {
        self.set_network(r#"{"cniVersion": "0.4.0", "name": "pods", "plugins": [{"type": "no-such-plugin"}]}"#);
    }

    /// Configures the network of the sandboxes that are made from now on. containerd sees it a moment later.
    pub(crate) fn set_network(&self, configuration: &str) {
        fs::create_dir_all("/etc/cni/net.d").expect("a folder");
        // Written where it is: containerd takes no notice of files that are moved there.
        fs::write(NETWORK, configuration).expect("a file");
    }

    /// What `ctr` prints.
    pub(crate) fn ctr(&self, arguments: &[&str]) -> String {
        let output = Command::new("ctr").args(["--namespace=k8s.io"]).args(arguments).output().expect("ctr");
        let (told, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "ctr {arguments:?}: {error}");
        told.into_owned()
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("containerd's log:\n{}", self.log());
        }
        self.kill();
    }
}
