//! Reviews: questions about who somebody is and what they may do, which the server's own authenticators and its authorizer answer
//! (`pkg/registry/authentication`, `pkg/registry/authorization`).

pub mod self_subject_review;
pub mod self_subject_rules_review;
pub mod subject_access_review;
pub mod token_review;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::{api::authentication::v1 as api, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use serde_json::{Value, json};

use crate::apiserver::{
    ApiError,
    field::{Error, Path, Shown},
    object::Object,
    registry::Resource,
    row::typed_mut,
    server::Shared,
    strategy::{RequestContext, Strategy, UserInfo},
    verbs::Answers,
};

fn cells(metadata: &ObjectMeta) -> Vec<Value> {
    // Go's zero time, if there is none.
    let created = metadata.creation_timestamp.as_ref().map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), shown);
    vec![json!(metadata.name.as_deref().unwrap_or_default()), json!(created)]
}

fn shown(time: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Time) -> String {
    let seconds = Timestamp::from_second(time.0.as_second()).unwrap_or(time.0);
    seconds.to_string()
}

/// A kind whose objects are questions.
#[async_trait]
trait Question: Strategy {
    /// Writes the answer into the question.
    async fn answer(&self, shared: &Shared, ctx: &RequestContext, question: &mut Self::Object) -> Result<(), ApiError>;
}

/// A [`Question`] whose type is known at run time only.
struct Asked<S>(S);

#[async_trait]
impl<S: Question> Answers for Asked<S> {
    async fn answer(&self, shared: &Shared, ctx: &RequestContext, question: &mut dyn Object) -> Result<(), ApiError> {
        self.0.answer(shared, ctx, typed_mut(question)).await
    }
}

/// The row of a kind whose objects are questions.
fn row<S: Question + Copy>(kind: S) -> Resource {
    Resource { answers: Some(Arc::new(Asked(kind))), ..crate::apiserver::row(kind) }
}

/// A user as reviews tell of them.
fn told(user: UserInfo) -> api::UserInfo {
    let UserInfo { name, uid, groups, extra } = user;
    api::UserInfo {
        username: Some(name),
        uid: Some(uid).filter(|uid| !uid.is_empty()),
        groups: Some(groups).filter(|groups| !groups.is_empty()),
        extra: Some(extra).filter(|extra| !extra.is_empty()),
    }
}

/// An error if a question has metadata that mean nothing.
fn no_metadata(metadata: &ObjectMeta, detail: &str) -> Option<Error> {
    let said = ObjectMeta { managed_fields: None, ..metadata.clone() };
    (said != ObjectMeta::default()).then(|| Error::invalid(&Path::new("metadata"), Shown::json(metadata), detail))
}
