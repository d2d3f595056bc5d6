//! Kinds made by kube's derive macro `CustomResource`, without rules of their own.

use std::marker::PhantomData;

use jiff::Timestamp;
use kube::core::{
    CustomResourceExt,
    object::{HasSpec, HasStatus},
};
use schemars::JsonSchema;
use serde_json::{Value, json};

use super::{
    age,
    kinds::column,
    object::ApiObject,
    registry::{Resource, Subresource},
    row,
    strategy::{Column, RequestContext, Strategy},
};

/// The row of `T`, a type with spec and status made by kube's derive macro `CustomResource`.
///
/// As a custom resource with the subresource `status` it has a generation that grows with each change of the spec, a status that changes
/// through that subresource alone, and the columns Name and Age. What the macro does not know (defaults, validation, other
/// columns) is for a [`Strategy`] of the kind's own.
///
/// ```
/// use kube::CustomResource;
/// use orchestra_store::apiserver::{custom_resource, kinds};
/// use schemars::JsonSchema;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
/// #[kube(group = "example.com", version = "v1", kind = "Website", namespaced, shortname = "web")]
/// #[kube(status = "WebsiteStatus", derive = "PartialEq")]
/// struct WebsiteSpec { image: String }
///
/// #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
/// struct WebsiteStatus { ready: i32 }
///
/// let registry = kinds::table().with(custom_resource::<Website>());
/// # let _ = registry;
/// ```
pub fn custom_resource<T>() -> Resource
where
    T: ApiObject + CustomResourceExt + JsonSchema + HasSpec<Spec: PartialEq> + HasStatus<Status: Clone>,
{
    let definition = T::crd().spec;
    let mut resource = row(CustomResource(PhantomData::<fn() -> T>)).subresources(&[Subresource::Status]);
    resource.namespaced = definition.scope == "Namespaced";
    resource.short_names = definition.names.short_names.unwrap_or_default();
    resource.categories = definition.names.categories.unwrap_or_default();
    resource
}

struct CustomResource<T>(PhantomData<fn() -> T>);

impl<T> Strategy for CustomResource<T>
where
    T: ApiObject + JsonSchema + HasSpec<Spec: PartialEq> + HasStatus<Status: Clone>,
{
    type Object = T;
    type Wire = T;

    fn prepare_for_create(&self, _: &RequestContext, object: &mut T) {
        *object.status_mut() = None;
    }

    fn prepare_for_update(&self, _: &RequestContext, new: &mut T, old: &T) {
        *new.status_mut() = old.status().cloned();
    }

    fn changes_generation(&self, new: &T, old: &T) -> Option<bool> {
        Some(new.spec() != old.spec())
    }

    fn prepare_for_status_update(&self, _: &RequestContext, new: &mut T, old: &T) {
        let status = new.status_mut().take();
        new.clone_from(old);
        *new.status_mut() = status;
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[column::NAME, column::AGE];
        COLUMNS
    }

    fn cells(&self, object: &T, now: Timestamp) -> Vec<Value> {
        let metadata = object.meta();
        vec![json!(metadata.name), json!(age::since(metadata.creation_timestamp.as_ref(), now))]
    }
}
