//! Secrets (`pkg/registry/core/secret`).

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use serde_json::{Value, json};

use super::{column, config_map::IMMUTABLE, data_key};
use crate::apiserver::{
    age,
    decode::syntax,
    field::{Error, Errors, Path},
    registry::Resource,
    row as new_row,
    strategy::{Column, RequestContext, Strategy},
};

/// The most bytes of all values together (`MaxSecretSize`).
const MAX_BYTES: usize = 1024 * 1024;
const OPAQUE: &str = "Opaque";

/// The rules of secrets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Secrets;

/// The row of secrets.
pub fn row() -> Resource {
    new_row(Secrets)
}

impl Strategy for Secrets {
    type Object = Secret;
    type Wire = Secret;

    fn default(&self, secret: &mut Secret) {
        for (key, value) in secret.string_data.take().into_iter().flatten() {
            secret.data.get_or_insert_default().insert(key, ByteString(value.into_bytes()));
        }
        // Kubernetes writes no empty maps.
        secret.data = secret.data.take().filter(|data| !data.is_empty());
        let kind = secret.type_.get_or_insert_default();
        if kind.is_empty() {
            OPAQUE.clone_into(kind);
        }
    }

    fn validate(&self, _ctx: &RequestContext, secret: &Secret) -> Errors {
        let mut errors = Errors::new();
        let path = Path::new("data");
        let data = secret.data.as_ref();
        for key in data.into_iter().flat_map(BTreeMap::keys) {
            errors.extend(data_key::errors(key, &path));
        }
        if data.into_iter().flat_map(BTreeMap::values).map(|value| value.0.len()).sum::<usize>() > MAX_BYTES {
            errors.push(Error::too_long(&path, MAX_BYTES));
        }
        errors.extend(required(secret, &path));
        errors
    }

    fn validate_update(&self, ctx: &RequestContext, new: &Secret, old: &Secret) -> Errors {
        let mut errors = Errors::new();
        if new.type_ != old.type_ {
            let kind = new.type_.as_deref().unwrap_or_default();
            errors.push(Error::invalid(&Path::new("type"), kind, "field is immutable"));
        }
        if old.immutable == Some(true) {
            if new.immutable != Some(true) {
                errors.push(Error::forbidden(&Path::new("immutable"), IMMUTABLE));
            }
            if new.data != old.data {
                errors.push(Error::forbidden(&Path::new("data"), IMMUTABLE));
            }
        }
        errors.extend(self.validate(ctx, new));
        errors
    }

    fn fields(&self, secret: &Secret) -> Vec<String> {
        vec![secret.type_.clone().unwrap_or_default()]
    }

    fn selectable_fields(&self) -> &'static [&'static str] {
        &["type"]
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn cells(&self, secret: &Secret, now: Timestamp) -> Vec<Value> {
        let metadata = &secret.metadata;
        vec![
            json!(metadata.name),
            json!(secret.type_),
            json!(secret.data.iter().flatten().count()),
            json!(age::since(metadata.creation_timestamp.as_ref(), now)),
        ]
    }
}

/// What the secret's type asks of its data.
fn required(secret: &Secret, path: &Path) -> Errors {
    let get = |key: &str| secret.data.as_ref().and_then(|data| data.get(key));
    let missing = |keys: &[&str]| keys.iter().map(|key| Error::required(&path.key(key), "")).collect::<Errors>();
    match secret.type_.as_deref().unwrap_or_default() {
        "kubernetes.io/service-account-token" => service_account(secret),
        "kubernetes.io/dockercfg" => json_at(".dockercfg", get(".dockercfg"), path),
        "kubernetes.io/dockerconfigjson" => json_at(".dockerconfigjson", get(".dockerconfigjson"), path),
        "kubernetes.io/basic-auth" if get("username").is_none() && get("password").is_none() => {
            missing(&["username", "password"])
        }
        "kubernetes.io/ssh-auth" if get("ssh-privatekey").is_none_or(|key| key.0.is_empty()) => {
            missing(&["ssh-privatekey"])
        }
        "kubernetes.io/tls" => {
            let absent: Vec<&str> = ["tls.crt", "tls.key"].into_iter().filter(|key| get(key).is_none()).collect();
            missing(&absent)
        }
        _ => Errors::new(),
    }
}

