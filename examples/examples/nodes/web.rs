//! The pods of the manifest, which are web servers and can ask others.

use std::{collections::BTreeSet, fmt::Display, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt,
    api::{AttachParams, ListParams},
};
use tokio::{
    io::AsyncReadExt,
    time::{sleep, timeout},
};

use super::Error;

/// How long one step may take.
const LIMIT: Duration = Duration::from_secs(60);
/// How long to wait until a question is put again.
const PAUSE: Duration = Duration::from_millis(50);

pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) node: String,
    pub(crate) address: String,
}

impl Server {
    /// All of them.
    pub(crate) async fn all(pods: &Api<Pod>) -> Result<Vec<Self>, Error> {
        let server = |pod: Pod| {
            let name = pod.name_any();
            Some(Self { name, node: pod.spec?.node_name?, address: pod.status?.pod_ip? })
        };
        Ok(pods.list(&ListParams::default().labels("app=web")).await?.into_iter().filter_map(server).collect())
    }

    /// What it says when it is asked.
    fn answer(&self) -> String {
        format!("I am {} on {}", self.name, self.node)
    }

    /// Has its pod ask `other` by its address until that answers.
    pub(crate) async fn ask(&self, pods: &Api<Pod>, other: &Self) -> Result<String, Error> {
        let answers = async {
            loop {
                let answer = self.get(pods, &other.address).await?;
                if answer == other.answer() {
                    return Ok(answer);
                }
                sleep(PAUSE).await;
            }
        };
        within(format!("{} does not reach {}", self.name, other.address), answers).await?
    }

    /// Has its pod ask whoever is behind `host` until each of `others` has answered.
    pub(crate) async fn ask_for_all(&self, pods: &Api<Pod>, host: &str, others: &[Self]) -> Result<(), Error> {
        let mut missing: BTreeSet<String> = others.iter().map(Self::answer).collect();
        let answers = async {
            while !missing.is_empty() {
                // The rules of a Service are on their way to the node for a moment.
                if !missing.remove(&self.get(pods, host).await?) {
                    sleep(PAUSE).await;
                }
            }
            Ok(())
        };
        within(format!("{} does not reach all pods by {host}", self.name), answers).await?
    }

    /// What `http://HOST:8080/` says to its pod; nothing if that does not answer.
    async fn get(&self, pods: &Api<Pod>, host: &str) -> Result<String, Error> {
        let url = format!("http://{host}:8080/");
        let command = ["timeout", "2", "wget", "-q", "-O", "-", &url];
        let mut process = pods.exec(&self.name, command, &AttachParams::default().stderr(false)).await?;
        let mut answer = String::new();
        if let Some(mut stdout) = process.stdout() {
            stdout.read_to_string(&mut answer).await?;
        }
        Ok(answer.trim_end().to_owned())
    }
}

/// What `action` comes to, or an error that says `failure` if it takes too long.
pub(crate) async fn within<T>(failure: impl Display, action: impl Future<Output = T>) -> Result<T, Error> {
    timeout(LIMIT, action).await.map_err(|_| format!("{failure} within {LIMIT:?}").into())
}
