//! Where the subresources of pods lead (`pkg/registry/core/pod/strategy.go`).

use std::sync::Arc;

use axum::{
    body::{Body, to_bytes},
    response::Response,
};
use http::{HeaderValue, Request, StatusCode, header};
use k8s_openapi::api::core::v1::{Container, Pod};

use super::{ApiError, Connect, Shared, is_upgrade, log_options, to_kubelet};
use crate::apiserver::registry::Subresource;

/// How much of a kubelet's refusal is told.
const MAX_REFUSAL: usize = 50_000;

/// `pods/log`.
pub(super) async fn log(shared: &Arc<Shared>, connect: &Connect, request: Request<Body>) -> Result<Response, ApiError> {
    let query = log_options::to_kubelet(&connect.query, &connect.name)?;
    let pod: Pod = connect.object(shared, &connect.resource, &connect.name).await?;
    let container = container(&pod, connect)?;
    let Some(node) = node_of(&pod) else {
        // Not bound yet: there is no log, as Kubernetes answers.
        let mut answer = Response::new(Body::empty());
        *answer.status_mut() = StatusCode::NO_CONTENT;
        return Ok(answer);
    };
    let path = format!("/containerLogs/{}/{}/{container}?{query}", namespace(connect), connect.name);
    let answer = to_kubelet(shared, node, &path, request).await?;
    if !answer.status().is_success() {
        return Err(refusal(connect, answer).await);
    }
    let (mut head, body) = answer.into_parts();
    head.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    Ok(Response::from_parts(head, body))
}

/// `pods/exec` and `pods/attach`.
pub(super) async fn remote_command(
    shared: &Arc<Shared>,
    connect: &Connect,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    let pod: Pod = connect.object(shared, &connect.resource, &connect.name).await?;
    let container = container(&pod, connect)?;
    let node = host(&pod)?;
    check_upgrade(&request)?;
    let path = format!("{}/{}/{container}?{}", namespace(connect), connect.name, command(connect));
    let what = if connect.subresource == Subresource::Exec { "exec" } else { "attach" };
    to_kubelet(shared, node, &format!("/{what}/{path}"), request).await
}

/// The options of a remote command in the words of kubelets.
fn command(connect: &Connect) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (ours, kubelets) in [("stdin", "input"), ("stdout", "output"), ("stderr", "error"), ("tty", "tty")] {
        if connect.query.flag(ours) {
            query.append_pair(kubelets, "1");
        }
    }
    if connect.subresource == Subresource::Exec {
        query.extend_pairs(connect.query.all("command").map(|word| ("command", word)));
    }
    query.finish()
}

/// `pods/portforward`.
pub(super) async fn port_forward(
    shared: &Arc<Shared>,
    connect: &Connect,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    let pod: Pod = connect.object(shared, &connect.resource, &connect.name).await?;
    let node = host(&pod)?;
    check_upgrade(&request)?;
    let ports: Vec<&str> = connect.query.all("ports").flat_map(|ports| ports.split(',')).collect();
    if let Some(port) = ports.iter().find(|port| port.parse::<u16>().is_err()) {
        return Err(ApiError::bad_request(format!("ports: {port:?} is not a port")));
    }
    let query = if ports.is_empty() { String::new() } else { format!("?port={}", ports.join(",")) };
    let path = format!("/portForward/{}/{}{query}", namespace(connect), connect.name);
    to_kubelet(shared, node, &path, request).await
}

fn namespace(connect: &Connect) -> &str {
    connect.namespace.as_deref().unwrap_or_default()
}

fn check_upgrade(request: &Request<Body>) -> Result<(), ApiError> {
    match is_upgrade(request.headers()) {
        true => Ok(()),
        false => Err(ApiError::bad_request("Upgrade request required")),
    }
}

fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref().filter(|node| !node.is_empty())
}

fn host(pod: &Pod) -> Result<&str, ApiError> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    node_of(pod).ok_or_else(|| ApiError::bad_request(format!("pod {name} does not have a host assigned")))
}

/// The container that is asked for, or the only one (`validateContainer`).
fn container(pod: &Pod, connect: &Connect) -> Result<String, ApiError> {
    let (spec, name) = (pod.spec.as_ref(), &connect.name);
    let names = |containers: &[Container]| -> Vec<String> {
        containers.iter().map(|container| container.name.clone()).collect()
    };
    let own = names(spec.map(|spec| spec.containers.as_slice()).unwrap_or_default());
    let init = names(spec.and_then(|spec| spec.init_containers.as_deref()).unwrap_or_default());
    if let Some(wanted) = connect.query.get("container").filter(|name| !name.is_empty()) {
        let mut ephemeral = spec.and_then(|spec| spec.ephemeral_containers.as_ref()).into_iter().flatten();
        let known = own.iter().chain(&init).any(|name| name == wanted) || ephemeral.any(|other| other.name == wanted);
        let refusal = || ApiError::bad_request(format!("container {wanted} is not valid for pod {name}"));
        return known.then(|| wanted.to_owned()).ok_or_else(refusal);
    }
    match own.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(ApiError::bad_request(format!("a container name must be specified for pod {name}"))),
        many => {
            let many = many.join(" ");
            let mut message = format!("a container name must be specified for pod {name}, choose one of: [{many}]");
            if !init.is_empty() {
                message += &format!(" or one of the init containers: [{}]", init.join(" "));
            }
            Err(ApiError::bad_request(message))
        }
    }
}

/// A kubelet's refusal as this server's (`GenericHttpResponseChecker`).
async fn refusal(connect: &Connect, answer: Response) -> ApiError {
    let code = answer.status().as_u16();
    let text = to_bytes(answer.into_body(), MAX_REFUSAL).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    match code {
        400 => ApiError::bad_request(text),
        404 => ApiError::of_upstream(connect.subresource, &connect.name),
        500 => ApiError::internal(text),
        code => ApiError::unclassified(code, text),
    }
}
