//! The `scale` subresource: an object seen as `autoscaling/v1` Scale.

use std::{any::Any, sync::LazyLock};

use bytes::Bytes;
use k8s_openapi::{api::autoscaling::v1::Scale, apimachinery::pkg::apis::meta::v1::ObjectMeta};

use super::{
    Answer, Call, Stored, body, encode,
    update::{self, Part, Uid},
};
use crate::apiserver::{
    ApiError, field,
    kinds::scale,
    patch::{self, PatchType},
    registry::Resource,
    render,
    request::options::WriteOptions,
    server::Shared,
};

pub(super) async fn get(shared: &Shared, call: Call) -> Result<Answer, ApiError> {
    let stored = shared
        .stored(&call.resource, &call.key())
        .await?
        .ok_or_else(|| ApiError::not_found(&call.resource, call.name()))?;
    Ok(Answer::json(200, shown(&call, &stored)?))
}

pub(super) async fn put(shared: &Shared, call: Call) -> Result<Answer, ApiError> {
    let options = WriteOptions::parse(&call.query, "UpdateOptions")?;
    let scale: Scale = body::decode_other(&call, "Scale")?;
    change(shared, &call, options.dry_run, Uid::Precondition, &mut |_| Ok(scale.clone())).await
}

pub(super) async fn patch(shared: &Shared, call: Call) -> Result<Answer, ApiError> {
    let kind = PatchType::from_content_type(call.content_type.as_deref())?;
    let options = WriteOptions::parse(&call.query, "PatchOptions")?;
    change(shared, &call, options.dry_run, Uid::Field, &mut |seen| {
        let seen = serde_json::to_vec(seen).map_err(ApiError::internal)?;
        let made = patch::apply(kind, &call.resource, &seen, &call.body)?;
        let (wanted, _) = update::read_patched(&SCALES, &call, kind, &made, options.field_validation)?;
        let wanted = (&*wanted as &dyn Any).downcast_ref::<Scale>().cloned();
        wanted.ok_or_else(|| ApiError::internal("a patched scale is none"))
    })
    .await
}

async fn change(
    shared: &Shared,
    call: &Call,
    dry_run: bool,
    uid: Uid,
    make: &mut (dyn FnMut(&Scale) -> Result<Scale, ApiError> + Send),
) -> Result<Answer, ApiError> {
    let ctx = call.context(dry_run);
    let (stored, _) = update::change(shared, call, &ctx, Part::Object, uid, &mut |current| {
        let wanted = make(&scale_of(call, current)?)?;
        check(call, &wanted)?;
        let replicas = wanted.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0);
        let mut object = current.decode(&call.resource)?;
        call.resource.rules.set_replicas(&mut *object, replicas);
        object.metadata_mut().resource_version = wanted.metadata.resource_version;
        object.metadata_mut().uid = wanted.metadata.uid;
        Ok((object, Vec::new()))
    })
    .await?;
    Ok(Answer::json(200, shown(call, &stored)?))
}

fn check(call: &Call, wanted: &Scale) -> Result<(), ApiError> {
    let name = wanted.metadata.name.as_deref().unwrap_or_default();
    if name != call.name() {
        return Err(ApiError::other_name(name, call.name()));
    }
    let replicas = wanted.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0);
    if replicas < 0 {
        let path = field::Path::new("spec").child("replicas");
        let error = field::Error::invalid(&path, replicas, "must be greater than or equal to 0");
        return Err(ApiError::invalid_kind("autoscaling", "Scale", name, &[error]));
    }
    Ok(())
}

fn scale_of(call: &Call, stored: &Stored) -> Result<Scale, ApiError> {
    let object = stored.decode(&call.resource)?;
    let scale = call.resource.rules.scale(&*object).ok_or_else(ApiError::no_such_path)?;
    let from = object.metadata();
    let metadata = ObjectMeta {
        name: from.name.clone(),
        namespace: from.namespace.clone(),
        uid: from.uid.clone(),
        resource_version: Some(stored.revision.to_string()),
        creation_timestamp: from.creation_timestamp.clone(),
        ..ObjectMeta::default()
    };
    Ok(Scale { metadata, ..scale })
}

/// The row by which scales are shown.
static SCALES: LazyLock<Resource> = LazyLock::new(scale::row);

/// The scale in the form that the client accepts. Zero replicas are left out, as Go's `omitempty` does.
fn shown(call: &Call, stored: &Stored) -> Result<Bytes, ApiError> {
    let mut scale = scale_of(call, stored)?;
    if let Some(spec) = &mut scale.spec {
        spec.replicas.take_if(|replicas| *replicas == 0);
    }
    let scale = Stored { value: encode(&mut scale)?, revision: stored.revision };
    render::object(&SCALES, &scale, &call.accept, &call.query, call.now)
}
