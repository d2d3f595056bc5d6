use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, Time};

use super::{
    Answer, Call, Stored, body,
    commit::{self, Replaced},
    encode, list,
};
use crate::apiserver::{
    ApiError,
    admission::{self, Operation},
    field, metadata,
    object::Object,
    registry::Resource,
    render,
    request::options::{self, ListOptions, Query},
    selection::Selection,
    server::Shared,
    status::{self, Details},
    strategy::RequestContext,
};

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";
/// How often a deletion is tried again when others write at the same time.
const ATTEMPTS: usize = 10;

/// Deletes an object, or begins its deletion where a grace period or finalizers hold it.
pub(super) async fn delete(shared: &Shared, call: Call) -> Result<Answer, ApiError> {
    let (options, dry_run) = read_options(&call)?;
    let ctx = call.context(dry_run);
    match end(shared, &call.resource, &ctx, call.name(), &options).await? {
        Outcome::Gone(stored, uid) if !call.resource.returns_deleted => {
            drop(stored);
            let details = Details { uid, ..call.resource.details(call.name()) };
            Ok(Answer::json(200, status::success(Some(&details), None).into()))
        }
        Outcome::Gone(stored, _) | Outcome::Pending(stored) => {
            Ok(Answer::json(200, render::object(&call.resource, &stored, &call.accept, &call.query, call.now)?))
        }
    }
}

/// Deletes what a list with the same options shows.
pub(super) async fn delete_collection(shared: &Shared, call: Call) -> Result<Answer, ApiError> {
    let list_options = ListOptions::parse(&call.query, false)?;
    list_options.check_fields(&call.resource)?;
    let (options, dry_run) = read_options(&call)?;
    let selection = Selection::new(&call.resource, call.namespace.as_deref(), None, &list_options);
    let page = list::page(shared, &call.resource, call.namespace.as_deref(), &selection, &list_options).await?;
    for entry in &page.items {
        let (namespace, name) = call.resource.names(&entry.key);
        let ctx = RequestContext { namespace: namespace.map(str::to_owned), ..call.context(dry_run) };
        match end(shared, &call.resource, &ctx, name, &options).await {
            Err(error) if error.code() != 404 => return Err(error),
            _ => {}
        }
    }
    let items = page.items.iter().map(|entry| Stored::from(&**entry));
    Ok(Answer::json(200, render::list(&call.resource, items, &page.meta, &call.accept, &call.query, call.now)?))
}

/// The options in the body, or in the query where there is no body; and whether nothing is to be stored.
fn read_options(call: &Call) -> Result<(DeleteOptions, bool), ApiError> {
    let mut options: DeleteOptions = match call.body.is_empty() {
        true => from_query(&call.query)?,
        false => body::decode_other(call, "DeleteOptions")?,
    };
    let mut errors = Vec::new();
    let path = field::Path::new("propagationPolicy");
    let policy = options.propagation_policy.as_deref();
    if let (Some(policy), Some(_)) = (policy, options.orphan_dependents) {
        let detail = "orphanDependents and deletionPropagation cannot be both set";
        errors.push(field::Error::invalid(&path, policy, detail));
    }
    if let Some(other) = policy.filter(|policy| !matches!(*policy, "Foreground" | "Background" | "Orphan")) {
        errors.push(field::Error::not_supported(&path, other, &["Foreground", "Background", "Orphan", "nil"]));
    }
    let dry_run = options::dry_run(options.dry_run.iter().flatten().map(String::as_str), &mut errors);
    if options.grace_period_seconds.is_some_and(|seconds| seconds < 0) {
        // Kubernetes treats a negative period as the shortest.
        options.grace_period_seconds = Some(1);
    }
    match errors.as_slice() {
        [] => Ok((options, dry_run)),
        errors => Err(ApiError::invalid_kind("meta.k8s.io", "DeleteOptions", "", errors)),
    }
}

fn from_query(query: &Query) -> Result<DeleteOptions, ApiError> {
    let dry_run: Vec<String> = query.all("dryRun").map(str::to_owned).collect();
    Ok(DeleteOptions {
        dry_run: (!dry_run.is_empty()).then_some(dry_run),
        grace_period_seconds: query.integer("gracePeriodSeconds")?,
        orphan_dependents: query.get("orphanDependents").map(|_| query.flag("orphanDependents")),
        propagation_policy: query.get("propagationPolicy").map(str::to_owned),
        ..DeleteOptions::default()
    })
}

/// What became of an object.
pub(super) enum Outcome {
    /// It is gone; its last state and uid.
    Gone(Stored, String),
    /// Its deletion has begun.
    Pending(Stored),
}

/// Deletes the object `name`, or begins to.
pub(super) async fn end(
    shared: &Shared,
    resource: &Resource,
    ctx: &RequestContext,
    name: &str,
    options: &DeleteOptions,
) -> Result<Outcome, ApiError> {
    end_noting(shared, resource, ctx, name, options, &|_| {}).await
}

