//! Damaged files: a store tells so, or is as it was; it is never another, and never panics.
//!
//! Some of the places are tried: `ORCHESTRA_DAMAGE_EVERY=1` tries every byte (an hour), larger numbers fewer.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{Seek, SeekFrom, Write},
    path::Path,
};

use orchestra_store::{DurableStore, durable::OpenError};

use crate::harness::{DATA, LOG, Picture, Place, files, live, open, picture};

/// How far apart the tried places of a file of `length` bytes are, so that there are about `tries` of them.
fn stride(length: u64, tries: u64) -> usize {
    let told = env::var("ORCHESTRA_DAMAGE_EVERY").ok().map(|every| every.parse().expect("a number"));
    // Odd, so that all places within a page are met.
    told.unwrap_or(((length / tries) | 1) as usize)
}

/// A store in the state that a kill leaves, one that was closed, and what both are.
async fn stores() -> ([Place; 2], Picture) {
    let place = Place::new();
    let store = open(&place);
    live(&store, 40).await;
    let killed = Place::copy_of(place.path());
    let expected = picture(&store).await;
    drop(store);
    ([killed, place], expected)
}

/// How often what came of it.
type Tally = BTreeMap<&'static str, usize>;

/// Opens the damaged store.
async fn try_it(place: &Place, expected: &Picture, damage: &str, tally: &mut Tally) {
    let outcome = match DurableStore::open(place.path()) {
        Ok(store) => {
            assert_eq!(picture(&store).await, *expected, "{damage} went unnoticed");
            "harmless"
        }
        Err(OpenError::Corrupt { .. }) => "corrupt",
        Err(OpenError::MissingWrites { .. }) => "missing writes",
        Err(OpenError::NewerFormat { .. }) => "newer format",
        Err(OpenError::NotAStore { .. }) => "not a store",
        Err(error) => panic!("{damage} is told as {error}"),
    };
    *tally.entry(outcome).or_default() += 1;
}

fn flip(file: &Path, at: u64, bit: u8) {
    let byte = fs::read(file).unwrap()[at as usize] ^ (1 << bit);
    let mut file = fs::OpenOptions::new().write(true).open(file).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(&[byte]).unwrap();
}

#[tokio::test]
async fn a_flipped_bit_is_told_or_harmless() {
    let (stores, expected) = stores().await;
    for (which, store) in stores.iter().enumerate() {
        let damaged = Place::new();
        for file in files(store.path()) {
            let length = fs::metadata(store.path().join(&file)).unwrap().len();
            let header = 320.min(length);
            let places = (0..header).chain((header..length).step_by(stride(length, 300)));
            let mut tally = Tally::new();
            for at in places {
                damaged.become_copy_of(store.path());
                let bit = (at % 8) as u8;
                flip(&damaged.path().join(&file), at, bit);
                let damage = format!("bit {bit} of byte {at} of {file} of store {which}");
                try_it(&damaged, &expected, &damage, &mut tally).await;
            }
            println!("store {which}, {file}, {length} bytes: {tally:?}");
            if file == DATA {
                assert!(tally.contains_key("corrupt"), "damage of {file} is never told");
            }
        }
    }
}

#[tokio::test]
async fn a_file_that_was_cut_is_told_or_harmless() {
    let (stores, expected) = stores().await;
    for (which, store) in stores.iter().enumerate() {
        let damaged = Place::new();
        for file in files(store.path()) {
            let length = fs::metadata(store.path().join(&file)).unwrap().len();
            let near_the_end = length.saturating_sub(64)..length;
            let mut tally = Tally::new();
            for left in (0..length).step_by(stride(length, 100)).chain(near_the_end) {
                damaged.become_copy_of(store.path());
                let cut = fs::OpenOptions::new().write(true).open(damaged.path().join(&file)).unwrap();
                cut.set_len(left).unwrap();
                let damage = format!("{file} of store {which}, cut to {left} of {length} bytes,");
                try_it(&damaged, &expected, &damage, &mut tally).await;
            }
            println!("store {which}, {file}, {length} bytes: {tally:?}");
        }
    }
}

/// Disks that lie: the last blocks of a write, or all of it, are not there though they were said to be.
#[tokio::test]
async fn pages_of_the_log_that_never_reached_the_disk_are_told() {
    let place = Place::new();
    let store = open(&place);
    live(&store, 40).await;
    let before = fs::read(place.path().join(LOG)).unwrap();
    live(&store, 1).await;
    let expected = picture(&store).await;
    let killed = Place::copy_of(place.path());
    each_page_as_before(&before, &killed, LOG, &expected).await;
}

#[tokio::test]
async fn pages_of_the_data_that_never_reached_the_disk_are_told() {
    let place = Place::new();
    let store = open(&place);
    live(&store, 40).await;
    drop(store);
    let before = fs::read(place.path().join(DATA)).unwrap();
    let store = open(&place);
    live(&store, 1).await;
    let expected = picture(&store).await;
    drop(store);
    // Opening it took what is in both out of the log.
    drop(open(&place));
    each_page_as_before(&before, &place, DATA, &expected).await;
}

/// A killed or closed store, with one page of a file as it was `before`.
async fn each_page_as_before(before: &[u8], store: &Place, file: &str, expected: &Picture) {
    let after = fs::read(store.path().join(file)).unwrap();
    let mut tally = Tally::new();
    let damaged = Place::new();
    let pages = after.len().div_ceil(4096);
    for page in 0..pages {
        let range = page * 4096..((page + 1) * 4096).min(after.len());
        let old = before.get(range.clone()).map_or(vec![0; range.len()], <[u8]>::to_vec);
        if after[range.clone()] == old {
            continue;
        }
        let mut mixed = after.clone();
        mixed[range].copy_from_slice(&old);
        damaged.become_copy_of(store.path());
        fs::write(damaged.path().join(file), mixed).unwrap();
        let damage = format!("page {page} of {file} as it was before the last writes");
        try_it(&damaged, expected, &damage, &mut tally).await;
    }
    println!("{file}: {tally:?}");
    assert!(tally.keys().any(|outcome| *outcome != "harmless"));
}
