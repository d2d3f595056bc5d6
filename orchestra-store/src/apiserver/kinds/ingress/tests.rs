use serde_json::{Value, json};

use super::*;
use crate::apiserver::kinds::testing::{context, object, texts};

fn ingress(spec: Value) -> Ingress {
    let mut ingress = object(json!({"metadata": {"name": "web"}, "spec": spec}));
    Ingresses.default(&mut ingress);
    Ingresses.prepare_for_create(&context(), &mut ingress);
    ingress
}

fn errors(spec: Value) -> Vec<String> {
    texts(&Ingresses.validate(&context(), &ingress(spec)))
}

fn path(fields: Value) -> Vec<String> {
    let mut path =
        json!({"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "a", "port": {"number": 80}}}});
    path.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let prefix = "spec.rules[0].http.paths[0].";
    let found = errors(json!({"rules": [{"http": {"paths": [path]}}]}));
    found.into_iter().map(|error| error.replace(prefix, "")).collect()
}

#[test]
fn there_is_something_to_lead_to() {
    let empty = "spec: Invalid value: null: either `defaultBackend` or `rules` must be specified";
    assert_eq!(errors(json!({})), [empty]);
    assert!(errors(json!({"defaultBackend": {"service": {"name": "a", "port": {"name": "http"}}}})).is_empty());
    let none = r#"spec.defaultBackend: Invalid value: "": resource or service backend is required"#;
    assert_eq!(errors(json!({"defaultBackend": {}})), [none]);
    assert_eq!(errors(json!({"rules": [{"http": {"paths": []}}]})), ["spec.rules[0].http.paths: Required value"]);
}

#[test]
fn hosts_are_names_or_whole_domains() {
    let host = |host: &str| errors(json!({"rules": [{"host": host}]}));
    for good in ["a.example.org", "*.example.org", ""] {
        assert!(host(good).is_empty(), "{good}");
    }
    let address = r#"spec.rules[0].host: Invalid value: "192.0.2.1": must be a DNS name, not an IP address"#;
    assert_eq!(host("192.0.2.1"), [address]);
    let wildcard = r#"spec.rules[0].host: Invalid value: "a.*": a wildcard DNS-1123 subdomain must start with '*.'"#;
    assert!(host("a.*")[0].starts_with(wildcard));
}

#[test]
fn paths_are_compared_as_they_are_or_by_their_parts() {
    assert!(path(json!({})).is_empty());
    assert_eq!(path(json!({"pathType": ""})), ["pathType: Required value: pathType must be specified"]);
    assert_eq!(
        path(json!({"pathType": "Regex"})),
        [r#"pathType: Unsupported value: "Regex": supported values: "Exact", "ImplementationSpecific", "Prefix""#]
    );
    assert_eq!(
        path(json!({"path": "a//b/.."})),
        [
            r#"path: Invalid value: "a//b/..": must be an absolute path"#,
            r#"path: Invalid value: "a//b/..": must not contain '//'"#,
            r#"path: Invalid value: "a//b/..": cannot end with '/..'"#,
        ]
    );
    assert!(path(json!({"path": "", "pathType": "ImplementationSpecific"})).is_empty());
    assert_eq!(
        path(json!({"backend": {"service": {"name": "", "port": {"name": "a", "number": 1}}}})),
        [
            "backend.service.name: Required value",
            r#"backend: Invalid value: "": cannot set both port name & port number"#,
        ]
    );
}

#[test]
fn the_class_is_named_once_and_the_old_place_is_warned_of() {
    let mut ingress = ingress(json!({"defaultBackend": {"service": {"name": "a", "port": {"number": 80}}}}));
    ingress.metadata.annotations = Some([(CLASS_ANNOTATION.to_owned(), "nginx".to_owned())].into());
    assert!(Ingresses.validate(&context(), &ingress).is_empty());
    let warning =
        r#"annotation "kubernetes.io/ingress.class" is deprecated, please use 'spec.ingressClassName' instead"#;
    assert_eq!(Ingresses.warnings(&context(), &ingress, None), [warning]);
    ingress.spec.as_mut().unwrap().ingress_class_name = Some("nginx".to_owned());
    let both = r#"annotations.kubernetes.io/ingress.class: Invalid value: "nginx": can not be set when the class field is also set"#;
    assert_eq!(texts(&Ingresses.validate(&context(), &ingress)), [both]);
}

#[test]
fn the_table_shows_three_hosts() {
    let cells = |hosts: &[&str]| {
        let rules: Vec<Value> = hosts.iter().map(|host| json!({ "host": host })).collect();
        Ingresses.cells(&ingress(json!({"rules": rules, "tls": [{}]})), Timestamp::UNIX_EPOCH)
    };
    assert_eq!(cells(&["", ""])[1..5], [json!("<none>"), json!("*"), json!(""), json!("80, 443")]);
    assert_eq!(cells(&["a", "b", "c"])[2], "a,b,c");
    assert_eq!(cells(&["a", "b", "c", "d", "e"])[2], "a,b,c + 2 more...");
}
