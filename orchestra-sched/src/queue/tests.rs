use k8s_openapi::api::core::v1::{Node, Pod};
use orchestra_core::scheduler::{EventKind, NodeInfo, Objects, Placement, Rejection, ScheduleError, Snapshot};
use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Rejections by `Room` are helped by released pods, those by `Nodes` by new nodes.
struct Hints;

impl Scheduler for Hints {
    fn schedule(&self, _: &PodInfo, _: &Snapshot, _: u64) -> Result<Placement, ScheduleError> {
        Err(ScheduleError::Internal("never asked".to_owned()))
    }

    fn concerns(&self, plugin: &str, kind: EventKind) -> bool {
        match plugin {
            "Room" => kind == EventKind::PodReleased,
            "Nodes" => kind == EventKind::NodeAdded,
            _ => true,
        }
    }
}

fn queue() -> SchedulingQueue {
    let hints: Arc<dyn Scheduler> = Arc::new(Hints);
    SchedulingQueue::new(Arc::new(BTreeMap::from([("default-scheduler".to_owned(), hints)])), QueueDelays::default())
}

fn labelled(name: &str, priority: i32, label: &str) -> Arc<PodInfo> {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": { "name": name, "uid": name, "labels": { "l": label } },
        "spec": { "priority": priority, "containers": [] },
    }))
    .unwrap();
    Arc::new(pod.into())
}

fn pod(name: &str) -> Arc<PodInfo> {
    labelled(name, 0, "")
}

fn node_added() -> ClusterEvent {
    ClusterEvent::NodeAdded(Arc::new(NodeInfo::new(Arc::new(Node::default()))))
}

pub(super) fn pop(queue: &mut SchedulingQueue, now: Instant) -> Option<Next> {
    queue.pop(now, &Objects::default())
}

fn popped(queue: &mut SchedulingQueue, now: Instant) -> Option<String> {
    pop(queue, now).map(|next| next.pods()[0].id().to_string())
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn the_highest_priority_comes_first_and_then_the_first_come() {
    let (mut queue, now) = (queue(), Instant::now());
    for (name, priority) in [("a", 0), ("b", 5), ("c", 5), ("d", 9)] {
        queue.set(labelled(name, priority, ""), now);
    }
    let order: Vec<_> = std::iter::from_fn(|| popped(&mut queue, now)).collect();
    assert_eq!(order, ["d", "b", "c", "a"]);
}

fn gated(name: &str) -> Arc<PodInfo> {
    let mut gated = (**pod(name).pod()).clone();
    let gates = json!([{ "name": "example.com/gate" }]);
    gated.spec.get_or_insert_default().scheduling_gates = serde_json::from_value(gates).unwrap();
    Arc::new(gated.into())
}

#[test]
fn a_gated_pod_waits_for_its_gates_to_go_however_long_and_is_tried_at_once_then() {
    let (mut queue, now) = (queue(), Instant::now());
    queue.set(gated("a"), now);
    assert_eq!(queue.lengths(), QueueLengths { gated: 1, ..QueueLengths::default() });
    assert_eq!(queue.next_deadline(), None);
    queue.notify(node_added(), now);
    assert!(pop(&mut queue, now + 1000 * SECOND).is_none());
    queue.set(pod("a"), now);
    assert_eq!(popped(&mut queue, now).as_deref(), Some("a"));
}

#[test]
fn a_queue_is_sorted_as_its_schedulers_want() {
    struct ByName;
    impl QueueSort for ByName {
        fn name(&self) -> &'static str {
            "ByName"
        }
        fn compare(&self, a: &QueuedPod, b: &QueuedPod) -> std::cmp::Ordering {
            a.pod.key().name().cmp(b.pod.key().name())
        }
    }
    struct Sorted;
    impl Scheduler for Sorted {
        fn schedule(&self, _: &PodInfo, _: &Snapshot, _: u64) -> Result<Placement, ScheduleError> {
            Err(ScheduleError::Internal("never asked".to_owned()))
        }
        fn queue_sort(&self) -> Option<Arc<dyn QueueSort>> {
            Some(Arc::new(ByName))
        }
    }
    let sorted: Arc<dyn Scheduler> = Arc::new(Sorted);
    let schedulers = Arc::new(BTreeMap::from([("default-scheduler".to_owned(), sorted)]));
    let (mut queue, now) = (SchedulingQueue::new(schedulers, QueueDelays::default()), Instant::now());
    for (name, priority) in [("c", 9), ("a", 0), ("b", 5)] {
        queue.set(labelled(name, priority, ""), now);
    }
    let order: Vec<_> = std::iter::from_fn(|| popped(&mut queue, now)).collect();
    assert_eq!(order, ["a", "b", "c"]);
}

