//! A container's environment variables.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use k8s_openapi::api::core::v1::{Container, EnvFromSource, EnvVarSource, FileKeySelector, Pod, Service};

use super::{ConfigError, References, downward, env_file, expand, references::found, resource_field, service_links};
use crate::kubelet::NodeConfig;

/// What is around a container, and known when it is made.
pub(in crate::kubelet) struct Surroundings<'a> {
    pub(in crate::kubelet) pod: &'a Pod,
    /// The pod's addresses, the primary one first.
    pub(in crate::kubelet) pod_ips: &'a [IpAddr],
    pub(in crate::kubelet) node: &'a NodeConfig,
    /// Those of the pod's namespace, and of `default`.
    pub(in crate::kubelet) services: &'a [Arc<Service>],
    pub(in crate::kubelet) references: &'a References,
}

type Variables = BTreeMap<String, String>;

/// The environment of a container, in the order of names: what `env` says counts more than `envFrom`, and both more than what is told of
/// services.
pub(in crate::kubelet) fn environment(of: &Surroundings<'_>, container: &Container) -> Result<Variables, ConfigError> {
    let spec = of.pod.spec.as_ref();
    let links = spec.and_then(|spec| spec.enable_service_links).unwrap_or(true);
    let namespace = of.pod.metadata.namespace.as_deref().unwrap_or("default");
    let services = service_links::variables(of.services, namespace, links);
    let mut variables = Variables::new();
    for source in container.env_from.iter().flatten() {
        add_all(of, source, &mut variables)?;
    }
    for variable in container.env.iter().flatten() {
        let value = match (variable.value.as_deref().unwrap_or_default(), &variable.value_from) {
            ("", Some(source)) => value_from(of, container, &variable.name, source)?,
            (text, _) => {
                // Only what is declared before is known.
                Some(expand(text, |name| variables.get(name).or_else(|| services.get(name)).cloned()))
            }
        };
        if let Some(value) = value {
            variables.insert(variable.name.clone(), value);
        }
    }
    for (name, value) in services {
        variables.entry(name).or_insert(value);
    }
    Ok(variables)
}

/// All keys of a ConfigMap or Secret.
fn add_all(of: &Surroundings<'_>, source: &EnvFromSource, variables: &mut Variables) -> Result<(), ConfigError> {
    let prefix = source.prefix.as_deref().unwrap_or_default();
    if let Some(reference) = &source.config_map_ref {
        let map = found(&of.references.config_maps, "configmap", &reference.name, reference.optional)?;
        for (key, value) in map.iter().filter_map(|map| map.data.as_ref()).flatten() {
            variables.insert(format!("{prefix}{key}"), value.clone());
        }
    } else if let Some(reference) = &source.secret_ref {
        let secret = found(&of.references.secrets, "secret", &reference.name, reference.optional)?;
        for (key, value) in secret.iter().filter_map(|secret| secret.data.as_ref()).flatten() {
            variables.insert(format!("{prefix}{key}"), String::from_utf8_lossy(&value.0).into_owned());
        }
    }
    Ok(())
}

/// A variable's value from elsewhere; `None` if it may be missing and is.
fn value_from(
    of: &Surroundings<'_>,
    container: &Container,
    name: &str,
    source: &EnvVarSource,
) -> Result<Option<String>, ConfigError> {
    let namespace = of.pod.metadata.namespace.as_deref().unwrap_or_default();
    if let Some(reference) = &source.field_ref {
        return downward::field(of, &reference.field_path).map(Some);
    }
    if let Some(selector) = &source.resource_field_ref {
        return resource_field::amount(selector, of.pod, Some(container), &of.node.capacity).map(Some);
    }
    let (value, kind, key, from, optional) = if let Some(reference) = &source.config_map_key_ref {
        let map = found(&of.references.config_maps, "configmap", &reference.name, reference.optional)?;
        let Some(map) = map else { return Ok(None) };
        let value = map.data.as_ref().and_then(|data| data.get(&reference.key)).cloned();
        (value, "ConfigMap", &reference.key, &reference.name, reference.optional)
    } else if let Some(reference) = &source.secret_key_ref {
        let secret = found(&of.references.secrets, "secret", &reference.name, reference.optional)?;
        let Some(secret) = secret else { return Ok(None) };
        let value = secret.data.as_ref().and_then(|data| data.get(&reference.key));
        let value = value.map(|value| String::from_utf8_lossy(&value.0).into_owned());
        (value, "Secret", &reference.key, &reference.name, reference.optional)
    } else if let Some(reference) = &source.file_key_ref {
        return from_file(of, reference);
    } else {
        return Err(ConfigError(format!("environment variable {name}: nothing says where its value is from")));
    };
    match value {
        None if optional != Some(true) => {
            Err(ConfigError(format!("couldn't find key {key} in {kind} {namespace}/{from}")))
        }
        value => Ok(value),
    }
}

