use std::{fmt, time::Duration};

use serde::Deserialize;

use super::duration;

/// A process that has a say in decisions, and is asked over HTTP. What it says is in
/// [`HttpExtender`](crate::extender::HttpExtender). A verb is appended to the prefix of its URL; without one it is not asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Extender {
    /// Where it is: `http://127.0.0.1:8080/scheduler`.
    pub url_prefix: String,
    /// Which of the nodes that fit take the pod.
    pub filter_verb: String,
    /// Who of the pods that are to go for another goes.
    pub preempt_verb: String,
    /// Which nodes are better, from 0 to 10.
    pub prioritize_verb: String,
    /// How much its priorities count: as much as the scores of a plugin with this weight.
    pub weight: i64,
    /// Binds the pod. One extender at most may.
    pub bind_verb: String,
    /// Whether it speaks TLS. Without a certificate authority in `tls_config` any certificate is good.
    #[serde(rename = "enableHTTPS")]
    pub enable_https: bool,
    /// Whom to trust, and who the scheduler is.
    pub tls_config: Option<ExtenderTlsConfig>,
    /// How long an answer may take; zero is 5 s.
    #[serde(rename = "httpTimeout", with = "duration")]
    pub http_timeout: Duration,
    /// Whether it knows the nodes: it is told their names only.
    pub node_cache_capable: bool,
    /// It is asked about pods only that ask for one of these; without any, about all.
    pub managed_resources: Vec<ExtenderManagedResource>,
    /// Whether pods are scheduled without it when it fails. It is asked after those without which they are not.
    pub ignorable: bool,
}

/// An extended resource that an extender looks after.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ExtenderManagedResource {
    /// The resource's name.
    pub name: String,
    /// Whether `NodeResourcesFit` leaves it to the extender.
    pub ignored_by_scheduler: bool,
}

/// How an extender is reached over TLS. Data, in base64, is stronger than the file of the same kind.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ExtenderTlsConfig {
    /// Whether any certificate is good.
    pub insecure: bool,
    /// The name that its certificate has to have, if that is not the host's.
    pub server_name: String,
    /// The scheduler's certificate.
    pub cert_file: String,
    /// Its key.
    pub key_file: String,
    /// The authorities that the extender's certificate is to be from.
    pub ca_file: String,
    /// The scheduler's certificate.
    pub cert_data: String,
    /// Its key.
    pub key_data: String,
    /// The authorities that the extender's certificate is to be from.
    pub ca_data: String,
}

impl ExtenderTlsConfig {
    /// Whether it says which authorities are trusted.
    pub(crate) fn has_ca(&self) -> bool {
        !self.ca_file.is_empty() || !self.ca_data.is_empty()
    }
}

/// Without the key.
impl fmt::Debug for ExtenderTlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExtenderTlsConfig")
            .field("insecure", &self.insecure)
            .field("server_name", &self.server_name)
            .field("cert_file", &self.cert_file)
            .field("key_file", &self.key_file)
            .field("ca_file", &self.ca_file)
            .finish_non_exhaustive()
    }
}