fn service_account(secret: &Secret) -> Errors {
    const ANNOTATION: &str = "kubernetes.io/service-account.name";
    let named = secret.metadata.annotations.as_ref().and_then(|annotations| annotations.get(ANNOTATION));
    match named {
        Some(name) if !name.is_empty() => Errors::new(),
        _ => vec![Error::required(&Path::new("metadata").child("annotations").key(ANNOTATION), "")],
    }
}

fn json_at(key: &str, value: Option<&ByteString>, path: &Path) -> Errors {
    let path = path.key(key);
    match value {
        None => vec![Error::required(&path, "")],
        Some(ByteString(text)) => match serde_json::from_slice::<serde_json::Map<String, Value>>(text) {
            Ok(_) => Errors::new(),
            Err(error) => {
                let error = syntax::error(text).unwrap_or_else(|| error.to_string());
                vec![Error::invalid(&path, "<secret contents redacted>", error)]
            }
        },
    }
}

const COLUMNS: &[Column] = &[
    column::NAME,
    Column {
        name: "Type",
        kind: "string",
        format: "",
        description: "Used to facilitate programmatic handling of secret data. More info: https://kubernetes.io/docs/concepts/configuration/secret/#secret-types",
        priority: 0,
    },
    Column {
        name: "Data",
        kind: "string",
        format: "",
        description: "Data contains the secret data. Each key must consist of alphanumeric characters, '-', '_' or '.'. The serialized form of the secret data is a base64 encoded string, representing the arbitrary (possibly non-string) data value here. Described in https://tools.ietf.org/html/rfc4648#section-4",
        priority: 0,
    },
    column::AGE,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apiserver::kinds::testing::{context, object, texts};

    #[test]
    fn string_data_is_folded_into_data() {
        let mut secret: Secret = object(json!({"stringData": {"u": "me"}, "data": {"p": "cHc=", "u": "eA=="}}));
        Secrets.default(&mut secret);
        let value = serde_json::to_value(&secret).unwrap();
        assert_eq!(value["data"], json!({"p": "cHc=", "u": "bWU="}));
        assert_eq!((&value["type"], value.get("stringData")), (&json!("Opaque"), None));
    }

    #[test]
    fn types_require_their_keys() {
        let cases = [
            (
                json!({"type": "kubernetes.io/tls"}),
                vec!["data[tls.crt]: Required value", "data[tls.key]: Required value"],
            ),
            (json!({"type": "kubernetes.io/ssh-auth"}), vec!["data[ssh-privatekey]: Required value"]),
            (json!({"type": "kubernetes.io/dockerconfigjson"}), vec!["data[.dockerconfigjson]: Required value"]),
            (json!({"type": "kubernetes.io/basic-auth", "data": {"password": "eA=="}}), vec![]),
            (
                json!({"type": "kubernetes.io/service-account-token"}),
                vec!["metadata.annotations[kubernetes.io/service-account.name]: Required value"],
            ),
            (json!({"type": "example.org/own"}), vec![]),
        ];
        for (secret, expected) in cases {
            assert_eq!(texts(&Secrets.validate(&context(), &object(secret.clone()))), expected, "{secret}");
        }
    }

    #[test]
    fn what_is_no_json_is_said_as_go_says_it() {
        let secret = object(json!({"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "eA=="}}));
        let wrong = r#"data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": invalid character 'x' looking for beginning of value"#;
        assert_eq!(texts(&Secrets.validate(&context(), &secret)), [wrong]);
    }

    #[test]
    fn the_type_is_immutable() {
        let old: Secret = object(json!({"type": "Opaque"}));
        let new: Secret = object(json!({"type": "example.org/own"}));
        let errors = texts(&Secrets.validate_update(&context(), &new, &old));
        assert_eq!(errors, [r#"type: Invalid value: "example.org/own": field is immutable"#]);
    }
}
