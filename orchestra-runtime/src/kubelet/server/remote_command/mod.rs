//! `/exec` and `/attach`: a process' streams over WebSocket or SPDY.

mod ends;
mod spdy;
mod status;
mod web_socket;

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Path, Request},
    response::Response,
};
use orchestra_core::container_runtime::{ContainerId, ProcessStreams, RuntimeError, StreamOptions};

use self::ends::Ends;
use super::{Refusal, Server, pods, query::Query, spdy_upgrade};

type Place = Path<(String, String, String)>;

pub(super) async fn exec(
    Extension(server): Extension<Arc<Server>>,
    place: Place,
    request: Request,
) -> Result<Response, Refusal> {
    let command = Query::of(request.uri()).all("command").map(str::to_owned).collect();
    serve(server, place, request, Action::Exec(command)).await
}

pub(super) async fn attach(
    Extension(server): Extension<Arc<Server>>,
    place: Place,
    request: Request,
) -> Result<Response, Refusal> {
    serve(server, place, request, Action::Attach).await
}

/// What is to be connected with.
enum Action {
    Exec(Vec<String>),
    Attach,
}

/// A process that somebody wants to be connected with.
struct Target {
    server: Arc<Server>,
    container: ContainerId,
    action: Action,
    streams: StreamOptions,
}

impl Target {
    async fn connect(&self) -> Result<ProcessStreams, RuntimeError> {
        match &self.action {
            Action::Exec(command) => self.server.runtime.exec(&self.container, command.clone(), self.streams).await,
            Action::Attach => self.server.runtime.attach(&self.container, self.streams).await,
        }
    }

    /// Connects the client's ends with the process, and tells at the end how it went.
    async fn run(self, mut ends: Ends) {
        let outcome = match self.connect().await {
            Ok(process) => ends.connect(process).await,
            Err(error) => Some(Err(error)),
        };
        // Without an outcome the client has gone.
        if let Some(outcome) = outcome {
            ends.tell(status::Outcome::of(&self.action, outcome)).await;
        }
    }
}

async fn serve(server: Arc<Server>, place: Place, request: Request, action: Action) -> Result<Response, Refusal> {
    let Path((namespace, pod, container)) = place;
    let pod = server.served.pods.find(&namespace, &pod)?;
    let streams = streams(&Query::of(request.uri()))?;
    let container = pods::running(&*server.runtime, &pod, &container).await?;
    let (mut head, _) = request.into_parts();
    let served = server.served.clone();
    let target = Target { server, container, action, streams };
    if super::web_socket::is_asked_for(&head.headers) {
        return web_socket::serve(&served, &mut head, target).await;
    }
    if !spdy_upgrade::is_asked_for(&head.headers) {
        return Err(Refusal::bad_request("Upgrade request required"));
    }
    spdy::serve(&served, &mut head, target)
}

/// Which streams a request wants, in the words of Kubernetes' kubelet.
fn streams(query: &Query) -> Result<StreamOptions, Refusal> {
    let tty = query.flag("tty");
    let (stdin, stdout) = (query.flag("input"), query.flag("output"));
    // A terminal has one output.
    let stderr = query.flag("error") && !tty;
    if !(stdin || stdout || stderr) {
        return Err(Refusal::bad_request("you must specify at least 1 of stdin, stdout, stderr"));
    }
    Ok(StreamOptions { stdin, stdout, stderr, tty })
}