#[test]
fn an_update_does_not_lose_a_pods_turn() {
    let (mut queue, now) = (queue(), Instant::now());
    queue.set(pod("a"), now);
    queue.set(pod("b"), now);
    queue.set(labelled("a", 0, "new"), now);
    assert_eq!(popped(&mut queue, now).as_deref(), Some("a"));
}

#[test]
fn a_failed_pod_comes_back_after_a_growing_backoff() {
    let (mut queue, mut now) = (queue(), Instant::now());
    queue.set(pod("a"), now);
    for delay in [1, 2, 4, 8, 10, 10] {
        assert!(pop(&mut queue, now).is_some());
        queue.failed("a", now);
        let due = now + delay * SECOND;
        assert_eq!(queue.next_deadline(), Some(due));
        assert!(pop(&mut queue, due - Duration::from_millis(1)).is_none());
        now = due;
    }
}

#[test]
fn an_unschedulable_pod_waits_for_what_may_help() {
    let (mut queue, now) = (queue(), Instant::now());
    queue.set(pod("a"), now);
    pop(&mut queue, now);
    queue.unschedulable("a", vec!["Room".to_owned()], now);
    let later = now + 20 * SECOND;
    queue.notify(node_added(), later);
    assert!(pop(&mut queue, later).is_none());
    queue.notify(ClusterEvent::PodReleased(pod("other")), later);
    assert_eq!(popped(&mut queue, later).as_deref(), Some("a"));
}

#[test]
fn help_before_the_end_of_the_backoff_is_kept_until_then() {
    let (mut queue, now) = (queue(), Instant::now());
    queue.set(pod("a"), now);
    pop(&mut queue, now);
    queue.unschedulable("a", vec!["Nodes".to_owned()], now);
    queue.notify(node_added(), now);
    assert!(pop(&mut queue, now).is_none());
    assert_eq!(queue.lengths(), QueueLengths { backing_off: 1, ..QueueLengths::default() });
    assert_eq!(popped(&mut queue, now + SECOND).as_deref(), Some("a"));
}

#[test]
fn an_event_during_the_attempt_is_not_lost() {
    let (mut queue, now) = (queue(), Instant::now());
    queue.set(pod("a"), now);
    queue.notify(node_added(), now);
    pop(&mut queue, now);
    queue.unschedulable("a", vec!["Nodes".to_owned()], now);
    assert_eq!(queue.lengths().unschedulable, 1, "what happened before the attempt was seen by it");

    queue.notify(node_added(), now);
    pop(&mut queue, now + SECOND);
    queue.notify(node_added(), now + SECOND);
    queue.unschedulable("a", vec!["Nodes".to_owned()], now + SECOND);
    assert_eq!(queue.lengths().backing_off, 1);
}

#[test]
fn a_rejection_by_nobody_is_helped_by_anything() {
    let (mut queue, now) = (queue(), Instant::now());
    queue.set(pod("a"), now);
    pop(&mut queue, now);
    queue.unschedulable("a", Vec::new(), now);
    queue.notify(node_added(), now + 20 * SECOND);
    assert_eq!(queue.lengths().active, 1);
}

#[test]
fn a_change_of_the_pod_itself_may_help_but_not_of_its_status() {
    let (mut queue, now) = (queue(), Instant::now());
    queue.set(pod("a"), now);
    pop(&mut queue, now);
    queue.unschedulable("a", vec!["Other".to_owned()], now);
    let mut reported = (**pod("a").pod()).clone();
    reported.status = Some(Default::default());
    queue.set(Arc::new(reported.into()), now + 20 * SECOND);
    assert_eq!(queue.lengths().unschedulable, 1);
    queue.set(labelled("a", 0, "new"), now + 20 * SECOND);
    assert_eq!(queue.lengths().active, 1);
}

#[test]
fn the_names_of_its_claims_are_the_one_thing_of_its_status_that_counts() {
    let (mut queue, now) = (queue(), Instant::now());
    queue.set(pod("a"), now);
    pop(&mut queue, now);
    queue.unschedulable("a", vec!["Other".to_owned()], now);
    let mut claimed = (**pod("a").pod()).clone();
    let made = json!({ "resourceClaimStatuses": [{ "name": "gpu", "resourceClaimName": "a-gpu-x" }] });
    claimed.status = serde_json::from_value(made).unwrap();
    queue.set(Arc::new(claimed.into()), now + 20 * SECOND);
    assert_eq!(queue.lengths().active, 1);
}

#[test]
fn nobody_waits_for_ever() {
    let (mut queue, now) = (queue(), Instant::now());
    queue.set(pod("a"), now);
    pop(&mut queue, now);
    queue.unschedulable("a", vec!["Room".to_owned()], now);
    assert_eq!(queue.next_deadline(), Some(now + 300 * SECOND));
    assert!(pop(&mut queue, now + 300 * SECOND).is_some());
}

