//! Keys and values as Kubernetes has them, as others write them, and as large as etcd takes them.

use futures::StreamExt;
use orchestra_core::store::{
    Event, Key, KeyRange, ListOptions, Precondition, ReadAt, Store, StoreError, Transaction, Watcher,
};

use crate::{
    act::{next, put, until_error},
    server::Etcd,
};

const POD: &str = "/registry/pods/default/nginx";

async fn client(etcd: &Etcd) -> etcd_client::Client {
    etcd_client::Client::connect([etcd.url()], None).await.unwrap()
}

fn is_corrupt<T>(outcome: Result<T, StoreError>, name: &str) -> bool {
    matches!(outcome, Err(StoreError::Corrupt { key, .. }) if &*key == name)
}

#[tokio::test]
async fn etcdctl_shows_readable_json() {
    let etcd = Etcd::start().await;
    let store = etcd.store().await;
    let pod = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"nginx","namespace":"default"}}"#;
    store.commit(Transaction::new().put(POD, pod, Precondition::Absent)).await.unwrap();
    assert_eq!(etcd.ctl(&["get", "--prefix", "/registry/pods"]), format!("{POD}\n{pod}\n"));
    etcd.ctl(&["put", POD, "{}"]);
    assert_eq!(store.get(POD, ReadAt::Latest).await.unwrap().unwrap().value, "{}");
}

#[tokio::test]
async fn a_value_in_protobuf_is_an_error_that_names_the_key_and_hurts_nobody_else() {
    let etcd = Etcd::start().await;
    let store = etcd.store().await;
    let start = put(&store, "/registry/pods/default/a").await.unwrap();
    let mut pods = store.watch(KeyRange::prefix("/registry/pods/"), start).await.unwrap();
    let mut nodes = store.watch(KeyRange::prefix("/registry/minions/"), start).await.unwrap();
    let before = put(&store, "/registry/pods/default/b").await.unwrap();
    client(&etcd).await.put(POD, b"k8s\0\n\x0b\n\x02v1\x12\x05Event", None).await.unwrap();
    put(&store, "/registry/pods/default/c").await.unwrap();
    let node = put(&store, "/registry/minions/n1").await.unwrap();

    assert!(is_corrupt(store.get(POD, ReadAt::Latest).await, POD));
    assert!(is_corrupt(store.list(&KeyRange::prefix("/registry/pods/"), ListOptions::default()).await, POD));
    assert!(is_corrupt(store.commit(Transaction::new().put(POD, "{}", Precondition::Absent)).await, POD));
    let (events, error) = until_error(&mut pods).await;
    assert_eq!(events.last().map(Event::revision), Some(before));
    assert!(is_corrupt(Err::<(), _>(error), POD));
    assert_eq!(next(&mut nodes).await.revision(), node);
    assert_eq!(
        store.list(&KeyRange::prefix("/registry/minions/"), ListOptions::default()).await.unwrap().entries.len(),
        1
    );

    // A watch that reads the past from etcd.
    let late = etcd.store().await;
    let mut pods = late.watch(KeyRange::prefix("/registry/pods/"), start).await.unwrap();
    let (events, error) = until_error(&mut pods).await;
    assert_eq!(events.last().map(Event::revision), Some(before));
    assert!(is_corrupt(Err::<(), _>(error), POD));
    let mut nodes = late.watch(KeyRange::prefix("/registry/minions/"), start).await.unwrap();
    assert_eq!(next(&mut nodes).await.revision(), node);

    // Once it is gone all is well.
    store.commit(Transaction::new().delete(POD, Precondition::Exists)).await.unwrap();
    let page = store.list(&KeyRange::prefix("/registry/pods/"), ListOptions::default()).await.unwrap();
    assert_eq!(page.entries.len(), 3);
}

