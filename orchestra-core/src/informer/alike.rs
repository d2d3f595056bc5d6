//! Objects that are alike, as the pods of one owner are: of each only what tells it from another is kept.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use lz4_flex::block::{compress_with_dict, decompress_with_dict};
use parking_lot::Mutex;

/// What is kept whole, for others to differ from.
#[derive(Default)]
pub(super) struct Alike {
    bases: Mutex<Bases>,
}

#[derive(Default)]
struct Bases {
    /// By the uid of the objects' controller.
    of_owners: HashMap<Box<str>, Weak<str>>,
    /// The one that came last, for objects whose owner is new.
    last: Option<Weak<str>>,
    /// With how many owners to look which ones are gone.
    full: usize,
}

/// The JSON of an object.
pub(super) enum Json {
    /// All of it, which others may differ from.
    Whole(Arc<str>),
    Different(Different),
}

/// What tells an object's JSON from another one's, in LZ4's block format with that as its dictionary.
pub(super) struct Different {
    base: Arc<str>,
    compressed: Box<[u8]>,
    /// How long the JSON is.
    length: usize,
}

impl Alike {
    /// Objects that differ in more than this part of them, a third, are not alike.
    const PART: usize = 3;
    const LEAST_OWNERS: usize = 64;

    /// What to keep of `json`, that of an object with this controller.
    pub(super) fn keep(&self, owner: Option<&str>, json: &str) -> Json {
        let owner = owner.unwrap_or_default();
        let mut bases = self.bases.lock();
        let base = bases.of_owners.get(owner).and_then(Weak::upgrade);
        if let Some(base) = base.or_else(|| bases.last.as_ref()?.upgrade()) {
            let compressed = compress_with_dict(json.as_bytes(), base.as_bytes());
            if compressed.len() <= json.len() / Self::PART {
                return Json::Different(Different { base, compressed: compressed.into(), length: json.len() });
            }
        }
        let base = Arc::<str>::from(json);
        bases.add(owner, &base);
        Json::Whole(base)
    }
}

impl Bases {
    fn add(&mut self, owner: &str, base: &Arc<str>) {
        self.of_owners.insert(owner.into(), Arc::downgrade(base));
        self.last = Some(Arc::downgrade(base));
        if self.of_owners.len() > self.full {
            self.of_owners.retain(|_, base| base.strong_count() > 0);
            self.full = (2 * self.of_owners.len()).max(Alike::LEAST_OWNERS);
        }
    }
}

impl Different {
    pub(super) fn json(&self) -> Result<String, String> {
        let json = decompress_with_dict(&self.compressed, self.length, self.base.as_bytes());
        String::from_utf8(json.map_err(|error| error.to_string())?).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Generator;

    fn noise(generator: &Generator, length: usize) -> String {
        (0..length).map(|_| char::from(b'a' + generator.below(26) as u8)).collect()
    }

    fn pod(owner: &str, name: &str, command: &str) -> String {
        format!(
            r#"{{"metadata":{{"name":"{name}","ownerReferences":[{{"uid":"{owner}","controller":true}}]}},
            "spec":{{"containers":[{{"name":"main","image":"registry.example/app:1","command":["{command}"]}}]}}}}"#
        )
    }

    fn text(json: &Json) -> String {
        match json {
            Json::Whole(json) => json.to_string(),
            Json::Different(different) => different.json().unwrap(),
        }
    }

    #[test]
    fn what_is_kept_is_what_was_given() {
        let alike = Alike::default();
        let noise = noise(&Generator::seeded(1), 2_000);
        let given: Vec<_> =
            [("a", "1", "sleep"), ("a", "2", "sleep"), ("b", "3", "sleep"), ("a", "4", &noise), ("a", "5", &noise)]
                .map(|(owner, name, command)| (owner, pod(owner, name, command)))
                .into();
        let kept: Vec<_> = given.iter().map(|(owner, json)| alike.keep(Some(owner), json)).collect();
        assert_eq!(
            kept.iter().map(text).collect::<Vec<_>>(),
            given.iter().map(|(_, json)| json.clone()).collect::<Vec<_>>()
        );
        // One that is not alike is what those after it differ from.
        let whole: Vec<_> = kept.iter().map(|json| matches!(json, Json::Whole(_))).collect();
        assert_eq!(whole, [true, false, false, true, false]);
    }

    #[test]
    fn owners_whose_objects_are_gone_are_forgotten() {
        let alike = Alike::default();
        let generator = Generator::seeded(1);
        for number in 0..1_000 {
            drop(alike.keep(Some(&number.to_string()), &noise(&generator, 200)));
        }
        assert!(alike.bases.lock().of_owners.len() <= Alike::LEAST_OWNERS + 1);
    }
}
