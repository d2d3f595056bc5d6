//! Processes that have a say in decisions, asked over HTTP: kube-scheduler's extenders (`extenders` of its configuration).
//!
//! ```text
//!   filters ─► nodes that fit ──filter──► those left ─► scores + priorities (0..10, x10, x weight) ─► the best ─► … ─► bind
//!                     └─ none ─► preemption: nodes and victims ──preempt──► those left ─► the least that has to go
//! ```
//!
//! A [`Framework`](crate::framework::Framework) asks those that are interested in the pod. Filters are asked one after the other, each about
//! what the ones before left, those that may be ignored last; priorities all at once. What an extender rejects is told as the verdict of
//! [`EXTENDER`], and the pod is tried again whatever happens, as extenders do not say what would help. An error of filter or preempt fails
//! the attempt, unless the extender may be ignored; one of prioritize is logged, and its priorities do not count.
//!
//! Only a [decision](orchestra_core::scheduler::Scheduler::decide) asks: neither [`schedule`](orchestra_core::scheduler::Scheduler::schedule),
//! and with it the test kit and the simulator, nor an explanation does.
//!
//! The contract is that of `k8s.io/kube-scheduler/extender/v1`. Where kube-scheduler trusts an extender this one does not, so that no pod is
//! lost and none goes for nothing: nodes that come back have to be among those that were asked about, victims of a lower priority than the
//! pod, and a pod that it says it has bound is looked at.

mod api;
mod http;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use bytes::Bytes;
use k8s_openapi::api::core::v1::Container;
use kube::Client;
use orchestra_core::scheduler::{NodeInfo, PodInfo, Rejection, Snapshot};
use serde::Serialize;

use self::{
    api::{
        ExtenderArgs, ExtenderBindingArgs, ExtenderFilterResult, ExtenderPreemptionArgs, Fields, HostPriority, MetaPod,
        MetaVictims, NodeList, Victims,
    },
    http::Line,
};
use crate::{config::Extender, framework::Candidate};

/// Whose verdict a diagnosis says it is when an extender rejects a node.
pub const EXTENDER: &str = "Extender";

/// The highest priority that an extender gives is 10, the highest score of a plugin 100.
const SCALE: i64 = 10;

/// An extender that is asked over HTTP.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), String> {
/// use orchestra_sched::{config::Extender, extender::HttpExtender, framework::Framework};
/// let config = Extender {
///     url_prefix: "http://127.0.0.1:8888/scheduler".to_owned(),
///     filter_verb: "filter".to_owned(),
///     node_cache_capable: true,
///     ..Extender::default()
/// };
/// let scheduler = Framework::builder().default_plugins().extender(HttpExtender::new(config)?).build();
/// # Ok(())
/// # }
/// ```
pub struct HttpExtender {
    line: Line,
    config: Extender,
    managed: BTreeSet<String>,
}

impl HttpExtender {
    /// The extender that `config` describes. To be called where tokio runs. An error says what is wrong with the URL or with the files
    /// of TLS; TLS needs a feature of kube, as `rustls-tls`.
    pub fn new(config: Extender) -> Result<Self, String> {
        Ok(Self::with(Line::dial(&config)?, config))
    }

    /// As [`new`](Self::new), through a client of one's own: another way through the network, or a service in this process
    /// (`Client::new(router, "")`).
    pub fn over(client: Client, config: Extender) -> Self {
        Self::with(Line::over(client, &config), config)
    }

    fn with(line: Line, config: Extender) -> Self {
        let managed = config.managed_resources.iter().map(|resource| resource.name.clone()).collect();
        Self { line, config, managed }
    }

    /// The URL by which it is known.
    pub fn name(&self) -> &str {
        self.line.url_prefix()
    }

    /// Whether pods are scheduled without it when it fails.
    pub fn is_ignorable(&self) -> bool {
        self.config.ignorable
    }

    /// Whether it is asked about the pod: one of its containers asks for a resource that it manages, or it manages none in particular.
    pub fn is_interested(&self, pod: &PodInfo) -> bool {
        let asks = |container: &Container| {
            let resources = container.resources.iter();
            let mut lists = resources.flat_map(|resources| resources.requests.iter().chain(&resources.limits));
            lists.any(|list| list.keys().any(|name| self.managed.contains(name)))
        };
        let containers = || {
            pod.spec().into_iter().flat_map(|spec| spec.containers.iter().chain(spec.init_containers.iter().flatten()))
        };
        self.managed.is_empty() || containers().any(asks)
    }

