//! SubjectAccessReviews and their kin: may somebody do this, may they do it in this namespace, may I?

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::authorization::v1::{
    LocalSubjectAccessReview, NonResourceAttributes, ResourceAttributes, SelfSubjectAccessReview, SubjectAccessReview,
    SubjectAccessReviewSpec, SubjectAccessReviewStatus,
};
use serde_json::Value;

use super::{Question, cells, no_metadata};
use crate::apiserver::{
    ApiError,
    authorization::{self, Attributes, Decision, ResourceTarget, Target},
    field::{Error, Errors, Path, Shown},
    kinds::column,
    registry::Resource,
    server::Shared,
    strategy::{Column, RequestContext, Strategy, UserInfo},
};

/// The rules of reviews of anybody's access.
#[derive(Clone, Copy, Debug, Default)]
pub struct SubjectAccessReviews;

/// The rules of reviews of anybody's access to a namespace.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalSubjectAccessReviews;

/// The rules of reviews of one's own access.
#[derive(Clone, Copy, Debug, Default)]
pub struct SelfSubjectAccessReviews;

/// The row of reviews of anybody's access.
pub fn row() -> Resource {
    super::row(SubjectAccessReviews).cluster_scoped()
}

/// The row of reviews of anybody's access to a namespace.
pub fn local_row() -> Resource {
    super::row(LocalSubjectAccessReviews)
}

/// The row of reviews of one's own access.
pub fn self_row() -> Resource {
    super::row(SelfSubjectAccessReviews).cluster_scoped()
}

impl Strategy for SubjectAccessReviews {
    type Object = SubjectAccessReview;
    type Wire = SubjectAccessReview;

    fn validate(&self, _ctx: &RequestContext, review: &SubjectAccessReview) -> Errors {
        let mut errors = of_somebody(&review.spec);
        errors.extend(no_metadata(&review.metadata, "must be empty"));
        errors
    }

    fn columns(&self) -> &'static [Column] {
        column::DEFAULT
    }

    fn cells(&self, review: &SubjectAccessReview, _now: Timestamp) -> Vec<Value> {
        cells(&review.metadata)
    }
}

impl Strategy for LocalSubjectAccessReviews {
    type Object = LocalSubjectAccessReview;
    type Wire = LocalSubjectAccessReview;

    fn validate(&self, _ctx: &RequestContext, review: &LocalSubjectAccessReview) -> Errors {
        let (spec, path) = (&review.spec, Path::new("spec"));
        let mut errors = of_somebody(spec);
        let mut metadata = review.metadata.clone();
        let namespace = metadata.namespace.take();
        errors.extend(no_metadata(&metadata, "must be empty except for namespace"));
        if let Some(resource) = spec.resource_attributes.as_ref().filter(|resource| resource.namespace != namespace) {
            let path = path.child("resourceAttributes.namespace");
            let said = resource.namespace.as_deref().unwrap_or_default();
            errors.push(Error::invalid(&path, said, "must match metadata.namespace"));
        }
        if let Some(other) = &spec.non_resource_attributes {
            let detail = "disallowed on this kind of request";
            errors.push(Error::invalid(&path.child("nonResourceAttributes"), Shown::json(other), detail));
        }
        errors
    }

    fn columns(&self) -> &'static [Column] {
        column::DEFAULT
    }

    fn cells(&self, review: &LocalSubjectAccessReview, _now: Timestamp) -> Vec<Value> {
        cells(&review.metadata)
    }
}

impl Strategy for SelfSubjectAccessReviews {
    type Object = SelfSubjectAccessReview;
    type Wire = SelfSubjectAccessReview;

    fn validate(&self, _ctx: &RequestContext, review: &SelfSubjectAccessReview) -> Errors {
        let spec = &review.spec;
        let mut errors = one_target(spec.resource_attributes.as_ref(), spec.non_resource_attributes.as_ref());
        errors.extend(no_metadata(&review.metadata, "must be empty"));
        errors
    }

    fn columns(&self) -> &'static [Column] {
        column::DEFAULT
    }

    fn cells(&self, review: &SelfSubjectAccessReview, _now: Timestamp) -> Vec<Value> {
        cells(&review.metadata)
    }
}

fn of_somebody(spec: &SubjectAccessReviewSpec) -> Errors {
    let mut errors = one_target(spec.resource_attributes.as_ref(), spec.non_resource_attributes.as_ref());
    let names = |name: &Option<String>| name.as_deref().is_some_and(|name| !name.is_empty());
    if !names(&spec.user) && spec.groups.as_ref().is_none_or(Vec::is_empty) {
        let detail = "at least one of user or group must be specified";
        errors.push(Error::invalid(&Path::new("spec").child("user"), "", detail));
    }
    errors
}

