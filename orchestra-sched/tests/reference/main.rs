//! The scheduler, which keeps what it knows of a cluster from one decision to the next, against [`rules`] that look at everything anew: in
//! random clusters, while nodes, pods and namespaces come, change and go, both name the same nodes.

mod random;
mod rules;

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use orchestra_core::{
    informer::Change,
    scheduler::{PodInfo, ScheduleError, Scheduler},
};
use orchestra_sched::{cache::ClusterCache, framework::Framework};
use proptest::{collection::vec, prelude::*};

use self::{
    random::{Dice, NAMESPACES},
    rules::Cluster,
};

/// One cluster, told to both.
#[derive(Default)]
struct Both {
    reference: Cluster,
    cache: ClusterCache,
    pods_so_far: usize,
}

impl Both {
    /// A cluster of these nodes and pods.
    fn new(nodes: &[u128], pods: &[u128]) -> Self {
        let mut both = Self::default();
        for name in NAMESPACES {
            both.set_namespace(random::namespace(name, &mut Dice::new(0)));
        }
        for (index, number) in nodes.iter().enumerate() {
            both.set_node(random::node(&format!("n{index}"), &mut Dice::new(*number)));
        }
        for number in pods {
            both.place_pod(&mut Dice::new(*number));
        }
        both
    }

    /// Something happens.
    fn change(&mut self, dice: &mut Dice) {
        match dice.roll(10) {
            0..=2 => self.place_pod(dice),
            3 | 4 => self.remove_pod(dice),
            5 | 6 => self.relabel_pod(dice),
            7 => {
                let name = format!("n{}", dice.roll(10));
                self.set_node(random::node(&name, dice));
            }
            8 => self.remove_node(&format!("n{}", dice.roll(8))),
            _ => {
                let name = NAMESPACES[dice.roll(2)];
                self.set_namespace(random::namespace(name, dice));
            }
        }
    }

    fn set_namespace(&mut self, namespace: Namespace) {
        let name = namespace.metadata.name.clone().unwrap_or_default();
        self.reference.namespaces.insert(name, namespace.clone());
        self.cache.apply(&Change::Added(Arc::new(namespace)).into());
    }

    fn set_node(&mut self, node: Node) {
        self.reference.nodes.insert(node.metadata.name.clone().unwrap_or_default(), node.clone());
        self.cache.set_node(Arc::new(node));
    }

    fn remove_node(&mut self, name: &str) {
        self.reference.nodes.remove(name);
        self.cache.remove_node(name);
    }

    fn place_pod(&mut self, dice: &mut Dice) {
        let node = format!("n{}", dice.roll(8));
        let mut pod = random::pod(&format!("p{}", self.pods_so_far), dice);
        self.pods_so_far += 1;
        pod.spec.get_or_insert_default().node_name = Some(node);
        self.set_pod(pod);
    }

    fn set_pod(&mut self, pod: Pod) {
        self.reference.pods.insert(pod.metadata.uid.clone().unwrap_or_default(), pod.clone());
        self.cache.set_pod(Arc::new(pod.into()));
    }

    fn any_pod(&self, dice: &mut Dice) -> Option<String> {
        let number = self.reference.pods.len();
        (number > 0).then(|| dice.roll(number)).and_then(|index| self.reference.pods.keys().nth(index).cloned())
    }

    fn remove_pod(&mut self, dice: &mut Dice) {
        if let Some(uid) = self.any_pod(dice) {
            self.reference.pods.remove(&uid);
            self.cache.remove_pod(&uid);
        }
    }

    fn relabel_pod(&mut self, dice: &mut Dice) {
        if let Some(mut pod) = self.any_pod(dice).and_then(|uid| self.reference.pods.get(&uid).cloned()) {
            pod.metadata.labels = Some(random::labels(dice));
            self.set_pod(pod);
        }
    }
}

/// What came out, so that it is seen that the cases say something.
#[derive(Default)]
struct Outcomes {
    everywhere: AtomicUsize,
    somewhere: AtomicUsize,
    nowhere: AtomicUsize,
}

impl Outcomes {
    fn count(&self, feasible: usize, nodes: usize) {
        let outcome = match feasible {
            0 => &self.nowhere,
            all if all == nodes => &self.everywhere,
            _ => &self.somewhere,
        };
        outcome.fetch_add(1, Ordering::Relaxed);
    }
}

/// Both name the same nodes for `pod`: the plugins one by one, and the scheduler when it decides.
fn compare(framework: &Framework, both: &Both, pod: Pod, seed: u64, outcomes: &Outcomes) -> Result<(), TestCaseError> {
    let expected = both.reference.feasible_nodes(&pod);
    outcomes.count(expected.len(), both.reference.nodes.len());
    let (info, snapshot) = (PodInfo::from(pod.clone()), both.cache.snapshot());
    let chosen = framework.schedule(&info, &snapshot, seed);
    let explanation = framework.explain(&info, &snapshot);
    let named: BTreeSet<String> = explanation.feasible().map(str::to_owned).collect();
    let agrees = match &chosen {
        Ok(placement) => expected.contains(&*placement.node) && placement.feasible_nodes == expected.len(),
        Err(ScheduleError::Unschedulable(_)) => expected.is_empty(),
        Err(_) => false,
    };
    prop_assert!(
        agrees && named == expected,
        "the rules name {expected:?}, the scheduler says {chosen:?}\n{explanation}\npod: {}\ncluster: {:#?}",
        json(&pod),
        both.reference.objects().iter().map(json).collect::<Vec<_>>(),
    );
    Ok(())
}

fn json(object: &impl serde::Serialize) -> String {
    serde_json::to_string(object).expect("objects of the API are JSON")
}

/// Random clusters, each of which changes several times while pods come to be scheduled.
fn compare_in_random_clusters(cases: u32) {
    let outcomes = Outcomes::default();
    let numbers = |size| vec(any::<u128>(), size);
    let clusters = (numbers(1..9), numbers(0..21), numbers(1..5), numbers(1..3));
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) };
    proptest!(config, |((nodes, pods, changes, waiting) in clusters)| {
        let framework = Framework::kubernetes();
        let mut both = Both::new(&nodes, &pods);
        for (round, change) in changes.into_iter().enumerate() {
            both.change(&mut Dice::new(change));
            let pod = random::pod("waiting", &mut Dice::new(waiting[round % waiting.len()]));
            compare(&framework, &both, pod, round as u64, &outcomes)?;
        }
    });
    let [everywhere, somewhere, nowhere] =
        [&outcomes.everywhere, &outcomes.somewhere, &outcomes.nowhere].map(|count| count.load(Ordering::Relaxed));
    println!("feasible everywhere: {everywhere}, somewhere: {somewhere}, nowhere: {nowhere}");
    let least = usize::try_from(cases).expect("few") / 10;
    assert!(everywhere.min(somewhere).min(nowhere) > least, "most cases say nothing");
}

#[test]
fn the_scheduler_names_the_same_nodes_as_the_rules() {
    compare_in_random_clusters(10_000);
}
