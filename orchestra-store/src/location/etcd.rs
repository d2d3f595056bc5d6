use std::{fmt, path::PathBuf, sync::Arc};

use orchestra_core::store::Store;

use super::LocationError;
#[cfg(feature = "etcd")]
use crate::etcd::{EtcdStore, EtcdStoreOptions, EtcdTls, EtcdUser};

/// Where etcd is, and who to be there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EtcdLocation {
    /// The URLs of the members' client ports.
    pub endpoints: Vec<String>,
    /// The file with the certificate of the authority that etcd's is signed by.
    pub cafile: Option<PathBuf>,
    /// The file with the certificate to show.
    pub certfile: Option<PathBuf>,
    /// The file with its key.
    pub keyfile: Option<PathBuf>,
    /// Who to be.
    pub user: Option<String>,
    /// The file with the user's password.
    pub passwordfile: Option<PathBuf>,
}

impl EtcdLocation {
    #[cfg(not(feature = "etcd"))]
    #[expect(clippy::unused_async, reason = "with the feature it waits for etcd")]
    pub(super) async fn open(&self) -> Result<Arc<dyn Store>, LocationError> {
        Err(LocationError::NotBuilt { store: "EtcdStore", feature: "etcd" })
    }

    #[cfg(feature = "etcd")]
    pub(super) async fn open(&self) -> Result<Arc<dyn Store>, LocationError> {
        let mut options = EtcdStoreOptions::new(&self.endpoints);
        options.user = self.user()?;
        options.tls = self.tls()?;
        match EtcdStore::connect(options).await {
            Ok(store) => Ok(Arc::new(store)),
            Err(error) => Err(LocationError::Etcd { endpoints: self.endpoints.join(","), error }),
        }
    }

    #[cfg(feature = "etcd")]
    fn user(&self) -> Result<Option<EtcdUser>, LocationError> {
        let Some(name) = self.user.clone() else { return Ok(None) };
        let password = match &self.passwordfile {
            Some(path) => String::from_utf8_lossy(&read(path)?).trim_end_matches(['\r', '\n']).to_owned(),
            None => String::new(),
        };
        Ok(Some(EtcdUser { name, password }))
    }

    #[cfg(feature = "etcd")]
    fn tls(&self) -> Result<Option<EtcdTls>, LocationError> {
        let Some(authority) = &self.cafile else { return Ok(None) };
        let identity = match (&self.certfile, &self.keyfile) {
            (Some(certificate), Some(key)) => Some((read(certificate)?, read(key)?)),
            _ => None,
        };
        Ok(Some(EtcdTls { authority: read(authority)?, identity, domain: None }))
    }

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (urls, options) = text.split_once('?').unwrap_or((text, ""));
        let endpoints: Vec<String> = urls.split(',').map(str::to_owned).collect();
        endpoints.iter().try_for_each(|endpoint| check_endpoint(endpoint))?;
        let mut location = Self { endpoints, ..Self::default() };
        let mut seen = Vec::new();
        for (name, value) in form_urlencoded::parse(options.as_bytes()) {
            let value = value.into_owned();
            if seen.contains(&name) {
                return Err(format!("{name:?} is given twice"));
            }
            seen.push(name.clone());
            match &*name {
                "cafile" => location.cafile = Some(value.into()),
                "certfile" => location.certfile = Some(value.into()),
                "keyfile" => location.keyfile = Some(value.into()),
                "user" => location.user = Some(value),
                "passwordfile" => location.passwordfile = Some(value.into()),
                other => return Err(format!("{other:?} is none of cafile, certfile, keyfile, user, passwordfile")),
            }
        }
        location.check()?;
        Ok(location)
    }

    /// What is only of use together with something else.
    fn check(&self) -> Result<(), String> {
        let is_tls = self.endpoints.iter().any(|endpoint| endpoint.starts_with("https://"));
        match self {
            _ if is_tls && self.cafile.is_none() => Err("https needs a cafile".to_owned()),
            _ if !is_tls && self.cafile.is_some() => Err("a cafile needs https".to_owned()),
            _ if self.certfile.is_some() != self.keyfile.is_some() => {
                Err("certfile and keyfile are of use together only".to_owned())
            }
            _ if self.certfile.is_some() && !is_tls => Err("a certfile needs https".to_owned()),
            _ if self.passwordfile.is_some() && self.user.is_none() => Err("a passwordfile needs a user".to_owned()),
            _ => Ok(()),
        }
    }
}

/// Nothing of a URL is left out of account.
fn check_endpoint(endpoint: &str) -> Result<(), String> {
    let url: http::Uri = endpoint.parse().unwrap_or_default();
    let authority = url.authority().map_or("", http::uri::Authority::as_str);
    match url.scheme_str() {
        Some("http" | "https") if authority.contains('@') => {
            Err(format!("{endpoint:?} has a user in it: say ?user=NAME&passwordfile=FILE"))
        }
        Some("http" | "https") if url.path() != "/" => {
            Err(format!("{endpoint:?} has a path: all keys are below /registry/"))
        }
        Some("http" | "https") if url.host() == Some(authority) || url.port_u16().is_some() => Ok(()),
        _ => Err(format!("{endpoint:?} is no URL of etcd, such as http://127.0.0.1:2379")),
    }
}

#[cfg(feature = "etcd")]
fn read(path: &std::path::Path) -> Result<Vec<u8>, LocationError> {
    std::fs::read(path).map_err(|error| LocationError::File { path: path.to_owned(), error })
}

impl fmt::Display for EtcdLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.endpoints.join(","))?;
        let text = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let options = [
            ("cafile", text(&self.cafile)),
            ("certfile", text(&self.certfile)),
            ("keyfile", text(&self.keyfile)),
            ("user", self.user.clone()),
            ("passwordfile", text(&self.passwordfile)),
        ];
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in options {
            if let Some(value) = value {
                query.append_pair(name, &value);
            }
        }
        match query.finish() {
            query if query.is_empty() => Ok(()),
            query => write!(f, "?{query}"),
        }
    }
}
