//! Who may use a kubelet's API, and for what (`pkg/kubelet/server/auth.go`).
//!
//! ```text
//!   client certificate ─┐
//!   bearer token ───────┴─► who: 401 ──► which subresource of the node: nodes/proxy, nodes/stats ... ──► may they: 403
//! ```

mod attributes;
#[cfg(feature = "tls")]
mod certificate;
mod review;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use http::{header, request::Parts};
use kube::Client;
pub use orchestra_store::apiserver::strategy::UserInfo;
use tracing::warn;

#[cfg(feature = "tls")]
pub(in crate::kubelet) use self::certificate::PeerCertificate;
pub use self::{attributes::Attributes, review::SubjectAccessReviews};
use super::Refusal;

/// Says who may do what with a node.
///
/// ```
/// use async_trait::async_trait;
/// use orchestra_runtime::kubelet::{Attributes, Authorizer, UserInfo};
///
/// /// Whoever may look at nodes' figures, and nobody else.
/// struct FiguresOnly;
///
/// #[async_trait]
/// impl Authorizer for FiguresOnly {
///     async fn authorize(&self, _user: &UserInfo, asked: &Attributes) -> Result<bool, String> {
///         Ok(asked.verb == "get" && ["stats", "metrics"].contains(&asked.subresource))
///     }
/// }
/// ```
#[async_trait]
pub trait Authorizer: Send + Sync + 'static {
    /// Whether `user` may do this. The error is why nobody knows; the client is not told.
    async fn authorize(&self, user: &UserInfo, asked: &Attributes) -> Result<bool, String>;
}

/// Everybody who is known may do everything (`--authorization-mode=AlwaysAllow`).
struct Anything;

#[async_trait]
impl Authorizer for Anything {
    async fn authorize(&self, _user: &UserInfo, _asked: &Attributes) -> Result<bool, String> {
        Ok(true)
    }
}

/// What an API server grants, and all to its administrators, as Kubernetes' delegated authorization has it (`AlwaysAllowGroups`): an authority
/// may have signed certificates for anybody, as each node's.
#[cfg(feature = "tls")]
struct Delegated(SubjectAccessReviews);

#[cfg(feature = "tls")]
#[async_trait]
impl Authorizer for Delegated {
    async fn authorize(&self, user: &UserInfo, asked: &Attributes) -> Result<bool, String> {
        Ok(user.groups.iter().any(|group| group == "system:masters") || self.0.authorize(user, asked).await?)
    }
}

/// Who may use a kubelet's API over the network: see [`KubeletBuilder::access`](crate::kubelet::KubeletBuilder::access).
///
/// Clients are known by the certificate that they show over TLS (with the feature `tls`: see `ServerTls::client_authority`), or else by a bearer
/// token. The others are refused; nobody is anonymous. Those who are known may do everything, unless an [`Authorizer`] says otherwise.
///
/// ```no_run
/// # fn example(client: kube::Client, runtime: std::sync::Arc<dyn orchestra_core::container_runtime::ContainerRuntime>) {
/// use std::sync::Arc;
/// use orchestra_runtime::kubelet::{Access, Kubelet, SubjectAccessReviews};
///
/// let reviews = Arc::new(SubjectAccessReviews::new(client.clone()));
/// let access = Access::default().token_reviews(client.clone()).authorizer(reviews);
/// let kubelet = Kubelet::builder(client, "n1", runtime).access(access).build();
/// # }
/// ```
#[derive(Clone)]
pub struct Access {
    tokens: Vec<(String, UserInfo)>,
    reviews: Option<Client>,
    authorizer: Arc<dyn Authorizer>,
}

impl Default for Access {
    fn default() -> Self {
        Self { tokens: Vec::new(), reviews: None, authorizer: Arc::new(Anything) }
    }
}

impl Access {
    /// That of the holders of an authority's certificates, unless told otherwise.
    #[cfg(feature = "tls")]
    pub(in crate::kubelet) fn of_certificates(client: Client) -> Self {
        Self::default().authorizer(Arc::new(Delegated(SubjectAccessReviews::new(client))))
    }

    /// Takes who has this bearer token for `user`.
    #[must_use]
    pub fn token(mut self, token: &str, user: UserInfo) -> Self {
        self.tokens.push((token.to_owned(), user));
        self
    }

    /// Asks the API server of `client` who has any other bearer token, by a TokenReview (`--authentication-token-webhook`).
    #[must_use]
    pub fn token_reviews(mut self, client: Client) -> Self {
        self.reviews = Some(client);
        self
    }

    /// Has `authorizer` say what clients may do. [`SubjectAccessReviews`] asks an API server (`--authorization-mode=Webhook`).
    #[must_use]
    pub fn authorizer(mut self, authorizer: Arc<dyn Authorizer>) -> Self {
        self.authorizer = authorizer;
        self
    }

    /// Whether this is a request of somebody who may make it, about the node of that name.
    pub(super) async fn check(&self, node: &str, request: &Parts) -> Result<(), Refusal> {
        let user = self.user(request).await.ok_or_else(Refusal::unauthorized)?;
        let all = attributes::of(node, &request.method, request.uri.path());
        for asked in &all {
            match self.authorizer.authorize(&user, asked).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => {
                    warn!(user = %user.name, subresource = asked.subresource, %error, "what a client may do is not known");
                    return Err(Refusal::internal(format!(
                        "Authorization error (user={}, verb={}, resource=nodes, subresource={})",
                        user.name, asked.verb, asked.subresource
                    )));
                }
            }
        }
        let subresources: Vec<_> = all.iter().map(|asked| asked.subresource).collect();
        let verb = all.first().map_or("", |asked| asked.verb);
        Err(Refusal::forbidden(format!(
            "Forbidden (user={}, verb={verb}, resource=nodes, subresource(s)=[{}])\n",
            user.name,
            subresources.join(" ")
        )))
    }

    async fn user(&self, request: &Parts) -> Option<UserInfo> {
        #[cfg(feature = "tls")]
        if let Some(user) = request.extensions.get::<PeerCertificate>().and_then(PeerCertificate::user) {
            return Some(user);
        }
        let token = bearer(request)?;
        if let Some((_, user)) = self.tokens.iter().find(|(known, _)| is_same(known.as_bytes(), token.as_bytes())) {
            return Some(user.clone());
        }
        review::user(self.reviews.as_ref()?, token).await
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("tokens", &self.tokens.len()).finish_non_exhaustive()
    }
}

fn bearer(request: &Parts) -> Option<&str> {
    let value = request.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.trim().split_once(' ')?;
    Some(token.trim()).filter(|token| scheme.eq_ignore_ascii_case("bearer") && !token.is_empty())
}

/// Compares without telling by the time that it takes where the first difference is.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |found, (one, other)| found | (one ^ other)) == 0
}
