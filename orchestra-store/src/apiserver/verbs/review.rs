//! Kinds whose objects are questions: what is created comes back with the answer, and nothing is stored.

use async_trait::async_trait;
use http::Method;

use super::{Answer, Call, Stored, body, encode};
use crate::apiserver::{
    ApiError, metadata,
    object::Object,
    render,
    request::{encoding, options::WriteOptions},
    server::Shared,
    strategy::RequestContext,
};

/// Answers the questions of a kind.
#[async_trait]
pub(in crate::apiserver) trait Answers: Send + Sync + 'static {
    /// Writes the answer into the question, which is one of the row's own.
    async fn answer(&self, shared: &Shared, ctx: &RequestContext, question: &mut dyn Object) -> Result<(), ApiError>;
}

pub(super) async fn dispatch(
    shared: &Shared,
    method: &Method,
    answers: &dyn Answers,
    call: Call,
) -> Result<Answer, ApiError> {
    let is_at_home = call.namespace.is_some() == call.resource.namespaced;
    match (call.name.is_some(), method) {
        (true, _) => Err(ApiError::no_such_path()),
        (false, &Method::POST) if is_at_home => create(shared, answers, call).await,
        _ => Err(ApiError::method_not_allowed()),
    }
}

async fn create(shared: &Shared, answers: &dyn Answers, call: Call) -> Result<Answer, ApiError> {
    let resource = &call.resource;
    let options = WriteOptions::parse(&call.query, "CreateOptions")?;
    let json = encoding::json_body(call.content_type.as_deref(), call.body.clone())?;
    let (mut question, findings) = body::decode(resource, &json)?;
    let warnings = body::judge(resource, findings, options.field_validation)?;
    let ctx = call.context(options.dry_run);
    metadata::place(resource, &ctx, question.metadata_mut())?;
    let errors = resource.rules.validate(&ctx, &*question);
    if !errors.is_empty() {
        // Kubernetes has forgotten the kind by then.
        return Err(ApiError::invalid_kind(&resource.group, "", "", &errors));
    }
    answers.answer(shared, &ctx, &mut *question).await?;
    let answered = Stored { value: encode(&mut *question)?, revision: 0 };
    let shown = render::object(resource, &answered, &call.accept, &call.query, call.now)?;
    Ok(Answer::json(201, shown).with_warnings(warnings))
}
