//! Simulations in virtual time.
#![allow(clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use orchestra_core::scheduler::{Placement, PodInfo, ScheduleError, Scheduler, Snapshot};
use orchestra_sched::{
    framework::Framework,
    simulator::{Arrival, Comparison, Outcome, Simulation, Synthetic, Trace},
    testing::{PodBuilder, TestCluster, node, pod},
};

const HOUR: Duration = Duration::from_secs(3600);

fn arrival(at: u64, duration: Option<u64>, pod: PodBuilder) -> Arrival {
    let seconds = Duration::from_secs;
    Arrival { at: seconds(at), duration: duration.map(seconds), pod: Arc::new(pod.info()) }
}

fn run(simulation: &Simulation) -> Outcome {
    simulation.run("kubernetes", Arc::new(Framework::kubernetes()))
}

fn seconds(outcome: &Outcome) -> Vec<f64> {
    outcome.waits.iter().map(Duration::as_secs_f64).collect()
}

fn one_cpu() -> TestCluster {
    TestCluster::new().node(node("n1").cpu(1))
}

#[test]
fn a_pod_waits_until_another_ends() {
    let trace = Trace::new([arrival(0, Some(100), pod("a").cpu(1)), arrival(40, Some(10), pod("b").cpu(1))]);
    let outcome = run(&Simulation::new(one_cpu(), trace).until(HOUR));
    assert_eq!((seconds(&outcome), outcome.still_waiting), (vec![0.0, 60.0], 0));
    assert_eq!(outcome.attempts, 3, "it is tried again when there is room and not before");
}

#[test]
fn back_offs_count() {
    let trace = Trace::new([arrival(0, Some(5), pod("a").cpu(1)), arrival(4, None, pod("b").cpu(1))]);
    let delays = orchestra_sched::queue::QueueDelays { initial_backoff: Duration::from_secs(3), ..Default::default() };
    let outcome = run(&Simulation::new(one_cpu(), trace).until(HOUR).queue_delays(delays));
    assert_eq!(seconds(&outcome), [0.0, 3.0], "room comes after a second, and is seen after three");
}

#[test]
fn pods_that_never_get_a_node_still_wait_at_the_end() {
    let trace = Trace::new([arrival(0, None, pod("a").cpu(1)), arrival(0, None, pod("b").cpu(1))]);
    let outcome = run(&Simulation::new(one_cpu(), trace).until(HOUR));
    assert_eq!((outcome.pods, outcome.waits.len(), outcome.still_waiting), (2, 1, 1));
    assert_eq!(outcome.attempts, 2 + 3600 / 300, "every five minutes");
}

#[test]
fn a_gang_waits_until_there_is_room_for_all_of_it() {
    let mut cluster = TestCluster::new().node(node("n1").cpu(3)).gang("g", 3, pod("worker").cpu(1));
    let members: Vec<PodBuilder> = (0..3).map(|index| pod(format!("g-{index}")).cpu(1).group("g")).collect();
    for index in 0..3 {
        cluster.remove_pod(&format!("g-{index}"));
    }
    let first = [arrival(0, Some(100), pod("first").cpu(1))];
    let gang = members.iter().enumerate().map(|(index, pod)| arrival(10 + index as u64, Some(50), pod.clone()));
    let trace = Trace::new(first.into_iter().chain(gang.clone()));
    let outcome = run(&Simulation::new(cluster.clone(), trace).until(HOUR));
    assert_eq!(seconds(&outcome), [0.0, 88.0, 89.0, 90.0]);
    assert_eq!(
        (outcome.attempts, outcome.still_waiting),
        (1 + 3 + 3, 0),
        "tried when they are complete, and with the room"
    );
    let incomplete = Trace::new(gang.take(2));
    let outcome = run(&Simulation::new(cluster, incomplete).until(HOUR));
    assert_eq!((outcome.attempts, outcome.still_waiting), (0, 2));
}

