//! Volumes made of several sources.

use k8s_openapi::api::core::v1::{ProjectedVolumeSource, ServiceAccountTokenProjection, VolumeProjection};

use super::{paths, required, volumes};
use crate::apiserver::field::{Error, Errors, Path};

const TOKEN_SECONDS_MIN: i64 = 10 * 60;

pub(super) fn projected(source: &ProjectedVolumeSource, path: &Path) -> Errors {
    let mut errors = paths::mode(source.default_mode, &path.child("defaultMode")).into_iter().collect::<Errors>();
    for (index, projection) in source.sources.iter().flatten().enumerate() {
        one(projection, &path.child("sources").index(index), &mut errors);
    }
    errors
}

fn one(source: &VolumeProjection, path: &Path, errors: &mut Errors) {
    let mut found = 0;
    let mut first = |field: &str, errors: &mut Errors| {
        found += 1;
        if found > 1 {
            errors.push(Error::forbidden(&path.child(field), "may not specify more than 1 volume type"));
        }
        found == 1
    };
    if let Some(secret) = &source.secret
        && first("secret", errors)
    {
        let path = path.child("secret");
        required(path.child("name"), Some(&secret.name), errors);
        volumes::keys(secret.items.as_deref(), &path, errors);
    }
    if let Some(config_map) = &source.config_map
        && first("configMap", errors)
    {
        let path = path.child("configMap");
        required(path.child("name"), Some(&config_map.name), errors);
        volumes::keys(config_map.items.as_deref(), &path, errors);
    }
    if let Some(downward) = &source.downward_api
        && first("downwardAPI", errors)
    {
        for file in downward.items.iter().flatten() {
            volumes::downward_file(file, &path.child("downwardAPI"), errors);
        }
    }
    if let Some(claim) = &source.service_account_token
        && first("serviceAccountToken", errors)
    {
        token(claim, &path.child("serviceAccountToken"), errors);
    }
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
