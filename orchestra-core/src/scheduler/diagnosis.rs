use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use super::{NodeInfo, Nomination, Snapshot};
use crate::ObjectKey;

/// Why a node does not take a pod.
///
/// ```
/// use orchestra_core::scheduler::Rejection;
/// let full = Rejection::new("Insufficient cpu");
/// let gone = Rejection::new("node(s) were unschedulable").unresolvable();
/// assert!(full.is_resolvable() && !gone.is_resolvable());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rejection {
    plugin: Cow<'static, str>,
    reasons: Reasons,
    resolvable: bool,
    is_failure: bool,
}

/// One reason is by far the most frequent and needs no allocation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reasons {
    One(Cow<'static, str>),
    Many(Vec<Cow<'static, str>>),
}

impl Rejection {
    /// A rejection that fewer pods on the node could lift.
    pub fn new(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { plugin: Cow::Borrowed(""), reasons: Reasons::One(reason.into()), resolvable: true, is_failure: false }
    }

    /// No verdict: the plugin cannot tell, and why. The attempt fails, and is repeated after a back-off.
    pub fn failure(error: impl Into<Cow<'static, str>>) -> Self {
        Self { resolvable: false, is_failure: true, ..Self::new(error) }
    }

    /// As [`new`](Self::new), with several reasons.
    pub fn with_reasons(reasons: Vec<Cow<'static, str>>) -> Self {
        Self { reasons: Reasons::Many(reasons), ..Self::new("") }
    }

    /// Marks that taking pods off the node would not help, so that preemption does not look at it.
    #[must_use]
    pub fn unresolvable(self) -> Self {
        Self { resolvable: false, ..self }
    }

    /// Says whose verdict it is.
    #[must_use]
    pub fn by(self, plugin: impl Into<Cow<'static, str>>) -> Self {
        Self { plugin: plugin.into(), ..self }
    }

    /// Whose verdict it is; empty if nobody said.
    pub fn plugin(&self) -> &str {
        &self.plugin
    }

    /// The reasons, in Kubernetes' words: they read on from a number of nodes.
    pub fn reasons(&self) -> &[Cow<'static, str>] {
        match &self.reasons {
            Reasons::One(reason) => std::slice::from_ref(reason),
            Reasons::Many(reasons) => reasons,
        }
    }

    /// Whether it is no verdict, but a [failure](Self::failure).
    pub fn is_failure(&self) -> bool {
        self.is_failure
    }

    /// Whether fewer pods on the node could lift it.
    pub fn is_resolvable(&self) -> bool {
        self.resolvable
    }
}

/// Why a pod fits on none of the nodes: for each of them who rejected it and why.
///
/// Equal rejections are kept once, so that 5,000 full nodes cost little more than their number.
/// The text is that of kube-scheduler 1.36, which users know from `kubectl describe pod`.
///
/// ```
/// use orchestra_core::scheduler::{Diagnosis, Rejection};
/// let mut diagnosis = Diagnosis::new(3);
/// diagnosis.reject("n1".into(), Rejection::new("Insufficient cpu").by("NodeResourcesFit"));
/// diagnosis.reject("n2".into(), Rejection::new("Insufficient cpu").by("NodeResourcesFit"));
/// diagnosis.reject("n3".into(), Rejection::new("node(s) had untolerated taint(s)").by("TaintToleration").unresolvable());
/// assert_eq!(
///     diagnosis.to_string(),
///     "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu."
/// );
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnosis {
    node_count: usize,
    by_node: Vec<(Arc<str>, u32)>,
    kinds: Vec<Rejection>,
    indexes: BTreeMap<Rejection, u32>,
    others: Option<Rejection>,
    whole: Option<Rejection>,
    epilogue: String,
    nomination: Nomination,
    deallocation: Option<ObjectKey>,
}

impl Diagnosis {
    /// A diagnosis over `node_count` nodes, none rejected yet.
    pub fn new(node_count: usize) -> Self {
        Self { node_count, ..Self::default() }
    }

    /// Notes that `node` is rejected. Each node is to be noted once.
    pub fn reject(&mut self, node: Arc<str>, rejection: Rejection) {
        // Neighbours are mostly rejected alike.
        let last = self.by_node.last().map(|(_, kind)| *kind);
        let kind = match last.filter(|last| self.kinds.get(*last as usize) == Some(&rejection)) {
            Some(kind) => kind,
            None => self.kind(rejection),
        };
        self.by_node.push((node, kind));
    }

    fn kind(&mut self, rejection: Rejection) -> u32 {
        if let Some(kind) = self.indexes.get(&rejection) {
            return *kind;
        }
        let kind = u32::try_from(self.kinds.len()).unwrap_or(u32::MAX);
        self.kinds.push(rejection.clone());
        self.indexes.insert(rejection, kind);
        kind
    }

    /// Notes that every node that is not rejected by name is rejected like this: they were not looked at.
    pub fn reject_others(&mut self, rejection: Rejection) {
        self.others = Some(rejection);
    }

    /// Notes that the pod was rejected before any node was looked at.
    pub fn reject_everywhere(&mut self, rejection: Rejection) {
        self.whole = Some(rejection);
    }

    /// Adds what was done about it, as preemption tells: `preemption: 0/3 nodes are available: ...`.
    pub fn set_epilogue(&mut self, epilogue: String) {
        self.epilogue = epilogue;
    }

    /// Says which node the pod waits for now: [`Nomination::None`] if nobody says.
    pub fn set_nomination(&mut self, nomination: Nomination) {
        self.nomination = nomination;
    }

    /// Which node the pod waits for now.
    pub fn nomination(&self) -> &Nomination {
        &self.nomination
    }

    /// Says which claim is to give its devices back, so that it may get others. Whoever asked for the decision writes that.
    pub fn set_deallocation(&mut self, claim: ObjectKey) {
        self.deallocation = Some(claim);
    }

    /// Which claim is to give its devices back.
    pub fn deallocation(&self) -> Option<&ObjectKey> {
        self.deallocation.as_ref()
    }

    /// How many nodes the snapshot had.
    pub fn node_count(&self) -> usize {
        self.node_count
    }

    /// The nodes rejected by name, with their rejections, in the order they were looked at.
    pub fn rejections(&self) -> impl Iterator<Item = (&Arc<str>, &Rejection)> {
        self.by_node.iter().filter_map(|(node, kind)| Some((node, self.kinds.get(*kind as usize)?)))
    }

    /// Why `node` was rejected.
    pub fn rejection(&self, node: &str) -> Option<&Rejection> {
        let by_name = self.rejections().find(|(name, _)| &***name == node).map(|(_, rejection)| rejection);
        by_name.or(self.others.as_ref()).or(self.whole.as_ref())
    }

    /// Everyone who rejected the pod on some node, in order of their names.
    pub fn plugins(&self) -> BTreeSet<&str> {
        let all = self.kinds.iter().chain(&self.others).chain(&self.whole);
        all.map(Rejection::plugin).filter(|plugin| !plugin.is_empty()).collect()
    }

    /// How many nodes fewer pods could make fit.
    pub fn resolvable_count(&self) -> usize {
        self.rejections().filter(|(_, rejection)| rejection.is_resolvable()).count()
    }

    /// The nodes of `snapshot`, of which the diagnosis is, that fewer pods could make fit, in order of their names.
    pub fn resolvable_nodes<'a>(&self, snapshot: &'a Snapshot) -> Vec<&'a Arc<NodeInfo>> {
        let mut by_name: Vec<_> = self.by_node.iter().collect();
        // They are in order already where they were looked at in order.
        by_name.sort_by(|(a, _), (b, _)| a.cmp(b));
        let is_resolvable = |rejection: Option<&Rejection>| rejection.is_some_and(Rejection::is_resolvable);
        let unnamed = is_resolvable(self.others.as_ref().or(self.whole.as_ref()));
        let mut by_name = by_name.into_iter().peekable();
        let resolvable = snapshot.iter().filter(|node| {
            while by_name.next_if(|(name, _)| name < node.name()).is_some() {}
            match by_name.next_if(|(name, _)| name == node.name()) {
                Some((_, kind)) => is_resolvable(self.kinds.get(*kind as usize)),
                None => unnamed,
            }
        });
        resolvable.collect()
    }

    /// How many nodes each reason was given for.
    fn histogram(&self) -> BTreeMap<&str, usize> {
        let mut counts = vec![0; self.kinds.len()];
        for (_, kind) in &self.by_node {
            counts[*kind as usize] += 1;
        }
        let others = self.node_count.saturating_sub(self.by_node.len());
        let mut histogram = BTreeMap::new();
        for (rejection, count) in self.kinds.iter().zip(counts).chain(self.others.iter().map(|r| (r, others))) {
            for reason in rejection.reasons() {
                *histogram.entry(&**reason).or_default() += count;
            }
        }
        histogram.retain(|_, count| *count > 0);
        histogram
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.node_count == 0 {
            return f.write_str("no nodes available to schedule pods");
        }
        write!(f, "0/{} nodes are available:", self.node_count)?;
        let summary = match &self.whole {
            Some(rejection) => rejection.reasons().join(", "),
            None => {
                // Kubernetes sorts the phrases, numbers included, as text.
                let mut phrases: Vec<String> =
                    self.histogram().into_iter().map(|(reason, count)| format!("{count} {reason}")).collect();
                phrases.sort_unstable();
                phrases.join(", ")
            }
        };
        if !summary.is_empty() {
            write!(f, " {summary}.")?;
        }
        if !self.epilogue.is_empty() {
            write!(f, " {}", self.epilogue)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_are_sorted_as_text() {
        let mut diagnosis = Diagnosis::new(11);
        for i in 0..10 {
            diagnosis.reject(format!("n{i}").into(), Rejection::new("Too many pods"));
        }
        diagnosis
            .reject("n10".into(), Rejection::with_reasons(vec!["Insufficient cpu".into(), "Too many pods".into()]));
        assert_eq!(diagnosis.to_string(), "0/11 nodes are available: 1 Insufficient cpu, 11 Too many pods.");
    }

    #[test]
    fn nodes_that_were_not_looked_at_count_too() {
        let mut diagnosis = Diagnosis::new(3);
        diagnosis.reject("n1".into(), Rejection::new("Insufficient cpu").by("Fit"));
        diagnosis.reject_others(
            Rejection::new("node(s) didn't satisfy plugin(s) [NodeAffinity]").by("NodeAffinity").unresolvable(),
        );
        assert_eq!(
            diagnosis.to_string(),
            "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't satisfy plugin(s) [NodeAffinity]."
        );
        assert_eq!(diagnosis.rejection("n3").unwrap().plugin(), "NodeAffinity");
        assert_eq!((diagnosis.resolvable_count(), diagnosis.plugins().len()), (1, 2));
    }

    #[test]
    fn the_nodes_that_could_be_made_to_fit_are_told() {
        let node = |name: &str| {
            let mut node = k8s_openapi::api::core::v1::Node::default();
            node.metadata.name = Some(name.to_owned());
            NodeInfo::new(Arc::new(node))
        };
        let snapshot = Snapshot::from_iter(["n1", "n2", "n3", "n4"].map(node));
        let names = |diagnosis: &Diagnosis| -> Vec<String> {
            diagnosis.resolvable_nodes(&snapshot).iter().map(|node| node.name().to_string()).collect()
        };
        let mut diagnosis = Diagnosis::new(4);
        diagnosis.reject("n3".into(), Rejection::new("Insufficient cpu"));
        diagnosis.reject("n1".into(), Rejection::new("Insufficient cpu"));
        diagnosis.reject("n2".into(), Rejection::new("node(s) were unschedulable").unresolvable());
        assert_eq!(names(&diagnosis), ["n1", "n3"]);
        diagnosis.reject_others(Rejection::new("Too many pods"));
        assert_eq!(names(&diagnosis), ["n1", "n3", "n4"]);
        let mut everywhere = Diagnosis::new(4);
        everywhere.reject_everywhere(Rejection::new("not now"));
        assert_eq!(names(&everywhere).len(), 4);
        everywhere.reject_everywhere(Rejection::new("never").unresolvable());
        assert!(names(&everywhere).is_empty());
    }

    #[test]
    fn a_rejection_of_the_pod_as_such_has_no_numbers() {
        let mut diagnosis = Diagnosis::new(2);
        diagnosis.reject_everywhere(Rejection::new("persistentvolumeclaim \"a\" not found"));
        diagnosis.set_epilogue("not found".to_owned());
        assert_eq!(diagnosis.to_string(), "0/2 nodes are available: persistentvolumeclaim \"a\" not found. not found");
    }

    #[test]
    fn a_cluster_without_nodes_has_words_of_its_own() {
        assert_eq!(Diagnosis::new(0).to_string(), "no nodes available to schedule pods");
    }
}
