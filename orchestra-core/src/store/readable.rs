//! Values in serde's forms: a text where they are UTF-8, as JSON is, else a list of numbers.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum Readable<'a> {
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
}

pub(super) fn serialize<S: Serializer>(value: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    let readable = match std::str::from_utf8(value) {
        Ok(text) => Readable::Text(text.into()),
        Err(_) => Readable::Bytes((&**value).into()),
    };
    readable.serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    Ok(match Readable::deserialize(deserializer)? {
        Readable::Text(text) => text.into_owned().into(),
        Readable::Bytes(bytes) => bytes.into_owned().into(),
    })
}

#[cfg(test)]
mod tests {
    use crate::store::{Precondition, Transaction};

    #[test]
    fn values_that_are_texts_can_be_read_and_others_are_kept() {
        for (value, written) in [(&b"{\"a\":1}"[..], r#""{\"a\":1}""#), (b"\xff\x00", "[255,0]"), (b"", r#""""#)] {
            let put = Transaction::new().put("/a", value.to_vec(), Precondition::Unchanged(7));
            let json = serde_json::to_string(&put).unwrap();
            assert!(json.contains(written), "{json}");
            assert_eq!(serde_json::from_str::<Transaction>(&json).unwrap(), put);
        }
    }
}
