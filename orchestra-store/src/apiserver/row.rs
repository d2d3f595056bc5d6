//! From a typed [`Strategy`] to a row of the table: [`Kind`], the same rules over objects whose type is known at run time only.

use std::{any::Any, collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use jiff::Timestamp;
use k8s_openapi::{api::autoscaling::v1::Scale, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::Resource as _;
use orchestra_core::random::Generator;
use serde_json::{Value, json};

use super::{
    decode::{self, Decoded},
    field,
    object::{ApiObject, Object, WireForm},
    registry::{KUBERNETES_GROUPS, Resource, Subresource},
    strategy::{Column, RequestContext, Strategy},
};

/// The rules of one kind over type-erased objects. Implemented for every [`Strategy`] by [`row`]; a custom resource
/// implements it over its schema.
pub trait Kind: Send + Sync + 'static {
    /// Decodes what a client sent as JSON.
    fn decode(&self, body: &[u8], known: &[String]) -> Result<Decoded, decode::DecodeError>;
    /// Decodes what the store holds.
    fn decode_stored(&self, value: &[u8]) -> Result<Box<dyn Object>, String>;
    /// What a client sees of a stored object, where that is not the stored form itself.
    fn to_wire(&self, stored: &Bytes) -> Option<Bytes>;
    /// [`Strategy::default`].
    fn default(&self, object: &mut dyn Object);
    /// [`Strategy::prepare_for_create`].
    fn prepare_for_create(&self, ctx: &RequestContext, object: &mut dyn Object);
    /// [`Strategy::prepare_for_update`].
    fn prepare_for_update(&self, ctx: &RequestContext, new: &mut dyn Object, old: &dyn Object);
    /// [`Strategy::validate`].
    fn validate(&self, ctx: &RequestContext, object: &dyn Object) -> field::Errors;
    /// [`Strategy::validate_update`].
    fn validate_update(&self, ctx: &RequestContext, new: &dyn Object, old: &dyn Object) -> field::Errors;
    /// [`Strategy::validate_name`].
    fn validate_name(&self, name: &str, is_prefix: bool) -> Option<String>;
    /// [`Strategy::changes_generation`].
    fn changes_generation(&self, new: &dyn Object, old: &dyn Object) -> Option<bool>;
    /// [`Strategy::prepare_for_status_update`].
    fn prepare_for_status_update(&self, ctx: &RequestContext, new: &mut dyn Object, old: &dyn Object);
    /// [`Strategy::validate_status_update`].
    fn validate_status_update(&self, ctx: &RequestContext, new: &dyn Object, old: &dyn Object) -> field::Errors;
    /// [`Strategy::prepare_for_part_update`].
    fn prepare_for_part_update(&self, part: Subresource, ctx: &RequestContext, new: &mut dyn Object, old: &dyn Object);
    /// [`Strategy::validate_part_update`].
    fn validate_part_update(
        &self,
        part: Subresource,
        ctx: &RequestContext,
        new: &dyn Object,
        old: &dyn Object,
    ) -> field::Errors;
    /// [`Strategy::prepare_for_finalize`].
    fn prepare_for_finalize(&self, new: &mut dyn Object, old: &dyn Object);
    /// [`Strategy::scale`].
    fn scale(&self, object: &dyn Object) -> Option<Scale>;
    /// [`Strategy::set_replicas`].
    fn set_replicas(&self, object: &mut dyn Object, replicas: i32);
    /// [`Strategy::canonicalize`].
    fn canonicalize(&self, object: &mut dyn Object);
    /// [`Strategy::warnings`].
    fn warnings(&self, ctx: &RequestContext, new: &dyn Object, old: Option<&dyn Object>) -> Vec<String>;
    /// [`Strategy::grace_period`].
    fn grace_period(&self, object: &dyn Object, requested: Option<i64>) -> Option<i64>;
    /// [`Strategy::begin_deletion`].
    fn begin_deletion(&self, object: &mut dyn Object);
    /// [`Strategy::holds_deletion`].
    fn holds_deletion(&self, object: &dyn Object) -> bool;
    /// [`Strategy::assign`].
    fn assign(&self, object: &mut dyn Object, taken: &BTreeSet<String>, generator: &Generator) -> Result<(), String>;
    /// [`Strategy::claim_prefixes`].
    fn claim_prefixes(&self) -> &'static [&'static str];
    /// [`Strategy::claims`].
    fn claims(&self, object: &dyn Object) -> Vec<super::strategy::Claim>;
    /// [`Strategy::fields`].
    fn fields(&self, object: &dyn Object) -> Vec<String>;
    /// [`Strategy::selectable_fields`].
    fn selectable_fields(&self) -> &'static [&'static str];
    /// [`Strategy::columns`].
    fn columns(&self) -> &'static [Column];
    /// [`Strategy::cells`].
    fn cells(&self, object: &dyn Object, now: Timestamp) -> Vec<Value>;
    /// The JSON schema of the kind with all that it refers to.
    fn schema(&self) -> schemars::Schema;
}

