use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use orchestra_core::scheduler::{Diagnosis, Placement, PodInfo, Rejection, ScheduleError, Scheduler, Snapshot};

use super::cluster::nodes_table;

/// What a scheduler said about a pod, and what should be true of it. A failed assertion shows why the scheduler decided so.
///
/// ```
/// use orchestra_sched::{framework::Framework, testing::{TestCluster, node, pod}};
/// let cluster = TestCluster::new().node(node("n1").cpu(2)).node(node("n2").cpu(1));
/// let scheduler = Framework::kubernetes();
/// cluster.decide(&scheduler, pod("p").cpu(2)).assert_bound("n1");
/// cluster.decide(&scheduler, pod("q").cpu(3)).assert_unschedulable("2 Insufficient cpu").assert_rejected("n2", "Insufficient cpu");
/// ```
pub struct Decision<'s> {
    scheduler: &'s dyn Scheduler,
    pod: Arc<PodInfo>,
    snapshot: Snapshot,
    result: Result<Placement, ScheduleError>,
}

impl<'s> Decision<'s> {
    /// Asks the scheduler.
    pub(super) fn take(scheduler: &'s dyn Scheduler, pod: Arc<PodInfo>, snapshot: Snapshot, seed: u64) -> Self {
        let result = scheduler.schedule(&pod, &snapshot, seed);
        Self { scheduler, pod, snapshot, result }
    }

    /// What was said already.
    pub(super) fn of(
        scheduler: &'s dyn Scheduler,
        pod: Arc<PodInfo>,
        snapshot: Snapshot,
        result: Result<Placement, ScheduleError>,
    ) -> Self {
        Self { scheduler, pod, snapshot, result }
    }

    /// The pod.
    pub fn pod(&self) -> &Arc<PodInfo> {
        &self.pod
    }

    /// The nodes that the scheduler saw.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// What the scheduler said.
    pub fn result(&self) -> Result<&Placement, &ScheduleError> {
        self.result.as_ref()
    }

    /// The node that was chosen.
    pub fn node(&self) -> Option<&str> {
        self.result.as_ref().ok().map(|placement| &*placement.node)
    }

    /// What users are told if no node was found.
    pub fn message(&self) -> Option<String> {
        self.result.as_ref().err().map(ToString::to_string)
    }

    /// The pod goes to `node`.
    #[track_caller]
    pub fn assert_bound(&self, node: &str) -> &Self {
        match &self.result {
            Ok(placement) if *placement.node == *node => self,
            Ok(placement) => self.fail(&format!("should go to {node}, but goes to {}", placement.node)),
            Err(error) => self.fail(&format!("should go to {node}, but: {error}")),
        }
    }

    /// The pod goes to one of `nodes`.
    #[track_caller]
    pub fn assert_bound_to_any(&self, nodes: &[&str]) -> &Self {
        let wanted = nodes.join(" or ");
        match &self.result {
            Ok(placement) if nodes.contains(&&*placement.node) => self,
            Ok(placement) => self.fail(&format!("should go to {wanted}, but goes to {}", placement.node)),
            Err(error) => self.fail(&format!("should go to {wanted}, but: {error}")),
        }
    }

    /// No node takes the pod, and the message to the user contains `because`.
    #[track_caller]
    pub fn assert_unschedulable(&self, because: &str) -> &Self {
        match &self.result {
            Err(error @ ScheduleError::Unschedulable(_)) if error.to_string().contains(because) => self,
            Err(ScheduleError::Unschedulable(diagnosis)) => {
                self.fail(&format!("should be unschedulable because of {because:?}, but the message is: {diagnosis}"))
            }
            Err(error) => {
                self.fail(&format!("should be unschedulable because of {because:?}, but the scheduler failed: {error}"))
            }
            Ok(placement) => {
                self.fail(&format!("should be unschedulable because of {because:?}, but goes to {}", placement.node))
            }
        }
    }

    /// No node takes the pod, and one of the reasons that are given for `node` contains `because`.
    #[track_caller]
    pub fn assert_rejected(&self, node: &str, because: &str) -> &Self {
        let Err(ScheduleError::Unschedulable(diagnosis)) = &self.result else {
            let said = self.node().map_or_else(|| self.message().unwrap_or_default(), |node| format!("goes to {node}"));
            self.fail(&format!("should be kept off {node} because of {because:?}, but: {said}"))
        };
        let reasons = diagnosis.rejection(node).map(Rejection::reasons).unwrap_or_default();
        if reasons.iter().any(|reason| reason.contains(because)) {
            return self;
        }
        let reasons = if reasons.is_empty() { "none is given".to_owned() } else { reasons.join(", ") };
        self.fail(&format!("should be kept off {node} because of {because:?}, but the reasons are: {reasons}"))
    }

    /// Replaces what the scheduler said.
    pub(super) fn set_result(&mut self, result: Result<Placement, ScheduleError>) {
        self.result = result;
    }

    #[track_caller]
    fn fail(&self, what: &str) -> ! {
        panic!("pod {} {what}\n\n{}\n{}", self.pod.key(), self.why(), nodes_table(&self.snapshot))
    }

    /// In the scheduler's words, if it has some, else by what it gave for reasons.
    fn why(&self) -> String {
        if let Some(description) = self.scheduler.describe(&self.pod, &self.snapshot) {
            return description;
        }
        match &self.result {
            Err(ScheduleError::Unschedulable(diagnosis)) => reasons(diagnosis),
            _ => String::new(),
        }
    }
}

fn reasons(diagnosis: &Diagnosis) -> String {
    let mut nodes: BTreeMap<(&str, String), Vec<&str>> = BTreeMap::new();
    for (node, rejection) in diagnosis.rejections() {
        nodes.entry((rejection.plugin(), rejection.reasons().join(", "))).or_default().push(node);
    }
    let mut text = String::new();
    for ((plugin, reasons), nodes) in nodes {
        let by = if plugin.is_empty() { String::new() } else { format!("{plugin}: ") };
        let _ = writeln!(text, "{by}{reasons} ({})", nodes.join(", "));
    }
    text
}
