//! An etcd of one member, for as long as its value lives.

use std::{
    io,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::{net::TcpStream, time::sleep};

/// How long etcd may take to listen.
const PATIENCE: Duration = Duration::from_secs(30);

/// The process, which is killed when this is dropped.
pub struct Etcd {
    process: Child,
    address: String,
}

impl Etcd {
    /// Starts `etcd`, which must be on the `PATH`, on free ports of loopback, with its data in a folder that it makes, and waits until
    /// it listens. Of other `arguments` see `etcd --help`.
    pub async fn start(data: &Path, arguments: &[&str]) -> io::Result<Self> {
        loop {
            let mut etcd = Self::spawn(data, arguments)?;
            let listens = tokio::time::timeout(PATIENCE, etcd.listens()).await;
            // It ends by itself where another took a port meanwhile.
            if listens.map_err(|_| io::Error::other("etcd does not listen"))?? {
                return Ok(etcd);
            }
        }
    }

    fn spawn(data: &Path, arguments: &[&str]) -> io::Result<Self> {
        let (address, peers) = (free_address()?, free_address()?);
        let (url, peers) = (format!("http://{address}"), format!("http://{peers}"));
        let process = Command::new("etcd")
            .arg("--data-dir")
            .arg(data)
            .args(["--listen-client-urls", &url, "--advertise-client-urls", &url, "--listen-peer-urls", &peers])
            .args(["--initial-advertise-peer-urls", &peers, "--initial-cluster", &format!("default={peers}")])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { process, address })
    }

    async fn listens(&mut self) -> io::Result<bool> {
        while self.process.try_wait()?.is_none() {
            if TcpStream::connect(&self.address).await.is_ok() {
                return Ok(true);
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(false)
    }

    /// Where clients find it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_address() -> io::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}
