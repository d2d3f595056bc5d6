//! Reads: at the latest and at old revisions, of one key and of ranges.

use orchestra_core::{
    contract::ensure_error,
    store::{KeyRange, ListOptions, Precondition, ReadAt, Revision, StoreError, Transaction},
};

use super::{Check, Subject, Violation, check, ensure};

pub(super) const CHECKS: &[Check] = &[
    check!("read", get_returns_what_was_put),
    check!("read", get_sees_old_revisions),
    check!("read", list_is_in_key_order),
    check!("read", list_sees_old_revisions),
    check!("read", list_tells_the_revision_it_read),
    check!("read", ranges_hold_what_they_say),
    check!("read", future_revisions_are_refused),
    check!("read", empty_key_is_refused),
];

pub(super) async fn put(store: &Subject, key: &str, value: &str) -> Result<Revision, Violation> {
    Ok(store.commit(Transaction::new().put(key, value.to_owned(), Precondition::None)).await?)
}

pub(super) async fn delete(store: &Subject, key: &str) -> Result<Revision, Violation> {
    Ok(store.commit(Transaction::new().delete(key, Precondition::None)).await?)
}

/// The value of `key`, as text.
pub(super) async fn value(store: &Subject, key: &str, at: ReadAt) -> Result<Option<String>, Violation> {
    let entry = store.get(key, at).await?;
    Ok(entry.map(|entry| String::from_utf8_lossy(&entry.value).into_owned()))
}

/// The entries of `range` as `key=value`.
pub(super) async fn listed(store: &Subject, range: &KeyRange, at: ReadAt) -> Result<Vec<String>, Violation> {
    let page = store.list(range, ListOptions { at, ..ListOptions::default() }).await?;
    ensure!(page.remaining == 0, "{} entries remain after a list without a limit", page.remaining);
    Ok(page.entries.iter().map(|e| format!("{}={}", e.key, String::from_utf8_lossy(&e.value))).collect())
}

/// A key that was put is there with value and revisions; one that was not, or was deleted, is not.
pub async fn get_returns_what_was_put(store: Subject) -> Result<(), Violation> {
    ensure!(store.get("/a", ReadAt::Latest).await?.is_none(), "/a is there before it was put");
    let created = put(&store, "/a", "1").await?;
    let changed = put(&store, "/a", "2").await?;
    let entry = store.get("/a", ReadAt::Latest).await?;
    let Some(entry) = entry else { return Err(Violation::new("/a is not there after it was put")) };
    ensure!(&*entry.key == "/a" && &*entry.value == b"2", "got {entry:?} after /a was set to 2");
    ensure!(entry.mod_revision == changed, "mod_revision {} of a put at {changed}", entry.mod_revision);
    ensure!(entry.create_revision == created, "create_revision {} of a key made at {created}", entry.create_revision);
    delete(&store, "/a").await?;
    ensure!(store.get("/a", ReadAt::Latest).await?.is_none(), "/a is still there after it was deleted");
    let again = put(&store, "/a", "3").await?;
    let entry = store.get("/a", ReadAt::Latest).await?;
    let created = entry.as_ref().map(|entry| entry.create_revision);
    ensure!(created == Some(again), "create_revision {created:?} of a key deleted and made anew at {again}");
    Ok(())
}

/// A get at a revision sees exactly that state.
pub async fn get_sees_old_revisions(store: Subject) -> Result<(), Violation> {
    let before = put(&store, "/other", "x").await?;
    let first = put(&store, "/a", "1").await?;
    let second = put(&store, "/a", "2").await?;
    let gone = delete(&store, "/a").await?;
    let third = put(&store, "/a", "3").await?;
    put(&store, "/other", "y").await?;
    let states = [(before, None), (first, Some("1")), (second, Some("2")), (gone, None), (third, Some("3"))];
    for (revision, expected) in states {
        let got = value(&store, "/a", ReadAt::Revision(revision)).await?;
        ensure!(got.as_deref() == expected, "/a at revision {revision} is {got:?}, not {expected:?}");
    }
    let old = store.get("/a", ReadAt::Revision(second)).await?.map(|old| (old.create_revision, old.mod_revision));
    ensure!(old == Some((first, second)), "/a at {second} has revisions {old:?}, not {:?}", (first, second));
    Ok(())
}

/// Entries come in the order of their keys' bytes.
pub async fn list_is_in_key_order(store: Subject) -> Result<(), Violation> {
    let keys = ["/b", "/a/b", "/a", "/a-b", "/é", "/B", "/a/b/c", "/b0"];
    for key in keys {
        put(&store, key, "x").await?;
    }
    let mut expected: Vec<String> = keys.iter().map(|key| format!("{key}=x")).collect();
    expected.sort_by(|a, b| a.trim_end_matches("=x").cmp(b.trim_end_matches("=x")));
    let got = listed(&store, &KeyRange::prefix("/"), ReadAt::Latest).await?;
    ensure!(got == expected, "list gives {got:?}, not {expected:?}");
    Ok(())
}

