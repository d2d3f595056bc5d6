//! What an API server says of clients.

use async_trait::async_trait;
use k8s_openapi::api::{
    authentication::v1::{TokenReview, TokenReviewSpec},
    authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
};
use kube::{Api, Client, api::PostParams};
use orchestra_store::apiserver::strategy::UserInfo;
use tracing::warn;

use super::{Attributes, Authorizer};

/// Who has this token; nobody if the API server does not say.
pub(super) async fn user(client: &Client, token: &str) -> Option<UserInfo> {
    let spec = TokenReviewSpec { token: token.to_owned(), ..TokenReviewSpec::default() };
    let review = TokenReview { spec, ..TokenReview::default() };
    let answer = Api::all(client.clone()).create(&PostParams::default(), &review).await;
    let answer = answer.inspect_err(|error| warn!(%error, "a client's token was not reviewed")).ok()?;
    let status = answer.status.filter(|status| status.authenticated == Some(true))?;
    let user = status.user?;
    Some(UserInfo {
        name: user.username.unwrap_or_default(),
        uid: user.uid.unwrap_or_default(),
        groups: user.groups.unwrap_or_default(),
        extra: user.extra.unwrap_or_default(),
    })
}

/// Asks the API server for each request what its client may do, by a SubjectAccessReview.
#[derive(Clone)]
pub struct SubjectAccessReviews(Client);

impl SubjectAccessReviews {
    /// Asks the API server of `client`.
    pub fn new(client: Client) -> Self {
        Self(client)
    }
}

impl std::fmt::Debug for SubjectAccessReviews {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SubjectAccessReviews").finish_non_exhaustive()
    }
}

#[async_trait]
impl Authorizer for SubjectAccessReviews {
    async fn authorize(&self, user: &UserInfo, asked: &Attributes) -> Result<bool, String> {
        let resource = ResourceAttributes {
            verb: Some(asked.verb.to_owned()),
            version: Some("v1".to_owned()),
            resource: Some("nodes".to_owned()),
            subresource: Some(asked.subresource.to_owned()),
            name: Some(asked.node.clone()),
            ..ResourceAttributes::default()
        };
        let spec = SubjectAccessReviewSpec {
            user: Some(user.name.clone()),
            uid: Some(user.uid.clone()).filter(|uid| !uid.is_empty()),
            groups: Some(user.groups.clone()),
            extra: Some(user.extra.clone()).filter(|extra| !extra.is_empty()),
            resource_attributes: Some(resource),
            ..SubjectAccessReviewSpec::default()
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let answer = Api::all(self.0.clone()).create(&PostParams::default(), &review).await;
        let status = answer.map_err(|error| error.to_string())?.status.unwrap_or_default();
        Ok(status.allowed && status.denied != Some(true))
    }
}
