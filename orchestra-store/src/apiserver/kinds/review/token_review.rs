//! TokenReviews: whose token is this?

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewStatus, UserInfo};
use serde_json::Value;

use super::{Question, cells, told};
use crate::apiserver::{
    ApiError, authentication,
    kinds::column,
    registry::Resource,
    server::Shared,
    strategy::{Column, RequestContext, Strategy},
};

/// The rules of token reviews.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokenReviews;

/// The row of token reviews.
pub fn row() -> Resource {
    super::row(TokenReviews).cluster_scoped()
}

impl Strategy for TokenReviews {
    type Object = TokenReview;
    type Wire = TokenReview;

    fn columns(&self) -> &'static [Column] {
        column::DEFAULT
    }

    fn cells(&self, review: &TokenReview, _now: Timestamp) -> Vec<Value> {
        cells(&review.metadata)
    }
}

#[async_trait]
impl Question for TokenReviews {
    async fn answer(&self, shared: &Shared, _: &RequestContext, review: &mut TokenReview) -> Result<(), ApiError> {
        let token = review.spec.token.as_str();
        if token.is_empty() {
            return Err(ApiError::bad_request("token is required for TokenReview in authentication"));
        }
        let audiences = review.spec.audiences.as_deref().unwrap_or_default();
        review.status = Some(match authentication::review(shared, token, audiences).await {
            Ok((user, audiences)) => TokenReviewStatus {
                authenticated: Some(true),
                user: Some(told(user)),
                audiences: Some(audiences),
                error: None,
            },
            // Kubernetes always tells of a user, if only that there is none.
            Err(why) => TokenReviewStatus {
                user: Some(UserInfo::default()),
                error: Some(why.to_string()),
                ..TokenReviewStatus::default()
            },
        });
        Ok(())
    }
}
