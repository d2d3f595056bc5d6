//! What a request to a resource asks for (`RequestInfo` of `apiserver/pkg/endpoints/request`).

use http::Method;

use super::{Attributes, ResourceTarget, Target, authorize, is_administrator};
use crate::apiserver::{
    ApiError,
    request::{options::Query, path::ResourcePath},
    server::Shared,
    status::Details,
    strategy::UserInfo,
};

/// Refuses what the user may not do.
pub(in crate::apiserver) async fn check(
    shared: &Shared,
    user: &UserInfo,
    method: &Method,
    path: &ResourcePath,
    query: &str,
) -> Result<(), ApiError> {
    // Nearly all requests are the cluster's own: there is nothing to find out for them.
    if is_administrator(user) {
        return Ok(());
    }
    let (verb, target) = asked(method, path, query);
    allow(shared, user, verb, &target).await
}

/// Refuses a user to do something with objects, unless that is allowed.
pub(in crate::apiserver) async fn allow(
    shared: &Shared,
    user: &UserInfo,
    verb: &str,
    target: &ResourceTarget,
) -> Result<(), ApiError> {
    let wanted = Target::Resource(target.clone());
    let verdict = authorize(shared, &Attributes { user: user.clone(), verb: verb.to_owned(), target: wanted }).await;
    match (verdict.is_allowed(), verdict.error) {
        (true, _) => Ok(()),
        (false, Some(error)) => Err(ApiError::internal(error)),
        (false, None) => Err(forbidden(&user.name, verb, target, &verdict.reason)),
    }
}

fn asked(method: &Method, path: &ResourcePath, query: &str) -> (&'static str, ResourceTarget) {
    let query = Query::parse(query);
    let mut name = path.name.clone().unwrap_or_default();
    let is_watch = path.watch || query.flag("watch");
    let mut verb = match *method {
        Method::GET | Method::HEAD => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "",
    };
    let subresource = path.subresource.clone().unwrap_or_default();
    match verb {
        "get" if name.is_empty() || path.watch => {
            verb = if is_watch { "watch" } else { "list" };
            if let Some(only) = query.get("fieldSelector").and_then(named) {
                name = only.to_owned();
            }
        }
        "delete" if name.is_empty() => verb = "deletecollection",
        // Over a WebSocket these are GETs, and do no less.
        "get" if matches!(subresource.as_str(), "exec" | "attach" | "portforward") => verb = "create",
        _ => {}
    }
    let mut namespace = path.namespace.clone().unwrap_or_default();
    if path.group.is_empty() && path.plural == "namespaces" {
        namespace.clone_from(&name);
    }
    let (group, version, resource) = (path.group.clone(), path.version.clone(), path.plural.clone());
    // What follows `proxy` is another server's path.
    let subresource = if subresource.starts_with("proxy/") { "proxy".to_owned() } else { subresource };
    (verb, ResourceTarget { group, version, resource, subresource, namespace, name })
}

/// The one name that a field selector lets through.
fn named(selector: &str) -> Option<&str> {
    let name = selector.split(',').find_map(|term| term.trim().strip_prefix("metadata.name="))?;
    Some(name.trim_start_matches('='))
}

/// What the client is told (`responsewriters.Forbidden`).
fn forbidden(user: &str, verb: &str, target: &ResourceTarget, reason: &str) -> ApiError {
    let ResourceTarget { group, resource, subresource, namespace, name, .. } = target;
    let part = if subresource.is_empty() { resource.clone() } else { format!("{resource}/{subresource}") };
    let place = match namespace.as_str() {
        "" => "at the cluster scope".to_owned(),
        namespace => format!("in the namespace {namespace:?}"),
    };
    let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    let why = format!("User {user:?} cannot {verb} resource {part:?} in API group {group:?} {place}{reason}");
    let qualified = if group.is_empty() { resource.clone() } else { format!("{resource}.{group}") };
    let details = Details { name: name.clone(), group: group.clone(), kind: resource.clone(), ..Details::default() };
    ApiError::denied(&qualified, name, &why, details)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apiserver::request::path;

    fn of(method: Method, text: &str) -> String {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let (verb, target) = asked(&method, &path::parse(path).unwrap(), query);
        let ResourceTarget { group, version, resource, subresource, namespace, name } = target;
        format!("{verb} {group}/{version} {resource}/{subresource} {namespace}/{name}")
    }

    #[test]
    fn methods_and_paths_are_verbs_and_resources() {
        let pods = "/api/v1/namespaces/ns/pods";
        assert_eq!(of(Method::GET, pods), "list /v1 pods/ ns/");
        assert_eq!(of(Method::GET, "/api/v1/pods?watch=true"), "watch /v1 pods/ /");
        assert_eq!(of(Method::GET, &format!("{pods}/p")), "get /v1 pods/ ns/p");
        assert_eq!(of(Method::GET, "/api/v1/watch/namespaces/ns/pods/p"), "watch /v1 pods/ ns/p");
        assert_eq!(of(Method::GET, &format!("{pods}?fieldSelector=metadata.name%3Dp")), "list /v1 pods/ ns/p");
        assert_eq!(of(Method::POST, pods), "create /v1 pods/ ns/");
        assert_eq!(of(Method::DELETE, pods), "deletecollection /v1 pods/ ns/");
        assert_eq!(of(Method::DELETE, &format!("{pods}/p")), "delete /v1 pods/ ns/p");
        assert_eq!(of(Method::PUT, &format!("{pods}/p/status")), "update /v1 pods/status ns/p");
        assert_eq!(of(Method::GET, &format!("{pods}/p/exec?command=ls")), "create /v1 pods/exec ns/p");
        assert_eq!(of(Method::GET, &format!("{pods}/p/log")), "get /v1 pods/log ns/p");
        assert_eq!(of(Method::GET, "/api/v1/nodes/n/proxy/stats/summary"), "get /v1 nodes/proxy /n");
        assert_eq!(of(Method::PATCH, "/apis/apps/v1/namespaces/ns/deployments/d"), "patch apps/v1 deployments/ ns/d");
        assert_eq!(of(Method::GET, "/api/v1/namespaces/ns"), "get /v1 namespaces/ ns/ns");
        assert_eq!(of(Method::OPTIONS, pods), " /v1 pods/ ns/");
    }
}
