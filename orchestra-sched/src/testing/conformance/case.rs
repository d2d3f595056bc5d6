use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use orchestra_core::scheduler::{
    ClusterEvent, Diagnosis, NodeInfo, Placement, PodInfo, ScheduleError, Scheduler, Snapshot,
};

use super::{Rule, Violation, rules};
use crate::testing::{NodeBuilder, PodBuilder, TestCluster, cluster::nodes_table, node};

type Answer = Result<Placement, ScheduleError>;

/// A cluster, and pods that come to it one after the other.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) cluster: TestCluster,
    pub(super) pods: Vec<PodBuilder>,
    pub(super) seed: u64,
}

impl Case {
    /// The first rule that is broken, but for those that are left out.
    pub(super) fn check(&self, scheduler: &dyn Scheduler, left_out: &BTreeSet<Rule>) -> Result<(), Violation> {
        let mut snapshot = self.cluster.snapshot();
        let pods: Vec<Arc<PodInfo>> = self.pods.iter().map(|pod| Arc::new(pod.clone().info())).collect();
        for (index, pod) in pods.iter().enumerate() {
            let other = &pods[(index + 1) % pods.len()];
            let attempt = Attempt { scheduler, pod, snapshot: &snapshot, seed: self.seed, left_out };
            if let Some(placement) = attempt.check(other)? {
                snapshot.update(&placement.node, |node| node.add_pod(pod.clone()));
            }
        }
        Ok(())
    }
}

/// A pod that is to have a node.
struct Attempt<'a> {
    scheduler: &'a dyn Scheduler,
    pod: &'a Arc<PodInfo>,
    snapshot: &'a Snapshot,
    seed: u64,
    left_out: &'a BTreeSet<Rule>,
}

impl Attempt<'_> {
    /// Asks twice, and about `other` in between. Returns where the pod goes.
    fn check(&self, other: &PodInfo) -> Result<Option<Placement>, Violation> {
        let Some(answer) = self.ask(self.pod, self.snapshot)? else { return Ok(None) };
        let _ = self.ask(other, self.snapshot)?;
        let again = self.ask(self.pod, self.snapshot)?;
        if let Some(again) = again.filter(|again| *again != answer) {
            let (first, then) = (text(&answer), text(&again));
            let how = format!("was told \"{first}\", and then \"{then}\" for the same seed");
            self.broken(Rule::Deterministic, how)?;
        }
        match &answer {
            Ok(placement) => self.check_placement(placement)?,
            Err(ScheduleError::Unschedulable(diagnosis)) => self.check_rejection(diagnosis)?,
            Err(error) => self.broken(Rule::Answers, format!("failed: {error}"))?,
        }
        Ok(answer.ok())
    }

    /// `None` if the scheduler panicked.
    fn ask(&self, pod: &PodInfo, snapshot: &Snapshot) -> Result<Option<Answer>, Violation> {
        let ask = || self.scheduler.schedule(pod, snapshot, self.seed);
        match catch_unwind(AssertUnwindSafe(ask)) {
            Ok(answer) => Ok(Some(answer)),
            Err(_) => self.broken(Rule::Answers, "made the scheduler panic".to_owned()).map(|()| None),
        }
    }

    fn check_placement(&self, placement: &Placement) -> Result<(), Violation> {
        let Some(node) = self.snapshot.get(&placement.node) else {
            return self.broken(Rule::KnownNode, format!("was sent to {:?}, which is not there", placement.node));
        };
        rules::broken(self.pod, node, self.snapshot)
            .try_for_each(|(rule, how)| self.broken(rule, format!("was sent to {}, {how}", placement.node)))
    }

    fn check_rejection(&self, diagnosis: &Diagnosis) -> Result<(), Violation> {
        let fits = self.snapshot.iter().find(|node| rules::broken(self.pod, node, self.snapshot).next().is_none());
        if let Some(node) = fits {
            let why = diagnosis.to_string();
            self.broken(Rule::FindsRoom, format!("was sent nowhere though it fits on {}: {why}", node.name()))?;
        }
        let silent = self.snapshot.iter().find(|node| diagnosis.rejection(node.name()).is_none());
        if let Some(node) = silent {
            self.broken(Rule::Reasons, format!("was not told why it cannot run on {}", node.name()))?;
        }
        let changes = std::iter::once(self.new_node()).chain(self.better_nodes()).chain(self.releases());
        for (event, after) in changes {
            if matches!(self.ask(self.pod, &after)?, Some(Ok(_))) && !self.wakes(diagnosis, &event) {
                let kind = event.kind();
                let how = format!("would be placed after {kind:?}, but nobody who rejected it says that this may help");
                self.broken(Rule::Wakes, how)?;
            }
        }
        Ok(())
    }

    fn wakes(&self, diagnosis: &Diagnosis, event: &ClusterEvent) -> bool {
        let mut asked = diagnosis.plugins();
        if asked.is_empty() {
            asked.insert("");
        }
        let says = |plugin: &&str| {
            self.scheduler.concerns(plugin, event.kind()) && self.scheduler.may_help(plugin, event, self.pod)
        };
        asked.iter().any(says)
    }

    /// A large node of every kind comes.
    fn new_node(&self) -> (ClusterEvent, Snapshot) {
        let node =
            node("new").cpu(64).memory("64Gi").resource("example.com/gpu", 8).zone("a").label("disk", "ssd").info();
        let mut after = self.snapshot.clone();
        after.insert(node.clone());
        (ClusterEvent::NodeAdded(Arc::new(node)), after)
    }

    /// One of the nodes is extended, and nothing is against it any more.
    fn better_nodes(&self) -> impl Iterator<Item = (ClusterEvent, Snapshot)> {
        self.snapshot.iter().map(|old| {
            let better = large(node(&**old.name())).with(|better| {
                better.metadata.labels.get_or_insert_default().extend(old.labels().clone());
            });
            let better = Arc::new(better.build());
            let mut after = self.snapshot.clone();
            after.insert(old.with_node(better.clone()));
            let [old, new] = [old.node().clone(), better].map(|node| Arc::new(NodeInfo::new(node)));
            (ClusterEvent::NodeUpdated { old, new }, after)
        })
    }

    /// One of the pods goes.
    fn releases(&self) -> impl Iterator<Item = (ClusterEvent, Snapshot)> {
        let pods = self.snapshot.iter().flat_map(|node| node.pods().iter().map(move |pod| (node.name(), pod)));
        pods.map(|(node, pod)| {
            let mut after = self.snapshot.clone();
            after.update(node, |node| node.remove_pod(pod.id()));
            let mut gone = k8s_openapi::api::core::v1::Pod::clone(pod.pod());
            gone.spec.get_or_insert_default().node_name = Some(node.to_string());
            (ClusterEvent::PodReleased(Arc::new(gone.into())), after)
        })
    }

    fn broken(&self, rule: Rule, how: String) -> Result<(), Violation> {
        if self.left_out.contains(&rule) {
            return Ok(());
        }
        let spec = serde_json::to_string(&self.pod.pod().spec).unwrap_or_default();
        Err(Violation {
            rule,
            what: format!("pod {} {how}", self.pod.key()),
            cluster: format!("{}\nThe pod's spec, with seed {}: {spec}\n", nodes_table(self.snapshot), self.seed),
        })
    }
}

fn large(node: NodeBuilder) -> NodeBuilder {
    node.cpu(64).memory("64Gi").pods(110).resource("example.com/gpu", 8)
}

fn text(answer: &Answer) -> String {
    match answer {
        Ok(placement) => placement.node.to_string(),
        Err(error) => error.to_string(),
    }
}
