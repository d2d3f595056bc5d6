//! The contract suite against the memory store, which passes, and against broken stores, each of which it finds out.

mod broken;
mod flaws;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use orchestra_core::store::Store;
use orchestra_store::{
    MemoryStore,
    contract::{self, Violation},
    memory::MemoryStoreOptions,
};

use self::{
    broken::{Broken, Flaw},
    flaws::*,
};

async fn passes(store: impl Fn() -> MemoryStore) {
    let outcome = contract::run(|| std::future::ready(Arc::new(store()) as Arc<dyn Store>)).await;
    let lines: Vec<String> = outcome.err().into_iter().flatten().map(|violation| violation.to_string()).collect();
    assert!(lines.is_empty(), "{}", lines.join("\n"));
}

#[tokio::test(start_paused = true)]
async fn memory_store_keeps_the_contract_in_paused_time() {
    passes(MemoryStore::default).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn memory_store_keeps_the_contract_under_real_concurrency() {
    // Started together, as those that wait for a time to live would else take long.
    let at_once = contract::checks().len();
    let store = || std::future::ready(Arc::new(MemoryStore::default()) as Arc<dyn Store>);
    assert_eq!(contract::run_together(at_once, store).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn memory_store_keeps_the_contract_with_little_room_for_watchers() {
    passes(|| MemoryStore::new(MemoryStoreOptions { watch_lag: 200, ..MemoryStoreOptions::default() })).await;
}

/// A memory store behind a bad line, and what makes the line usable.
fn retried(seed: u64) -> Arc<dyn Store> {
    contract::unreliable(Arc::new(MemoryStore::default()), seed, |line| {
        line.repeated_requests(5).delay(Duration::from_millis(20)).lag(Duration::from_millis(20))
    })
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_keeps_the_contract_if_it_is_retried() {
    for seed in 0..5 {
        assert_eq!(contract::run(|| std::future::ready(retried(seed))).await, Ok(()), "seed {seed}");
    }
}

#[test]
fn checks_have_names_of_their_own() {
    let names: BTreeSet<&str> = contract::checks().iter().map(|check| check.name()).collect();
    assert_eq!(names.len(), contract::checks().len());
}

fn broken(flaw: impl Flaw) -> Arc<dyn Store> {
    Arc::new(Broken::new(flaw))
}

/// Asserts that the check named `name` finds a violation in the broken store.
async fn is_found_out(store: Arc<dyn Store>, name: &str) {
    let check = contract::checks().into_iter().find(|check| check.name() == name);
    let found = check.expect("no check has that name").run(store).await.expect_err("the check passes");
    assert_eq!(found.check(), name);
    assert!(!found.message().is_empty());
}

/// Each broken store, and the check that must find it out.
macro_rules! found_out {
    ($($test:ident: $flaw:expr => $check:literal;)+) => {
        $(#[tokio::test(start_paused = true)]
        async fn $test() {
            is_found_out(broken($flaw), $check).await;
        })+
    };
}

found_out! {
    lost_event: LostEvent => "changes_arrive_once_and_in_order";
    doubled_event: DoubledEvent => "changes_arrive_once_and_in_order";
    wrong_order: WrongOrder => "changes_arrive_once_and_in_order";
    wrong_order_in_a_transaction: ReversedTransaction => "transaction_arrives_in_one_batch";
    split_batch: SplitBatch => "transaction_arrives_in_one_batch";
    wrong_previous_value: WrongPrevious => "events_tell_what_was_before";
    watch_from_the_wrong_revision: WatchOneLate => "watch_starts_after_any_revision";
    watch_that_forgets_the_past: WatchFromNow => "watch_starts_after_any_revision";
    watch_of_everything: WatchEverything => "only_the_range_is_watched";
    batch_revision_too_new: BatchAhead => "watch_resumes_after_any_batch";
    unbounded_slow_watcher: UnboundedWatcher => "slow_watcher_is_ended";
    slow_watcher_loses_silently: SilentLoss => "slow_watcher_is_ended";
    stale_list: StaleList => "reads_see_what_was_acknowledged";
    stale_get: StaleGet::default() => "get_returns_what_was_put";
    old_reads_show_the_latest: LatestForOld => "list_sees_old_revisions";
    pages_of_the_latest_state: PagesOfLatest => "pages_are_one_snapshot";
    remaining_of_the_latest_state: RemainingOfLatest => "remaining_is_counted_in_the_snapshot";
    continuation_that_repeats_a_key: InclusiveContinuation => "pages_join_to_the_list";
    ignored_precondition: IgnoredPrecondition => "preconditions_hold_or_nothing_happens";
    lost_increment: IgnoredRevision => "no_increment_is_lost";
    half_a_transaction: HalfTransaction => "failed_transaction_changes_nothing";
    transaction_in_parts: TransactionInParts => "transaction_happens_at_one_revision";
    reused_revision: ReusedRevision::default() => "each_commit_adds_one_revision";
    revision_without_effect: RevisionForNothing => "transaction_without_effect_makes_no_revision";
    equal_value_ignored: EqualIgnored => "equal_value_is_a_change";
    repeated_key_taken: RepeatedKeyTaken => "repeated_key_is_refused";
    expired_key_still_visible: ExpiredVisible::default() => "expired_key_is_not_read";
    ttl_too_long: LateTtl => "key_expires_in_time";
    ttl_too_short: EarlyTtl => "key_expires_in_time";
    ttl_of_the_first_put: FirstTtlStays::default() => "later_put_removes_the_time";
    compacted_is_readable: NoCompaction => "compacted_revisions_are_refused";
    compaction_too_far: CompactsTooFar => "kept_revisions_stay_as_they_were";
    future_is_the_latest: FutureIsLatest => "future_revisions_are_refused";
    error_without_end: ErrorWithoutEnd => "slow_watcher_is_ended";
    change_lost_at_the_seam: LostAtTheSeam => "watchers_see_the_history";
    previous_value_of_now: PreviousOfNow => "watchers_see_the_history";
    creation_seen_late: LateCreation::default() => "concurrent_calls_have_an_order";
    commit_listed_late: LateInLists::default() => "concurrent_calls_have_an_order";
    conflict_though_done: ConflictThoughDone::default() => "concurrent_calls_have_an_order";
}

#[tokio::test(start_paused = true)]
async fn a_wrapper_without_a_flaw_passes() {
    let outcome = contract::run(|| std::future::ready(broken(NoFlaw))).await;
    assert_eq!(outcome, Ok(()));
}

/// The violations that a run finds, by check.
async fn found_in(flaw: fn() -> Arc<dyn Store>) -> Vec<String> {
    let outcome = contract::run(|| std::future::ready(flaw())).await;
    outcome.err().into_iter().flatten().map(|violation| violation.check().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn races_are_found_out_by_the_order_of_calls_alone() {
    for flaw in [
        || broken(LateCreation::default()),
        || broken(LateInLists::default()),
        || broken(ConflictThoughDone::default()),
    ] {
        assert_eq!(found_in(flaw).await, ["concurrent_calls_have_an_order"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_tells_every_check_that_fails() {
    let violations = contract::run(|| std::future::ready(broken(DoubledEvent))).await.unwrap_err();
    let found: BTreeSet<&str> = violations.iter().map(Violation::check).collect();
    let expected = ["changes_arrive_once_and_in_order", "events_tell_what_was_before", "watchers_see_the_history"];
    assert!(found.is_superset(&expected.into()), "{violations:?}");
}
