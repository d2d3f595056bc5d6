//! Transactions: preconditions, atomicity, revisions.

use orchestra_core::{
    contract::ensure_error,
    store::{Key, KeyRange, Precondition, ReadAt, StoreError, Transaction},
};

use super::{
    Check, Subject, Violation, check, ensure,
    read::{delete, listed, put, value},
};

pub(super) const CHECKS: &[Check] = &[
    check!("commit", preconditions_hold_or_nothing_happens),
    check!("commit", conflict_tells_what_is_there),
    check!("commit", failed_transaction_changes_nothing),
    check!("commit", transaction_happens_at_one_revision),
    check!("commit", each_commit_adds_one_revision),
    check!("commit", transaction_without_effect_makes_no_revision),
    check!("commit", equal_value_is_a_change),
    check!("commit", repeated_key_is_refused),
];

/// Each precondition lets a put, a delete and a check through exactly when it holds.
pub async fn preconditions_hold_or_nothing_happens(store: Subject) -> Result<(), Violation> {
    let stale = put(&store, "/there", "0").await?;
    let current = put(&store, "/there", "1").await?;
    delete(&store, "/gone").await?;
    let gone = put(&store, "/gone", "1").await?;
    delete(&store, "/gone").await?;
    let cases = [
        ("/there", Precondition::None, true),
        ("/there", Precondition::Exists, true),
        ("/there", Precondition::Absent, false),
        ("/there", Precondition::Unchanged(current), true),
        ("/there", Precondition::Unchanged(stale), false),
        ("/there", Precondition::Unchanged(0), false),
        ("/gone", Precondition::None, true),
        ("/gone", Precondition::Exists, false),
        ("/gone", Precondition::Absent, true),
        ("/gone", Precondition::Unchanged(gone), false),
        ("/gone", Precondition::Unchanged(0), false),
        ("/never", Precondition::Absent, true),
        ("/never", Precondition::Exists, false),
    ];
    for (key, precondition, holds) in cases {
        let checked = store.commit(Transaction::new().check(key, precondition)).await.is_ok();
        ensure!(checked == holds, "a check of {key} for {precondition:?} gives {checked}");
        if holds {
            continue;
        }
        let before = store.get(key, ReadAt::Latest).await?;
        for transaction in [
            Transaction::new().put(key, "wrong", precondition),
            Transaction::new().delete(key, precondition),
            Transaction::new().check(key, precondition).put("/beside", "wrong", Precondition::None),
        ] {
            let committed = store.commit(transaction.clone()).await;
            ensure_error!(committed, StoreError::Conflict { .. }, "commit of {:?}", transaction.operations());
        }
        let after = store.get(key, ReadAt::Latest).await?;
        ensure!(before == after, "{key} changed from {before:?} to {after:?} though {precondition:?} did not hold");
    }
    let swap = Transaction::new()
        .put("/there", "2", Precondition::Unchanged(current))
        .put("/gone", "2", Precondition::Absent)
        .delete("/never", Precondition::Absent);
    store.commit(swap).await?;
    let got = listed(&store, &KeyRange::prefix("/"), ReadAt::Latest).await?;
    ensure!(got == ["/gone=2", "/there=2"], "after a transaction whose preconditions held there is {got:?}");
    Ok(())
}

/// A conflict names the first key whose precondition failed, the precondition, and what is there.
pub async fn conflict_tells_what_is_there(store: Subject) -> Result<(), Violation> {
    put(&store, "/b", "1").await?;
    let there = store.get("/b", ReadAt::Latest).await?;
    let transaction = Transaction::new().put("/z", "x", Precondition::Absent).put("/b", "x", Precondition::Absent).put(
        "/a",
        "x",
        Precondition::Exists,
    );
    let expected = StoreError::Conflict { key: "/b".into(), expected: Precondition::Absent, current: there };
    match store.commit(transaction).await {
        Err(error) => ensure!(error == expected, "the conflict is {error:?}, not {expected:?}"),
        Ok(_) => return Err(Violation::new("no conflict though two preconditions fail")),
    }
    let transaction = Transaction::new().delete("/a", Precondition::Exists);
    let expected = StoreError::Conflict { key: "/a".into(), expected: Precondition::Exists, current: None };
    let error = store.commit(transaction).await.err();
    ensure!(error.as_ref() == Some(&expected), "the conflict is {error:?}, not {expected:?}");
    Ok(())
}