#[test]
fn nothing_is_kept_for_a_pod_that_has_found_its_node() {
    let (mut queue, now) = (queue(), Instant::now());
    queue.set(pod("a"), now);
    queue.set(pod("b"), now);
    pop(&mut queue, now);
    pop(&mut queue, now);
    let node = Arc::new(NodeInfo::new(Arc::new(Node::default())));
    queue.notify(ClusterEvent::NodeAdded(node.clone()), now);
    queue.placed("a");
    assert_eq!(Arc::strong_count(&node), 2, "the other may still turn out to be unschedulable");
    queue.placed("b");
    queue.notify(ClusterEvent::NodeAdded(node.clone()), now);
    assert_eq!(Arc::strong_count(&node), 1);
    queue.failed("a", now);
    queue.done("b");
    assert_eq!(queue.lengths(), QueueLengths { backing_off: 1, ..QueueLengths::default() });
}

#[test]
fn a_pod_removed_in_flight_does_not_come_back() {
    let (mut queue, now) = (queue(), Instant::now());
    queue.set(pod("a"), now);
    pop(&mut queue, now);
    queue.remove("a");
    queue.failed("a", now);
    queue.unschedulable("a", Vec::new(), now);
    assert_eq!(queue.lengths(), QueueLengths::default());
}

/// A pod that was rejected by `Room` and is held.
fn held(now: Instant) -> SchedulingQueue {
    let mut queue = queue();
    queue.set(pod("p"), now);
    pop(&mut queue, now);
    queue.hold("p");
    queue.unschedulable("p", vec!["Room".to_owned()], now);
    queue
}

fn released() -> ClusterEvent {
    ClusterEvent::PodReleased(pod("other"))
}

#[test]
fn a_held_pod_is_not_tried_whatever_happens_and_nothing_of_it_is_lost() {
    let now = Instant::now();
    let mut queue = held(now);
    let later = now + 400 * SECOND;
    queue.notify(released(), now + 5 * SECOND);
    assert_eq!(popped(&mut queue, later), None, "neither by an event nor by waiting long");
    assert_eq!(queue.lengths(), QueueLengths { unschedulable: 1, ..QueueLengths::default() });
    queue.let_go("p", false, later);
    assert_eq!(popped(&mut queue, later).as_deref(), Some("p"));
}

#[test]
fn what_happened_during_the_attempt_of_a_held_pod_counts() {
    let (mut queue, now) = (queue(), Instant::now());
    queue.set(pod("p"), now);
    pop(&mut queue, now);
    queue.notify(released(), now);
    queue.hold("p");
    queue.unschedulable("p", vec!["Room".to_owned()], now);
    assert_eq!(queue.lengths().unschedulable, 1);
    queue.let_go("p", false, now);
    assert_eq!(queue.lengths().backing_off, 1);
}

#[test]
fn a_pod_that_is_let_go_waits_on_if_nothing_happened_unless_it_is_to_be_tried() {
    let now = Instant::now();
    let mut queue = held(now);
    queue.notify(node_added(), now);
    queue.let_go("p", false, now + 5 * SECOND);
    assert_eq!(popped(&mut queue, now + 5 * SECOND), None);
    queue.notify(released(), now + 5 * SECOND);
    assert_eq!(popped(&mut queue, now + 5 * SECOND).as_deref(), Some("p"));
    let mut queue = held(now);
    queue.let_go("p", true, now + 5 * SECOND);
    assert_eq!(popped(&mut queue, now + 5 * SECOND).as_deref(), Some("p"));
}

#[test]
fn a_hold_ends_with_the_pod() {
    let now = Instant::now();
    let mut queue = held(now);
    queue.remove("p");
    queue.let_go("p", true, now);
    assert_eq!(queue.lengths(), QueueLengths::default());
    queue.set(pod("p"), now);
    assert_eq!(popped(&mut queue, now).as_deref(), Some("p"));
}

#[test]
fn a_scheduler_that_panics_loses_no_pod() {
    struct Panics;
    impl Scheduler for Panics {
        fn schedule(&self, _: &PodInfo, _: &Snapshot, _: u64) -> Result<Placement, ScheduleError> {
            panic!("told to")
        }
        fn pre_enqueue(&self, pod: &PodInfo) -> Result<(), Rejection> {
            assert_ne!(pod.key().name(), "held", "told to");
            Ok(())
        }
        fn concerns(&self, _: &str, _: EventKind) -> bool {
            panic!("told to")
        }
        fn may_help(&self, _: &str, _: &ClusterEvent, _: &PodInfo) -> bool {
            panic!("told to")
        }
    }
    let panics: Arc<dyn Scheduler> = Arc::new(Panics);
    let schedulers = Arc::new(BTreeMap::from([("default-scheduler".to_owned(), panics)]));
    let (mut queue, now) = (SchedulingQueue::new(schedulers, QueueDelays::default()), Instant::now());
    queue.set(pod("held"), now);
    assert_eq!(queue.lengths(), QueueLengths { gated: 1, ..QueueLengths::default() });
    queue.set(pod("a"), now);
    pop(&mut queue, now);
    queue.unschedulable("a", vec!["Any".to_owned()], now);
    queue.notify(node_added(), now + 20 * SECOND);
    assert_eq!(queue.lengths(), QueueLengths { gated: 1, active: 1, ..QueueLengths::default() });
}

