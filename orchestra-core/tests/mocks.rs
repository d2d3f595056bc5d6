//! Each trait at a seam has a mock, named after it.

use std::sync::Arc;

use orchestra_core::{
    ObjectKey,
    clock::{Clock, MockClock},
    container_runtime::{ContainerRuntime, MockContainerRuntime},
    controller::{Action, Controller, MockController},
    scheduler::{MockScheduler, Placement, PodInfo, ScheduleError, Scheduler, Snapshot},
    store::{KeyRange, MockStore, MockWatcher, ReadAt, Store, StoreError, Transaction, WatchBatch, Watcher},
};

fn batch() -> WatchBatch {
    WatchBatch { revision: 7, events: Vec::new() }
}

#[tokio::test]
async fn a_mock_store_is_a_store_and_a_watcher() {
    use futures::StreamExt;

    let mut store = MockStore::new();
    store.expect_get().returning(|_, _| Ok(None));
    store.expect_commit().times(1).returning(|_| Err(StoreError::Unavailable("down".to_owned())));
    store.expect_watch().returning(|_, _| Ok(Box::pin(futures::stream::iter([Ok(batch())]))));
    let store: Arc<dyn Store> = Arc::new(store);
    assert_eq!(store.get("/a", ReadAt::Latest).await, Ok(None));
    assert!(store.commit(Transaction::new()).await.is_err());
    let mut watch = store.watch(KeyRange::prefix("/"), 0).await.unwrap();
    assert_eq!(watch.next().await, Some(Ok(batch())));
}

#[tokio::test]
async fn a_mock_watcher_is_a_watcher() {
    let mut watcher = MockWatcher::new();
    watcher.expect_watch().returning(|_, after| Err(StoreError::Compacted { requested: after, oldest: 9 }));
    let watcher: Box<dyn Watcher> = Box::new(watcher);
    assert!(matches!(watcher.watch(KeyRange::prefix("/"), 3).await, Err(StoreError::Compacted { requested: 3, .. })));
}

#[test]
fn a_mock_scheduler_is_a_scheduler() {
    let mut scheduler = MockScheduler::new();
    scheduler.expect_schedule().returning(|_, _, _| Ok(Placement::on("n1")));
    let scheduler: Box<dyn Scheduler> = Box::new(scheduler);
    let pod = PodInfo::new(Arc::default());
    let placed: Result<Placement, ScheduleError> = scheduler.schedule(&pod, &Snapshot::default(), 0);
    assert_eq!(placed.map(|placement| placement.node), Ok("n1".into()));
}

#[tokio::test]
async fn a_mock_controller_is_a_controller() {
    let mut controller = MockController::new();
    controller.expect_name().return_const("mock".to_owned());
    controller.expect_reconcile().returning(|_| Ok(Action::Done));
    let controller: Arc<dyn Controller> = Arc::new(controller);
    assert_eq!(controller.name(), "mock");
    assert_eq!(controller.reconcile(&ObjectKey::cluster("n1")).await.unwrap(), Action::Done);
}

#[test]
fn a_mock_clock_is_a_clock() {
    let mut clock = MockClock::new();
    clock.expect_now().return_const(jiff::Timestamp::UNIX_EPOCH);
    let clock: Arc<dyn Clock> = Arc::new(clock);
    assert_eq!(clock.now(), jiff::Timestamp::UNIX_EPOCH);
}

#[tokio::test]
async fn a_mock_container_runtime_is_a_container_runtime() {
    let mut runtime = MockContainerRuntime::new();
    runtime.expect_list_images().returning(|| Ok(Vec::new()));
    let runtime: Arc<dyn ContainerRuntime> = Arc::new(runtime);
    assert!(runtime.list_images().await.unwrap().is_empty());
}
