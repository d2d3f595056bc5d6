//! The contract suite against the memory runtime, which passes, and against broken runtimes, each of which it finds out.

mod broken;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use orchestra_core::container_runtime::{
    ContainerRuntime, ExecOutput,
    contract::{self, Images, Subject},
};
use orchestra_runtime::container::{ExecScript, ImageScript, MemoryRuntime, Scripted};

use self::broken::{Broken, Flaw};

/// A runtime with images that behave as the suite wants.
fn memory() -> MemoryRuntime {
    let exec = ExecScript::new(|command| match command.first().map(String::as_str) {
        Some("sleep") => Scripted { time: Duration::from_secs(60), ..Scripted::default() },
        _ => Scripted {
            output: ExecOutput { stdout: b"out\n".into(), stderr: b"err\n".into(), exit_code: 3 },
            ..Scripted::default()
        },
    });
    let ends = |code| Some((Duration::from_millis(10), code));
    let lines = vec!["one".to_owned(), "two".to_owned()];
    MemoryRuntime::new()
        .image("forever", ImageScript { exec: Some(exec), ..ImageScript::default() })
        .image("stubborn", ImageScript { stop_time: Duration::MAX, ..ImageScript::default() })
        .image("exits-with-7", ImageScript { exit_code_after: ends(7), ..ImageScript::default() })
        .image("lines", ImageScript { log_lines: lines, exit_code_after: ends(0), ..ImageScript::default() })
        .image("missing", ImageScript { failing_pull: Some("no such image".to_owned()), ..ImageScript::default() })
}

fn subject(runtime: Arc<dyn ContainerRuntime>) -> Subject {
    let images = Images {
        forever: "forever".into(),
        stubborn: "stubborn".into(),
        exits_with_7: "exits-with-7".into(),
        lines: "lines".into(),
        missing: "missing".into(),
    };
    Subject { runtime, images, log_directory: String::new() }
}

#[tokio::test(start_paused = true)]
async fn the_memory_runtime_keeps_the_contract() {
    let outcome = contract::run(&subject(Arc::new(memory()))).await;
    let lines: Vec<String> = outcome.err().into_iter().flatten().map(|violation| violation.to_string()).collect();
    assert!(lines.is_empty(), "{}", lines.join("\n"));
}

#[test]
fn checks_have_names_of_their_own() {
    let names: BTreeSet<&str> = contract::checks().iter().map(|check| check.name()).collect();
    assert_eq!(names.len(), contract::checks().len());
}

/// Asserts that the check of that name finds a violation in the broken runtime.
async fn is_found_out(flaw: Flaw, name: &str) {
    let check = contract::checks().into_iter().find(|check| check.name() == name);
    let broken = Broken { good: memory(), flaw };
    let found = check.expect("no check has that name").run(&subject(Arc::new(broken))).await;
    let found = found.expect_err("the check passes");
    assert_eq!(found.check(), name);
    assert!(!found.message().is_empty());
}

/// Each flaw, and the check that must find it out.
macro_rules! found_out {
    ($($test:ident: $flaw:expr => $check:literal;)+) => {
        $(#[tokio::test(start_paused = true)]
        async fn $test() {
            is_found_out($flaw, $check).await;
        })+
    };
}

found_out! {
    starting_twice: Flaw::StartsTwice => "a_container_is_never_started_twice";
    two_of_a_name: Flaw::TwoOfAName => "no_two_containers_of_a_sandbox_have_the_same_name_and_attempt";
    lost_labels: Flaw::LosesAnnotations => "a_container_is_as_it_was_asked_for";
    lists_backwards: Flaw::ListsBackwards => "containers_are_listed_in_order_of_creation";
    no_filter: Flaw::ListsAll => "containers_are_found_by_what_they_are";
    stops_without_waiting: Flaw::StopsWithoutWaiting => "a_container_that_does_not_obey_is_killed_after_its_grace";
    stops_without_grace: Flaw::StopsWithoutGrace => "a_container_that_does_not_obey_is_killed_after_its_grace";
    longest_grace: Flaw::FirstStopCounts => "of_several_stops_the_one_that_allows_least_time_counts";
    strict_removal: Flaw::StrictRemoval => "containers_are_stopped_and_removed_again_without_error";
    stays_ready: Flaw::StaysReady => "a_sandbox_is_ready_until_it_is_stopped";
    pulls_nothing: Flaw::PullsNothing => "an_image_that_cannot_be_fetched_is_told_of";
    whole_log: Flaw::IgnoresTail => "a_log_begins_where_it_is_asked_to";
    endless_log: Flaw::LogsForEver => "a_log_is_followed_until_the_container_has_ended";
    no_end_told: Flaw::TellsNoEnd => "an_end_is_told_to_all_who_listen";
    told_twice: Flaw::TellsTwice => "what_happens_to_a_container_is_told";
    no_exit_code: Flaw::AlwaysSucceeds => "a_container_that_ends_by_itself_tells_its_code";
    patient_commands: Flaw::WaitsForCommands => "a_command_that_takes_too_long_is_given_up";
}
