//! Files of one volume that get into each other's way: two of one path, or one where another needs a folder.

use k8s_openapi::api::core::v1::{DownwardAPIVolumeFile, KeyToPath, Volume, VolumeProjection};

/// What is odd about the files of a volume.
pub(super) fn overlaps(volume: &Volume) -> Vec<String> {
    let name = &volume.name;
    let of = |what: String, paths: Vec<&str>| within(&format!("volume {name:?} ({what}): overlapping paths"), &paths);
    let mut warnings = Vec::new();
    if let Some(map) = &volume.config_map {
        warnings.extend(of(format!("ConfigMap {:?}", map.name), keys(map.items.as_ref())));
    }
    if let Some(secret) = &volume.secret {
        let secret_name = secret.secret_name.as_deref().unwrap_or_default();
        warnings.extend(of(format!("Secret {secret_name:?}"), keys(secret.items.as_ref())));
    }
    if let Some(fields) = &volume.downward_api {
        warnings.extend(of("DownwardAPI".to_owned(), files(fields.items.as_ref())));
    }
    let sources = volume.projected.as_ref().and_then(|projected| projected.sources.as_ref());
    let mut earlier: Vec<&str> = Vec::new();
    for source in sources.into_iter().flatten() {
        if *source == VolumeProjection::default() {
            warnings.push(format!("volume {name:?} (Projected) has no sources provided"));
            continue;
        }
        let (what, paths) = projection(source);
        let whose = format!("volume {name:?} (Projected {what}): overlapping paths");
        warnings.extend(within(&whose, &paths));
        for path in &paths {
            let other = earlier.iter().find(|other| overlap(path, other));
            warnings.extend(other.map(|other| format!("{whose}: {:?} with {:?}", path.max(other), path.min(other))));
        }
        earlier.extend(paths);
    }
    warnings
}

fn projection(source: &VolumeProjection) -> (String, Vec<&str>) {
    if let Some(map) = &source.config_map {
        return (format!("ConfigMap {:?}", map.name), keys(map.items.as_ref()));
    }
    if let Some(secret) = &source.secret {
        return (format!("Secret {:?}", secret.name), keys(secret.items.as_ref()));
    }
    if let Some(fields) = &source.downward_api {
        return ("DownwardAPI".to_owned(), files(fields.items.as_ref()));
    }
    if let Some(token) = &source.service_account_token {
        return ("ServiceAccountToken".to_owned(), vec![trimmed(&token.path)]);
    }
    if let Some(bundle) = &source.cluster_trust_bundle {
        let name = bundle.name.as_ref().or(bundle.signer_name.as_ref());
        return (format!("ClusterTrustBundle {:?}", name.map_or("", String::as_str)), vec![trimmed(&bundle.path)]);
    }
    (String::new(), Vec::new())
}

fn keys(items: Option<&Vec<KeyToPath>>) -> Vec<&str> {
    items.into_iter().flatten().map(|item| trimmed(&item.path)).collect()
}

fn files(items: Option<&Vec<DownwardAPIVolumeFile>>) -> Vec<&str> {
    items.into_iter().flatten().map(|item| trimmed(&item.path)).collect()
}

fn trimmed(path: &str) -> &str {
    path.trim_end_matches('/')
}

fn within(whose: &str, paths: &[&str]) -> Vec<String> {
    let collision = |(i, path): (usize, &&str)| {
        let other = paths.iter().take(i).find(|other| overlap(path, other))?;
        Some(format!("{whose}: {path:?} with {other:?}"))
    };
    paths.iter().enumerate().filter_map(collision).collect()
}

fn overlap(one: &str, other: &str) -> bool {
    let is_below = |path: &str, folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    !one.is_empty() && !other.is_empty() && (one == other || is_below(one, other) || is_below(other, one))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn warnings(volume: Value) -> Vec<String> {
        overlaps(&serde_json::from_value(volume).unwrap())
    }

    #[test]
    fn files_of_one_source_are_told() {
        let items = json!([{"key": "a", "path": "x"}, {"key": "b", "path": "x/y/"}, {"key": "c", "path": "xy"}]);
        let map = json!({"name": "v", "configMap": {"name": "m", "items": items}});
        assert_eq!(warnings(map), ["volume \"v\" (ConfigMap \"m\"): overlapping paths: \"x/y\" with \"x\""]);
        let secret = json!({"name": "v", "secret": {"secretName": "s", "items": items}});
        assert_eq!(warnings(secret), ["volume \"v\" (Secret \"s\"): overlapping paths: \"x/y\" with \"x\""]);
    }

    #[test]
    fn files_of_two_sources_are_told_and_so_are_sources_of_nothing() {
        let ca = json!({"configMap": {"name": "ca", "items": [{"key": "ca.crt", "path": "ca.crt"}]}});
        let token = |path: &str| json!({"serviceAccountToken": {"path": path}});
        let volume = |sources: Value| json!({"name": "v", "projected": {"sources": sources}});
        assert_eq!(warnings(volume(json!([token("token"), ca]))), Vec::<String>::new());
        let expected = [
            "volume \"v\" (Projected) has no sources provided",
            "volume \"v\" (Projected ServiceAccountToken): overlapping paths: \"ca.crt/token\" with \"ca.crt\"",
        ];
        assert_eq!(warnings(volume(json!([ca, {}, token("ca.crt/token")]))), expected);
    }
}
