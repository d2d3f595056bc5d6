//! What probes and hooks do: run a command, ask a port, or wait.

use k8s_openapi::api::core::v1::{
    ExecAction, GRPCAction, HTTPGetAction, Lifecycle, LifecycleHandler, SleepAction, TCPSocketAction,
};

use super::{invalid, one_of, required};
use crate::apiserver::{
    field::{Error, Errors, Path},
    validation::port,
};

const HEADER: &str = "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')";

/// The ways of a handler, of which there must be one.
pub(super) struct Handler<'a> {
    pub(super) exec: Option<&'a ExecAction>,
    pub(super) http_get: Option<&'a HTTPGetAction>,
    pub(super) tcp_socket: Option<&'a TCPSocketAction>,
    pub(super) grpc: Option<&'a GRPCAction>,
    pub(super) sleep: Option<&'a SleepAction>,
}

pub(super) fn lifecycle(lifecycle: &Lifecycle, grace_seconds: i64, path: &Path) -> Errors {
    let mut errors = Errors::new();
    for (field, hook) in [("postStart", &lifecycle.post_start), ("preStop", &lifecycle.pre_stop)] {
        let Some(LifecycleHandler { exec, http_get, tcp_socket, sleep }) = hook else { continue };
        let means = Handler {
            exec: exec.as_ref(),
            http_get: http_get.as_ref(),
            tcp_socket: tcp_socket.as_ref(),
            grpc: None,
            sleep: sleep.as_ref(),
        };
        errors.extend(handler(&means, grace_seconds, &path.child(field)));
    }
    errors
}

pub(super) fn handler(handler: &Handler<'_>, grace_seconds: i64, path: &Path) -> Errors {
    let mut errors = Errors::new();
    let mut found = 0;
    let mut first = |field: &str, errors: &mut Errors| {
        found += 1;
        if found > 1 {
            errors.push(Error::forbidden(&path.child(field), "may not specify more than 1 handler type"));
        }
        found == 1
    };
    if let Some(exec) = handler.exec
        && first("exec", &mut errors)
        && exec.command.as_ref().is_none_or(Vec::is_empty)
    {
        errors.push(Error::required(&path.child("exec").child("command"), ""));
    }
    if let Some(action) = handler.http_get
        && first("httpGet", &mut errors)
    {
        errors.extend(http_get(action, &path.child("httpGet")));
    }
    if let Some(action) = handler.tcp_socket
        && first("tcpSocket", &mut errors)
    {
        errors.extend(port::number_or_name(&action.port, &path.child("tcpSocket").child("port")));
    }
    if let Some(action) = handler.grpc
        && first("grpc", &mut errors)
        && let Some(error) = port::number(action.port)
    {
        errors.push(Error::invalid(&path.child("grpc").child("port"), action.port, error));
    }
    if let Some(SleepAction { seconds }) = handler.sleep
        && first("sleep", &mut errors)
        && !(0..=grace_seconds).contains(seconds)
    {
        let why = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace_seconds})");
        errors.push(Error::invalid(&path.child("sleep").child("seconds"), *seconds, why));
    }
    if found == 0 {
        errors.push(Error::required(path, "must specify a handler type"));
    }
    errors
}

fn http_get(action: &HTTPGetAction, path: &Path) -> Errors {
    let mut errors = Errors::new();
    required(path.child("path"), action.path.as_deref(), &mut errors);
    errors.extend(port::number_or_name(&action.port, &path.child("port")));
    one_of(&path.child("scheme"), action.scheme.as_ref(), &["HTTP", "HTTPS"], &mut errors);
    for header in action.http_headers.iter().flatten() {
        let name = &header.name;
        let good = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        errors.extend(invalid(&path.child("httpHeaders"), name, (!good).then(|| HEADER.to_owned())));
    }
    errors
}
