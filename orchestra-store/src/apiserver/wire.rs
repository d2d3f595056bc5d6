//! From stored bytes to the bytes that clients get. An object is stored without its `resourceVersion`, which only the
//! store knows; it is put in on the way out, by copying, never by encoding again.

use bytes::{BufMut, Bytes, BytesMut};
use orchestra_core::store::Revision;

use super::registry::Resource;

const METADATA: &[u8] = br#""metadata":{"#;

/// Where things are in the stored form of a kind: `{"apiVersion":"v1","kind":"Pod","metadata":{...`.
#[derive(Clone, Copy, Debug)]
struct Layout {
    /// Where `"metadata"` begins.
    metadata: usize,
}

fn layout(stored: &[u8]) -> Option<Layout> {
    // The type comes first and is short; its values hold no quotes or braces.
    let head = stored.get(..stored.len().min(512))?;
    let metadata = head.windows(METADATA.len()).position(|window| window == METADATA)?;
    Some(Layout { metadata })
}

/// Appends the object with its `resourceVersion`.
pub fn object(stored: &[u8], revision: Revision, into: &mut BytesMut) {
    append(stored, revision, true, into);
}

/// Appends the object as an item of a list: with its `resourceVersion`, without `apiVersion` and `kind`.
pub fn item(stored: &[u8], revision: Revision, into: &mut BytesMut) {
    append(stored, revision, false, into);
}

fn append(stored: &[u8], revision: Revision, with_type: bool, into: &mut BytesMut) {
    let Some(Layout { metadata }) = layout(stored) else {
        // Not written by this server; better shown as it is than not at all.
        into.put_slice(stored);
        return;
    };
    let body = metadata + METADATA.len();
    let mut number = itoa::Buffer::new();
    into.reserve(stored.len() + 48);
    if with_type {
        into.put_slice(&stored[..body]);
    } else {
        into.put_u8(b'{');
        into.put_slice(METADATA);
    }
    // What was never stored (a dry run's outcome) has no version.
    if revision > 0 {
        into.put_slice(br#""resourceVersion":""#);
        into.put_slice(number.format(revision).as_bytes());
        into.put_u8(b'"');
        if stored.get(body) != Some(&b'}') {
            into.put_u8(b',');
        }
    }
    into.put_slice(&stored[body..]);
}

/// The object as a client gets it.
pub fn encoded(resource: &Resource, stored: &Bytes, revision: Revision) -> Bytes {
    let mut buffer = BytesMut::with_capacity(stored.len() + 48);
    match resource.rules.to_wire(stored) {
        Some(converted) => object(&converted, revision, &mut buffer),
        None => object(stored, revision, &mut buffer),
    }
    buffer.freeze()
}

/// Appends the object as an item of a list of `resource`.
pub fn append_item(resource: &Resource, stored: &Bytes, revision: Revision, into: &mut BytesMut) {
    match resource.rules.to_wire(stored) {
        Some(converted) => item(&converted, revision, into),
        None => item(stored, revision, into),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_put_in() {
        let stored = br#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"k":"v"}}"#;
        let mut buffer = BytesMut::new();
        object(stored, 17, &mut buffer);
        assert_eq!(
            &buffer[..],
            br#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"resourceVersion":"17","name":"a"},"data":{"k":"v"}}"#
        );
        buffer.clear();
        item(stored, 17, &mut buffer);
        assert_eq!(&buffer[..], br#"{"metadata":{"resourceVersion":"17","name":"a"},"data":{"k":"v"}}"#);
    }

    #[test]
    fn empty_metadata_stays_valid() {
        let mut buffer = BytesMut::new();
        object(br#"{"apiVersion":"v1","kind":"X","metadata":{}}"#, 1, &mut buffer);
        assert_eq!(&buffer[..], br#"{"apiVersion":"v1","kind":"X","metadata":{"resourceVersion":"1"}}"#);
    }
}
