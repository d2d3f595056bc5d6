//! SelfSubjectRulesReviews: what may I do in this namespace?

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::authorization::v1::SelfSubjectRulesReview;
use serde_json::Value;

use super::{Question, cells};
use crate::apiserver::{
    ApiError, authorization,
    kinds::column,
    registry::Resource,
    server::Shared,
    strategy::{Column, RequestContext, Strategy},
};

/// The rules of reviews of one's own rules.
#[derive(Clone, Copy, Debug, Default)]
pub struct SelfSubjectRulesReviews;

/// The row of reviews of one's own rules.
pub fn row() -> Resource {
    super::row(SelfSubjectRulesReviews).cluster_scoped()
}

impl Strategy for SelfSubjectRulesReviews {
    type Object = SelfSubjectRulesReview;
    type Wire = SelfSubjectRulesReview;

    fn columns(&self) -> &'static [Column] {
        column::DEFAULT
    }

    fn cells(&self, review: &SelfSubjectRulesReview, _now: Timestamp) -> Vec<Value> {
        cells(&review.metadata)
    }
}

#[async_trait]
impl Question for SelfSubjectRulesReviews {
    async fn answer(
        &self,
        shared: &Shared,
        ctx: &RequestContext,
        review: &mut SelfSubjectRulesReview,
    ) -> Result<(), ApiError> {
        let namespace = review.spec.namespace.as_deref().unwrap_or_default();
        if namespace.is_empty() {
            return Err(ApiError::bad_request("no namespace on request"));
        }
        let status = authorization::rules(shared, &ctx.user, namespace).await;
        // What was asked is not repeated.
        *review = SelfSubjectRulesReview { status: Some(status), ..SelfSubjectRulesReview::default() };
        Ok(())
    }
}
