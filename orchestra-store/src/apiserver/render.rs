//! Objects as clients asked to see them: themselves, as a Table, or as metadata alone.

use std::fmt::Write as _;

use bytes::{BufMut, Bytes, BytesMut};
use jiff::Timestamp;
use orchestra_core::store::Revision;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    ApiError, field,
    kinds::column,
    registry::Resource,
    request::{
        negotiate::{Accept, View},
        options::Query,
    },
    verbs::Stored,
    wire,
};

/// What goes with the items of a list.
#[derive(Clone, Debug, Default)]
pub(super) struct ListMeta {
    pub(super) revision: Revision,
    pub(super) continue_token: Option<String>,
    pub(super) remaining: Option<usize>,
}

impl ListMeta {
    fn json(&self) -> String {
        let mut json = format!(r#"{{"resourceVersion":"{}""#, self.revision);
        if let Some(token) = &self.continue_token {
            // Writing to a String cannot fail.
            let _ = write!(json, r#","continue":"{token}""#);
        }
        if let Some(remaining) = self.remaining {
            let _ = write!(json, r#","remainingItemCount":{remaining}"#);
        }
        json.push('}');
        json
    }
}

/// Refuses what cannot be shown of a single object or of a list, before anything is done.
pub(super) fn check(resource: &Resource, accept: &Accept, query: &Query, is_list: bool) -> Result<(), ApiError> {
    let (package, kind) = (resource.go_package(), &resource.kind);
    match accept.view {
        View::Metadata if is_list => Err(ApiError::unacceptable(format!(
            "you requested PartialObjectMetadata, but the requested object is a list (*{package}.{kind}List)"
        ))),
        View::MetadataList if !is_list => Err(ApiError::unacceptable(format!(
            "you requested PartialObjectMetadataList, but the requested object is not a list (*{package}.{kind})"
        ))),
        View::Table => match query.get("includeObject") {
            None | Some("" | "None" | "Metadata" | "Object") => Ok(()),
            Some(other) => {
                let detail = "must be 'Metadata', 'Object', 'None', or empty";
                let error = field::Error::invalid(&field::Path::new("includeObject"), other, detail);
                Err(ApiError::bad_request(format!("Unable to convert to Table as requested: {error}")))
            }
        },
        _ => Ok(()),
    }
}

/// One object.
pub(super) fn object(
    resource: &Resource,
    stored: &Stored,
    accept: &Accept,
    query: &Query,
    now: Timestamp,
) -> Result<Bytes, ApiError> {
    match accept.view {
        View::Objects => Ok(wire::encoded(resource, &stored.value, stored.revision)),
        // The events of a watch show single objects whatever the client called it.
        View::Metadata | View::MetadataList => partial(stored, accept),
        View::Table => {
            let meta = ListMeta { revision: stored.revision, ..ListMeta::default() };
            table(resource, std::iter::once(stored.clone()), &meta, true, accept, query, now)
        }
    }
}

/// A list.
pub(super) fn list(
    resource: &Resource,
    items: impl Iterator<Item = Stored>,
    meta: &ListMeta,
    accept: &Accept,
    query: &Query,
    now: Timestamp,
) -> Result<Bytes, ApiError> {
    if accept.view == View::Table {
        return table(resource, items, meta, true, accept, query, now);
    }
    let (kind, version) = match accept.view {
        View::Objects => (resource.kind.clone(), resource.api_version()),
        _ => ("PartialObjectMetadata".to_owned(), accept.meta_version().to_owned()),
    };
    let mut buffer = BytesMut::with_capacity(4096);
    let meta = meta.json();
    buffer
        .put_slice(format!(r#"{{"kind":"{kind}List","apiVersion":"{version}","metadata":{meta},"items":["#).as_bytes());
    for (i, item) in items.enumerate() {
        if i > 0 {
            buffer.put_u8(b',');
        }
        match accept.view {
            View::Objects => wire::append_item(resource, &item.value, item.revision, &mut buffer),
            _ => buffer.put_slice(&partial(&item, accept)?),
        }
    }
    buffer.put_slice(b"]}");
    Ok(buffer.freeze())
}

#[derive(Deserialize)]
struct Partial<'a> {
    #[serde(borrow)]
    metadata: &'a RawValue,
}

fn partial(stored: &Stored, accept: &Accept) -> Result<Bytes, ApiError> {
    let Partial { metadata } = serde_json::from_slice(&stored.value).map_err(ApiError::internal)?;
    let metadata = metadata.get();
    let version = accept.meta_version();
    let whole = format!(r#"{{"kind":"PartialObjectMetadata","apiVersion":"{version}","metadata":{metadata}}}"#);
    let mut buffer = BytesMut::with_capacity(whole.len() + 48);
    wire::object(whole.as_bytes(), stored.revision, &mut buffer);
    Ok(buffer.freeze())
}

/// A `meta.k8s.io/v1` Table; on a watch only the first has the columns.
pub(super) fn table(
    resource: &Resource,
    items: impl Iterator<Item = Stored>,
    meta: &ListMeta,
    with_columns: bool,
    accept: &Accept,
    query: &Query,
    now: Timestamp,
) -> Result<Bytes, ApiError> {
    let meta = meta.json();
    let version = accept.meta_version();
    let mut json =
        format!(r#"{{"kind":"Table","apiVersion":"{version}","metadata":{meta},"columnDefinitions":"#).into_bytes();
    if with_columns {
        serde_json::to_writer(&mut json, &resource.rules.columns()).map_err(ApiError::internal)?;
    } else {
        json.extend_from_slice(b"null");
    }
    let mut items = items.peekable();
    if items.peek().is_none() && resource.rules.columns() == column::DEFAULT {
        // The others make a list before they look for what goes into it.
        json.extend_from_slice(br#","rows":null}"#);
        return Ok(json.into());
    }
    json.extend_from_slice(br#","rows":["#);
    let include = query.get("includeObject").unwrap_or("Metadata");
    for (i, item) in items.enumerate() {
        if i > 0 {
            json.push(b',');
        }
        let object = item.decode(resource)?;
        json.extend_from_slice(br#"{"cells":"#);
        serde_json::to_writer(&mut json, &resource.rules.cells(&*object, now)).map_err(ApiError::internal)?;
        json.extend_from_slice(br#","object":"#);
        match include {
            "None" => json.extend_from_slice(b"null"),
            "Object" => json.extend_from_slice(&wire::encoded(resource, &item.value, item.revision)),
            _ => json.extend_from_slice(&partial(&item, accept)?),
        }
        json.push(b'}');
    }
    json.extend_from_slice(b"]}");
    Ok(json.into())
}