/// When one precondition of several fails, no part is done, whatever its place, and no revision is made.
pub async fn failed_transaction_changes_nothing(store: Subject) -> Result<(), Violation> {
    put(&store, "/a", "1").await?;
    let before = put(&store, "/c", "1").await?;
    let failing = Transaction::new().put("/b", "2", Precondition::Exists).into_operations().remove(0);
    for place in 0..=2 {
        let mut operations =
            Transaction::new().put("/a", "2", Precondition::Exists).delete("/c", Precondition::None).into_operations();
        operations.insert(place, failing.clone());
        let transaction = operations.into_iter().fold(Transaction::new(), Transaction::with);
        let committed = store.commit(transaction).await;
        ensure_error!(committed, StoreError::Conflict { .. }, "a transaction whose part {place} fails");
        let got = listed(&store, &KeyRange::prefix("/"), ReadAt::Latest).await?;
        ensure!(got == ["/a=1", "/c=1"], "a transaction whose part {place} fails leaves {got:?}");
    }
    let after = store.revision().await?;
    ensure!(after == before, "failed transactions moved the revision from {before} to {after}");
    Ok(())
}

/// All keys of a transaction change at its revision; the state before has none of it, the state after all.
pub async fn transaction_happens_at_one_revision(store: Subject) -> Result<(), Violation> {
    let before = put(&store, "/old", "1").await?;
    let transaction = Transaction::new().put("/x", "1", Precondition::None).delete("/old", Precondition::None).put(
        "/y",
        "1",
        Precondition::None,
    );
    let revision = store.commit(transaction).await?;
    for key in ["/x", "/y"] {
        let at = store.get(key, ReadAt::Latest).await?.map(|entry| entry.mod_revision);
        ensure!(at == Some(revision), "{key} has mod_revision {at:?} after a transaction at {revision}");
    }
    let range = KeyRange::prefix("/");
    let old = listed(&store, &range, ReadAt::Revision(before)).await?;
    ensure!(old == ["/old=1"], "the state before the transaction is {old:?}");
    let new = listed(&store, &range, ReadAt::Revision(revision)).await?;
    ensure!(new == ["/x=1", "/y=1"], "the state after the transaction is {new:?}");
    Ok(())
}

/// Revisions count the commits.
pub async fn each_commit_adds_one_revision(store: Subject) -> Result<(), Violation> {
    let mut last = store.revision().await?;
    for i in 0..20 {
        let key: Key = format!("/{}", i % 3).into();
        let transaction = match i % 4 {
            3 => Transaction::new().delete(key, Precondition::Exists).put("/beside", "x", Precondition::None),
            _ => Transaction::new().put(key, i.to_string(), Precondition::None),
        };
        let revision = store.commit(transaction).await?;
        ensure!(revision == last + 1, "a commit after revision {last} has revision {revision}");
        let told = store.revision().await?;
        ensure!(told == revision, "the store is at revision {told} after a commit at {revision}");
        last = revision;
    }
    Ok(())
}

/// Nothing, checks alone, and deletes of what is not there commit, and make no revision.
pub async fn transaction_without_effect_makes_no_revision(store: Subject) -> Result<(), Violation> {
    let before = put(&store, "/a", "1").await?;
    for transaction in [
        Transaction::new(),
        Transaction::new().check("/a", Precondition::Exists).check("/b", Precondition::Absent),
        Transaction::new().delete("/b", Precondition::None),
        Transaction::new().delete("/b", Precondition::Absent).check("/a", Precondition::Unchanged(before)),
    ] {
        let revision = store.commit(transaction.clone()).await?;
        ensure!(revision == before, "{:?} commits at {revision}, not at {before}", transaction.operations());
    }
    let after = store.revision().await?;
    ensure!(after == before, "transactions without effect moved the revision from {before} to {after}");
    Ok(())
}

/// Putting the value that is there makes a revision.
pub async fn equal_value_is_a_change(store: Subject) -> Result<(), Violation> {
    let first = put(&store, "/a", "1").await?;
    let second = put(&store, "/a", "1").await?;
    ensure!(second == first + 1, "a put of an equal value after revision {first} has revision {second}");
    let at = store.get("/a", ReadAt::Latest).await?.map(|entry| entry.mod_revision);
    ensure!(at == Some(second), "mod_revision is {at:?} after a put of an equal value at {second}");
    Ok(())
}

/// A key may occur only once in a transaction.
pub async fn repeated_key_is_refused(store: Subject) -> Result<(), Violation> {
    put(&store, "/a", "1").await?;
    for transaction in [
        Transaction::new().put("/a", "2", Precondition::None).put("/a", "3", Precondition::None),
        Transaction::new()
            .put("/a", "2", Precondition::None)
            .put("/b", "2", Precondition::None)
            .delete("/a", Precondition::None),
        Transaction::new().check("/a", Precondition::Exists).put("/a", "2", Precondition::None),
    ] {
        let committed = store.commit(transaction.clone()).await;
        ensure_error!(committed, StoreError::InvalidArgument(_), "commit of {:?}", transaction.operations());
    }
    let got = value(&store, "/a", ReadAt::Latest).await?;
    ensure!(got.as_deref() == Some("1"), "refused transactions set /a to {got:?}");
    Ok(())
}
