use orchestra_core::store::{Operation as StoreOperation, Precondition, ReadAt, StoreError, Transaction};

use super::{
    Answer, Call, Stored, body,
    draws::{DRAWS, Draws},
    encode,
};
use crate::apiserver::{
    ApiError,
    admission::{self, Operation},
    metadata,
    object::Object,
    registry::Resource,
    render,
    request::{
        encoding,
        options::{FieldValidation, WriteOptions},
    },
    server::Shared,
    strategy::{Claim, RequestContext, UserInfo},
};

/// Creates an object and answers with it.
pub(super) async fn create(shared: &Shared, call: Call) -> Result<Answer, ApiError> {
    let options = WriteOptions::parse(&call.query, "CreateOptions")?;
    let json = encoding::json_body(call.content_type.as_deref(), call.body.clone())?;
    let ctx = call.context(options.dry_run);
    let (stored, warnings) = from_json(shared, &call.resource, &ctx, &json, options.field_validation).await?;
    let shown = render::object(&call.resource, &stored, &call.accept, &call.query, call.now)?;
    Ok(Answer::json(201, shown).with_warnings(warnings))
}

/// Creates an object that the server itself wants.
pub(in crate::apiserver) async fn internal(
    shared: &Shared,
    resource: &Resource,
    namespace: Option<&str>,
    json: &[u8],
) -> Result<(), ApiError> {
    let user = UserInfo { name: "system:apiserver".to_owned(), ..UserInfo::default() };
    let namespace = namespace.map(str::to_owned);
    let ctx = RequestContext { namespace, now: shared.clock.now(), user, dry_run: false };
    from_json(shared, resource, &ctx, json, FieldValidation::Ignore).await.map(drop)
}

async fn from_json(
    shared: &Shared,
    resource: &Resource,
    ctx: &RequestContext,
    json: &[u8],
    field_validation: FieldValidation,
) -> Result<(Stored, Vec<String>), ApiError> {
    let (object, findings) = body::decode(resource, json)?;
    let mut warnings = body::judge(resource, findings, field_validation)?;
    let stored = object_from(shared, resource, ctx, object, &mut warnings).await?;
    Ok((stored, warnings))
}

/// Creates `object`, decoded as a client sent it.
pub(super) async fn object_from(
    shared: &Shared,
    resource: &Resource,
    ctx: &RequestContext,
    mut object: Box<dyn Object>,
    warnings: &mut Vec<String>,
) -> Result<Stored, ApiError> {
    if object.metadata().resource_version.as_deref().is_some_and(|version| !version.is_empty() && version != "0") {
        return Err(ApiError::bad_request("resourceVersion should not be set on objects to be created"));
    }
    metadata::place(resource, ctx, object.metadata_mut())?;
    warnings.extend(metadata::drop_repeated_owners(object.metadata_mut(), false));
    resource.rules.default(&mut *object);
    let name = object.metadata().name.clone().unwrap_or_default();
    admission::admit(shared, resource, Operation::Create, &name, Some(&mut *object), ctx).await?;
    metadata::fill(resource, ctx, &mut *object, &shared.generator);
    resource.rules.prepare_for_create(ctx, &mut *object);
    let generated = metadata::is_generated(object.metadata());
    let unassigned = (!resource.rules.claim_prefixes().is_empty()).then(|| object.duplicate());
    let mut draws = Draws::new(resource, &*object);
    let mut taken = None;
    for draw in 0..DRAWS {
        if draw > 0
            && let Some(unassigned) = &unassigned
        {
            object = unassigned.duplicate();
        }
        if generated {
            metadata::generate_name(object.metadata_mut(), &shared.generator);
        }
        draws.assign(shared, resource, &mut *object)?;
        match write(shared, resource, ctx, &mut *object).await {
            Err(Refusal::Name(name)) if !generated => return Err(ApiError::already_exists(resource, &name)),
            Err(Refusal::Name(name)) => taken = Some(ApiError::already_exists(resource, &name)),
            Err(Refusal::Claim(name, claim)) => {
                taken = Some(ApiError::invalid(resource, &name, std::slice::from_ref(&claim.taken)));
                draws.refused(shared, resource, &name, claim).await?;
            }
            Err(Refusal::Other(error)) => return Err(error),
            Ok(stored) => {
                warnings.extend(resource.rules.warnings(ctx, &*object, None));
                return Ok(stored);
            }
        }
    }
    Err(taken.unwrap_or_else(|| ApiError::internal("no free name was found")))
}

/// Why an attempt failed.
enum Refusal {
    /// The name is taken.
    Name(String),
    /// What the object of this name claims is another's; drawing again helps if the client did not ask for it.
    Claim(String, Claim),
    Other(ApiError),
}

impl<E: Into<ApiError>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

async fn write(
    shared: &Shared,
    resource: &Resource,
    ctx: &RequestContext,
    object: &mut dyn Object,
) -> Result<Stored, Refusal> {
    let name = object.metadata().name.clone().unwrap_or_default();
    let mut errors = metadata::validate(resource, object.metadata());
    errors.extend(resource.rules.validate(ctx, object));
    if !errors.is_empty() {
        return Err(ApiError::invalid(resource, &name, &errors).into());
    }
    resource.rules.canonicalize(object);
    let claims = resource.rules.claims(object);
    let key = resource.key(ctx.namespace.as_deref(), &name);
    let value = encode(object)?;
    if ctx.dry_run {
        return match (shared.stored(resource, &key).await?, first_taken(shared, claims).await?) {
            (Some(_), _) => Err(Refusal::Name(name)),
            (None, Some(claim)) => Err(Refusal::Claim(name, claim)),
            (None, None) => Ok(Stored { value, revision: 0 }),
        };
    }
    let change = orchestra_core::store::Change::Put { value: value.clone(), ttl: resource.time_to_live };
    let mut transaction = Transaction::new().with(StoreOperation {
        key: key.as_str().into(),
        precondition: Precondition::Absent,
        change,
    });
    for claim in &claims {
        transaction = transaction.put(claim.key.as_str(), key.clone(), Precondition::Absent);
    }
    match shared.store.commit(transaction).await {
        Ok(revision) => Ok(Stored { value, revision }),
        Err(StoreError::Conflict { key: conflicting, .. }) => {
            match claims.into_iter().find(|claim| *claim.key == *conflicting) {
                None => Err(Refusal::Name(name)),
                Some(claim) => Err(Refusal::Claim(name, claim)),
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// The first of these that somebody has, for a write that is not made.
async fn first_taken(shared: &Shared, claims: Vec<Claim>) -> Result<Option<Claim>, StoreError> {
    for claim in claims {
        if shared.store.get(&claim.key, ReadAt::Latest).await?.is_some() {
            return Ok(Some(claim));
        }
    }
    Ok(None)
}
