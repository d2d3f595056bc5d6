//! Checks of Ingresses (`ValidateIngressCreate`, `ValidateIngressSpec` of `pkg/apis/networking/validation`).

use std::net::IpAddr;

use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, Ingress, IngressBackend, IngressRule, IngressServiceBackend, IngressTLS,
};

use super::CLASS_ANNOTATION;
use crate::apiserver::{
    field::{Error, Errors, Path, Shown},
    validation::{ip, name, port},
};

const PATH_TYPES: [&str; 3] = ["Exact", "ImplementationSpecific", "Prefix"];
/// What a path that is compared may not have in it.
const SEQUENCES: [&str; 5] = ["//", "/./", "/../", "%2f", "%2F"];
/// What it may not end with.
const ENDS: [&str; 2] = ["/..", "/."];
const ABSOLUTE: &str = "must be an absolute path";
const WILDCARD: &str = r"a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation is '\*\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

pub(super) fn ingress(ingress: &Ingress) -> Errors {
    let spec = ingress.spec.clone().unwrap_or_default();
    let path = Path::new("spec");
    let mut errors = Errors::new();
    let rules = spec.rules.as_deref().unwrap_or_default();
    if rules.is_empty() && spec.default_backend.is_none() {
        let detail = "either `defaultBackend` or `rules` must be specified";
        errors.push(Error::invalid(&path, Shown::json(&spec.rules), detail));
    }
    if let Some(default) = &spec.default_backend {
        errors.extend(backend(default, &path.child("defaultBackend")));
    }
    for (index, each) in rules.iter().enumerate() {
        errors.extend(rule(each, &path.child("rules").index(index)));
    }
    for (index, each) in spec.tls.iter().flatten().enumerate() {
        errors.extend(tls(each, &path.child("tls").index(index)));
    }
    if let Some(class) = &spec.ingress_class_name {
        let path = path.child("ingressClassName");
        errors.extend(name::subdomain(class, false).map(|error| Error::invalid(&path, class, error)));
    }
    errors
}

/// The class is named in one place only.
pub(super) fn one_class(ingress: &Ingress) -> Option<Error> {
    let annotation = ingress.metadata.annotations.as_ref()?.get(CLASS_ANNOTATION)?;
    ingress.spec.as_ref()?.ingress_class_name.as_ref()?;
    let path = Path::new("annotations").child(CLASS_ANNOTATION);
    Some(Error::invalid(&path, annotation, "can not be set when the class field is also set"))
}

pub(super) fn status(ingress: &Ingress) -> Errors {
    let path = Path::new("status").child("loadBalancer").child("ingress");
    let balancer = ingress.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let mut errors = Errors::new();
    for (index, point) in balancer.into_iter().flat_map(|balancer| balancer.ingress.iter().flatten()).enumerate() {
        let path = path.index(index);
        if let Some(address) = point.ip.as_ref().filter(|address| !address.is_empty()) {
            errors.extend(ip::error(&path.child("ip"), address));
        }
        if let Some(host) = point.hostname.as_ref().filter(|host| !host.is_empty()) {
            let path = path.child("hostname");
            errors.extend(name::subdomain(host, false).map(|error| Error::invalid(&path, host, error)));
            errors.extend(no_address(host, &path));
        }
    }
    errors
}

fn no_address(host: &str, path: &Path) -> Option<Error> {
    host.parse::<IpAddr>().is_ok().then(|| Error::invalid(path, host, "must be a DNS name, not an IP address"))
}

/// A host, or all hosts of a domain.
fn host(host: &str, path: &Path) -> Option<Error> {
    let wrong = match host.contains('*') {
        true => {
            let is_domain = host.strip_prefix("*.").is_some_and(|domain| name::subdomain(domain, false).is_none());
            (!is_domain).then(|| WILDCARD.to_owned())
        }
        false => name::subdomain(host, false),
    };
    wrong.map(|wrong| Error::invalid(path, host, wrong))
}