/// A list at a revision sees exactly that state, whatever was committed since.
pub async fn list_sees_old_revisions(store: Subject) -> Result<(), Violation> {
    let range = KeyRange::prefix("/k/");
    let mut states = Vec::new();
    for round in 0..6 {
        put(&store, &format!("/k/{round}"), "new").await?;
        states.push((put(&store, "/k/0", &round.to_string()).await?, listed(&store, &range, ReadAt::Latest).await?));
        if round % 2 == 1 {
            let at = delete(&store, &format!("/k/{}", round - 1)).await?;
            states.push((at, listed(&store, &range, ReadAt::Latest).await?));
        }
    }
    ensure!(states[0].1 == ["/k/0=0"], "the first list gives {:?}, not only /k/0=0", states[0].1);
    for (revision, expected) in &states {
        let got = listed(&store, &range, ReadAt::Revision(*revision)).await?;
        ensure!(got == *expected, "list at revision {revision} gives {got:?}, not {expected:?}");
    }
    Ok(())
}

/// A page says which revision it is of, also when it is empty.
pub async fn list_tells_the_revision_it_read(store: Subject) -> Result<(), Violation> {
    let old = put(&store, "/a", "1").await?;
    let new = put(&store, "/b", "1").await?;
    for range in [KeyRange::prefix("/"), KeyRange::prefix("/none/")] {
        let latest = store.list(&range, ListOptions::default()).await?.revision;
        ensure!(latest == new, "a list of {range:?} at the latest revision, {new}, says {latest}");
        let at = ReadAt::Revision(old);
        let page = store.list(&range, ListOptions { at, ..ListOptions::default() }).await?.revision;
        ensure!(page == old, "a list of {range:?} at revision {old} says {page}");
    }
    let revision = store.revision().await?;
    ensure!(revision == new, "the store's revision is {revision} after a commit at {new}");
    Ok(())
}

/// Each form of a range selects the right keys.
pub async fn ranges_hold_what_they_say(store: Subject) -> Result<(), Violation> {
    for key in ["/a", "/a/1", "/a/2", "/a0", "/b", "/b/\u{10ffff}", "/b/\u{d7ff}", "/c"] {
        put(&store, key, "x").await?;
    }
    let cases: &[(KeyRange, &[&str])] = &[
        (KeyRange::prefix("/a/"), &["/a/1", "/a/2"]),
        (KeyRange::prefix("/a"), &["/a", "/a/1", "/a/2", "/a0"]),
        (KeyRange::prefix("/b/\u{10ffff}"), &["/b/\u{10ffff}"]),
        (KeyRange::prefix("/b/\u{d7ff}"), &["/b/\u{d7ff}"]),
        (KeyRange::prefix("/none"), &[]),
        (KeyRange::single("/a"), &["/a"]),
        (KeyRange::single("/none"), &[]),
        (KeyRange::between("/a/2", Some("/b".into())), &["/a/2", "/a0"]),
        (KeyRange::between("/b/", None), &["/b/\u{d7ff}", "/b/\u{10ffff}", "/c"]),
        (KeyRange::between("/b", Some("/b".into())), &[]),
        (KeyRange::between("/c", Some("/a".into())), &[]),
        (KeyRange::prefix(""), &["/a", "/a/1", "/a/2", "/a0", "/b", "/b/\u{d7ff}", "/b/\u{10ffff}", "/c"]),
    ];
    for (range, expected) in cases {
        let page = store.list(range, ListOptions::default()).await?;
        let got: Vec<&str> = page.entries.iter().map(|entry| &*entry.key).collect();
        ensure!(got == *expected, "{range:?} holds {got:?}, not {expected:?}");
    }
    Ok(())
}

/// What has not happened yet cannot be read.
pub async fn future_revisions_are_refused(store: Subject) -> Result<(), Violation> {
    let now = put(&store, "/a", "1").await?;
    let (future, range) = (now + 1, KeyRange::prefix("/"));
    let at = ReadAt::Revision(future);
    ensure_error!(store.get("/a", at).await, StoreError::FutureRevision { .. }, "get at revision {future} of {now}");
    let options = ListOptions { at, ..ListOptions::default() };
    let listed = store.list(&range, options).await;
    ensure_error!(listed, StoreError::FutureRevision { .. }, "list at revision {future} of {now}");
    let watched = store.watch(range, future).await;
    ensure_error!(watched, StoreError::FutureRevision { .. }, "watch after revision {future} of {now}");
    let compacted = store.compact(future).await;
    ensure_error!(compacted, StoreError::FutureRevision { .. }, "compaction at revision {future} of {now}");
    Ok(())
}

/// The empty key is no key.
pub async fn empty_key_is_refused(store: Subject) -> Result<(), Violation> {
    ensure_error!(store.get("", ReadAt::Latest).await, StoreError::InvalidArgument(_), "get of the empty key");
    for transaction in [
        Transaction::new().put("", "x", Precondition::None),
        Transaction::new().delete("", Precondition::None),
        Transaction::new().check("", Precondition::Absent),
        Transaction::new().put("/a", "x", Precondition::None).delete("", Precondition::None),
    ] {
        let committed = store.commit(transaction.clone()).await;
        ensure_error!(committed, StoreError::InvalidArgument(_), "commit of {:?}", transaction.operations());
    }
    ensure!(store.get("/a", ReadAt::Latest).await?.is_none(), "half of a refused transaction was done");
    Ok(())
}
