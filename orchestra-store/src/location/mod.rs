//! [`StoreLocation`]: which store, in one line of text.

mod etcd;

use std::{fmt, path::PathBuf, str::FromStr, sync::Arc};

use orchestra_core::store::{Store, StoreError};

pub use self::etcd::EtcdLocation;
use crate::{DurableStore, MemoryStore, durable};

/// Which store, as command lines name it.
///
/// | text | store |
/// |---|---|
/// | `memory` | [`MemoryStore`]: gone with the process |
/// | `durable:PATH` | [`DurableStore`] in the folder `PATH`, which is made if it is not there |
/// | `etcd:URL[,URL...][?OPTION=VALUE&...]` | `etcd::EtcdStore` (feature `etcd`) over members of one etcd |
///
/// Options of etcd, with the names of kube-apiserver's flags: `cafile`, `certfile` and `keyfile` for TLS, files in PEM; and `user` with
/// `passwordfile`, a file that has the password and nothing else but perhaps an end of line.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use orchestra_store::StoreLocation;
///
/// let store = "memory".parse::<StoreLocation>()?.open().await?;
/// assert_eq!(store.revision().await?, 0);
///
/// let etcd: StoreLocation = "etcd:http://10.0.0.1:2379,http://10.0.0.2:2379".parse()?;
/// assert_eq!(etcd.to_string(), "etcd:http://10.0.0.1:2379,http://10.0.0.2:2379");
/// assert!("postgres:db".parse::<StoreLocation>().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreLocation {
    /// In this process.
    Memory,
    /// In a folder.
    Durable(PathBuf),
    /// In etcd.
    Etcd(EtcdLocation),
}

/// Text that names no store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} names no store: {why}")]
pub struct ParseLocationError {
    text: String,
    why: String,
}

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocationError {
    /// The durable store in the folder.
    #[error(transparent)]
    Durable(#[from] durable::OpenError),
    /// etcd.
    #[error("etcd at {endpoints}: {error}")]
    Etcd {
        /// Where it should be.
        endpoints: String,
        /// What went wrong.
        error: StoreError,
    },
    /// A file that the location names.
    #[error("cannot read {}: {error}", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// What went wrong.
        error: std::io::Error,
    },
    /// The store is not part of this program.
    #[error("this program is built without {store}: build it with the cargo feature `{feature}`")]
    NotBuilt {
        /// What is missing.
        store: &'static str,
        /// What brings it.
        feature: &'static str,
    },
}

impl StoreLocation {
    /// Opens the store. What it needs of tasks runs on the current tokio runtime.
    pub async fn open(&self) -> Result<Arc<dyn Store>, LocationError> {
        match self {
            Self::Memory => Ok(Arc::new(MemoryStore::default())),
            Self::Durable(folder) => Ok(Arc::new(DurableStore::open(folder)?)),
            Self::Etcd(etcd) => etcd.open().await,
        }
    }
}

impl FromStr for StoreLocation {
    type Err = ParseLocationError;

    fn from_str(text: &str) -> Result<Self, ParseLocationError> {
        let refused = |why: String| ParseLocationError { text: text.to_owned(), why };
        match text.split_once(':') {
            None if text == "memory" => Ok(Self::Memory),
            Some(("durable", "")) => Err(refused("durable needs the path of a folder".to_owned())),
            Some(("durable", path)) => Ok(Self::Durable(path.into())),
            Some(("etcd", rest)) => EtcdLocation::parse(rest).map(Self::Etcd).map_err(refused),
            _ => Err(refused("it is none of memory, durable:PATH, etcd:URL".to_owned())),
        }
    }
}

impl fmt::Display for StoreLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory"),
            Self::Durable(path) => write!(f, "durable:{}", path.display()),
            Self::Etcd(etcd) => write!(f, "etcd:{etcd}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_told_as_it_was_read() {
        for text in [
            "memory",
            "durable:a/b c",
            "durable:/var/lib/orchestra",
            "etcd:http://127.0.0.1:2379",
            "etcd:https://a:1,https://b:2?cafile=ca.crt&certfile=c.crt&keyfile=c.key&user=u&passwordfile=p",
        ] {
            assert_eq!(text.parse::<StoreLocation>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_location_is_refused_with_a_reason() {
        for (text, why) in [
            ("", "none of memory, durable:PATH, etcd:URL"),
            ("memory:x", "none of memory"),
            ("Memory", "none of memory"),
            ("durable:", "needs the path"),
            ("durable", "none of memory"),
            ("etcd:", "\"\" is no URL"),
            ("etcd:127.0.0.1:2379", "is no URL"),
            ("etcd:http://a:1,", "\"\" is no URL"),
            ("etcd:http://a:port", "is no URL"),
            ("etcd:http://u:p@a:1", "has a user in it"),
            ("etcd:http://a:1/prefix", "has a path"),
            ("etcd:http://a:1?user=a&user=b", "is given twice"),
            ("etcd:https://a:1", "https needs a cafile"),
            ("etcd:http://a:1?cafile=x", "a cafile needs https"),
            ("etcd:https://a:1?cafile=x&certfile=y", "certfile and keyfile"),
            ("etcd:http://a:1?passwordfile=x", "needs a user"),
            ("etcd:http://a:1?prefix=x", "is none of cafile"),
        ] {
            let error = text.parse::<StoreLocation>().unwrap_err().to_string();
            assert!(error.contains(why) && error.contains(&format!("{text:?}")), "{error}");
        }
    }
}