/// A variable's value from a file that another container wrote.
fn from_file(of: &Surroundings<'_>, reference: &FileKeySelector) -> Result<Option<String>, ConfigError> {
    let FileKeySelector { key, path, volume_name, optional } = reference;
    let value = match of.references.files.get(&(volume_name.clone(), path.clone())) {
        Some(Ok(text)) => env_file::value(text, key).map_err(|_| ConfigError("couldn't parse env file".to_owned()))?,
        Some(Err(missing)) if missing.not_found => None,
        Some(Err(missing)) => return Err(ConfigError(missing.message.clone())),
        // There it is as if nobody had written the file.
        None if !of.node.is_real() => {
            let message =
                format!("environment variable key {key:?} not found in file {path:?}: the node has no volumes");
            return if *optional == Some(true) { Ok(None) } else { Err(ConfigError(message)) };
        }
        None => return Err(ConfigError(format!("cannot find the volume {volume_name:?} referenced by FileKeyRef"))),
    };
    if value.is_none() && *optional != Some(true) {
        return Err(ConfigError(format!("environment variable key {key:?} not found in file {path:?}")));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{ConfigMap, Secret};
    use serde_json::{Value, json};

    use super::{
        super::{
            Missing,
            testing::{container, pod},
        },
        *,
    };

    fn references() -> References {
        let config: ConfigMap = serde_json::from_value(json!({ "data": { "a": "1", "b.c": "2" } })).unwrap();
        let secret: Secret = serde_json::from_value(json!({ "data": { "key": "c2VjcmV0" } })).unwrap();
        let missing = |kind: &str| Missing { message: format!("{kind} \"none\" not found"), not_found: true };
        let failed = Missing { message: "the server is away".to_owned(), not_found: false };
        References {
            config_maps: BTreeMap::from([
                ("config".to_owned(), Ok(Arc::new(config))),
                ("none".to_owned(), Err(missing("configmap"))),
                ("failed".to_owned(), Err(failed)),
            ]),
            secrets: BTreeMap::from([
                ("secret".to_owned(), Ok(Arc::new(secret))),
                ("none".to_owned(), Err(missing("secret"))),
            ]),
            files: BTreeMap::from([
                (("v".to_owned(), "f".to_owned()), Ok("A='from file'".to_owned())),
                (("v".to_owned(), "bad".to_owned()), Ok("A=x".to_owned())),
                (("v".to_owned(), "none".to_owned()), Err(missing("file"))),
            ]),
        }
    }

    fn of(env: Value, env_from: Value) -> Result<Vec<String>, String> {
        on(&NodeConfig { root: Some("/var/lib/kubelet".into()), ..NodeConfig::example() }, env, env_from)
    }

    fn on(node: &NodeConfig, env: Value, env_from: Value) -> Result<Vec<String>, String> {
        let service = json!({
            "metadata": { "namespace": "ns", "name": "db" },
            "spec": { "clusterIP": "10.96.0.9", "ports": [{ "port": 5432 }] },
        });
        let mut pod = pod(json!({ "nodeName": "n1", "serviceAccountName": "default" }));
        pod.metadata.annotations = Some([("x".to_owned(), "y".to_owned())].into());
        let surroundings = Surroundings {
            pod: &pod,
            pod_ips: &["10.1.0.7".parse().unwrap(), "fd00::7".parse().unwrap()],
            node,
            services: &[Arc::new(serde_json::from_value(service).unwrap())],
            references: &references(),
        };
        let container = container(json!({ "env": env, "envFrom": env_from }));
        let all = environment(&surroundings, &container).map_err(|error| error.to_string())?;
        let own = all.into_iter().filter(|(name, _)| !name.starts_with("DB_PORT"));
        Ok(own.map(|(name, value)| format!("{name}={value}")).collect())
    }

    #[test]
    fn variables_come_from_everywhere_and_the_nearest_counts() {
        let env = json!([
            { "name": "A", "value": "x" },
            { "name": "B", "value": "$(A)-$(LATER)-$(DB_SERVICE_HOST)-$$(A)-$(p_b.c)" },
            { "name": "LATER", "value": "z" },
            { "name": "KEY", "valueFrom": { "secretKeyRef": { "name": "secret", "key": "key" } } },
            { "name": "GONE", "valueFrom": { "secretKeyRef": { "name": "secret", "key": "no", "optional": true } } },
            { "name": "p_a", "valueFrom": { "configMapKeyRef": { "name": "config", "key": "a" } } },
            { "name": "DB_SERVICE_PORT", "value": "mine" },
        ]);
        let env_from = json!([
            { "prefix": "p_", "configMapRef": { "name": "config" } },
            { "secretRef": { "name": "secret" } },
            { "secretRef": { "name": "none", "optional": true } },
        ]);
        let expected = [
            "A=x",
            "B=x-$(LATER)-10.96.0.9-$(A)-2",
            "DB_SERVICE_HOST=10.96.0.9",
            "DB_SERVICE_PORT=mine",
            "KEY=secret",
            "LATER=z",
            "key=secret",
            "p_a=1",
            "p_b.c=2",
        ];
        assert_eq!(of(env, env_from).unwrap(), expected);
    }

    #[test]
    fn files_of_volumes_have_values() {
        let of_file = |path: &str, key: &str, optional: bool| {
            let source = json!({ "volumeName": "v", "path": path, "key": key, "optional": optional });
            of(json!([{ "name": "X", "valueFrom": { "fileKeyRef": source } }]), json!([]))
        };
        assert!(of_file("f", "A", false).unwrap().contains(&"X=from file".to_owned()));
        assert!(of_file("f", "B", true).unwrap().iter().all(|one| !one.starts_with("X=")));
        assert!(of_file("none", "A", true).unwrap().iter().all(|one| !one.starts_with("X=")));
        assert_eq!(of_file("f", "B", false).unwrap_err(), "environment variable key \"B\" not found in file \"f\"");
        assert_eq!(of_file("bad", "A", true).unwrap_err(), "couldn't parse env file");
        let elsewhere = "cannot find the volume \"v\" referenced by FileKeyRef";
        assert_eq!(of_file("elsewhere", "A", true).unwrap_err(), elsewhere);
    }

    #[test]
    fn a_node_without_volumes_has_no_files() {
        let of_file = |optional: bool| {
            let source = json!({ "volumeName": "v", "path": "f2", "key": "A", "optional": optional });
            let env = json!([{ "name": "X", "valueFrom": { "fileKeyRef": source } }]);
            on(&NodeConfig::example(), env, json!([]))
        };
        assert!(of_file(true).unwrap().iter().all(|one| !one.starts_with("X=")));
        let message = "environment variable key \"A\" not found in file \"f2\": the node has no volumes";
        assert_eq!(of_file(false).unwrap_err(), message);
    }

    #[test]
    fn the_pod_tells_of_itself() {
        for (path, value) in [
            ("metadata.annotations['x']", "y"),
            ("spec.nodeName", "n1"),
            ("spec.serviceAccountName", "default"),
            ("status.hostIP", "127.0.0.1"),
            ("status.hostIPs", "127.0.0.1"),
            ("status.podIP", "10.1.0.7"),
            ("status.podIPs", "10.1.0.7,fd00::7"),
        ] {
            let env = json!([{ "name": "A", "valueFrom": { "fieldRef": { "fieldPath": path } } }]);
            assert_eq!(of(env, json!([])).unwrap()[0], format!("A={value}"), "{path}");
        }
    }

    #[test]
    fn what_is_missing_is_told_in_kubernetes_words() {
        let env = |source: Value| of(json!([{ "name": "A", "valueFrom": source }]), json!([])).unwrap_err();
        for (source, message) in [
            (json!({ "configMapKeyRef": { "name": "none", "key": "a" } }), "configmap \"none\" not found"),
            (json!({ "secretKeyRef": { "name": "none", "key": "a" } }), "secret \"none\" not found"),
            (
                json!({ "configMapKeyRef": { "name": "config", "key": "k" } }),
                "couldn't find key k in ConfigMap ns/config",
            ),
            (json!({ "secretKeyRef": { "name": "secret", "key": "k" } }), "couldn't find key k in Secret ns/secret"),
            // What may be missing must not hide that nothing is known.
            (json!({ "configMapKeyRef": { "name": "failed", "key": "a", "optional": true } }), "the server is away"),
        ] {
            assert_eq!(env(source), message);
        }
        let all = of(json!([]), json!([{ "configMapRef": { "name": "none" } }]));
        assert_eq!(all.unwrap_err(), "configmap \"none\" not found");
    }
}
