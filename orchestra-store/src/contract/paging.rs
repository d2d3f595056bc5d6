//! Lists in pages.

use orchestra_core::{
    contract::ensure_error,
    store::{Key, KeyRange, ListOptions, Page, ReadAt, StoreError},
};

use super::{
    Check, Subject, Violation, check, ensure,
    read::{delete, put},
};

pub(super) const CHECKS: &[Check] = &[
    check!("paging", pages_join_to_the_list),
    check!("paging", pages_are_one_snapshot),
    check!("paging", remaining_is_counted_in_the_snapshot),
    check!("paging", continuation_may_be_any_key),
    check!("paging", limit_of_zero_is_refused),
];

const KEYS: usize = 10;

async fn fill(store: &Subject) -> Result<KeyRange, Violation> {
    for key in ["/before", "/p", "/p0"] {
        put(store, key, "outside").await?;
    }
    for i in 0..KEYS {
        put(store, &format!("/p/{i}"), "old").await?;
    }
    Ok(KeyRange::prefix("/p/"))
}

fn next(page: &Page, limit: usize) -> ListOptions {
    let after = page.entries.last().map(|entry| Key::clone(&entry.key));
    ListOptions { at: ReadAt::Revision(page.revision), limit: Some(limit), after }
}

fn texts(page: &Page) -> Vec<String> {
    page.entries.iter().map(|e| format!("{}={}", e.key, String::from_utf8_lossy(&e.value))).collect()
}

/// Pages of every size, one after the other, give what one list gives.
pub async fn pages_join_to_the_list(store: Subject) -> Result<(), Violation> {
    let range = fill(&store).await?;
    let whole = store.list(&range, ListOptions::default()).await?;
    ensure!(whole.entries.len() == KEYS, "list gives {} of {KEYS} entries", whole.entries.len());
    for limit in 1..=KEYS + 1 {
        let mut page = store.list(&range, ListOptions { limit: Some(limit), ..ListOptions::default() }).await?;
        let mut entries = page.entries.clone();
        while page.remaining > 0 {
            ensure!(
                page.entries.len() == limit,
                "a page of {limit} has {} entries, and more remain",
                page.entries.len()
            );
            page = store.list(&range, next(&page, limit)).await?;
            entries.extend(page.entries.iter().cloned());
            ensure!(entries.len() <= KEYS, "pages of {limit} give more than the list's {KEYS} entries");
        }
        ensure!(entries == whole.entries, "pages of {limit} together are not the list: {entries:?}");
    }
    Ok(())
}

/// Later pages show the state of the first, whatever has been committed since.
pub async fn pages_are_one_snapshot(store: Subject) -> Result<(), Violation> {
    let range = fill(&store).await?;
    let first = store.list(&range, ListOptions { limit: Some(4), ..ListOptions::default() }).await?;
    put(&store, "/p/5", "new").await?;
    put(&store, "/p/55", "new").await?;
    delete(&store, "/p/6").await?;
    delete(&store, "/p/9").await?;
    let second = store.list(&range, next(&first, 4)).await?;
    let third = store.list(&range, next(&second, 4)).await?;
    let (got, revisions) = ([texts(&second), texts(&third)].concat(), [second.revision, third.revision]);
    let expected: Vec<String> = (4..KEYS).map(|i| format!("/p/{i}=old")).collect();
    ensure!(got == expected, "the pages after the first of revision {} are {got:?}", first.revision);
    ensure!(revisions == [first.revision; 2], "pages of revisions {revisions:?} follow one of {}", first.revision);
    Ok(())
}

/// `remaining` is how many entries follow at the revision of the page.
pub async fn remaining_is_counted_in_the_snapshot(store: Subject) -> Result<(), Violation> {
    let range = fill(&store).await?;
    let first = store.list(&range, ListOptions { limit: Some(3), ..ListOptions::default() }).await?;
    ensure!(first.remaining == 7, "{} remain after 3 of {KEYS}", first.remaining);
    delete(&store, "/p/7").await?;
    put(&store, "/p/77", "new").await?;
    put(&store, "/p/78", "new").await?;
    let second = store.list(&range, next(&first, 3)).await?;
    ensure!(second.remaining == 4, "{} remain after 6 of the {KEYS} that were there", second.remaining);
    let last = store.list(&range, next(&second, 4)).await?;
    ensure!(last.remaining == 0, "{} remain after the last of {KEYS}", last.remaining);
    let latest = store.list(&range, ListOptions { limit: Some(1), ..ListOptions::default() }).await?;
    ensure!(latest.remaining == 10, "{} remain after 1 of the 11 that are there now", latest.remaining);
    Ok(())
}

/// A list continues after a key whether or not that key is there, or in the range.
pub async fn continuation_may_be_any_key(store: Subject) -> Result<(), Violation> {
    let range = fill(&store).await?;
    let at = ReadAt::Latest;
    for (after, expected) in [("/p/3", 6), ("/p/35", 6), ("/before", 10), ("/p/", 10), ("/p/9", 0), ("/z", 0)] {
        let page = store.list(&range, ListOptions { at, limit: None, after: Some(after.into()) }).await?;
        let got = page.entries.len();
        ensure!(got == expected, "{got} entries after {after}, not {expected}: {:?}", texts(&page));
    }
    Ok(())
}

/// A page must have room for something.
pub async fn limit_of_zero_is_refused(store: Subject) -> Result<(), Violation> {
    let range = fill(&store).await?;
    let page = store.list(&range, ListOptions { limit: Some(0), ..ListOptions::default() }).await;
    ensure_error!(page, StoreError::InvalidArgument(_), "list with limit zero");
    Ok(())
}