/// As [`end`], with what `note` writes into the object before.
pub(super) async fn end_noting(
    shared: &Shared,
    resource: &Resource,
    ctx: &RequestContext,
    name: &str,
    options: &DeleteOptions,
    note: &(dyn Fn(&mut dyn Object) + Sync),
) -> Result<Outcome, ApiError> {
    let key = resource.key(ctx.namespace.as_deref(), name);
    admission::admit(shared, resource, Operation::Delete, name, None, ctx).await?;
    for _ in 0..ATTEMPTS {
        let current = shared.stored(resource, &key).await?.ok_or_else(|| ApiError::not_found(resource, name))?;
        let old = current.decode(resource)?;
        check_preconditions(resource, name, options, &*old)?;
        let mut new = old.duplicate();
        note(&mut *new);
        let pending = mark(resource, ctx, options, &mut *new, &*old);
        let uid = old.metadata().uid.clone().unwrap_or_default();
        let value = encode(&mut *new)?;
        if pending {
            if value == current.value || ctx.dry_run {
                return Ok(Outcome::Pending(Stored { value, revision: current.revision }));
            }
            match commit::replace(shared, resource, &key, &current, &*old, &*new, value.clone()).await? {
                Replaced::At(revision) => return Ok(Outcome::Pending(Stored { value, revision })),
                // It claims nothing that it did not have.
                Replaced::Late | Replaced::Taken(_) => continue,
            }
        }
        if ctx.dry_run || commit::remove(shared, resource, &key, &current, &*old).await? {
            return Ok(Outcome::Gone(Stored { value, revision: current.revision }, uid));
        }
    }
    Err(ApiError::modified(resource, name))
}

fn check_preconditions(
    resource: &Resource,
    name: &str,
    options: &DeleteOptions,
    old: &dyn Object,
) -> Result<(), ApiError> {
    let Some(wanted) = &options.preconditions else { return Ok(()) };
    let found = old.metadata();
    let uid = found.uid.as_deref().unwrap_or_default();
    if let Some(wanted) = wanted.uid.as_deref().filter(|wanted| *wanted != uid) {
        let why = format!(
            "the UID in the precondition ({wanted}) does not match the UID in record ({uid}). The object might have been deleted and then recreated"
        );
        return Err(ApiError::precondition_failed(resource, name, &why));
    }
    let version = found.resource_version.as_deref().unwrap_or_default();
    if let Some(wanted) = wanted.resource_version.as_deref().filter(|wanted| *wanted != version) {
        let why = format!(
            "the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record ({version}). The object might have been modified"
        );
        return Err(ApiError::precondition_failed(resource, name, &why));
    }
    Ok(())
}

/// Notes in `new` that it is being deleted; `false` if nothing holds it.
fn mark(
    resource: &Resource,
    ctx: &RequestContext,
    options: &DeleteOptions,
    new: &mut dyn Object,
    old: &dyn Object,
) -> bool {
    let grace = resource.rules.grace_period(old, options.grace_period_seconds);
    set_finalizers(new, options);
    let holds = resource.rules.holds_deletion(old);
    let metadata = new.metadata_mut();
    let finalizers = metadata.finalizers.as_ref().is_some_and(|finalizers| !finalizers.is_empty());
    let seconds = grace.unwrap_or(0).max(0);
    match (metadata.deletion_timestamp.as_ref().map(|time| time.0), metadata.deletion_grace_period_seconds) {
        (Some(time), Some(before))
            if seconds < before && (grace.is_some() && options.grace_period_seconds.is_some()) =>
        {
            // A second request can only shorten the wait, counted from when the first came.
            let earlier = SignedDuration::from_secs(before - seconds);
            metadata.deletion_timestamp = Some(Time(time.checked_sub(earlier).unwrap_or(time)));
            metadata.deletion_grace_period_seconds = Some(seconds);
            seconds > 0 || finalizers || holds
        }
        (Some(_), before) => before.unwrap_or(0) > 0 || finalizers || holds,
        (None, _) => {
            let now = metadata::whole_seconds(ctx.now);
            metadata.deletion_timestamp =
                Some(Time(now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(now)));
            if !holds {
                metadata.deletion_grace_period_seconds = Some(seconds);
            }
            let pending = seconds > 0 || finalizers || holds;
            if let Some(generation) = metadata.generation.as_mut().filter(|_| pending) {
                *generation += 1;
            }
            resource.rules.begin_deletion(new);
            if !pending && grace.is_none() {
                // What goes at once is shown as it was.
                new.metadata_mut().deletion_timestamp = None;
                new.metadata_mut().deletion_grace_period_seconds = None;
            }
            pending
        }
    }
}

/// The garbage collector's finalizers, by the propagation policy; what is there stays if no policy is named.
fn set_finalizers(new: &mut dyn Object, options: &DeleteOptions) {
    let wanted = match (options.propagation_policy.as_deref(), options.orphan_dependents) {
        (Some("Orphan"), _) | (None, Some(true)) => Some(ORPHAN),
        (Some("Foreground"), _) => Some(FOREGROUND),
        (Some(_), _) | (None, Some(false)) => None,
        (None, None) => return,
    };
    let finalizers = new.metadata_mut().finalizers.get_or_insert_default();
    finalizers.retain(|name| (name != ORPHAN && name != FOREGROUND) || Some(name.as_str()) == wanted);
    if let Some(wanted) = wanted
        && finalizers.iter().all(|name| name != wanted)
    {
        finalizers.push(wanted.to_owned());
    }
    new.metadata_mut().finalizers.take_if(|finalizers| finalizers.is_empty());
}
