//! What etcd tells, as the store's types.

use etcd_client::proto::{PbEvent, PbKeyValue, PbResponseHeader};
use orchestra_core::store::{Event, Key, KeyValue, Revision, StoreError};

use super::failure::{Failure, Kind};
use crate::mvcc::{Batch, Events, Unreadable};

/// What values in Kubernetes' protobuf encoding begin with.
const PROTOBUF: &[u8] = b"k8s\0";

/// The revision that etcd answered at.
pub(super) fn revision(header: Option<&PbResponseHeader>) -> Result<Revision, Failure> {
    header
        .map(|header| unsigned(header.revision))
        .ok_or_else(|| Failure::new(Kind::Unknown, "etcd's answer has no header"))
}

/// etcd's revisions are signed, and never negative.
pub(super) fn unsigned(revision: i64) -> Revision {
    revision.unsigned_abs()
}

/// The revision as etcd takes it; what is too large for it has not happened yet, whichever it is.
pub(super) fn signed(revision: Revision) -> i64 {
    i64::try_from(revision).unwrap_or(i64::MAX)
}

pub(super) fn entry(kv: PbKeyValue) -> Result<KeyValue, StoreError> {
    Ok(readable(kv)?)
}

fn readable(kv: PbKeyValue) -> Result<KeyValue, Unreadable> {
    let key = key(kv.key)?;
    if kv.value.starts_with(PROTOBUF) {
        let reason = "the value is in Kubernetes' protobuf encoding; only JSON is understood \
                      (kube-apiserver --storage-media-type=application/json)";
        return Err(Unreadable { key, reason: reason.to_owned() });
    }
    Ok(KeyValue {
        key,
        value: kv.value.into(),
        create_revision: unsigned(kv.create_revision),
        mod_revision: unsigned(kv.mod_revision),
    })
}

fn key(bytes: Vec<u8>) -> Result<Key, Unreadable> {
    match String::from_utf8(bytes) {
        Ok(key) => Ok(key.into()),
        Err(error) => {
            let key = String::from_utf8_lossy(error.as_bytes()).into();
            Err(Unreadable { key, reason: "the key is not UTF-8".to_owned() })
        }
    }
}

/// Why an event cannot be told.
enum Untold {
    Unreadable(Unreadable),
    /// What was before it has been compacted.
    PreviousIsGone,
}

impl From<Unreadable> for Untold {
    fn from(unreadable: Unreadable) -> Self {
        Self::Unreadable(unreadable)
    }
}

fn event(event: PbEvent) -> Result<Event, Untold> {
    let Some(kv) = event.kv else {
        return Err(Unreadable { key: "".into(), reason: "etcd tells an event without a key".to_owned() }.into());
    };
    let previous = event.prev_kv.map(readable);
    if event.r#type == etcd_client::EventType::Delete as i32 {
        return match previous {
            Some(previous) => Ok(Event::Delete { previous: previous?, revision: unsigned(kv.mod_revision) }),
            None => Err(Untold::PreviousIsGone),
        };
    }
    let created = kv.version == 1;
    let current = readable(kv)?;
    match previous {
        None if !created => Err(Untold::PreviousIsGone),
        previous => Ok(Event::Put { current, previous: previous.transpose()? }),
    }
}

/// The events after revision `after`, which must be whole revisions in order, as one batch a revision.
pub(super) fn batches(events: Vec<PbEvent>, after: Revision) -> Result<Vec<Batch>, StoreError> {
    let mut batches: Vec<Batch> = Vec::new();
    for told in events {
        let revision = told.kv.as_ref().map_or(0, |kv| unsigned(kv.mod_revision));
        if revision <= after {
            continue;
        }
        if batches.last().is_none_or(|last| last.revision < revision) {
            batches.push(Batch::new(revision, Events::default()));
        }
        let Some(batch) = batches.last_mut() else { continue };
        match event(told) {
            Ok(event) => batch.events.push(event),
            Err(Untold::Unreadable(unreadable)) => batch.unreadable.push(unreadable),
            // Nothing before the event's own revision is left, perhaps less.
            Err(Untold::PreviousIsGone) => return Err(StoreError::Compacted { requested: after, oldest: revision }),
        }
    }
    Ok(batches)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kv(key: &[u8], value: &[u8], version: i64, mod_revision: i64) -> PbKeyValue {
        PbKeyValue { key: key.to_vec(), value: value.to_vec(), create_revision: 2, mod_revision, version, lease: 0 }
    }

    fn put(kv: PbKeyValue, prev_kv: Option<PbKeyValue>) -> PbEvent {
        PbEvent { r#type: etcd_client::EventType::Put as i32, kv: Some(kv), prev_kv }
    }

    #[test]
    fn events_are_grouped_by_revision_and_those_seen_before_are_left_out() {
        let events = vec![
            put(kv(b"/a", b"1", 1, 4), None),
            put(kv(b"/a", b"2", 2, 5), Some(kv(b"/a", b"1", 1, 4))),
            put(kv(b"/b", b"1", 1, 5), None),
            put(kv(b"/c", b"1", 1, 7), None),
        ];
        let batches = batches(events, 4).unwrap();
        let sizes: Vec<(Revision, usize)> = batches.iter().map(|batch| (batch.revision, batch.events.len())).collect();
        assert_eq!(sizes, [(5, 2), (7, 1)]);
    }

    #[test]
    fn an_event_whose_previous_value_is_gone_is_not_made_up() {
        let told = batches(vec![put(kv(b"/a", b"2", 2, 5), None)], 4);
        assert!(matches!(told, Err(StoreError::Compacted { requested: 4, oldest: 5 })));
        let deleted =
            PbEvent { r#type: etcd_client::EventType::Delete as i32, kv: Some(kv(b"/a", b"", 0, 5)), prev_kv: None };
        assert!(matches!(batches(vec![deleted], 4), Err(StoreError::Compacted { .. })));
    }

    #[test]
    fn what_cannot_be_read_names_its_key() {
        let Err(StoreError::Corrupt { key, .. }) = entry(kv(b"/registry/pods/a", b"k8s\0\n", 1, 5)) else {
            panic!("a protobuf value is read");
        };
        assert_eq!(&*key, "/registry/pods/a");
        let told = batches(vec![put(kv(b"/registry/\xff", b"{}", 1, 5), None)], 4).unwrap();
        assert_eq!(&*told[0].unreadable[0].key, "/registry/\u{fffd}");
    }
}