    pub(crate) fn filters(&self) -> bool {
        !self.config.filter_verb.is_empty()
    }

    pub(crate) fn prioritizes(&self) -> bool {
        !self.config.prioritize_verb.is_empty()
    }

    pub(crate) fn preempts(&self) -> bool {
        !self.config.preempt_verb.is_empty()
    }

    pub(crate) fn binds(&self) -> bool {
        !self.config.bind_verb.is_empty()
    }

    /// Of each of the nodes, in their order, whether it takes the pod.
    pub(crate) async fn filter(
        &self,
        pod: &PodInfo,
        nodes: &[&NodeInfo],
    ) -> Result<Vec<Result<(), Rejection>>, String> {
        let answer = self.ask::<Fields>(&self.config.filter_verb, &self.about(pod, nodes)).await?;
        let result = self.read::<ExtenderFilterResult>(&self.config.filter_verb, answer)?;
        if !result.error.is_empty() {
            return Err(result.error);
        }
        let ExtenderFilterResult { nodes: objects, node_names, failed_nodes, failed_and_unresolvable_nodes, .. } =
            result;
        let left = node_names.filter(|_| self.config.node_cache_capable).or(objects).unwrap_or_default();
        let asked: BTreeSet<&str> = nodes.iter().map(|node| &**node.name()).collect();
        if let Some(stranger) = left.iter().find(|name| !asked.contains(name.as_str())) {
            let url = self.name();
            return Err(format!(
                "extender {url:?} claims a filtered node {stranger:?} which is not found in the input node list"
            ));
        }
        let left: BTreeSet<&str> = left.iter().map(String::as_str).collect();
        let verdict = |node: &&NodeInfo| {
            let name = &**node.name();
            if left.contains(name) {
                return Ok(());
            }
            let rejection = match (failed_and_unresolvable_nodes.get(name), failed_nodes.get(name)) {
                (Some(why), _) => Rejection::new(why.clone()).unresolvable(),
                (None, Some(why)) => Rejection::new(why.clone()),
                (None, None) => Rejection::new("node(s) were left out by an extender").unresolvable(),
            };
            Err(rejection.by(EXTENDER))
        };
        Ok(nodes.iter().map(verdict).collect())
    }

    /// What it adds to the scores of nodes, by their names.
    pub(crate) async fn prioritize(&self, pod: &PodInfo, nodes: &[&NodeInfo]) -> Result<BTreeMap<String, i64>, String> {
        let verb = &self.config.prioritize_verb;
        let answer = self.ask::<Option<Vec<Fields>>>(verb, &self.about(pod, nodes)).await?;
        let mut scores = BTreeMap::<String, i64>::new();
        for fields in answer.unwrap_or_default() {
            let HostPriority { host, score } = self.read(verb, fields)?;
            let total = scores.entry(host).or_default();
            *total = total.saturating_add(score.saturating_mul(SCALE).saturating_mul(self.config.weight));
        }
        Ok(scores)
    }

    /// Which of the candidates are left, and who has to go there.
    pub(crate) async fn preempt(
        &self,
        pod: &PodInfo,
        candidates: &[Candidate],
        snapshot: &Snapshot,
    ) -> Result<Vec<Candidate>, String> {
        let verb = &self.config.preempt_verb;
        let answer = self.ask::<Fields>(verb, &self.about_victims(pod, candidates)).await?;
        let by_node = answer.get::<BTreeMap<String, Fields>>("nodenametometavictims");
        let mut by_node = by_node.map_err(|error| self.unreadable(verb, &error))?;
        let mut left = Vec::new();
        // In the order in which they were found, so that one seed gives one answer.
        for candidate in candidates {
            let Some(fields) = by_node.remove(&*candidate.node) else { continue };
            let MetaVictims { uids, num_pdb_violations } = self.read(verb, fields)?;
            if uids.is_empty() {
                if self.is_ignorable() {
                    continue;
                }
                return Err(format!("expected at least one victim pod on node {:?}", candidate.node));
            }
            let victims = uids.iter().map(|uid| self.victim(pod, uid, &candidate.node, snapshot));
            left.push(Candidate {
                node: candidate.node.clone(),
                victims: victims.collect::<Result<_, _>>()?,
                violations: usize::try_from(num_pdb_violations).unwrap_or(0),
            });
        }
        match by_node.keys().next() {
            Some(stranger) => Err(format!(
                "extender {:?} claims to preempt pods on node {stranger:?} which is not found in the input node list",
                self.name()
            )),
            None => Ok(left),
        }
    }

