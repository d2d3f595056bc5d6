//! When an image is pulled by default: `latest`, said or unsaid, always; any other tag or a digest only if it is absent.

/// The default `imagePullPolicy` of an image.
pub(in crate::apiserver::kinds::pod) fn pull_policy(image: &str) -> &'static str {
    let (name, digest) = image.split_once('@').map_or((image, false), |(name, _)| (name, true));
    // A colon before the last slash belongs to the registry's port.
    let last = name.rsplit('/').next().unwrap_or(name);
    match last.split_once(':') {
        Some((_, "latest")) => "Always",
        None if !digest && is_repository(name) => "Always",
        _ => "IfNotPresent",
    }
}

/// Kubernetes does not guess at the tag of a name that it cannot parse.
fn is_repository(name: &str) -> bool {
    let host = name.split_once('/').map_or("", |(host, _)| host);
    let has_registry = host.contains(['.', ':']) || host == "localhost";
    let path = if has_registry { &name[host.len() + 1..] } else { name };
    !path.is_empty()
        && path.split('/').all(|part| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
        })
}

#[cfg(test)]
mod tests {
    use super::pull_policy;

    #[test]
    fn the_tag_decides() {
        for image in ["nginx", "nginx:latest", "registry:5000/a/nginx", "registry:5000/nginx:latest"] {
            assert_eq!(pull_policy(image), "Always", "{image}");
        }
        for image in ["nginx:1.27", "registry:5000/nginx:1", "nginx@sha256:abc", "", "Not An Image"] {
            assert_eq!(pull_policy(image), "IfNotPresent", "{image}");
        }
    }
}
