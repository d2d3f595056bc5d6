//! Names of drivers, pools, devices, attributes.

use crate::apiserver::{
    field::{Error, Errors, Path},
    validation::name,
};

/// The most bytes of a driver's name and of a domain, of an attribute's name in its domain, of a pool's name.
const MAX_DOMAIN: usize = 63;
const MAX_ID: usize = 32;
const MAX_POOL: usize = 253;

/// A driver is named as CSI drivers are.
pub(in super::super) fn driver(driver: &str, path: &Path) -> Errors {
    let mut errors = Errors::new();
    if driver.is_empty() {
        errors.push(Error::required(path, ""));
    }
    if driver.len() > MAX_DOMAIN {
        errors.push(Error::too_long(path, MAX_DOMAIN));
    }
    errors.extend(name::subdomain(&driver.to_lowercase(), false).map(|why| Error::invalid(path, driver, why)));
    errors
}

/// A pool is named by subdomains with slashes between them.
pub(in super::super) fn pool(pool: &str, path: &Path) -> Errors {
    if pool.is_empty() {
        return vec![Error::required(path, "")];
    }
    let mut errors = Errors::new();
    if pool.len() > MAX_POOL {
        errors.push(Error::too_long(path, MAX_POOL));
    }
    let wrong = pool.split('/').filter_map(|part| Some(Error::invalid(path, part, name::subdomain(part, false)?)));
    errors.extend(wrong);
    errors
}

/// A name that is a DNS label.
pub(in super::super) fn label(label: &str, path: &Path) -> Option<Error> {
    if label.is_empty() {
        return Some(Error::required(path, ""));
    }
    name::label(label, false).map(|why| Error::invalid(path, label, why))
}

/// A name that is a DNS subdomain.
pub(in super::super) fn subdomain(subdomain: &str, path: &Path) -> Option<Error> {
    if subdomain.is_empty() {
        return Some(Error::required(path, ""));
    }
    name::subdomain(subdomain, false).map(|why| Error::invalid(path, subdomain, why))
}

/// The name of an attribute or capacity, which may have a domain.
pub(in super::super) fn qualified(full: &str, path: &Path) -> Errors {
    match full.split('/').collect::<Vec<_>>().as_slice() {
        [id] => identifier(id, path),
        [domain, id] => {
            let mut errors = match *domain {
                "" => vec![Error::invalid(path, "", "the domain must not be empty")],
                domain => driver(domain, path),
            };
            errors.extend(match *id {
                "" => vec![Error::invalid(path, "", "the name must not be empty")],
                id => identifier(id, path),
            });
            errors
        }
        _ => vec![Error::invalid(path, full, "must not contain more than one slash")],
    }
}

/// The same with a domain.
pub(in super::super) fn fully_qualified(full: &str, path: &Path) -> Errors {
    let mut errors = qualified(full, path);
    if !full.contains('/') {
        let why = "a fully qualified name must be a domain and a name separated by a slash";
        errors.push(Error::invalid(path, full, why));
    }
    errors
}

fn identifier(id: &str, path: &Path) -> Errors {
    const SYNTAX: &str = "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for validation is '[A-Za-z_][A-Za-z0-9_]*')";
    let mut errors = Errors::new();
    if id.len() > MAX_ID {
        errors.push(Error::too_long(path, MAX_ID));
    }
    let is_letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    if !id.starts_with(is_letter) || !id.chars().all(|c| is_letter(c) || c.is_ascii_digit()) {
        errors.push(Error::invalid(path, id, SYNTAX));
    }
    errors
}
