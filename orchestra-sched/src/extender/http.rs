//! The way to an extender.

use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use http::{Request, StatusCode, Uri, header::CONTENT_TYPE};
use http_body_util::{BodyExt as _, Limited};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::{runtime::Handle, time::timeout};

use crate::config::Extender;

/// How long an answer may take, unless the configuration says (`DefaultExtenderTimeout`).
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
/// What an answer may be longer than twice its question: nodes come back, with a message each.
const MESSAGES: usize = 4 << 20;

/// Sends questions to one URL.
pub(super) struct Line {
    client: Client,
    url_prefix: String,
    patience: Duration,
}

impl Line {
    /// Over the network. To be called where tokio runs.
    pub(super) fn dial(config: &Extender) -> Result<Self, String> {
        Handle::try_current().map_err(|error| error.to_string())?;
        Ok(Self::over(client(config)?, config))
    }

    pub(super) fn over(client: Client, config: &Extender) -> Self {
        let patience = Some(config.http_timeout).filter(|timeout| !timeout.is_zero()).unwrap_or(DEFAULT_TIMEOUT);
        Self { client, url_prefix: config.url_prefix.clone(), patience }
    }

    pub(super) fn url_prefix(&self) -> &str {
        &self.url_prefix
    }

    /// The body of the answer to a question, or what failed, in the words that users are told.
    pub(super) async fn ask(&self, verb: &str, question: &impl Serialize) -> Result<Bytes, String> {
        let url = format!("{}/{verb}", self.url_prefix.trim_end_matches('/'));
        let question = serde_json::to_vec(question).map_err(|error| error.to_string())?;
        let limit = question.len().saturating_mul(2).saturating_add(MESSAGES);
        let failed = |error: String| format!("Post {url:?}: {error}");
        let uri: Uri = url.parse().map_err(|error: http::uri::InvalidUri| failed(error.to_string()))?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let request = Request::post(path).header(CONTENT_TYPE, "application/json").body(question.into());
        let request = request.map_err(|error| failed(error.to_string()))?;
        let answered = async {
            let response = self.client.send(request).await.map_err(|error| failed(words(&error)))?;
            if response.status() != StatusCode::OK {
                let code = response.status().as_u16();
                return Err(format!("failed {verb} with extender at URL {url}, code {code}"));
            }
            let body = Limited::new(response.into_body(), limit).collect().await;
            body.map(|body| body.to_bytes()).map_err(|error| failed(words(&*error)))
        };
        let late = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
        timeout(self.patience, answered).await.unwrap_or_else(|_| Err(failed(late.to_owned())))
    }
}

/// An error with its causes: the outer ones say little here.
fn words(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut told: Vec<String> = Vec::new();
    for cause in causes.map(ToString::to_string) {
        // Some say their cause themselves.
        if !told.iter().any(|before| before.contains(&cause)) {
            told.push(cause);
        }
    }
    told.join(": ")
}

/// kube's client knows the files and data of TLS as a kubeconfig has them.
fn client(extender: &Extender) -> Result<Client, String> {
    let kubeconfig = serde_json::from_value::<Kubeconfig>(kubeconfig(extender)?).map_err(|error| error.to_string())?;
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).now_or_never();
    let mut config = config.ok_or("the files of TLS cannot be read at once")?.map_err(|error| words(&error))?;
    let trusts_nobody = config.root_cert.as_ref().is_some_and(Vec::is_empty);
    if trusts_nobody {
        return Err("unable to load root certificates: unable to parse bytes as PEM block".to_owned());
    }
    // Who asks has the patience, and asks once.
    (config.connect_timeout, config.read_timeout, config.write_timeout) = (None, None, None);
    config.default_retry = false;
    Client::try_from(config).map_err(|error| words(&error))
}

fn kubeconfig(extender: &Extender) -> Result<Value, String> {
    let tls = extender.tls_config.clone().unwrap_or_default();
    if tls.insecure && tls.has_ca() {
        return Err("specifying a root certificates file with the insecure flag is not allowed".to_owned());
    }
    let insecure = tls.insecure || (extender.enable_https && !tls.has_ca());
    let uri = extender.url_prefix.parse::<Uri>().map_err(|error| error.to_string())?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(format!("{:?} is no absolute URL", extender.url_prefix));
    };
    let given = |value: String| Some(value).filter(|value| !value.is_empty());
    let (ca_data, cert_data, key_data) = (given(tls.ca_data), given(tls.cert_data), given(tls.key_data));
    // Data is stronger than files.
    let file = |file: String, data: &Option<String>| given(file).filter(|_| data.is_none());
    Ok(json!({
        "clusters": [{ "name": "extender", "cluster": {
            "server": format!("{scheme}://{authority}"),
            "insecure-skip-tls-verify": insecure,
            "tls-server-name": given(tls.server_name),
            "certificate-authority": file(tls.ca_file, &ca_data),
            "certificate-authority-data": ca_data,
        } }],
        "users": [{ "name": "scheduler", "user": {
            "client-certificate": file(tls.cert_file, &cert_data),
            "client-certificate-data": cert_data,
            "client-key": file(tls.key_file, &key_data),
            "client-key-data": key_data,
        } }],
        "contexts": [{ "name": "extender", "context": { "cluster": "extender", "user": "scheduler" } }],
        "current-context": "extender",
    }))
}