#[tokio::test]
async fn a_key_that_is_not_utf8_is_an_error_that_names_it() {
    let etcd = Etcd::start().await;
    let store = etcd.store().await;
    let mut watch = store.watch(KeyRange::prefix("/registry/"), store.revision().await.unwrap()).await.unwrap();
    client(&etcd).await.put(b"/registry/\xff".as_slice(), "{}", None).await.unwrap();
    let (_, error) = until_error(&mut watch).await;
    assert!(is_corrupt(Err::<(), _>(error), "/registry/\u{fffd}"));
    assert!(is_corrupt(
        store.list(&KeyRange::prefix("/registry/"), ListOptions::default()).await,
        "/registry/\u{fffd}"
    ));
}

#[tokio::test]
async fn a_list_of_much_comes_whole_and_of_one_revision() {
    let etcd = Etcd::start().await;
    let store = etcd.store().await;
    let keys: Vec<Key> = (0..3_000).map(|i| format!("/big/{i:04}").into()).collect();
    for some in keys.chunks(100) {
        let put = |all: Transaction, key: &Key| all.put(Key::clone(key), vec![b'x'; 8 << 10], Precondition::Absent);
        store.commit(some.iter().fold(Transaction::new(), put)).await.unwrap();
    }
    let range = KeyRange::prefix("/big/");
    let page = store.list(&range, ListOptions::default()).await.unwrap();
    assert!(page.entries.iter().map(|entry| &entry.key).eq(&keys));
    assert_eq!((page.remaining, page.revision), (0, store.revision().await.unwrap()));
    let first = store.list(&range, ListOptions { limit: Some(2_500), ..Default::default() }).await.unwrap();
    assert_eq!((first.entries.len(), first.remaining), (2_500, 500));
    let after = first.entries.last().map(|entry| Key::clone(&entry.key));
    let rest = ListOptions { at: ReadAt::Revision(first.revision), limit: Some(2_500), after };
    let rest = store.list(&range, rest).await.unwrap();
    assert_eq!((rest.entries.len(), rest.remaining), (500, 0));
}

/// etcd sends such a revision in several messages.
#[tokio::test]
async fn a_large_transaction_arrives_in_one_batch() {
    let etcd = Etcd::start().await;
    let store = etcd.store().await;
    let start = store.revision().await.unwrap();
    let mut watch = store.watch(KeyRange::prefix("/large/"), start).await.unwrap();
    let all = |value: u8| {
        (0..14).rev().fold(Transaction::new(), |all, i| {
            all.put(format!("/large/{i:02}"), vec![value; 100 << 10], Precondition::None)
        })
    };
    store.commit(all(b'a')).await.unwrap();
    let last = store.commit(all(b'b')).await.unwrap();
    let late = etcd.store().await;
    let mut past = late.watch(KeyRange::prefix("/large/"), start).await.unwrap();
    for watch in [&mut watch, &mut past] {
        let mut events = Vec::new();
        while events.len() < 28 {
            let batch = watch.next().await.unwrap().unwrap();
            assert!(batch.events.len() % 14 == 0, "{} events in a batch", batch.events.len());
            events.extend(batch.events);
        }
        let keys: Vec<&str> = events[14..].iter().map(|event| &**event.key()).collect();
        assert!(keys.iter().rev().is_sorted() && events[14..].iter().all(|event| event.revision() == last), "{keys:?}");
    }
}

#[tokio::test]
async fn what_etcd_does_not_take_is_told() {
    let etcd = Etcd::start().await;
    let store = etcd.store().await;
    let many = (0..200).fold(Transaction::new(), |all, i| all.put(format!("/{i}"), "1", Precondition::None));
    let Err(StoreError::InvalidArgument(why)) = store.commit(many).await else { panic!("200 operations are taken") };
    assert!(why.contains("too many operations"), "{why}");
    for size in [1_700_000, 5_000_000] {
        let large = Transaction::new().put("/a", vec![b'x'; size], Precondition::None);
        let Err(StoreError::InvalidArgument(why)) = store.commit(large).await else { panic!("{size} bytes are taken") };
        assert!(why.contains("too large") || why.contains("larger than"), "{why}");
    }
    assert!(store.get("/a", ReadAt::Latest).await.unwrap().is_none());
}
