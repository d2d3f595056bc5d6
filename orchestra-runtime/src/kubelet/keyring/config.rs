//! What secrets of the types `kubernetes.io/dockerconfigjson` and `kubernetes.io/dockercfg` hold.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use k8s_openapi::api::core::v1::Secret;
use orchestra_core::container_runtime::RegistryAuth;
use serde::Deserialize;

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
struct Entry {
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    /// `USER:PASSWORD` in base64; counts more than the two.
    #[serde(default)]
    auth: String,
    #[serde(default)]
    identitytoken: String,
}

/// Credentials by the registry that they are for.
pub(super) fn entries(secret: &Secret) -> Vec<(String, RegistryAuth)> {
    let data = |key: &str| secret.data.as_ref()?.get(key).map(|data| data.0.as_slice());
    let all: Option<BTreeMap<String, Entry>> = match secret.type_.as_deref() {
        Some("kubernetes.io/dockerconfigjson") => data(".dockerconfigjson")
            .and_then(|data| serde_json::from_slice::<Config>(data).ok())
            .map(|config| config.auths),
        Some("kubernetes.io/dockercfg") => data(".dockercfg").and_then(|data| serde_json::from_slice(data).ok()),
        _ => None,
    };
    all.into_iter().flatten().filter_map(|(registry, entry)| Some((registry, auth(entry)?))).collect()
}

fn auth(entry: Entry) -> Option<RegistryAuth> {
    let (username, password) = if entry.auth.is_empty() {
        (entry.username, entry.password)
    } else {
        let text = String::from_utf8(STANDARD.decode(entry.auth.trim()).ok()?).ok()?;
        let (username, password) = text.split_once(':')?;
        (username.to_owned(), password.trim_end_matches('\0').to_owned())
    };
    Some(RegistryAuth { username, password, identity_token: entry.identitytoken, server_address: String::new() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(kind: &str, key: &str, content: &str) -> Vec<String> {
        let secret = json!({ "type": format!("kubernetes.io/{kind}"), "data": { key: STANDARD.encode(content) } });
        let found = entries(&serde_json::from_value(secret).unwrap());
        let told = |(registry, auth): (String, RegistryAuth)| format!("{registry} {} {}", auth.username, auth.password);
        found.into_iter().map(told).collect()
    }

    #[test]
    fn both_forms_are_read_and_nonsense_is_nothing() {
        let encoded = STANDARD.encode("me:pa:ss");
        let auths = json!({ "a.example": { "username": "u", "password": "p" }, "b.example": { "auth": encoded } });
        let expected = ["a.example u p", "b.example me pa:ss"];
        assert_eq!(of("dockerconfigjson", ".dockerconfigjson", &json!({ "auths": auths }).to_string()), expected);
        assert_eq!(of("dockercfg", ".dockercfg", &auths.to_string()), expected);
        for (kind, key, content) in [
            ("dockerconfigjson", ".dockerconfigjson", "{"),
            ("dockerconfigjson", ".dockercfg", "{}"),
            ("dockerconfigjson", ".dockerconfigjson", r#"{"auths":{"a":{"auth":"!"}}}"#),
            ("other", ".dockerconfigjson", r#"{"auths":{"a":{"username":"u"}}}"#),
        ] {
            assert_eq!(of(kind, key, content), [""; 0], "{content}");
        }
    }
}
