use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Resource,
    core::{ApiResource, DynamicResourceScope},
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error},
};
use serde_json::value::RawValue;

use super::raw;

/// An object of any kind as the API server wrote it, which is decoded by who knows its type. So all kinds are listed and watched by the
/// same machine code, and what is kept encoded need not be written again.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    /// Of the metadata, the resource version alone, which is what a list-watch goes by.
    metadata: ObjectMeta,
    json: Box<RawValue>,
}

/// An object, with what the API server wrote.
pub(super) struct Decoded<K> {
    pub(super) object: K,
    pub(super) json: Box<RawValue>,
}

impl Wire {
    pub(super) fn decode<K: DeserializeOwned>(self) -> serde_json::Result<Decoded<K>> {
        Ok(Decoded { object: serde_json::from_str(self.json.get())?, json: self.json })
    }
}

impl<'de> Deserialize<'de> for Wire {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Head {
            metadata: Option<Metadata>,
        }

        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Metadata {
            resource_version: Option<String>,
        }

        let json = raw::json(deserializer)?;
        let Head { metadata } = serde_json::from_str(json.get()).map_err(D::Error::custom)?;
        let resource_version = metadata.and_then(|metadata| metadata.resource_version);
        Ok(Self { metadata: ObjectMeta { resource_version, ..ObjectMeta::default() }, json })
    }
}

impl Resource for Wire {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(kind: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&kind.kind)
    }

    fn group(kind: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&kind.group)
    }

    fn version(kind: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&kind.version)
    }

    fn api_version(kind: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&kind.api_version)
    }

    fn plural(kind: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&kind.plural)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