#[test]
fn others_go_for_a_gang_in_a_simulation_too() {
    let member = |index| pod(format!("g-{index}")).cpu(1).priority(9).group("g");
    let mut cluster = TestCluster::new().node(node("n1").cpu(2)).gang("g", 2, pod("worker"));
    cluster.remove_pod("g-0");
    cluster.remove_pod("g-1");
    let low = (0..2).map(|index| arrival(0, None, pod(format!("low-{index}")).cpu(1)));
    let gang = (0..2).map(|index| arrival(10, Some(50), member(index)));
    let outcome = run(&Simulation::new(cluster, Trace::new(low.chain(gang))).until(HOUR));
    assert_eq!((outcome.preempted, outcome.waits.len(), outcome.still_waiting), (2, 4, 0));
}

#[test]
fn attempts_take_their_time() {
    let trace = Trace::new((0..3).map(|i| arrival(0, None, pod(format!("p{i}")))));
    let simulation = Simulation::new(one_cpu(), trace).until(HOUR).attempt_time(Duration::from_millis(100));
    assert_eq!(seconds(&run(&simulation)), [0.1, 0.2, 0.3]);
}

#[test]
fn the_cluster_is_looked_at_from_time_to_time() {
    let cluster = TestCluster::new().node(node("n1").cpu(4)).node(node("n2").cpu(4)).pod(pod("old").cpu(1).on("n2"));
    let trace = Trace::new([arrival(1000, Some(1000), pod("a").cpu(3).node_selector("kubernetes.io/hostname", "n1"))]);
    let outcome = run(&Simulation::new(cluster, trace).until(HOUR).sample_every(Duration::from_secs(600)));
    let seen: Vec<_> = outcome.samples.iter().map(|s| (s.at.as_secs(), s.cpu, s.used_nodes, s.running)).collect();
    let (before, with) = ((0.125, 1, 1), (0.5, 2, 2));
    let expected =
        [(0, before), (600, before), (1200, with), (1800, with), (2400, before), (3000, before), (3600, before)];
    assert_eq!(seen, expected.map(|(at, (cpu, nodes, pods))| (at, cpu, nodes, pods)));
    let fragmentation: Vec<f64> = outcome.samples.iter().map(|sample| sample.fragmentation).collect();
    assert_eq!(fragmentation[0], 0.0, "one fits on each node, and two in all that is free");
}

/// Has no luck.
struct Panics;

impl Scheduler for Panics {
    fn schedule(&self, _: &PodInfo, _: &Snapshot, _: u64) -> Result<Placement, ScheduleError> {
        panic!("out of luck")
    }
}

#[test]
fn a_scheduler_that_fails_is_counted_and_pods_are_tried_again() {
    let trace = Trace::new([arrival(0, None, pod("a"))]);
    let outcome = Simulation::new(one_cpu(), trace).until(Duration::from_secs(20)).run("panics", Arc::new(Panics));
    assert_eq!((outcome.attempts, outcome.failures, outcome.still_waiting), (5, 5, 1), "after 0, 1, 3, 7 and 15 s");
}

#[test]
fn pods_rest_between_attempts_however_short_the_back_off() {
    let none = Duration::ZERO;
    let delays =
        orchestra_sched::queue::QueueDelays { initial_backoff: none, max_backoff: none, max_unschedulable: none };
    let trace = Trace::new([arrival(0, None, pod("a"))]);
    let simulation = Simulation::new(one_cpu(), trace).until(Duration::from_millis(10)).queue_delays(delays);
    assert_eq!(simulation.run("panics", Arc::new(Panics)).failures, 11);
}

#[test]
fn a_simulation_ends_however_long_it_is_to_take() {
    let far = Arrival { at: Duration::MAX, duration: Some(Duration::MAX), pod: Arc::new(pod("far").info()) };
    let trace = Trace::new([arrival(0, Some(5), pod("a")), far]);
    let simulation = Simulation::new(one_cpu(), trace).sample_every(Duration::from_secs(365 * 24 * 3600));
    for simulation in [simulation.clone(), simulation.until(Duration::MAX)] {
        let outcome = run(&simulation);
        assert_eq!((outcome.pods, outcome.waits.len(), outcome.samples.len()), (1, 1, 101), "each of a hundred years");
    }
}

