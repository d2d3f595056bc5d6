//! Volumes made of several sources.

use std::collections::HashSet;

use k8s_openapi::api::core::v1::{ProjectedVolumeSource, ServiceAccountTokenProjection, VolumeProjection};

use super::{paths, required, volumes};
use crate::apiserver::field::{Error, Errors, Path};

const TOKEN_SECONDS_MIN: i64 = 10 * 60;

pub(super) fn projected(volume: &ProjectedVolumeSource, path: &Path) -> Errors {
    let mut errors = paths::mode(volume.default_mode, &path.child("defaultMode")).into_iter().collect::<Errors>();
    let mut files = HashSet::new();
    for (index, source) in volume.sources.iter().flatten().enumerate() {
        one(source, &path.child("sources").index(index), &mut errors);
        errors.extend(conflicts(source, &mut files, path));
    }
    errors
}

fn one(source: &VolumeProjection, path: &Path, errors: &mut Errors) {
    if let Some(secret) = &source.secret {
        let path = path.child("secret");
        required(path.child("name"), Some(&secret.name), errors);
        volumes::keys(secret.items.as_deref(), &path, errors);
    }
    if let Some(config_map) = &source.config_map {
        let path = path.child("configMap");
        required(path.child("name"), Some(&config_map.name), errors);
        volumes::keys(config_map.items.as_deref(), &path, errors);
    }
    for file in source.downward_api.iter().flat_map(|downward| downward.items.iter().flatten()) {
        volumes::downward_file(file, &path.child("downwardAPI"), errors);
    }
    if let Some(claim) = &source.service_account_token {
        token(claim, &path.child("serviceAccountToken"), errors);
    }
    let kinds = [
        source.secret.is_some(),
        source.config_map.is_some(),
        source.downward_api.is_some(),
        source.service_account_token.is_some(),
        source.cluster_trust_bundle.is_some(),
        source.pod_certificate.is_some(),
    ];
    if kinds.into_iter().filter(|set| *set).count() > 1 {
        errors.push(Error::forbidden(path, "may not specify more than 1 volume type per source"));
    }
}

/// Files that another source has already; Kubernetes names the volume and the source.
fn conflicts<'a>(source: &'a VolumeProjection, files: &mut HashSet<&'a str>, path: &Path) -> Errors {
    let mut errors = Errors::new();
    let mut add = |file: &'a str, shown: &str| {
        if !file.is_empty() && !files.insert(file) {
            errors.push(Error::invalid(path, shown, "conflicting duplicate paths"));
        }
    };
    if let Some(secret) = &source.secret {
        secret.items.iter().flatten().for_each(|item| add(&item.path, &secret.name));
    }
    if let Some(config_map) = &source.config_map {
        config_map.items.iter().flatten().for_each(|item| add(&item.path, &config_map.name));
    }
    if let Some(downward) = &source.downward_api {
        downward.items.iter().flatten().for_each(|file| add(&file.path, &file.path));
    }
    if let Some(token) = &source.service_account_token {
        add(&token.path, &token.path);
    }
    errors
}

fn token(token: &ServiceAccountTokenProjection, path: &Path, errors: &mut Errors) {
    let seconds_path = path.child("expirationSeconds");
    match token.expiration_seconds {
        Some(seconds) if seconds < TOKEN_SECONDS_MIN => {
            let why = "may not specify a duration less than 10 minutes";
            errors.push(Error::invalid(&seconds_path, seconds, why));
        }
        Some(seconds) if seconds > 1 << 32 => {
            let why = "may not specify a duration larger than 2^32 seconds";
            errors.push(Error::invalid(&seconds_path, seconds, why));
        }
        _ => {}
    }
    required(path.child("path"), Some(&token.path), errors);
    errors.extend(paths::not_reserved(&token.path, &path.child("path")));
}
