//! Update and patch: read, change, and write if nobody else wrote in between.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use orchestra_core::store::Revision;

use super::{
    Answer, Call, Stored, body,
    commit::{self, Replaced},
    create,
    draws::Draws,
    encode,
};
use crate::apiserver::{
    ApiError,
    admission::{self, Operation},
    decode::{self, Findings},
    field, metadata,
    object::Object,
    patch::{self, PatchType, Patched},
    registry::{Resource, Subresource},
    render,
    request::{
        encoding,
        options::{self, FieldValidation, WriteOptions},
    },
    server::Shared,
    status::Reason,
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
    /// What a subresource is about that the kind has rules for: a pod's ephemeral containers.
    Other(Subresource),
}

/// What the uid means that a client says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Uid {
    /// Of a replaced object: a write of another object's state is a conflict.
    Precondition,
    /// Of a patched object: it is a field that may not change.
    Field,
}

/// Replaces an object.
pub(super) async fn put(shared: &Shared, call: Call, part: Part) -> Result<Answer, ApiError> {
    let options = WriteOptions::parse(&call.query, "UpdateOptions")?;
    let json = encoding::json_body(call.content_type.as_deref(), call.body.clone())?;
    let (mut object, findings) = body::decode(&call.resource, &json)?;
    let mut warnings = body::judge(&call.resource, findings, options.field_validation)?;
    check_name(&call, object.metadata())?;
    let ctx = call.context(options.dry_run);
    let uid = object.metadata().uid.clone().filter(|uid| !uid.is_empty());
    let may_create = part == Part::Object && call.resource.creates_on_update && uid.is_none();
    if may_create && shared.stored(&call.resource, &call.key()).await?.is_none() {
        let stored = create::object_from(shared, &call.resource, &ctx, object, &mut warnings).await?;
        return answer(&call, &stored, 201, warnings);
    }
    warnings.extend(metadata::drop_repeated_owners(object.metadata_mut(), false));
    let changed =
        change(shared, &call, &ctx, part, Uid::Precondition, &mut |_| Ok((object.duplicate(), Vec::new()))).await;
    let (stored, more) = changed.map_err(|error| match uid {
        // Kubernetes compares the uids before it asks whether there is an object at all.
        Some(uid) if error.reason() == Some(Reason::NotFound) => {
            other_uid(&call.resource, call.name(), &call.key(), &uid, "")
        }
        _ => error,
    })?;
    warnings.extend(more);
    answer(&call, &stored, 200, warnings)
}

/// The body must be about the object that the path names.
fn check_name(call: &Call, metadata: &ObjectMeta) -> Result<(), ApiError> {
    match metadata.name.as_deref().unwrap_or_default() {
        "" => Err(ApiError::bad_request(format!(
            "the name of the object ({} based on URL) was undeterminable: name must be provided",
            call.name()
        ))),
        name if name != call.name() => Err(ApiError::other_name(name, call.name())),
        _ => Ok(()),
    }
}

/// Patches an object.
pub(super) async fn patch(shared: &Shared, call: Call, part: Part) -> Result<Answer, ApiError> {
    let kind = PatchType::from_content_type(call.content_type.as_deref())?;
    let options = WriteOptions::parse(&call.query, "PatchOptions")?;
    let ctx = call.context(options.dry_run);
    let (stored, warnings) = change(shared, &call, &ctx, part, Uid::Field, &mut |current| {
        // A patched object always says a version; it is the client's only if it is not the one that was read.
        let (object, warnings) = patched(&call, kind, current, options.field_validation)?;
        check_name(&call, object.metadata())?;
        Ok((object, warnings))
    })
    .await?;
    answer(&call, &stored, 200, warnings)
}

/// What the patch makes of `current`, with warnings.
fn patched(
    call: &Call,
    kind: PatchType,
    current: &Stored,
    mode: FieldValidation,
) -> Result<(Box<dyn Object>, Vec<String>), ApiError> {
    let resource = &call.resource;
    let seen = wire::encoded(resource, &current.value, current.revision);
    let made = patch::apply(kind, resource, &seen, &call.body)?;
    read_patched(resource, call, kind, &made, mode)
}

