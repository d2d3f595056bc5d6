use std::{fmt, time::Duration};

use etcd_client::{Certificate, ConnectOptions, Identity, TlsOptions};

/// Where etcd is and how it is used. All but the endpoints has a default.
///
/// ```
/// use orchestra_store::etcd::{EtcdStoreOptions, EtcdUser};
/// let options = EtcdStoreOptions {
///     user: Some(EtcdUser { name: "orchestra".into(), password: "secret".into() }),
///     ..EtcdStoreOptions::new(["http://10.0.0.1:2379", "http://10.0.0.2:2379"])
/// };
/// assert_eq!(options.endpoints.len(), 2);
/// assert!(!format!("{options:?}").contains("secret"));
/// ```
#[derive(Clone, Debug)]
pub struct EtcdStoreOptions {
    /// The URLs of the members' client ports, `http://host:port` or, with [`tls`](Self::tls), `https://host:port`. One is used at
    /// a time; when it fails the next one is.
    pub endpoints: Vec<String>,
    /// Who to be, where etcd has authentication switched on.
    pub user: Option<EtcdUser>,
    /// How to trust etcd, and to be trusted by it.
    pub tls: Option<EtcdTls>,
    /// What all keys begin with. Empty for any key, and best so: a store that may watch everything hears of each revision. Set it
    /// where the user's role is limited to a prefix; ranges outside of it then cannot be watched.
    pub prefix: String,
    /// How long etcd may take to answer; after that a commit's outcome is unknown and a read fails. A commit with times to live has
    /// as long again before it is sent, for their leases.
    pub request_timeout: Duration,
    /// How often history older than this is dropped. `None` where others compact. Several API servers on one etcd take turns, as
    /// Kubernetes' do, by the key `compact_rev_key`, whose changes take revisions too: a store whose [`prefix`](Self::prefix) does not cover
    /// that key leaves compaction to others.
    pub compaction_interval: Option<Duration>,
    /// The most revisions that watches are served from without asking etcd.
    pub retained_revisions: usize,
    /// The most bytes of values in those revisions' events, and in those that a watcher lags behind.
    pub retained_bytes: usize,
    /// How many revisions of its range a watcher may lag behind before its watch ends.
    pub watch_lag: usize,
}

impl EtcdStoreOptions {
    /// The defaults: any key, 5 s for a request, compaction every 5 minutes, and what
    /// [`MemoryStoreOptions`](crate::memory::MemoryStoreOptions) keeps for watchers.
    pub fn new<E: Into<String>>(endpoints: impl IntoIterator<Item = E>) -> Self {
        Self {
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            user: None,
            tls: None,
            prefix: String::new(),
            request_timeout: Duration::from_secs(5),
            compaction_interval: Some(Duration::from_secs(300)),
            retained_revisions: 10_000,
            retained_bytes: 16 << 20,
            watch_lag: 8_192,
        }
    }

    pub(super) fn connect_options(&self) -> ConnectOptions {
        // etcd refuses clients that ping more often than every five seconds.
        let mut options = ConnectOptions::new()
            .with_require_leader(true)
            .with_connect_timeout((self.request_timeout / 2).min(Duration::from_secs(2)))
            .with_keep_alive(Duration::from_secs(10), Duration::from_secs(5))
            .with_keep_alive_while_idle(true)
            .with_auto_token_refresh(true);
        if let Some(EtcdUser { name, password }) = &self.user {
            options = options.with_user(name, password);
        }
        if let Some(tls) = &self.tls {
            options = options.with_tls(tls.client_options());
        }
        options
    }
}

/// A user of etcd.
#[derive(Clone, PartialEq, Eq)]
pub struct EtcdUser {
    /// The user's name.
    pub name: String,
    /// The user's password.
    pub password: String,
}

impl fmt::Debug for EtcdUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdUser").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Certificates, in PEM.
#[derive(Clone, Default)]
pub struct EtcdTls {
    /// The authority that signed etcd's certificate.
    pub authority: Vec<u8>,
    /// The certificate and the key to show, where etcd asks for them.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
    /// The name in etcd's certificate, where it is not the endpoint's host.
    pub domain: Option<String>,
}

impl EtcdTls {
    /// Whether there is a certificate; the client would trust nobody without a word.
    pub(super) fn has_authority(&self) -> bool {
        memchr::memmem::find(&self.authority, b"-----BEGIN CERTIFICATE-----").is_some()
    }

    fn client_options(&self) -> TlsOptions {
        let mut options = TlsOptions::new().ca_certificate(Certificate::from_pem(&self.authority));
        if let Some((certificate, key)) = &self.identity {
            options = options.identity(Identity::from_pem(certificate, key));
        }
        if let Some(domain) = &self.domain {
            options = options.domain_name(domain);
        }
        options
    }
}

impl fmt::Debug for EtcdTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdTls")
            .field("identity", &self.identity.is_some())
            .field("domain", &self.domain)
            .finish_non_exhaustive()
    }
}
