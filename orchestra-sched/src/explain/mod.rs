//! Why a pod goes where it goes: every plugin's verdict on every node, and every score with its parts.
//!
//! A decision ends at the first plugin that rejects a node, and looks at no more nodes than it needs. An explanation asks everybody
//! about everything, so it costs more: it is for people and for tests. Its [text](Explanation) is a table that stays short with hundreds of nodes,
//! since equal verdicts share a line; [`NodeExplanation`]'s text is one node's; as JSON (serde) it is complete.
//!
//! ```
//! use orchestra_core::scheduler::Snapshot;
//! use orchestra_sched::{framework::Framework, testing::{node, pod}};
//!
//! let nodes = Snapshot::from_iter([node("n1").cpu(1).cordoned().info(), node("n2").info()]);
//! let explanation = Framework::kubernetes().explain(&pod("web").cpu(2).info(), &nodes);
//!
//! assert_eq!(explanation.feasible().collect::<Vec<_>>(), ["n2"]);
//! let n1 = explanation.node("n1").unwrap();
//! assert_eq!(n1.reasons().collect::<Vec<_>>(), ["node(s) were unschedulable", "Insufficient cpu"]);
//! ```

mod text;

use serde::Serialize;

#[cfg(feature = "testing")]
pub(crate) use self::text::table;

/// What every plugin says about a pod and all nodes; made by [`Framework::explain`](crate::framework::Framework::explain).
///
/// Its text is a table: nodes that fit, best first, with their weighted scores, and the reasons of those that do not, each with how many
/// nodes it holds for. `{}` names a few nodes of each, `{:#}` all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// Namespace and name of the pod.
    pub pod: String,
    /// The pods that have to have nodes at the same time; `None` if the pod needs no others. Nodes are explained as if it were on its own.
    pub gang: Option<GangExplanation>,
    /// What kube-scheduler would say (`0/3 nodes are available: ...`), if no node fits.
    pub message: Option<String>,
    /// The plugins that compare nodes, in their order.
    pub scorers: Vec<Scorer>,
    /// The nodes, in order of their names.
    pub nodes: Vec<NodeExplanation>,
    /// The URLs of the [extenders](crate::extender) that a decision would ask about the pod. An explanation does not: they may think
    /// otherwise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_asked: Vec<String>,
}

/// The pods that a pod has to have a node together with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GangExplanation {
    /// Namespace and name of the group.
    pub group: String,
    /// How many pods of it have to have a node; zero if that is not known yet.
    pub minimum: usize,
    /// How many have one.
    pub placed: usize,
    /// Why none of them may be tried now. Pods that wait are in no snapshot: that there are too few of them is not known here.
    pub held_back: Option<String>,
}

/// A plugin that compares nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Scorer {
    /// Its name.
    pub plugin: String,
    /// How much its scores count.
    pub weight: i64,
    /// Whether all nodes that fit are equal to it, so that it was not asked about them.
    pub skipped: bool,
}

/// What every plugin says about a pod and a node.
///
/// Its text has a line for each plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeExplanation {
    /// The node's name.
    pub node: String,
    /// Whether nobody has anything against it.
    pub feasible: bool,
    /// What each plugin that filters says, in their order.
    pub verdicts: Vec<PluginVerdict>,
    /// The scores by plugin, in their order; empty if the node does not fit.
    pub scores: Vec<NodeScore>,
    /// The sum of the weighted scores; `None` if the node does not fit.
    pub total: Option<i64>,
}

/// What a plugin says about a pod and a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginVerdict {
    /// The plugin's name.
    pub plugin: String,
    /// What it says.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// A plugin's opinion of a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase", tag = "verdict")]
#[non_exhaustive]
pub enum Verdict {
    /// The pod can run there.
    Accepts,
    /// The pod has nothing that the plugin looks at (its PreFilter said [`Skip`](crate::framework::PreFilterOutcome::Skip)).
    Skips,
    /// The pod cannot run there.
    #[serde(rename_all = "camelCase")]
    Rejects {
        /// Why, in Kubernetes' words.
        reasons: Vec<String>,
        /// Whether fewer pods on the node could lift it.
        resolvable: bool,
        /// Whether it is the pod as such that is rejected, on every node
        /// ([`Reject`](crate::framework::PreFilterOutcome::Reject)).
        everywhere: bool,
    },
    /// The node is not among those that the plugin leaves in question ([`Only`](crate::framework::PreFilterOutcome::Only)).
    Excludes,
    /// The plugin cannot tell, for any node ([`Fail`](crate::framework::PreFilterOutcome::Fail)).
    Fails {
        /// Why.
        error: String,
    },
}

/// A node's score by one plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeScore {
    /// The plugin's name.
    pub plugin: String,
    /// What it says of this node alone.
    pub raw: i64,
    /// The same among those of all nodes that fit, from 0 to 100.
    pub normalized: i64,
    /// How much it counts.
    pub weight: i64,
    /// What it adds to the node's total.
    pub weighted: i64,
}

impl Explanation {
    /// The names of the nodes that the pod can run on.
    pub fn feasible(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().filter(|node| node.feasible).map(|node| node.node.as_str())
    }

    /// What is said about the node called `name`.
    pub fn node(&self, name: &str) -> Option<&NodeExplanation> {
        let index = self.nodes.binary_search_by(|node| node.node.as_str().cmp(name)).ok()?;
        self.nodes.get(index)
    }

    /// The nodes with the highest total: the pod goes to one of them, if all nodes are looked at.
    pub fn best(&self) -> Vec<&NodeExplanation> {
        let highest = self.nodes.iter().filter_map(|node| node.total).max();
        self.nodes.iter().filter(|node| node.total.is_some() && node.total == highest).collect()
    }
}

impl NodeExplanation {
    /// The plugins that keep the pod off the node, with what they say.
    pub fn rejections(&self) -> impl Iterator<Item = &PluginVerdict> {
        self.verdicts.iter().filter(|verdict| !verdict.verdict.is_favourable())
    }

    /// Everything that keeps the pod off the node, in words.
    pub fn reasons(&self) -> impl Iterator<Item = &str> {
        self.rejections().flat_map(|rejection| rejection.verdict.reasons())
    }
}

impl Verdict {
    /// Whether the plugin has nothing against the node.
    pub fn is_favourable(&self) -> bool {
        matches!(self, Self::Accepts | Self::Skips)
    }

    /// What the plugin has against the node, in words.
    pub fn reasons(&self) -> Vec<&str> {
        match self {
            Self::Accepts | Self::Skips => Vec::new(),
            Self::Rejects { reasons, .. } => reasons.iter().map(String::as_str).collect(),
            Self::Excludes => vec!["node(s) that the pod does not name"],
            Self::Fails { error } => vec![error],
        }
    }
}