    /// Has the pod bound. What the extender says is not proven by that.
    pub(crate) async fn bind(&self, pod: &PodInfo, node: &str) -> Result<(), String> {
        let args = ExtenderBindingArgs {
            pod_name: pod.key().name(),
            pod_namespace: pod.key().namespace().unwrap_or_default(),
            pod_uid: pod.id(),
            node,
        };
        let verb = &self.config.bind_verb;
        let error = self.ask::<Fields>(verb, &args).await?.get::<String>("error");
        let error = error.map_err(|error| self.unreadable(verb, &error))?;
        if error.is_empty() { Ok(()) } else { Err(error) }
    }

    fn about<'a>(&self, pod: &'a PodInfo, nodes: &[&'a NodeInfo]) -> ExtenderArgs<'a> {
        let (mut args, pod) = (None, &**pod.pod());
        let mut names = None;
        if self.config.node_cache_capable {
            names = Some(nodes.iter().map(|node| &**node.name()).collect());
        } else {
            let items = nodes.iter().map(|node| &**node.node()).collect();
            args = Some(NodeList { metadata: Default::default(), items });
        }
        ExtenderArgs { pod, nodes: args, node_names: names }
    }

    fn about_victims<'a>(&self, pod: &'a PodInfo, candidates: &'a [Candidate]) -> ExtenderPreemptionArgs<'a> {
        let pod = &**pod.pod();
        if self.config.node_cache_capable {
            let victims = by_node(candidates, |victim| MetaPod { uid: victim.id().to_string() });
            return ExtenderPreemptionArgs {
                pod,
                node_name_to_victims: None,
                node_name_to_meta_victims: Some(victims),
            };
        }
        let victims = by_node(candidates, |victim| &**victim.pod());
        ExtenderPreemptionArgs { pod, node_name_to_victims: Some(victims), node_name_to_meta_victims: None }
    }

    fn victim(&self, pod: &PodInfo, uid: &str, node: &str, snapshot: &Snapshot) -> Result<Arc<PodInfo>, String> {
        let claims = || format!("extender: {} claims to preempt pod (UID: {uid}) on node: {node}", self.name());
        let there = snapshot.get(node).and_then(|node| node.pods().iter().find(|other| &**other.id() == uid));
        let victim = there.ok_or_else(|| format!("{}, but the pod is not found on that node", claims()))?;
        match victim.priority() < pod.priority() {
            true => Ok(Arc::clone(victim)),
            false => Err(format!("{}, but the pod's priority is no lower", claims())),
        }
    }

    async fn ask<A: serde::de::DeserializeOwned>(&self, verb: &str, question: &impl Serialize) -> Result<A, String> {
        let body: Bytes = self.line.ask(verb, question).await?;
        api::first(&body).map_err(|error| self.unreadable(verb, &error))
    }

    fn read<T: TryFrom<Fields, Error = serde_json::Error>>(&self, verb: &str, fields: Fields) -> Result<T, String> {
        fields.try_into().map_err(|error| self.unreadable(verb, &error))
    }

    fn unreadable(&self, verb: &str, error: &serde_json::Error) -> String {
        format!("the answer of extender {:?} to {verb} cannot be read: {error}", self.name())
    }
}

fn by_node<'a, P>(candidates: &'a [Candidate], tell: impl Fn(&'a Arc<PodInfo>) -> P) -> BTreeMap<&'a str, Victims<P>> {
    let victims = |candidate: &'a Candidate| Victims {
        pods: candidate.victims.iter().map(&tell).collect(),
        num_pdb_violations: candidate.violations,
    };
    candidates.iter().map(|candidate| (&*candidate.node, victims(candidate))).collect()
}

impl fmt::Debug for HttpExtender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpExtender").field("config", &self.config).finish_non_exhaustive()
    }
}
