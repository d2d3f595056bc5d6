//! Checks of a Service's ports.

use std::collections::HashSet;

use k8s_openapi::api::core::v1::{ServicePort, ServiceSpec};
use serde_json::json;

use super::{needs, one_of};
use crate::apiserver::{
    field::{Error, Errors, Path, Shown},
    validation::{name, port, qualified_name},
};

/// What is wrong with the ports at `path`.
pub(super) fn validate(spec: &ServiceSpec, path: &Path) -> Errors {
    let ports = spec.ports.as_deref().unwrap_or_default();
    let mut errors = Errors::new();
    let mut names = HashSet::new();
    for (index, port) in ports.iter().enumerate() {
        errors.extend(name_of(port, ports.len() > 1, &mut names, &path.index(index)));
        errors.extend(one(port, &path.index(index)));
    }
    if needs::kind(spec) == "ClusterIP" {
        let with = ports.iter().enumerate().filter(|(_, port)| port.node_port.unwrap_or_default() != 0);
        let detail = "may not be used when `type` is 'ClusterIP'";
        errors.extend(with.map(|(index, _)| Error::forbidden(&path.index(index).child("nodePort"), detail)));
    }
    let mut node_ports = HashSet::new();
    for (index, port) in ports.iter().enumerate() {
        if let Some(number) = port.node_port.filter(|number| *number != 0)
            && !node_ports.insert((&port.protocol, number))
        {
            errors.push(Error::duplicate(&path.index(index).child("nodePort"), number));
        }
    }
    let mut pairs = HashSet::new();
    for (index, port) in ports.iter().enumerate() {
        if !pairs.insert((&port.protocol, port.port)) {
            errors.push(Error::duplicate(&path.index(index), pair(port)));
        }
    }
    errors
}

/// Protocol and port as Kubernetes shows a pair that occurs twice: as a port of its internal form without other fields.
fn pair(port: &ServicePort) -> Shown {
    let protocol = json!(port.protocol);
    Shown::raw(format!(
        r#"{{"Name":"","Protocol":{protocol},"AppProtocol":null,"Port":{},"TargetPort":0,"NodePort":0}}"#,
        port.port
    ))
}

fn name_of<'a>(port: &'a ServicePort, required: bool, names: &mut HashSet<&'a str>, path: &Path) -> Option<Error> {
    let path = path.child("name");
    match port.name.as_deref().unwrap_or_default() {
        "" => required.then(|| Error::required(&path, "")),
        name => match name::label(name, false) {
            Some(error) => Some(Error::invalid(&path, name, error)),
            None => (!names.insert(name)).then(|| Error::duplicate(&path, name)),
        },
    }
}

fn one(port: &ServicePort, path: &Path) -> Errors {
    let mut errors = Errors::new();
    errors.extend(port::number(port.port).map(|error| Error::invalid(&path.child("port"), port.port, error)));
    errors.extend(one_of(&port.protocol, &path.child("protocol"), &["SCTP", "TCP", "UDP"]));
    if let Some(target) = &port.target_port {
        errors.extend(port::number_or_name(target, &path.child("targetPort")));
    }
    if let Some(protocol) = &port.app_protocol {
        let path = path.child("appProtocol");
        let found = qualified_name::key(protocol).into_iter();
        errors.extend(found.map(|error| Error::invalid(&path, protocol, error)));
    }
    errors
}