/// A strategy as a [`Kind`].
struct Typed<S>(S);

fn typed<T: ApiObject>(object: &dyn Object) -> &T {
    // A row only ever sees objects that its own `decode` functions made, or copies of them.
    (object as &dyn Any).downcast_ref().expect("an object of the row's own type")
}

pub(super) fn typed_mut<T: ApiObject>(object: &mut dyn Object) -> &mut T {
    (object as &mut dyn Any).downcast_mut().expect("an object of the row's own type")
}

impl<S: Strategy> Kind for Typed<S> {
    fn decode(&self, body: &[u8], known: &[String]) -> Result<Decoded, decode::DecodeError> {
        let (wire, findings) = decode::typed::<S::Wire>(body, known)?;
        Ok(Decoded { object: Box::new(wire.into_stored()), findings })
    }

    fn decode_stored(&self, value: &[u8]) -> Result<Box<dyn Object>, String> {
        match decode::stored::<S::Object>(value) {
            Ok(object) => Ok(Box::new(object)),
            Err(error) => Err(error.to_string()),
        }
    }

    fn to_wire(&self, stored: &Bytes) -> Option<Bytes> {
        if !S::Wire::CONVERTS {
            return None;
        }
        let object: S::Object = decode::stored(stored).ok()?;
        let mut json = Vec::with_capacity(stored.len());
        Object::encode(&S::Wire::from_stored(object), &mut json).ok()?;
        Some(Bytes::from(json))
    }

    fn default(&self, object: &mut dyn Object) {
        self.0.default(typed_mut(object));
    }

    fn prepare_for_create(&self, ctx: &RequestContext, object: &mut dyn Object) {
        self.0.prepare_for_create(ctx, typed_mut(object));
    }

    fn prepare_for_update(&self, ctx: &RequestContext, new: &mut dyn Object, old: &dyn Object) {
        self.0.prepare_for_update(ctx, typed_mut(new), typed(old));
    }

    fn validate(&self, ctx: &RequestContext, object: &dyn Object) -> field::Errors {
        self.0.validate(ctx, typed(object))
    }

    fn validate_update(&self, ctx: &RequestContext, new: &dyn Object, old: &dyn Object) -> field::Errors {
        self.0.validate_update(ctx, typed(new), typed(old))
    }

    fn validate_name(&self, name: &str, is_prefix: bool) -> Option<String> {
        self.0.validate_name(name, is_prefix)
    }

    fn changes_generation(&self, new: &dyn Object, old: &dyn Object) -> Option<bool> {
        self.0.changes_generation(typed(new), typed(old))
    }

    fn prepare_for_status_update(&self, ctx: &RequestContext, new: &mut dyn Object, old: &dyn Object) {
        self.0.prepare_for_status_update(ctx, typed_mut(new), typed(old));
    }

    fn validate_status_update(&self, ctx: &RequestContext, new: &dyn Object, old: &dyn Object) -> field::Errors {
        self.0.validate_status_update(ctx, typed(new), typed(old))
    }

    fn prepare_for_part_update(&self, part: Subresource, ctx: &RequestContext, new: &mut dyn Object, old: &dyn Object) {
        self.0.prepare_for_part_update(part, ctx, typed_mut(new), typed(old));
    }

    fn validate_part_update(
        &self,
        part: Subresource,
        ctx: &RequestContext,
        new: &dyn Object,
        old: &dyn Object,
    ) -> field::Errors {
        self.0.validate_part_update(part, ctx, typed(new), typed(old))
    }

    fn prepare_for_finalize(&self, new: &mut dyn Object, old: &dyn Object) {
        self.0.prepare_for_finalize(typed_mut(new), typed(old));
    }

    fn scale(&self, object: &dyn Object) -> Option<Scale> {
        self.0.scale(typed(object))
    }

    fn set_replicas(&self, object: &mut dyn Object, replicas: i32) {
        self.0.set_replicas(typed_mut(object), replicas);
    }

    fn canonicalize(&self, object: &mut dyn Object) {
        self.0.canonicalize(typed_mut(object));
    }

    fn warnings(&self, ctx: &RequestContext, new: &dyn Object, old: Option<&dyn Object>) -> Vec<String> {
        self.0.warnings(ctx, typed(new), old.map(typed))
    }

    fn grace_period(&self, object: &dyn Object, requested: Option<i64>) -> Option<i64> {
        self.0.grace_period(typed(object), requested)
    }

    fn begin_deletion(&self, object: &mut dyn Object) {
        self.0.begin_deletion(typed_mut(object));
    }

    fn holds_deletion(&self, object: &dyn Object) -> bool {
        self.0.holds_deletion(typed(object))
    }

    fn assign(&self, object: &mut dyn Object, taken: &BTreeSet<String>, generator: &Generator) -> Result<(), String> {
        self.0.assign(typed_mut(object), taken, generator)
    }

