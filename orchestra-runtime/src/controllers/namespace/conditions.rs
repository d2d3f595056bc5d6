//! The conditions of a namespace that is being deleted, in Kubernetes' words.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::{api::core::v1::NamespaceCondition, apimachinery::pkg::apis::meta::v1::Time};
use orchestra_core::condition;

use super::contents::Contents;

/// Sets all five conditions by what is left.
pub(super) fn set(conditions: &mut Vec<NamespaceCondition>, contents: &Contents, now: Timestamp) {
    for (kind, status, reason, message) in judge(contents) {
        // What says the same keeps its times.
        let new = NamespaceCondition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message),
            last_transition_time: Some(Time(now)),
        };
        condition::set(conditions, new);
    }
}

type Judgement = (&'static str, &'static str, &'static str, String);

fn judge(contents: &Contents) -> [Judgement; 5] {
    let judged = |kind, is_true, yes: (&'static str, String), no: (&'static str, &str)| match is_true {
        true => (kind, "True", yes.0, yes.1),
        false => (kind, "False", no.0, no.1.to_owned()),
    };
    let discovery = contents.discovery_failures.join("; ");
    let discovery =
        format!("Discovery failed for some groups, {} failing: {discovery}", contents.discovery_failures.len());
    let deletion = format!(
        "Failed to delete all resource types, {} remaining: {}",
        contents.deletion_failures.len(),
        contents.deletion_failures.join(", ")
    );
    let remaining =
        format!("Some resources are remaining: {}", counted(&contents.instances, "has", "resource instances"));
    let held = format!(
        "Some content in the namespace has finalizers remaining: {}",
        counted(&contents.finalizers, "in", "resource instances")
    );
    [
        judged(
            "NamespaceDeletionDiscoveryFailure",
            !contents.discovery_failures.is_empty(),
            ("DiscoveryFailed", discovery),
            ("ResourcesDiscovered", "All resources successfully discovered"),
        ),
        // Every version that discovery names is one that it was asked for: none can fail to parse.
        judged(
            "NamespaceDeletionGroupVersionParsingFailure",
            false,
            ("GroupVersionParsingFailed", String::new()),
            ("ParsedGroupVersions", "All legacy kube types successfully parsed"),
        ),
        judged(
            "NamespaceDeletionContentFailure",
            !contents.deletion_failures.is_empty(),
            ("ContentDeletionFailed", deletion),
            ("ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
        ),
        judged(
            "NamespaceContentRemaining",
            !contents.instances.is_empty(),
            ("SomeResourcesRemain", remaining),
            ("ContentRemoved", "All content successfully removed"),
        ),
        judged(
            "NamespaceFinalizersRemaining",
            !contents.finalizers.is_empty(),
            ("SomeFinalizersRemain", held),
            ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
        ),
    ]
}

fn counted(counts: &BTreeMap<String, usize>, verb: &str, what: &str) -> String {
    let parts: Vec<_> = counts.iter().map(|(name, count)| format!("{name} {verb} {count} {what}")).collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_the_namespace_is_told() {
        let contents = Contents {
            instances: [("configmaps.".to_owned(), 1), ("pods.".to_owned(), 2)].into(),
            finalizers: [("example.org/hold".to_owned(), 1)].into(),
            ..Contents::default()
        };
        let mut conditions = Vec::new();
        set(&mut conditions, &contents, Timestamp::UNIX_EPOCH);
        let message = |kind: &str| condition::find(&conditions, kind).and_then(|c| c.message.as_deref()).unwrap();
        assert_eq!(conditions.len(), 5);
        assert_eq!(
            message("NamespaceContentRemaining"),
            "Some resources are remaining: configmaps. has 1 resource instances, pods. has 2 resource instances"
        );
        assert_eq!(
            message("NamespaceFinalizersRemaining"),
            "Some content in the namespace has finalizers remaining: example.org/hold in 1 resource instances"
        );
        let before = conditions.clone();
        set(&mut conditions, &contents, Timestamp::from_second(9).unwrap());
        assert_eq!(conditions, before);
    }
}
