//! Resolver settings.

use k8s_openapi::api::core::v1::PodSpec;

use super::invalid;
use crate::apiserver::{
    field::{Error, Errors, Path, Shown},
    validation::{ip, name},
};

const SERVERS_MAX: usize = 3;
const SEARCHES_MAX: usize = 32;
const SEARCH_CHARS_MAX: usize = 2048;

pub(super) fn config(spec: &PodSpec, path: &Path) -> Errors {
    let none = spec.dns_policy.as_deref() == Some("None");
    let Some(config) = &spec.dns_config else {
        let why = "must provide `dnsConfig` when `dnsPolicy` is None";
        return if none { vec![Error::required(path, why)] } else { Errors::new() };
    };
    let servers = config.nameservers.as_deref().unwrap_or_default();
    let searches = config.searches.as_deref().unwrap_or_default();
    let servers_path = path.child("nameservers");
    if none && servers.is_empty() {
        let why = "must provide at least one DNS nameserver when `dnsPolicy` is None";
        return vec![Error::required(&servers_path, why)];
    }
    let mut errors = Errors::new();
    if servers.len() > SERVERS_MAX {
        let why = format!("must not have more than {SERVERS_MAX} nameservers");
        errors.push(Error::invalid(&servers_path, Shown::json(&servers), why));
    }
    for (index, server) in servers.iter().enumerate() {
        errors.extend(ip::error(&servers_path.index(index), server));
    }
    let searches_path = path.child("searches");
    if searches.len() > SEARCHES_MAX {
        let why = format!("must not have more than {SEARCHES_MAX} search paths");
        errors.push(Error::invalid(&searches_path, Shown::json(&searches), why));
    }
    if searches.join(" ").len() > SEARCH_CHARS_MAX {
        let why =
            format!("must not have more than {SEARCH_CHARS_MAX} characters (including spaces) in the search list");
        errors.push(Error::invalid(&searches_path, Shown::json(&searches), why));
    }
    for (index, search) in searches.iter().enumerate().filter(|(_, search)| *search != ".") {
        // The root's dot at the end may be written, and underscores are in use.
        let trimmed = search.strip_suffix('.').unwrap_or(search).replace('_', "-");
        errors.extend(invalid(&searches_path.index(index), search, name::subdomain(&trimmed, false)));
    }
    for (index, option) in config.options.iter().flatten().enumerate() {
        if option.name.as_deref().is_none_or(str::is_empty) {
            errors.push(Error::required(&path.child("options").index(index), "must not be empty"));
        }
    }
    errors
}
