//! SelfSubjectReviews: who am I?

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::{
    api::authentication::v1::{SelfSubjectReview, SelfSubjectReviewStatus},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};
use serde_json::Value;

use super::{Question, cells, told};
use crate::apiserver::{
    ApiError,
    kinds::column,
    metadata,
    registry::Resource,
    server::Shared,
    strategy::{Column, RequestContext, Strategy},
};

/// The rules of reviews of oneself.
#[derive(Clone, Copy, Debug, Default)]
pub struct SelfSubjectReviews;

/// The row of reviews of oneself.
pub fn row() -> Resource {
    super::row(SelfSubjectReviews).cluster_scoped()
}

impl Strategy for SelfSubjectReviews {
    type Object = SelfSubjectReview;
    type Wire = SelfSubjectReview;

    fn columns(&self) -> &'static [Column] {
        column::DEFAULT
    }

    fn cells(&self, review: &SelfSubjectReview, _now: Timestamp) -> Vec<Value> {
        cells(&review.metadata)
    }
}

#[async_trait]
impl Question for SelfSubjectReviews {
    async fn answer(&self, _: &Shared, ctx: &RequestContext, review: &mut SelfSubjectReview) -> Result<(), ApiError> {
        let created = Some(Time(metadata::whole_seconds(ctx.now)));
        review.metadata = ObjectMeta { creation_timestamp: created, ..ObjectMeta::default() };
        review.status = Some(SelfSubjectReviewStatus { user_info: Some(told(ctx.user.clone())) });
        Ok(())
    }
}
