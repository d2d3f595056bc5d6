//! What a request asks of a node, in the terms of the API (KEP-2862).

use http::Method;

/// What somebody wants to do with a node: `verb` on `nodes/SUBRESOURCE` of the core API's v1.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attributes {
    /// `get`, `create`, `update`, `patch` or `delete`; empty for a method that is none of these.
    pub verb: &'static str,
    /// `stats`, `metrics`, `log`, `pods`, `healthz`, `configz`, `checkpoint`, or `proxy` for all else: containers above all.
    pub subresource: &'static str,
    /// The node's name.
    pub node: String,
}

/// Paths, what they are parts of, and whether those who may use all of the node's API may use them too.
const PATHS: [(&str, &str, bool); 9] = [
    ("/stats", "stats", false),
    ("/metrics", "metrics", false),
    ("/logs", "log", false),
    ("/checkpoint", "checkpoint", false),
    ("/pods", "pods", true),
    ("/runningpods", "pods", true),
    ("/healthz", "healthz", true),
    ("/configz", "configz", true),
    ("/statusz", "statusz", true),
];

/// What a request asks for: it is enough to be allowed one of these.
pub(super) fn of(node: &str, method: &Method, path: &str) -> Vec<Attributes> {
    let verb = match *method {
        Method::GET => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        // As in Kubernetes: what else comes is not known, so it is nothing that is granted by name.
        _ => "",
    };
    let is_below = |above: &str| path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let found = PATHS.iter().find(|(above, ..)| is_below(above));
    let subresources = match found {
        Some((_, subresource, false)) => vec![*subresource],
        Some((_, subresource, true)) => vec![*subresource, "proxy"],
        None => vec!["proxy"],
    };
    let attributes = |subresource| Attributes { verb, subresource, node: node.to_owned() };
    subresources.into_iter().map(attributes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_has_its_subresource() {
        let of = |method: Method, path: &str| -> Vec<String> {
            of("n1", &method, path).iter().map(|asked| format!("{} {}", asked.verb, asked.subresource)).collect()
        };
        assert_eq!(of(Method::GET, "/stats/summary"), ["get stats"]);
        assert_eq!(of(Method::GET, "/metrics/resource"), ["get metrics"]);
        assert_eq!(of(Method::GET, "/pods"), ["get pods", "get proxy"]);
        assert_eq!(of(Method::GET, "/podsAndMore"), ["get proxy"]);
        assert_eq!(of(Method::GET, "/containerLogs/default/p/c"), ["get proxy"]);
        assert_eq!(of(Method::POST, "/exec/default/p/c"), ["create proxy"]);
        assert_eq!(of(Method::HEAD, "/exec/default/p/c"), [" proxy"]);
        assert_eq!(of(Method::OPTIONS, "/pods"), [" pods", " proxy"]);
        assert_eq!(of(Method::GET, "/healthz"), ["get healthz", "get proxy"]);
    }
}
