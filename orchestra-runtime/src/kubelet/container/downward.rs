//! What a pod tells its containers of itself: the fields of the downward API (`pkg/fieldpath`).

use std::{collections::BTreeMap, fmt::Write, net::IpAddr};

use k8s_openapi::api::core::v1::Pod;

use super::{ConfigError, env::Surroundings};

/// A field of a pod for an environment variable.
pub(super) fn field(of: &Surroundings<'_>, path: &str) -> Result<String, ConfigError> {
    let spec = of.pod.spec.as_ref();
    let text = |text: Option<&String>| Ok(text.cloned().unwrap_or_default());
    match path {
        "spec.nodeName" => text(spec.and_then(|spec| spec.node_name.as_ref())),
        "spec.serviceAccountName" => text(spec.and_then(|spec| spec.service_account_name.as_ref())),
        "status.hostIP" => Ok(of.node.address.to_string()),
        "status.hostIPs" => Ok(joined(&[of.node.address])),
        "status.podIP" => Ok(of.pod_ips.first().map(ToString::to_string).unwrap_or_default()),
        "status.podIPs" => Ok(joined(of.pod_ips)),
        _ => metadata_field(of.pod, path),
    }
}

/// A field of a pod's metadata, for a variable or a file. A label or annotation that is not there is empty.
pub(in crate::kubelet) fn metadata_field(pod: &Pod, path: &str) -> Result<String, ConfigError> {
    let metadata = &pod.metadata;
    let unsupported = || ConfigError(format!("unsupported fieldPath: {path}"));
    if let Some((map, key)) = path.strip_suffix("']").and_then(|path| path.split_once("['")) {
        let map = match map {
            "metadata.labels" => &metadata.labels,
            "metadata.annotations" => &metadata.annotations,
            _ => return Err(unsupported()),
        };
        return Ok(map.as_ref().and_then(|map| map.get(key)).cloned().unwrap_or_default());
    }
    match path {
        "metadata.name" => Ok(metadata.name.clone().unwrap_or_default()),
        "metadata.namespace" => Ok(metadata.namespace.clone().unwrap_or_default()),
        "metadata.uid" => Ok(metadata.uid.clone().unwrap_or_default()),
        "metadata.labels" => Ok(escaped_lines(metadata.labels.as_ref())),
        "metadata.annotations" => Ok(escaped_lines(metadata.annotations.as_ref())),
        _ => Err(unsupported()),
    }
}

/// Pairs as lines `key="value"`, the values escaped as in a Go string.
pub(in crate::kubelet) fn escaped_lines(pairs: Option<&BTreeMap<String, String>>) -> String {
    let lines: Vec<String> =
        pairs.into_iter().flatten().map(|(key, value)| format!("{key}={}", quoted(value))).collect();
    lines.join("\n")
}

/// As Go's `%q` prints a string.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            // Writing to a string does not fail.
            c if c.is_ascii_control() => drop(write!(out, "\\x{:02x}", u32::from(c))),
            c if c.is_control() => drop(write!(out, "\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn joined(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::{super::testing::pod, *};

    #[test]
    fn fields_of_the_metadata_are_found() {
        let mut pod = pod(serde_json::json!({}));
        pod.metadata.labels =
            Some([("b", "2"), ("a", "say \"x\"\n\\\u{1}é")].map(|(k, v)| (k.into(), v.into())).into());
        pod.metadata.annotations = Some([("x.y/z".to_owned(), "v".to_owned())].into());
        for (path, value) in [
            ("metadata.name", "p"),
            ("metadata.namespace", "ns"),
            ("metadata.uid", "u"),
            ("metadata.labels['b']", "2"),
            ("metadata.labels['none']", ""),
            ("metadata.annotations['x.y/z']", "v"),
            ("metadata.labels", "a=\"say \\\"x\\\"\\n\\\\\\x01é\"\nb=\"2\""),
            ("metadata.annotations", "x.y/z=\"v\""),
        ] {
            assert_eq!(metadata_field(&pod, path).as_deref(), Ok(value), "{path}");
        }
        for path in ["", "spec", "metadata.generation", "spec.labels['a']"] {
            let error = metadata_field(&pod, path).unwrap_err();
            assert_eq!(error.to_string(), format!("unsupported fieldPath: {path}"));
        }
    }
}
