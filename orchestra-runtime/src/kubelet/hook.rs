//! Lifecycle hooks: what a container has done after its start and before its end.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, ExecAction, HTTPGetAction, LifecycleHandler, Pod};
use orchestra_core::{container_runtime::ContainerId, event_recorder::EventType};

use super::{
    Context,
    container::full_name,
    events::PodEvents,
    probe::{Address, NOT_TLS, authority, get},
};

/// A running container with what its hooks need.
#[derive(Clone, Copy)]
pub(super) struct Hooked<'a> {
    pub(super) context: &'a Context,
    pub(super) pod: &'a Pod,
    pub(super) container: &'a Container,
    pub(super) id: &'a ContainerId,
    pub(super) address: &'a Address,
}

impl Hooked<'_> {
    /// Runs the hook, and says in Kubernetes' words why it failed. It takes as long as it takes: its caller gives up when it must.
    pub(super) async fn run(self, handler: &LifecycleHandler) -> Result<(), String> {
        if let Some(action) = &handler.exec {
            self.exec(action).await
        } else if let Some(action) = &handler.http_get {
            self.http(action).await
        } else if let Some(action) = &handler.sleep {
            tokio::time::sleep(Duration::from_secs(u64::try_from(action.seconds).unwrap_or(0))).await;
            Ok(())
        } else {
            // Kubernetes accepts `tcpSocket` for old objects' sake, and fails to run it.
            Err("Cannot run handler: invalid handler".to_owned())
        }
    }

    async fn exec(self, action: &ExecAction) -> Result<(), String> {
        let command = action.command.clone().unwrap_or_default();
        let (error, output) = match self.context.runtime.exec_sync(self.id, command.clone(), None).await {
            Ok(output) if output.exit_code == 0 => return Ok(()),
            Ok(output) => {
                let stderr = String::from_utf8_lossy(&output.stderr);
                let error = format!("command '{}' exited with {}: {stderr}", command.join(" "), output.exit_code);
                let all = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
                (error, String::from_utf8_lossy(&all).into_owned())
            }
            Err(error) => (error.to_string(), String::new()),
        };
        Err(self.failed("Exec", &format!("[{}]", command.join(" ")), &error, &output))
    }

    /// The answer's code does not count, only that there is one. A server that was thought to speak TLS and does not is asked again without, as
    /// in Kubernetes.
    async fn http(self, action: &HTTPGetAction) -> Result<(), String> {
        let ask = |action| async move { get(&action, self.container, self.address, "lifecycle", None).await };
        let Err(error) = ask(action.clone()).await else { return Ok(()) };
        let error = error.into_message();
        if error.ends_with(NOT_TLS) && ask(without_tls(action)).await.is_ok() {
            let host = authority(action, self.container, self.address).unwrap_or_default();
            let told = "got HTTP response, retry with HTTP succeeded";
            let message = format!("request to HTTPS lifecycle hook {host} {told}");
            let events = PodEvents { recorder: &self.context.recorder, pod: self.pod };
            events.pod(EventType::Warning, "LifecycleHTTPFallback", message);
            return Ok(());
        }
        let path = action.path.as_deref().unwrap_or_default();
        Err(self.failed("HTTP", path, &error, ""))
    }

    fn failed(self, kind: &str, what: &str, error: &str, output: &str) -> String {
        let (container, pod) = (&self.container.name, full_name(self.pod));
        format!(
            "{kind} lifecycle hook ({what}) for Container {container:?} in Pod {pod:?} failed - error: {error}, \
             message: {output:?}"
        )
    }
}

/// The same question without TLS, and without what only those who are trusted may read.
fn without_tls(action: &HTTPGetAction) -> HTTPGetAction {
    let mut action = HTTPGetAction { scheme: None, ..action.clone() };
    if let Some(headers) = &mut action.http_headers {
        headers.retain(|header| !header.name.eq_ignore_ascii_case("authorization"));
    }
    action
}