fn rule(rule: &IngressRule, path: &Path) -> Errors {
    let mut errors = Errors::new();
    if let Some(named) = rule.host.as_deref().filter(|host| !host.is_empty()) {
        let path = path.child("host");
        errors.extend(no_address(named, &path));
        errors.extend(host(named, &path));
    }
    let Some(http) = &rule.http else { return errors };
    let path = path.child("http").child("paths");
    if http.paths.is_empty() {
        errors.push(Error::required(&path, ""));
    }
    let paths = http.paths.iter().enumerate();
    errors.extend(paths.flat_map(|(index, each)| http_path(each, &path.index(index))));
    errors
}

fn http_path(of: &HTTPIngressPath, path: &Path) -> Errors {
    let mut errors = Errors::new();
    let (at, text) = (path.child("path"), of.path.as_deref().unwrap_or_default());
    match of.path_type.as_str() {
        "" => return vec![Error::required(&path.child("pathType"), "pathType must be specified")],
        "Exact" | "Prefix" => {
            if !text.starts_with('/') {
                errors.push(Error::invalid(&at, text, ABSOLUTE));
            }
            let within = SEQUENCES.iter().filter(|sequence| text.contains(*sequence));
            errors.extend(within.map(|found| Error::invalid(&at, text, format!("must not contain '{found}'"))));
            let ends = ENDS.iter().filter(|end| text.ends_with(*end));
            errors.extend(ends.map(|found| Error::invalid(&at, text, format!("cannot end with '{found}'"))));
        }
        "ImplementationSpecific" if !text.is_empty() && !text.starts_with('/') => {
            errors.push(Error::invalid(&at, text, ABSOLUTE));
        }
        "ImplementationSpecific" => {}
        other => errors.push(Error::not_supported(&path.child("pathType"), other, &PATH_TYPES)),
    }
    errors.extend(backend(&of.backend, &path.child("backend")));
    errors
}

fn backend(backend: &IngressBackend, path: &Path) -> Errors {
    match (&backend.resource, &backend.service) {
        (Some(_), Some(_)) => vec![Error::invalid(path, "", "cannot set both resource and service backends")],
        (None, None) => vec![Error::invalid(path, "", "resource or service backend is required")],
        (Some(resource), None) => {
            let path = path.child("resource");
            let required = [("kind", &resource.kind), ("name", &resource.name)];
            let empty = required.into_iter().filter(|(_, value)| value.is_empty());
            empty.map(|(field, _)| Error::required(&path.child(field), "")).collect()
        }
        (None, Some(service)) => service_backend(service, path),
    }
}

fn service_backend(service: &IngressServiceBackend, path: &Path) -> Errors {
    let mut errors = Errors::new();
    let at = path.child("service").child("name");
    match service.name.as_str() {
        "" => errors.push(Error::required(&at, "")),
        named => errors.extend(name::label_1035(named, false).map(|error| Error::invalid(&at, named, error))),
    }
    let at = path.child("service").child("port");
    let named = service.port.as_ref().and_then(|port| port.name.as_ref()).filter(|name| !name.is_empty());
    let number = service.port.as_ref().and_then(|port| port.number).filter(|number| *number != 0);
    match (named, number) {
        (Some(_), Some(_)) => errors.push(Error::invalid(path, "", "cannot set both port name & port number")),
        (None, None) => errors.push(Error::required(path, "port name or number is required")),
        (Some(named), None) => {
            let at = at.child("name");
            errors.extend(port::name(named).into_iter().map(|error| Error::invalid(&at, named, error)));
        }
        (None, Some(number)) => {
            errors.extend(port::number(number).map(|error| Error::invalid(&at.child("number"), number, error)));
        }
    }
    errors
}

fn tls(tls: &IngressTLS, path: &Path) -> Errors {
    let hosts = tls.hosts.iter().flatten().enumerate();
    let mut errors: Errors =
        hosts.filter_map(|(index, named)| host(named, &path.child("hosts").index(index))).collect();
    if let Some(secret) = tls.secret_name.as_ref().filter(|secret| !secret.is_empty()) {
        let path = path.child("secretName");
        errors.extend(name::subdomain(secret, false).map(|error| Error::invalid(&path, secret, error)));
    }
    errors
}
