//! Update and patch: read, change, and write if nobody else wrote in between.

use orchestra_core::store::Revision;

use super::{Answer, Call, Stored, body, commit, create, encode};
use crate::apiserver::{
    ApiError,
    admission::{self, Operation},
    decode::Findings,
    field, metadata,
    object::Object,
    patch::{self, PatchType},
    registry::Resource,
    render,
    request::{
        negotiate,
        options::{FieldValidation, WriteOptions},
    },
    server::Shared,
    strategy::RequestContext,
    wire,
};

/// How often a write that names no version is tried again when others write at the same time.
const ATTEMPTS: usize = 10;

/// Which part of an object a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Object,
    Status,
    /// A namespace's `spec.finalizers`.
    Finalizers,
}

/// Replaces an object.
pub(super) async fn put(shared: &Shared, call: Call, part: Part) -> Result<Answer, ApiError> {
    let options = WriteOptions::parse(&call.query, "UpdateOptions")?;
    let json = negotiate::json_body(call.content_type.as_deref(), call.body.clone())?;
    let (object, findings) = body::decode(&call.resource, &json)?;
    let mut warnings = body::judge(&call.resource, findings, options.field_validation)?;
    let name = object.metadata().name.as_deref().unwrap_or_default();
    if name != call.name() {
        if name.is_empty() {
            return Err(ApiError::bad_request("name must be provided"));
        }
        return Err(ApiError::other_name(name, call.name()));
    }
    let ctx = call.context(options.dry_run);
    if part == Part::Object && call.resource.creates_on_update && shared.stored(&call.key()).await?.is_none() {
        let stored = create::object_from(shared, &call.resource, &ctx, object, &mut warnings).await?;
        return answer(&call, &stored, 201, warnings);
    }
    let stored = change(shared, &call, &ctx, part, &mut |_| Ok((object.duplicate(), Vec::new()))).await?;
    answer(&call, &stored.0, 200, warnings)
}

/// Patches an object.
pub(super) async fn patch(shared: &Shared, call: Call, part: Part) -> Result<Answer, ApiError> {
    let kind = PatchType::from_content_type(call.content_type.as_deref())?;
    let options = WriteOptions::parse(&call.query, "PatchOptions")?;
    let ctx = call.context(options.dry_run);
    let (stored, warnings) = change(shared, &call, &ctx, part, &mut |current| {
        let (object, findings) = patched(&call, kind, current)?;
        if object.metadata().name.as_deref() != Some(call.name()) {
            let name = object.metadata().name.as_deref().unwrap_or_default();
            return Err(ApiError::other_name(name, call.name()));
        }
        // A patched object always says a version; it is the client's only if it is not the one that was read.
        Ok((object, judge(&call, findings, options.field_validation)?))
    })
    .await?;
    answer(&call, &stored, 200, warnings)
}

fn judge(call: &Call, findings: Findings, mode: FieldValidation) -> Result<Vec<String>, ApiError> {
    match (mode, findings.0.as_slice()) {
        (FieldValidation::Strict, [first, rest @ ..]) => {
            let path = field::Path::new("patch");
            let all = std::iter::once(first).chain(rest).map(String::as_str).collect::<Vec<_>>().join(", ");
            let shown = field::Shown::raw(String::from_utf8_lossy(&call.body));
            let error = field::Error::invalid(&path, shown, format!("strict decoding error: {all}"));
            Err(ApiError::invalid(&call.resource, call.name(), &[error]))
        }
        _ => body::judge(&call.resource, findings, mode),
    }
}

/// What the patch makes of `current`.
fn patched(call: &Call, kind: PatchType, current: &Stored) -> Result<(Box<dyn Object>, Findings), ApiError> {
    let resource = &call.resource;
    let seen = wire::encoded(resource, &current.value, current.revision);
    let seen: serde_json::Value = serde_json::from_slice(&seen).map_err(ApiError::internal)?;
    let changed = patch::apply(kind, resource, call.name(), &seen, &call.body)?;
    let json = serde_json::to_vec(&changed).map_err(ApiError::internal)?;
    body::decode(resource, &json)
}

fn answer(call: &Call, stored: &Stored, code: u16, warnings: Vec<String>) -> Result<Answer, ApiError> {
    let shown = render::object(&call.resource, stored, &call.accept, &call.query, call.now)?;
    Ok(Answer::json(code, shown).with_warnings(warnings))
}

/// Makes a new state from a stored one, with warnings.
type Make<'a> = dyn FnMut(&Stored) -> Result<(Box<dyn Object>, Vec<String>), ApiError> + Send + 'a;