/// What a patch made, as an object of `resource`, with warnings.
pub(super) fn read_patched(
    resource: &Resource,
    call: &Call,
    kind: PatchType,
    Patched { json, untouched }: &Patched,
    mode: FieldValidation,
) -> Result<(Box<dyn Object>, Vec<String>), ApiError> {
    let refused = |why: String| {
        let shown = match kind {
            PatchType::StrategicMerge => patch::shown(&call.body),
            _ => String::from_utf8_lossy(json).into_owned(),
        };
        let error = field::Error::invalid(&field::Path::new("patch"), &shown, why);
        // Neither the kind nor the name is told.
        ApiError::invalid_kind("", "", "", &[error])
    };
    let (object, Findings(found)) = body::read(resource, json, untouched).map_err(|unlike| refused(unlike.why))?;
    if mode == FieldValidation::Ignore {
        return Ok((object, Vec::new()));
    }
    let found = [decode::patch_findings(kind, &call.body).0, found].concat();
    match mode {
        FieldValidation::Strict if !found.is_empty() => {
            Err(refused(format!("strict decoding error: {}", found.join(", "))))
        }
        _ => Ok((object, found)),
    }
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
    uid: Uid,
    make: &mut Make<'_>,
) -> Result<(Stored, Vec<String>), ApiError> {
    let (resource, key) = (&*call.resource, call.key());
    let mut draws: Option<Draws> = None;
    for _ in 0..ATTEMPTS {
        let current = shared.stored(resource, &key).await?.ok_or_else(|| ApiError::not_found(resource, call.name()))?;
        let (mut new, mut warnings) = make(&current)?;
        let old = current.decode(resource)?;
        check_preconditions(call, &key, uid, new.metadata(), old.metadata())?;
        resource.rules.default(&mut *new);
        if part == Part::Object {
            admission::admit(shared, resource, Operation::Update, call.name(), Some(&mut *new), ctx).await?;
            warnings.extend(metadata::drop_repeated_owners(new.metadata_mut(), true));
        }
        prepare(resource, ctx, part, &mut *new, &*old)?;
        if part == Part::Object {
            warnings.extend(resource.rules.warnings(ctx, &*new, Some(&*old)));
        }
        if ended(resource, &*new) {
            let value = encode(&mut *new)?;
            // The answer shows the version that is deleted.
            if ctx.dry_run || commit::remove(shared, resource, &key, &current, &*old).await? {
                return Ok((Stored { value, revision: current.revision }, warnings));
            }
            continue;
        }
        if part == Part::Object {
            draws.get_or_insert_with(|| Draws::new(resource, &*new)).assign(shared, resource, &mut *new)?;
        }
        let value = encode(&mut *new)?;
        if value == current.value {
            return Ok((current, warnings));
        }
        if ctx.dry_run {
            return Ok((Stored { value, revision: current.revision }, warnings));
        }
        match commit::replace(shared, resource, &key, &current, &*old, &*new, value.clone()).await? {
            Replaced::At(revision) => return Ok((Stored { value, revision }, warnings)),
            Replaced::Late => continue,
            Replaced::Taken(claim) => {
                let mut draw = draws.take().unwrap_or_else(|| Draws::new(resource, &*new));
                draw.refused(shared, resource, call.name(), claim).await?;
                draws = Some(draw);
            }
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
    call: &Call,
    key: &str,
    rule: Uid,
    said: &ObjectMeta,
    found: &ObjectMeta,
) -> Result<(), ApiError> {
    let (resource, name) = (&*call.resource, call.name());
    let uid = found.uid.as_deref().unwrap_or_default();
    let other = said.uid.as_deref().filter(|said| !said.is_empty() && *said != uid);
    if let (Uid::Precondition, Some(other)) = (rule, other) {
        return Err(other_uid(resource, name, key, other, uid));
    }
    let version = said.resource_version.as_deref().filter(|version| !version.is_empty()).unwrap_or("0");
    // Kubernetes does not say whose fault a version is that is no number.
    let wanted: Revision = options::parse_unsigned(version).map_err(|why| ApiError::unclassified(500, why))?;
    let metadata = field::Path::new("metadata");
    if wanted == 0 && !resource.unconditional_updates {
        let detail = "must be specified for an update";
        let error = field::Error::invalid(&metadata.child("resourceVersion"), 0, detail);
        // Not the kind but the resource is named here.
        return Err(ApiError::invalid_kind(&resource.group, &resource.plural, name, &[error]));
    }
    if wanted != 0 && found.resource_version.as_deref() != Some(version) {
        return Err(ApiError::modified(resource, name));
    }
    match other {
        Some(other) => {
            let error = field::Error::invalid(&metadata.child("uid"), other, "field is immutable");
            Err(ApiError::invalid(resource, name, &twice(vec![error])))
        }
        None => Ok(()),
    }
}

fn other_uid(resource: &Resource, name: &str, key: &str, wanted: &str, found: &str) -> ApiError {
    let why = format!(
        "StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {wanted}, UID in object meta: {found}"
    );
    ApiError::conflict(resource, name, &why)
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
        Part::Other(subresource) => {
            rules.prepare_for_part_update(subresource, ctx, new, old);
            if rules.changes_generation(new, old) == Some(true) {
                new.metadata_mut().generation = Some(old.metadata().generation.unwrap_or(0) + 1);
            }
            rules.validate_part_update(subresource, ctx, new, old)
        }
        Part::Finalizers => {
            rules.prepare_for_finalize(new, old);
            Vec::new()
        }
    };
    if errors.is_empty() {
        if part == Part::Object {
            rules.canonicalize(new);
        }
        return Ok(());
    }
    Err(ApiError::invalid(resource, new.metadata().name.as_deref().unwrap_or_default(), &errors))
}

fn validate_metadata(new: &dyn Object, old: &dyn Object) -> field::Errors {
    twice(metadata::validate_update(new.metadata(), old.metadata()))
}

/// In Kubernetes both the generic resource and the kind check the metadata of an update, so that each finding has two causes.
fn twice(mut errors: field::Errors) -> field::Errors {
    errors.extend(errors.clone());
    errors
}