#[test]
fn pods_of_one_name_are_several() {
    let trace = Trace::from_csv("time,pod,cpu,duration\n0,a,1,10\n5,a,1,10\n").unwrap();
    let outcome = run(&Simulation::new(one_cpu(), trace).until(HOUR));
    assert_eq!((outcome.pods, seconds(&outcome), outcome.still_waiting), (2, vec![0.0, 5.0], 0));
}

#[test]
fn pods_that_were_there_wait_again_when_they_have_to_go() {
    let old = pod("old").cpu(1).on("n1").scheduler("its-own");
    let trace = Trace::new([arrival(0, Some(100), pod("high").cpu(1).priority(1000))]);
    let simulation = Simulation::new(one_cpu().pod(old), trace).until(HOUR);
    let outcome = run(&simulation);
    assert_eq!((outcome.pods, outcome.preempted, outcome.still_waiting), (1, 1, 0));
    assert_eq!(outcome.samples.last().unwrap().running, 1, "it runs again");
}

#[test]
fn an_important_pod_takes_the_room_of_another_which_waits_again() {
    let trace = Trace::new([
        arrival(0, Some(600), pod("low").cpu(1)),
        arrival(10, Some(100), pod("high").cpu(1).priority(1000)),
    ]);
    let outcome = run(&Simulation::new(one_cpu(), trace).until(HOUR));
    assert_eq!((outcome.preempted, outcome.still_waiting), (1, 0));
    assert_eq!(seconds(&outcome), [0.0, 1.0], "after its back-off");
    let running: Vec<usize> = outcome.samples.iter().map(|sample| sample.running).collect();
    let last = running.iter().rposition(|running| *running > 0).unwrap();
    let interval = HOUR.as_secs_f64() / 288.0;
    let ended = (111.0 + 600.0) / interval;
    assert!((last as f64 - ended).abs() <= 1.0, "the other one ran for its whole time after that: {last}, {ended}");
}

#[test]
fn the_same_seed_gives_the_same_outcome() {
    let of = |seed: u64| {
        let trace = Synthetic::new(300, HOUR).size(3, "500m", "1Gi").size(1, "3", "2Gi").seed(seed).trace();
        let nodes = (0..6).map(|i| node(format!("n{i}")));
        run(&Simulation::new(TestCluster::new().nodes(nodes), trace).seed(seed))
    };
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2));
}

#[test]
fn schedulers_are_compared_in_a_table() {
    let trace = Trace::new([arrival(0, Some(100), pod("a").cpu(1)), arrival(40, Some(10), pod("b").cpu(1))]);
    let outcome = run(&Simulation::new(one_cpu(), trace).until(HOUR));
    let mut other = outcome.clone();
    "other".clone_into(&mut other.scheduler);
    let comparison = Comparison::of(vec![outcome, other]);
    let text = comparison.to_string();
    assert!(text.lines().next().unwrap().trim_start().starts_with("kubernetes   other"), "{text}");
    assert!(text.contains("\nwait, longest                    60.0 s       60.0 s\n"), "{text}");
    let svg = comparison.to_svg().unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("Pods waiting") && svg.contains("other"));
}

#[test]
fn an_empty_simulation_has_an_outcome() {
    let outcome = run(&Simulation::new(TestCluster::new(), Trace::default()));
    assert_eq!((outcome.pods, outcome.wait(0.5), outcome.samples.len()), (0, Duration::ZERO, 1));
    assert!(Comparison::of(vec![outcome]).to_svg().is_ok());
    assert!(Comparison::of(Vec::new()).to_svg().is_ok());
}

#[test]
fn a_synthetic_trace_has_the_means_that_are_asked_for() {
    let trace =
        Synthetic::new(10_000, HOUR).mean_duration(Duration::from_secs(60)).size(3, "1", "1Gi").size(1, "2", "1Gi");
    let trace = trace.seed(3).trace();
    let count = trace.arrivals().len() as f64;
    let durations = trace.arrivals().iter().filter_map(|arrival| arrival.duration).map(|d| d.as_secs_f64());
    let mean = durations.sum::<f64>() / count;
    assert!((mean - 60.0).abs() < 3.0, "{mean}");
    let small = trace.arrivals().iter().filter(|arrival| arrival.pod.requests().milli_cpu == 1000).count() as f64;
    assert!((small / count - 0.75).abs() < 0.02);
    let early = trace.arrivals().iter().filter(|arrival| arrival.at < HOUR / 2).count() as f64;
    assert!((early / count - 0.5).abs() < 0.02);
}