/// Writes what `make` makes of the object; if it names no version, as often as others write in between.
pub(super) async fn change(
    shared: &Shared,
    call: &Call,
    ctx: &RequestContext,
    part: Part,
    make: &mut Make<'_>,
) -> Result<(Stored, Vec<String>), ApiError> {
    let (resource, key) = (&*call.resource, call.key());
    for _ in 0..ATTEMPTS {
        let current = shared.stored(&key).await?.ok_or_else(|| ApiError::not_found(resource, call.name()))?;
        let (mut new, mut warnings) = make(&current)?;
        let old = current.decode(resource)?;
        check_preconditions(resource, call.name(), &key, &*new, &*old)?;
        resource.rules.default(&mut *new);
        if part == Part::Object {
            admission::admit(shared, resource, Operation::Update, call.name(), Some(&mut *new), ctx).await?;
        }
        prepare(resource, ctx, part, &mut *new, &*old)?;
        warnings.extend(resource.rules.warnings(ctx, &*new));
        if ended(resource, &*new) {
            let value = encode(&mut *new)?;
            // The answer shows the version that is deleted.
            if ctx.dry_run || commit::remove(shared, resource, &key, &current, &*old).await? {
                return Ok((Stored { value, revision: current.revision }, warnings));
            }
            continue;
        }
        if part == Part::Object {
            resource.rules.assign(&mut *new, &shared.generator);
        }
        let value = encode(&mut *new)?;
        if value == current.value {
            return Ok((current, warnings));
        }
        if ctx.dry_run {
            return Ok((Stored { value, revision: current.revision }, warnings));
        }
        match commit::replace(shared, resource, &key, &current, &*old, &*new, value.clone()).await? {
            Some(revision) => return Ok((Stored { value, revision }, warnings)),
            None => continue,
        }
    }
    Err(ApiError::modified(resource, call.name()))
}

/// Whether the object goes with this write: its deletion waited for the last finalizer only.
fn ended(resource: &Resource, new: &dyn Object) -> bool {
    let metadata = new.metadata();
    metadata.deletion_timestamp.is_some()
        && metadata.deletion_grace_period_seconds.unwrap_or(0) == 0
        && metadata.finalizers.as_ref().is_none_or(Vec::is_empty)
        && !resource.rules.holds_deletion(new)
}

/// The uid and the version that the client says must be the stored ones.
fn check_preconditions(
    resource: &Resource,
    name: &str,
    key: &str,
    new: &dyn Object,
    old: &dyn Object,
) -> Result<(), ApiError> {
    let (said, found) = (new.metadata(), old.metadata());
    if let Some(version) = said.resource_version.as_deref().filter(|version| !version.is_empty() && *version != "0")
        && Some(version) != found.resource_version.as_deref()
    {
        return Err(match version.parse::<Revision>() {
            Ok(_) => ApiError::modified(resource, name),
            Err(_) => {
                let path = field::Path::new("metadata").child("resourceVersion");
                let detail = format!("strconv.ParseUint: parsing {version:?}: invalid syntax");
                ApiError::invalid(resource, name, &[field::Error::invalid(&path, version, detail)])
            }
        });
    }
    let uid = found.uid.as_deref().unwrap_or_default();
    if let Some(wanted) = said.uid.as_deref().filter(|wanted| !wanted.is_empty() && *wanted != uid) {
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {wanted}, UID in object meta: {uid}"
        );
        return Err(ApiError::conflict(resource, name, &why));
    }
    Ok(())
}

/// Applies the kind's rules to a change, and checks it.
fn prepare(
    resource: &Resource,
    ctx: &RequestContext,
    part: Part,
    new: &mut dyn Object,
    old: &dyn Object,
) -> Result<(), ApiError> {
    metadata::place(resource, ctx, new.metadata_mut())?;
    metadata::carry_over(new.metadata_mut(), old.metadata());
    let rules = &resource.rules;
    let errors = match part {
        Part::Object => {
            rules.prepare_for_update(ctx, new, old);
            if rules.changes_generation(new, old) == Some(true) {
                new.metadata_mut().generation = Some(old.metadata().generation.unwrap_or(0) + 1);
            }
            let mut errors = validate_metadata(new, old);
            errors.extend(rules.validate_update(ctx, new, old));
            errors
        }
        Part::Status => {
            rules.prepare_for_status_update(ctx, new, old);
            let mut errors = validate_metadata(new, old);
            errors.extend(rules.validate_status_update(ctx, new, old));
            errors
        }
        Part::Finalizers => {
            rules.prepare_for_finalize(new, old);
            Vec::new()
        }
    };
    if errors.is_empty() {
        return Ok(());
    }
    Err(ApiError::invalid(resource, new.metadata().name.as_deref().unwrap_or_default(), &errors))
}

/// In Kubernetes both the generic resource and the kind check the metadata of an update, so that each finding has two causes.
fn validate_metadata(new: &dyn Object, old: &dyn Object) -> field::Errors {
    let mut errors = metadata::validate_update(new.metadata(), old.metadata());
    errors.extend(errors.clone());
    errors
}
