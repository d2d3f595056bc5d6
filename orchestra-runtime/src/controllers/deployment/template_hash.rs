//! Names replica sets after their pod template, and tells templates apart.

use k8s_openapi::api::core::v1::PodTemplateSpec;

/// The label that keeps the pods of a deployment's replica sets apart.
pub(super) const LABEL: &str = "pod-template-hash";

/// The letters that stand for the digits of a hash: no vowels, so that no words come about.
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// The hash of a template: 32-bit FNV-1a of its JSON form, in letters. `collisions` is counted up when the name that results
/// is taken by another template's replica set.
pub(super) fn of(template: &PodTemplateSpec, collisions: Option<i32>) -> String {
    let mut hash: u32 = 0x811c_9dc5;
    let mut write = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        }
    };
    // Maps with string keys and plain values always have a JSON form.
    write(serde_json::to_string(template).unwrap_or_default().as_bytes());
    if let Some(collisions) = collisions {
        write(&collisions.to_le_bytes());
    }
    hash.to_string().bytes().map(|digit| char::from(LETTERS[usize::from(digit) % LETTERS.len()])).collect()
}

/// Whether two templates make the same pods, whatever the hash label says.
pub(super) fn is_same_template(a: &PodTemplateSpec, b: &PodTemplateSpec) -> bool {
    if a.spec != b.spec {
        return false;
    }
    let bare = |template: &PodTemplateSpec| {
        let mut meta = template.metadata.clone().unwrap_or_default();
        let mut labels = meta.labels.take().unwrap_or_default();
        labels.remove(LABEL);
        meta.labels = Some(labels);
        meta
    };
    bare(a) == bare(b)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn template(image: &str) -> PodTemplateSpec {
        serde_json::from_value(json!({
            "metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": image}]},
        }))
        .unwrap()
    }

    #[test]
    fn hashes_are_stable_and_differ_by_template_and_collision() {
        let hash = of(&template("a"), None);
        assert_eq!(hash, of(&template("a"), None));
        assert_ne!(hash, of(&template("b"), None));
        assert_ne!(hash, of(&template("a"), Some(1)));
        assert!(hash.len() <= 10 && hash.bytes().all(|letter| LETTERS.contains(&letter)));
    }

    #[test]
    fn the_hash_label_does_not_make_templates_differ() {
        let mut labeled = template("a");
        let labels = labeled.metadata.as_mut().unwrap().labels.as_mut().unwrap();
        labels.insert(LABEL.to_owned(), "x".to_owned());
        assert!(is_same_template(&template("a"), &labeled));
        assert!(!is_same_template(&template("b"), &labeled));
    }
}