#[test]
fn a_sort_that_changes_its_mind_holds_nobody_up() {
    #[derive(Default)]
    struct Moody(std::sync::atomic::AtomicUsize);
    impl QueueSort for Moody {
        fn name(&self) -> &'static str {
            "Moody"
        }
        fn compare(&self, _: &QueuedPod, _: &QueuedPod) -> std::cmp::Ordering {
            let mood = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            [std::cmp::Ordering::Less, std::cmp::Ordering::Greater, std::cmp::Ordering::Equal][mood * 7 % 5 % 3]
        }
    }
    struct Sorted(Arc<Moody>);
    impl Scheduler for Sorted {
        fn schedule(&self, _: &PodInfo, _: &Snapshot, _: u64) -> Result<Placement, ScheduleError> {
            Err(ScheduleError::Internal("never asked".to_owned()))
        }
        fn queue_sort(&self) -> Option<Arc<dyn QueueSort>> {
            Some(self.0.clone())
        }
    }
    let sorted: Arc<dyn Scheduler> = Arc::new(Sorted(Arc::default()));
    let schedulers = Arc::new(BTreeMap::from([("default-scheduler".to_owned(), sorted)]));
    let (mut queue, mut now) = (SchedulingQueue::new(schedulers, QueueDelays::default()), Instant::now());
    for round in 0..200 {
        let name = format!("p{}", round % 40);
        match round % 3 {
            0 => queue.remove(&name),
            _ => queue.set(labelled(&name, 0, &round.to_string()), now),
        }
        now += SECOND / 10;
    }
    let waiting = queue.waiting.len();
    let popped: BTreeSet<String> = std::iter::from_fn(|| popped(&mut queue, now)).collect();
    assert_eq!((popped.len(), queue.waiting.len()), (waiting, 0), "each once, and none is left");
}

#[test]
fn times_without_end_are_no_trouble() {
    let hints: Arc<dyn Scheduler> = Arc::new(Hints);
    let schedulers = Arc::new(BTreeMap::from([("default-scheduler".to_owned(), hints)]));
    let delays =
        QueueDelays { initial_backoff: Duration::MAX, max_backoff: Duration::MAX, max_unschedulable: Duration::ZERO };
    let (mut queue, now) = (SchedulingQueue::new(schedulers, delays), Instant::now());
    queue.set(pod("a"), now);
    pop(&mut queue, now);
    queue.hold("a");
    queue.unschedulable("a", vec!["Room".to_owned()], now);
    queue.advance(now);
    assert_eq!(queue.lengths().unschedulable, 1);
}

proptest! {
    #[test]
    fn each_pod_is_in_exactly_one_place(steps in prop::collection::vec((0..10_usize, 0..4_usize), 0..120)) {
        let names = ["a", "b", "c", "d"];
        let (mut queue, mut now) = (queue(), Instant::now());
        let mut known = BTreeSet::new();
        for (step, (action, which)) in steps.into_iter().enumerate() {
            let name = names[which];
            match action {
                0 | 1 => { queue.set(labelled(name, which as i32, &step.to_string()), now); known.insert(name); }
                2 => { queue.remove(name); known.remove(name); }
                3 | 4 => { pop(&mut queue, now); }
                5 => { if queue.is_in_flight(name) { known.remove(name); } queue.done(name); }
                6 => queue.unschedulable(name, vec![["Room", "Nodes"][which % 2].to_owned()], now),
                7 => queue.failed(name, now),
                8 => { queue.set(gated(name), now); known.insert(name); }
                _ => queue.notify(if which % 2 == 0 { node_added() } else { ClusterEvent::PodReleased(pod("x")) }, now),
            }
            now += Duration::from_millis(700);
            let lengths = queue.lengths();
            let waiting = lengths.active + lengths.backing_off + lengths.unschedulable + lengths.gated;
            let total = waiting + lengths.in_flight;
            prop_assert_eq!(total, known.len());
        }
        let indexed: usize = queue.rejected.values().map(|rejected| rejected.iter().count()).sum();
        prop_assert_eq!(indexed, queue.lengths().unschedulable + queue.lengths().gated);
    }
}
