use orchestra_core::ObjectKey;

/// What a path of the API names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) plural: String,
    namespace: Option<String>,
    pub(super) name: Option<String>,
    pub(super) subresource: Option<String>,
}

impl Path {
    /// `/api/v1/...` and `/apis/GROUP/VERSION/...`.
    pub(super) fn parse(path: &str) -> Option<Self> {
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        let rest = match segments.as_slice() {
            ["api", _, rest @ ..] | ["apis", _, _, rest @ ..] => rest,
            _ => return None,
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some((*namespace).to_owned()), rest),
            rest => (None, rest),
        };
        let text = |index: usize| rest.get(index).map(|text| (*text).to_owned());
        Some(Self { plural: text(0)?, namespace, name: text(1), subresource: text(2) })
    }

    /// Where the object is.
    pub(super) fn place(&self) -> (String, ObjectKey) {
        self.place_of(self.name.as_deref().unwrap_or_default())
    }

    /// Where the object called `name` of the collection is.
    pub(super) fn place_of(&self, name: &str) -> (String, ObjectKey) {
        (self.plural.clone(), ObjectKey::new(self.namespace.as_deref(), name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_objects_and_hold_objects() {
        let parsed = |path: &str| {
            let path = Path::parse(path)?;
            Some(format!("{:?} {:?} {:?}", path.place().0, path.place().1.to_string(), path.subresource))
        };
        assert_eq!(parsed("/api/v1/nodes/n1").as_deref(), Some("\"nodes\" \"n1\" None"));
        assert_eq!(parsed("/api/v1/namespaces/a").as_deref(), Some("\"namespaces\" \"a\" None"));
        let pod = parsed("/api/v1/namespaces/a/pods/p/binding");
        assert_eq!(pod.as_deref(), Some("\"pods\" \"a/p\" Some(\"binding\")"));
        let class = parsed("/apis/storage.k8s.io/v1/storageclasses/c");
        assert_eq!(class.as_deref(), Some("\"storageclasses\" \"c\" None"));
        assert_eq!(parsed("/healthz"), None);
    }
}
