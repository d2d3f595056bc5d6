//! A machine's containerd, with a network for its pods and the images that they can be of.

use std::{
    fs, io,
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::time::sleep;

use super::{
    image::{Images, Recipe},
    program::run,
};

/// Where it listens.
pub const SOCKET: &str = "/run/containerd/containerd.sock";
/// What it writes about itself.
pub const LOG: &str = "/run/containerd.log";
/// Where images are made.
pub const IMAGES: &str = "/run/images";
/// The network of its pods.
pub const NETWORK: &str = "/etc/cni/net.d/10-pods.conflist";
/// How it is configured.
pub const CONFIG: &str = "/etc/containerd/config.toml";
/// How often it is looked whether it listens.
const PAUSE: Duration = Duration::from_millis(10);

const PAUSE_IMAGE: &str = "docker.io/library/pause:local";
/// The first process of a container gets no signal that it does not ask for, and has to reap those of others.
const RECIPES: [Recipe; 3] = [
    Recipe { name: "docker.io/library/busybox:local", script: "", user: "" },
    Recipe {
        name: "docker.io/library/web:local",
        script: r#"mkdir -p /www
echo "I am $(hostname)${NODE:+ on $NODE}" | tee /www/index.html
trap "exit 0" TERM
httpd -f -v -p 8080 -h /www & wait"#,
        user: "",
    },
    Recipe { name: PAUSE_IMAGE, script: "trap 'exit 0' TERM; while :; do sleep 2147483647 & wait; done", user: "" },
];

/// The process. It is killed when this is dropped.
#[derive(Debug)]
pub struct Containerd(Child);

impl Containerd {
    /// Starts it with pods that have addresses of `pod_cidr`, and returns when it can be used. To be called on a machine that
    /// [`command`](super::command) made.
    ///
    /// # Errors
    /// When it ends, or images cannot be made or imported.
    pub async fn start(pod_cidr: &str) -> io::Result<Self> {
        // In place: containerd takes no notice of files that are moved to the folder.
        write(NETWORK, &network(pod_cidr))?;
        write(CONFIG, &config(PAUSE_IMAGE))?;
        let log = fs::File::create(LOG)?;
        let started = Command::new("containerd").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        let mut containerd =
            Self(started.map_err(|error| io::Error::new(error.kind(), format!("containerd: {error}")))?);
        fs::create_dir_all(IMAGES)?;
        Images::make(Path::new(IMAGES), &RECIPES)?.archive(Path::new(IMAGES), |_| true)?;
        while UnixStream::connect(SOCKET).is_err() {
            if let Some(failed) = containerd.failed()? {
                return Err(failed);
            }
            sleep(PAUSE).await;
        }
        run("ctr", &format!("--namespace=k8s.io images import {IMAGES}/images.tar"))?;
        Ok(containerd)
    }

    /// Waits until it has ended, which it should not, and tells why.
    pub async fn ended(&mut self) -> io::Error {
        loop {
            match self.failed() {
                Ok(None) => sleep(Duration::from_secs(1)).await,
                Ok(Some(error)) | Err(error) => return error,
            }
        }
    }

    /// Why it has ended; `None` if it runs.
    fn failed(&mut self) -> io::Result<Option<io::Error>> {
        let Some(status) = self.0.try_wait()? else { return Ok(None) };
        let log = fs::read_to_string(LOG)?;
        let last = log.lines().last().unwrap_or_default();
        Ok(Some(io::Error::other(format!("containerd: {status}: {last}"))))
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where the CNI plugins are: in Debian's folder, or where they are by default.
pub fn plugins() -> &'static str {
    if Path::new("/usr/lib/cni/host-local").exists() { "/usr/lib/cni" } else { "/opt/cni/bin" }
}

/// Each pod has a device of its own: what it sends passes the node's rules, also to its neighbours, as a bridge's would not everywhere.
fn network(pod_cidr: &str) -> String {
    format!(
        r#"{{"cniVersion": "0.4.0", "name": "pods", "plugins": [
    {{"type": "ptp", "ipam":
        {{"type": "host-local", "ranges": [[{{"subnet": "{pod_cidr}"}}]], "routes": [{{"dst": "0.0.0.0/0"}}]}}}},
    {{"type": "portmap", "capabilities": {{"portMappings": true}}}}]}}"#
    )
}

/// Its configuration, with `pause_image` to hold sandboxes. Registries are where files in `/etc/containerd/certs.d` say.
///
/// Containers are not spared when memory runs out: machines that are containers themselves allow no process that.
pub fn config(pause_image: &str) -> String {
    format!(
        r#"version = 2
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause_image}"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{}"
conf_dir = "/etc/cni/net.d"
[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "/etc/containerd/certs.d"
"#,
        plugins()
    )
}

fn write(path: &str, content: &str) -> io::Result<()> {
    if let Some(folder) = Path::new(path).parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, content)
}
