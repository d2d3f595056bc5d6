use std::{io, net::SocketAddr};

/// Why a cluster DNS server cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DnsError {
    /// The cluster's domain is none.
    #[error("cluster domain {domain:?}: {reason}")]
    Domain {
        /// The domain that was given.
        domain: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no address to listen on.
    #[error("no address to listen on: a cluster DNS server needs one")]
    NoAddress,
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The file with the servers to ask cannot be read.
    #[error("cannot read {path}: {source}")]
    ResolvConf {
        /// The file.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// A Service is to lead to the server, but there is no address that endpoints can have.
    #[error(
        "the Service needs an address that pods can reach, not the machine's own or any; listen on one or advertise one"
    )]
    Unreachable,
    /// The API server does not tell of the Service.
    #[error("the address of its Service: {0}")]
    Service(#[from] kube::Error),
    /// Somebody made the Service without an address.
    #[error("the Service kube-system/kube-dns is headless, so pods cannot be told whom to ask")]
    Headless,
    /// The Service `default/kubernetes`, whose address tells the range of addresses, has none.
    #[error("the Service default/kubernetes has no address, so the range of addresses is unknown")]
    NoRange,
}
