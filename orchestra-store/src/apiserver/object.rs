//! Objects of any kind as the generic resource handles them: typed inside, one interface outside.

use std::{any::Any, fmt};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use memchr::memmem;
use serde::{Serialize, de::DeserializeOwned};

use super::nulls::{self, WithNulls};

/// What a Rust type must be to serve as the object of a [`Strategy`](super::strategy::Strategy): every k8s-openapi kind is,
/// and every type with kube's `CustomResource` derive. Its JSON form begins with `apiVersion` and `kind`.
pub trait ApiObject:
    Clone + fmt::Debug + PartialEq + Serialize + DeserializeOwned + Resource<DynamicType = ()> + Send + Sync + 'static
{
}

impl<T> ApiObject for T where
    T: Clone
        + fmt::Debug
        + PartialEq
        + Serialize
        + DeserializeOwned
        + Resource<DynamicType = ()>
        + Send
        + Sync
        + 'static
{
}

/// The form in which clients see objects that are stored as `T`: `T` itself, or another version or group of the same kind.
pub trait WireForm<T>: ApiObject {
    /// Whether it differs from the stored form.
    const CONVERTS: bool;
    /// From what a client sent.
    fn into_stored(self) -> T;
    /// To what a client sees.
    fn from_stored(stored: T) -> Self;
}

impl<T: ApiObject> WireForm<T> for T {
    const CONVERTS: bool = false;

    fn into_stored(self) -> T {
        self
    }

    fn from_stored(stored: T) -> Self {
        stored
    }
}

/// A decoded object whose kind is known at run time only. The verbs work on this; a strategy gets its own type back.
pub trait Object: Any + fmt::Debug + Send + Sync {
    /// The object's metadata.
    fn metadata(&self) -> &ObjectMeta;
    /// The object's metadata, to change.
    fn metadata_mut(&mut self) -> &mut ObjectMeta;
    /// A copy.
    fn duplicate(&self) -> Box<dyn Object>;
    /// Writes the object as JSON: `apiVersion`, `kind`, `metadata`, then the rest, which is what [`wire`](super::wire) reads.
    fn encode(&self, into: &mut Vec<u8>) -> serde_json::Result<()>;
    /// Whether both are of one kind and equal.
    fn equals(&self, other: &dyn Object) -> bool;
}

impl<T: ApiObject> Object for T {
    fn metadata(&self) -> &ObjectMeta {
        self.meta()
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        self.meta_mut()
    }

    fn duplicate(&self) -> Box<dyn Object> {
        Box::new(self.clone())
    }

    fn encode(&self, into: &mut Vec<u8>) -> serde_json::Result<()> {
        let start = into.len();
        let times = nulls::of_kind(&T::group(&()), &T::kind(&()));
        serde_json::to_writer(&mut *into, &WithNulls::object(self, times))?;
        metadata_first(&mut into[start..], self.meta())
    }

    fn equals(&self, other: &dyn Object) -> bool {
        (other as &dyn Any).downcast_ref::<T>() == Some(self)
    }
}

/// Moves `"metadata":{...}` before all other fields but the type. k8s-openapi writes fields in the order of their names, so
/// that a ConfigMap's data or an Event's message would stand before it.
fn metadata_first(json: &mut [u8], metadata: &ObjectMeta) -> serde_json::Result<()> {
    const KIND: &[u8] = br#","kind":""#;
    // Neither an API version nor a kind holds a quote.
    let Some(kind) = memmem::find(json, KIND).map(|at| at + KIND.len()) else { return Ok(()) };
    let Some(type_end) = memchr::memchr(b'"', &json[kind..]).map(|at| kind + at + 1) else { return Ok(()) };
    if json[type_end..].starts_with(br#","metadata":"#) {
        return Ok(());
    }
    let mut field = br#","metadata":"#.to_vec();
    serde_json::to_writer(&mut field, metadata)?;
    if let Some(at) = memmem::find(&json[type_end..], &field) {
        json[type_end..type_end + at + field.len()].rotate_right(field.len());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;

    use super::*;

    #[test]
    fn metadata_stands_before_data() {
        let text = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"k":",\"metadata\":{}"},"immutable":true}"#;
        let map: ConfigMap = serde_json::from_str(text).unwrap();
        let mut json = b"before".to_vec();
        map.encode(&mut json).unwrap();
        assert_eq!(String::from_utf8(json).unwrap(), format!("before{text}"));
    }
}
