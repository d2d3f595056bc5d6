//! The grammar of API paths (`/api/v1/namespaces/default/pods/nginx/status`).

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// A path below `/api` or `/apis` that names a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourcePath {
    /// The group; empty for `/api`.
    pub group: String,
    /// The version.
    pub version: String,
    /// The namespace, if the path has one.
    pub namespace: Option<String>,
    /// The plural.
    pub plural: String,
    /// The object's name, if the path has one.
    pub name: Option<String>,
    /// What follows the name.
    pub subresource: Option<String>,
    /// Whether it is an old watch path (`/api/v1/watch/...`).
    pub watch: bool,
}

/// The path of a URI as it is meant; `None` if a percent sign begins no encoded byte.
///
/// It is decoded as a whole before it is split, as Go does: an encoded slash is a slash like any other.
pub fn decode(path: &str) -> Option<Cow<'_, str>> {
    let is_encoded =
        |rest: &str| rest.as_bytes().get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
    let well_formed = path.split('%').skip(1).all(is_encoded);
    // What is not UTF-8 names nothing that exists, but may be asked for.
    well_formed.then(|| percent_decode_str(path).decode_utf8_lossy())
}

/// Parses a decoded path; `None` if it names no resource.
pub fn parse(path: &str) -> Option<ResourcePath> {
    let mut parts = path.strip_prefix('/')?.trim_end_matches('/').split('/').map(str::to_owned).peekable();
    let group = match parts.next()?.as_str() {
        "api" => String::new(),
        "apis" => parts.next().filter(|group| !group.is_empty())?,
        _ => return None,
    };
    let version = parts.next().filter(|version| !version.is_empty())?;
    let watch = parts.next_if(|part| part == "watch").is_some();
    let mut rest: Vec<String> = parts.collect();
    let mut found = ResourcePath { group, version, watch, ..ResourcePath::default() };
    // `/namespaces/x/pods` is about pods; `/namespaces/x`, `/namespaces/x/status` and `/namespaces/x/finalize` about x itself.
    let about_namespace = rest.len() < 3 || (rest.len() == 3 && matches!(rest[2].as_str(), "status" | "finalize"));
    if rest.first().is_some_and(|first| first == "namespaces") && !about_namespace {
        found.namespace = Some(rest.remove(1));
        rest.remove(0);
    }
    // What follows `proxy` is another server's path.
    let own = if rest.get(2).is_some_and(|part| part == "proxy") { 3 } else { rest.len() };
    if rest.iter().take(own).any(String::is_empty) {
        return None;
    }
    let mut rest = rest.into_iter();
    found.plural = rest.next()?;
    found.name = rest.next();
    let subresource: Vec<String> = rest.collect();
    found.subresource = (!subresource.is_empty()).then(|| subresource.join("/"));
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespaced_object_with_a_subresource() {
        let path = parse("/apis/apps/v1/namespaces/default/deployments/web/scale").unwrap();
        assert_eq!((path.group.as_str(), path.version.as_str()), ("apps", "v1"));
        assert_eq!(path.namespace.as_deref(), Some("default"));
        assert_eq!((path.plural.as_str(), path.name.as_deref()), ("deployments", Some("web")));
        assert_eq!(path.subresource.as_deref(), Some("scale"));
    }

    #[test]
    fn a_namespace_is_an_object_too() {
        let path = parse("/api/v1/namespaces/web/finalize").unwrap();
        assert_eq!((path.namespace.as_deref(), path.plural.as_str()), (None, "namespaces"));
        assert_eq!((path.name.as_deref(), path.subresource.as_deref()), (Some("web"), Some("finalize")));
        assert_eq!(parse("/api/v1/namespaces").unwrap().name, None);
    }

    #[test]
    fn old_watch_paths_are_marked() {
        let path = parse("/api/v1/watch/namespaces/golden/configmaps").unwrap();
        assert!(path.watch);
        assert_eq!((path.namespace.as_deref(), path.plural.as_str()), (Some("golden"), "configmaps"));
    }

    #[test]
    fn other_paths_name_no_resource() {
        for path in ["/", "/api", "/api/v1", "/apis/apps/v1", "/healthz", "/api/v1//pods", "//api/v1/pods"] {
            assert_eq!(parse(path), None, "{path}");
        }
    }

    #[test]
    fn a_namespace_may_be_empty() {
        let path = parse("/api/v1/namespaces//pods").unwrap();
        assert_eq!((path.namespace.as_deref(), path.plural.as_str()), (Some(""), "pods"));
    }

    #[test]
    fn paths_are_decoded_as_a_whole() {
        assert_eq!(decode("/api/v1/pods%2Fa").unwrap(), "/api/v1/pods/a");
        assert_eq!(decode("/%ff").unwrap(), "/\u{fffd}");
        for malformed in ["/%", "/%4", "/%zz"] {
            assert_eq!(decode(malformed), None, "{malformed}");
        }
    }
}