    fn claim_prefixes(&self) -> &'static [&'static str] {
        self.0.claim_prefixes()
    }

    fn claims(&self, object: &dyn Object) -> Vec<super::strategy::Claim> {
        self.0.claims(typed(object))
    }

    fn fields(&self, object: &dyn Object) -> Vec<String> {
        self.0.fields(typed(object))
    }

    fn selectable_fields(&self) -> &'static [&'static str] {
        self.0.selectable_fields()
    }

    fn columns(&self) -> &'static [Column] {
        self.0.columns()
    }

    fn cells(&self, object: &dyn Object, now: Timestamp) -> Vec<Value> {
        self.0.cells(typed(object), now)
    }

    fn schema(&self) -> schemars::Schema {
        let mut generator = schemars::generate::SchemaSettings::openapi3().into_generator();
        let metadata = generator.subschema_for::<ObjectMeta>().to_value();
        let mut schema = generator.into_root_schema_for::<S::Wire>();
        // What every object has: kube's derive macro `CustomResource` leaves it to the server.
        if let Some(Value::Object(properties)) = schema.get_mut("properties") {
            let text = json!({ "type": "string" });
            for (field, schema) in [("apiVersion", text.clone()), ("kind", text), ("metadata", metadata)] {
                properties.entry(field).or_insert(schema);
            }
        }
        schema
    }
}

/// Begins the row of the kind of `strategy`, a namespaced one without subresources; the other methods say what differs.
///
/// ```
/// # use orchestra_store::apiserver::{row, strategy::{Column, Strategy}};
/// # use k8s_openapi::api::core::v1::ConfigMap;
/// struct ConfigMaps;
/// impl Strategy for ConfigMaps {
///     type Object = ConfigMap;
///     type Wire = ConfigMap;
///     // ...
/// #   fn columns(&self) -> &'static [Column] { &[] }
/// #   fn cells(&self, _: &ConfigMap, _: jiff::Timestamp) -> Vec<serde_json::Value> { Vec::new() }
/// }
/// let resource = row(ConfigMaps).short_names(&["cm"]);
/// assert_eq!(resource.plural, "configmaps");
/// ```
pub fn row<S: Strategy>(strategy: S) -> Resource {
    let plural = S::Wire::plural(&()).into_owned();
    let group = S::Wire::group(&()).into_owned();
    // Custom resources have their group in their keys, as two groups may have kinds of one name.
    let place = if KUBERNETES_GROUPS.contains(&&*group) { plural.clone() } else { format!("{group}/{plural}") };
    Resource {
        storage_prefix: format!("/registry/{place}/"),
        kind: S::Wire::kind(&()).into_owned(),
        singular: S::Wire::kind(&()).to_lowercase(),
        version: S::Wire::version(&()).into_owned(),
        group,
        plural,
        short_names: Vec::new(),
        categories: Vec::new(),
        namespaced: true,
        subresources: Vec::new(),
        time_to_live: None,
        returns_deleted: false,
        creates_on_update: false,
        unconditional_updates: true,
        deprecation: None,
        rules: Arc::new(Typed(strategy)),
        answers: None,
    }
}

impl Resource {
    /// Objects live in no namespace.
    #[must_use]
    pub fn cluster_scoped(mut self) -> Self {
        self.namespaced = false;
        self
    }

    /// The short names for kubectl.
    #[must_use]
    pub fn short_names(mut self, names: &[&str]) -> Self {
        self.short_names = names.iter().map(|&name| name.to_owned()).collect();
        self
    }

    /// The categories: `all`.
    #[must_use]
    pub fn categories(mut self, categories: &[&str]) -> Self {
        self.categories = categories.iter().map(|&name| name.to_owned()).collect();
        self
    }

    /// The endpoints beside the object itself.
    #[must_use]
    pub fn subresources(mut self, subresources: &[Subresource]) -> Self {
        self.subresources = subresources.to_vec();
        self
    }

    /// Where Kubernetes stores a kind of its own, if not under its plural: `minions` for nodes.
    #[must_use]
    pub fn stored_as(mut self, name: &str) -> Self {
        self.storage_prefix = format!("/registry/{name}/");
        self
    }

    /// How long objects live.
    #[must_use]
    pub fn time_to_live(mut self, time_to_live: std::time::Duration) -> Self {
        self.time_to_live = Some(time_to_live);
        self
    }

    /// A DELETE answers with the object.
    #[must_use]
    pub fn returns_deleted(mut self) -> Self {
        self.returns_deleted = true;
        self
    }

    /// A PUT of an absent object creates it.
    #[must_use]
    pub fn creates_on_update(mut self) -> Self {
        self.creates_on_update = true;
        self
    }

    /// An update must say which version it is based on.
    #[must_use]
    pub fn conditional_updates(mut self) -> Self {
        self.unconditional_updates = false;
        self
    }

    /// The version of the kind is deprecated: what to tell whoever uses it, in a `Warning` header.
    #[must_use]
    pub fn deprecated(mut self, warning: &str) -> Self {
        self.deprecation = Some(warning.to_owned());
        self
    }
}