fn one_target(resource: Option<&ResourceAttributes>, other: Option<&NonResourceAttributes>) -> Errors {
    let path = Path::new("spec");
    let mut errors = Errors::new();
    match (resource, other) {
        (Some(_), Some(other)) => {
            let detail = "cannot be specified in combination with resourceAttributes";
            errors.push(Error::invalid(&path.child("nonResourceAttributes"), Shown::json(other), detail));
        }
        (None, None) => {
            let detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            errors.push(Error::invalid(&path.child("resourceAttributes"), Shown::raw("null"), detail));
        }
        _ => {}
    }
    errors.extend(resource.into_iter().flat_map(|resource| selectors(resource, &path.child("resourceAttributes"))));
    errors
}

/// A selector is said in one of two ways (KEP-4601).
fn selectors(resource: &ResourceAttributes, path: &Path) -> Errors {
    let fields = resource.field_selector.as_ref();
    let fields = fields.map(|fields| (fields.raw_selector.as_deref(), fields.requirements.iter().flatten().count()));
    let labels = resource.label_selector.as_ref();
    let labels = labels.map(|labels| (labels.raw_selector.as_deref(), labels.requirements.iter().flatten().count()));
    let mut errors = Errors::new();
    for (name, selector) in [("fieldSelector", fields), ("labelSelector", labels)] {
        let path = path.child(name);
        match selector {
            None => {}
            Some((None | Some(""), 0)) => {
                let detail = format!("when {path} is specified, requirements or rawSelector is required");
                errors.push(Error::required(&path.child("requirements"), &detail));
            }
            Some((Some(raw), 1..)) if !raw.is_empty() => {
                let detail = "may not specified at the same time as requirements";
                errors.push(Error::invalid(&path.child("rawSelector"), raw, detail));
            }
            Some(_) => {}
        }
    }
    errors
}

/// What the server says to this. Selectors narrow down what is asked for; no authorizer here knows them, so that it is judged as a whole.
async fn verdict(
    shared: &Shared,
    user: UserInfo,
    resource: Option<&ResourceAttributes>,
    other: Option<&NonResourceAttributes>,
) -> SubjectAccessReviewStatus {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (verb, target) = match (resource, other) {
        (Some(resource), _) => {
            let target = ResourceTarget {
                group: text(&resource.group),
                // Which version does not matter to who does not say it.
                version: Some(text(&resource.version)).filter(|said| !said.is_empty()).unwrap_or("*".to_owned()),
                resource: text(&resource.resource),
                subresource: text(&resource.subresource),
                namespace: text(&resource.namespace),
                name: text(&resource.name),
            };
            (text(&resource.verb), Target::Resource(target))
        }
        (None, other) => {
            let other = other.cloned().unwrap_or_default();
            (text(&other.verb), Target::Path(text(&other.path)))
        }
    };
    let verdict = authorization::authorize(shared, &Attributes { user, verb, target }).await;
    SubjectAccessReviewStatus {
        allowed: verdict.is_allowed(),
        denied: (verdict.decision == Decision::Deny).then_some(true),
        reason: Some(verdict.reason).filter(|reason| !reason.is_empty()),
        evaluation_error: verdict.error,
    }
}

async fn of(shared: &Shared, spec: &SubjectAccessReviewSpec) -> SubjectAccessReviewStatus {
    let user = UserInfo {
        name: spec.user.clone().unwrap_or_default(),
        uid: spec.uid.clone().unwrap_or_default(),
        groups: spec.groups.clone().unwrap_or_default(),
        extra: spec.extra.clone().unwrap_or_default(),
    };
    verdict(shared, user, spec.resource_attributes.as_ref(), spec.non_resource_attributes.as_ref()).await
}

#[async_trait]
impl Question for SubjectAccessReviews {
    async fn answer(
        &self,
        shared: &Shared,
        _ctx: &RequestContext,
        review: &mut SubjectAccessReview,
    ) -> Result<(), ApiError> {
        review.status = Some(of(shared, &review.spec).await);
        Ok(())
    }
}

#[async_trait]
impl Question for LocalSubjectAccessReviews {
    async fn answer(
        &self,
        shared: &Shared,
        _ctx: &RequestContext,
        review: &mut LocalSubjectAccessReview,
    ) -> Result<(), ApiError> {
        review.status = Some(of(shared, &review.spec).await);
        Ok(())
    }
}

#[async_trait]
impl Question for SelfSubjectAccessReviews {
    async fn answer(
        &self,
        shared: &Shared,
        ctx: &RequestContext,
        review: &mut SelfSubjectAccessReview,
    ) -> Result<(), ApiError> {
        let spec = &review.spec;
        let (resource, other) = (spec.resource_attributes.as_ref(), spec.non_resource_attributes.as_ref());
        review.status = Some(verdict(shared, ctx.user.clone(), resource, other).await);
        Ok(())
    }
}