#[test]
fn a_trace_survives_its_file() {
    let trace = Synthetic::new(50, HOUR).size(1, "1500m", "1Gi").seed(1).trace();
    let read = Trace::from_csv(&trace.to_csv()).unwrap();
    for (wrote, read) in trace.arrivals().iter().zip(read.arrivals()) {
        assert_eq!((wrote.at, wrote.duration, wrote.pod.key()), (read.at, read.duration, read.pod.key()));
        assert_eq!(wrote.pod.requests(), read.pod.requests());
    }
}

#[test]
fn every_column_of_a_trace_is_read() {
    let text = "# recorded\npod,time,priority,labels,node_selector,tolerations,spread\n\n\
                shop/web,1.5,7,app=web;tier=front,disk=ssd,dedicated=gpu:NoSchedule;spot,2 zone\n";
    let trace = Trace::from_csv(text).unwrap();
    let Arrival { at, duration, pod } = &trace.arrivals()[0];
    assert_eq!(
        (at.as_millis(), *duration, pod.key().to_string(), pod.priority()),
        (1500, None, "shop/web".to_owned(), 7)
    );
    let spec = pod.spec().unwrap();
    assert_eq!(spec.node_selector.as_ref().unwrap()["disk"], "ssd");
    assert_eq!(spec.tolerations.as_ref().unwrap().len(), 2);
    let spread = &spec.topology_spread_constraints.as_ref().unwrap()[0];
    assert_eq!((spread.max_skew, &*spread.topology_key), (2, "zone"));
    assert_eq!(spread.label_selector.as_ref().unwrap().match_expressions.as_ref().unwrap().len(), 2);
}

#[test]
fn what_is_no_trace_says_where_and_why() {
    let refused = |text: &str| Trace::from_csv(text).unwrap_err().to_string();
    assert_eq!(refused("# nothing\n"), "no line with the names of columns");
    assert!(refused("time,pod,gpu\n").starts_with("column \"gpu\" is none of time, pod, cpu, "));
    assert_eq!(refused("pod\n"), "there is no column \"time\"");
    assert_eq!(refused("time,pod\n1\n"), "line 2 has 1 cells, not 2");
    for (cell, expected) in [
        (
            "time,pod\n-1,a\n",
            "time \"-1\" cannot be read: a number of seconds, of a hundred years at most, is expected",
        ),
        (
            "time,pod\n1e18,a\n",
            "time \"1e18\" cannot be read: a number of seconds, of a hundred years at most, is expected",
        ),
        (
            "time,pod,labels,spread\n0,a,app=a b,1 zone\n",
            "labels \"app=a b\" cannot be read: key=value;key=value is expected",
        ),
        ("time,pod,labels\n0,a,a==b\n", "labels \"a==b\" cannot be read: key=value;key=value is expected"),
        ("time,pod,node_selector\n0,a,=b\n", "node_selector \"=b\" cannot be read: key=value;key=value is expected"),
        ("time,pod\n,a\n", "time \"\" cannot be read: a number of seconds, of a hundred years at most, is expected"),
        ("time,pod\n0,\n", "pod \"\" cannot be read: a name is expected"),
        ("time,pod,cpu\n0,a,many\n", "cpu \"many\" cannot be read: a quantity is expected"),
        ("time,pod,labels\n0,a,app\n", "labels \"app\" cannot be read: key=value;key=value is expected"),
        (
            "time,pod,tolerations\n0,a,k:Never\n",
            "tolerations \"k:Never\" cannot be read: key=value:Effect;key is expected",
        ),
        ("time,pod,spread\n0,a,zone\n", "spread \"zone\" cannot be read: a number and a label's key is expected"),
    ] {
        assert_eq!(refused(cell), format!("line 2: {expected}"));
    }
}
