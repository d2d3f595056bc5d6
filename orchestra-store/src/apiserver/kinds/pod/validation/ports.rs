//! Containers' ports.

use std::collections::HashSet;

use k8s_openapi::api::core::v1::Container;

use super::{invalid, one_of};
use crate::apiserver::{
    field::{Error, Errors, Path},
    validation::port,
};

pub(super) fn ports(container: &Container, path: &Path) -> Errors {
    let mut errors = Errors::new();
    let mut names = HashSet::new();
    for (index, declared) in container.ports.iter().flatten().enumerate() {
        let path = path.index(index);
        if let Some(name) = &declared.name {
            let found = port::name(name);
            if !found.is_empty() {
                errors.extend(invalid(&path.child("name"), name, found));
            } else if !names.insert(name) {
                errors.push(Error::duplicate(&path.child("name"), name));
            }
        }
        let number_path = path.child("containerPort");
        if declared.container_port == 0 {
            errors.push(Error::required(&number_path, ""));
        } else if let Some(error) = port::number(declared.container_port) {
            errors.push(Error::invalid(&number_path, declared.container_port, error));
        }
        if let Some(host_port) = declared.host_port.filter(|port| *port != 0)
            && let Some(error) = port::number(host_port)
        {
            errors.push(Error::invalid(&path.child("hostPort"), host_port, error));
        }
        one_of(&path.child("protocol"), declared.protocol.as_ref(), &["SCTP", "TCP", "UDP"], &mut errors);
    }
    errors
}

/// No two containers that run at a time use the same port of the host.
pub(super) fn host_conflicts(containers: &[Container], path: &Path, errors: &mut Errors) {
    let mut used = HashSet::new();
    for (container_index, container) in containers.iter().enumerate() {
        for (index, port) in container.ports.iter().flatten().enumerate() {
            let Some(number) = port.host_port.filter(|port| *port != 0) else { continue };
            let (protocol, address) =
                (port.protocol.as_deref().unwrap_or_default(), port.host_ip.as_deref().unwrap_or_default());
            let claim = format!("{protocol}/{address}/{number}");
            if used.contains(&claim) {
                let path = path.index(container_index).child("ports").index(index).child("hostPort");
                errors.push(Error::duplicate(&path, &claim));
            }
            used.insert(claim);
        }
    }
}

/// In the host's network a port is the host's port.
pub(super) fn in_host_network(containers: &[Container], path: &Path) -> Errors {
    let mut errors = Errors::new();
    for (container_index, container) in containers.iter().enumerate() {
        for (index, port) in container.ports.iter().flatten().enumerate() {
            if port.host_port.is_some_and(|host_port| host_port != 0 && host_port != port.container_port) {
                let path = path.index(container_index).child("ports").index(index).child("containerPort");
                let why = "must match `hostPort` when `hostNetwork` is true";
                errors.push(Error::invalid(&path, port.container_port, why));
            }
        }
    }
    errors
}
