//! [`DurableStore`]: the whole `Store` contract, on disk.
//!
//! ```text
//!   commit ──► queue ──► group: judged over state and group ──► log: chunks, one fsync ──► state ──► answers, watchers
//!   get, list, watch ◄─────────────────────────────────────────────│─────────────────────────┘
//!                                                                  └──► engine: the chunks of many groups, one fsync
//! ```
//!
//! Everything is read from memory. A commit is answered once it is on the disk, with all others that were asked meanwhile: they
//! share one write. What is not durable is visible to nobody, neither as a value nor by an answer that depends on it.
//!
//! # The engine
//! Changes lie on the disk by their revisions, packed into chunks, in a file of [redb]. The other candidate was
//! [fjall]. Both were measured at what this store does: records of 1 KiB are appended, each group is synced, old ones are removed.
//! In turns on one disk, on 2 cores, that gave
//!
//! | records a second | groups of 1 | of 8 | of 64 |
//! |---|---|---|---|
//! | a bare file that grows, `fdatasync` | 7,000 | 41,300 | 233,000 |
//! | fjall 3.1, a row a record | 8,400 | 38,200 | 137,000 |
//! | redb 4.6, a row a record | 4,700 | 29,400 | 88,000 |
//!
//! redb is slow at rows, not at bytes: a group of 64 takes 490 us of its CPU as rows, 225 us as chunks of 16 KiB. So there are
//! chunks. It is slow at writes, too: the pages of one group lie at 14 places of its file, for which the disk takes 320 us. So groups
//! go to a log of their own first, where the disk takes 115 us, and to redb, meanwhile, when there are 2 MiB of them, in chunks of
//! 64 KiB:
//!
//! | records a second, of 1.1 KiB, in redb | a write for each 64 | for each 1,024 | for each 4,096 |
//! |---|---|---|---|
//! | appended | 130,000 | 470,000 | 530,000 |
//! | appended, old ones removed | 150,000 | | 390,000 |
//!
//! Replacing among 100,000 records left 134 MiB on the disk with redb, 310 with fjall; reading all
//! of them at start took 0.12 s and 0.47 s.
//!
//! What decided is what they do when the disk does not keep its word. One bit at a time was flipped at 400 places of a file of 200
//! records: fjall's journal lost records without a word in 6 cases, all 200 in the worst, since what it cannot read of the journal
//! is the end to it, which it cuts off; other files of it ended the process, which nobody can catch. redb gave wrong data in 266
//! cases where it trusted the file, and in none where it was told to verify it first, which is what is done here. A commit cut short
//! leaves the one before it. What a file cannot tell by itself, that its newest commit is not the newest that was acknowledged, is
//! told by a second one.
//!
//! [redb]: https://docs.rs/redb/4
//! [fjall]: https://docs.rs/fjall/3
mod backup;
mod builder;
mod chunk;
mod core;
mod engine;
mod error;
mod folder;
mod group;
mod load;
mod log;
mod queue;
mod record;
mod sweep;
mod watermark;
mod writer;

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use orchestra_core::{
    clock::Clock,
    store::{
        KeyRange, KeyValue, ListOptions, Page, ReadAt, Revision, Store, StoreError, Transaction, WatchStream, Watcher,
    },
};
use tokio::runtime::Handle;

pub use self::{backup::BackupError, builder::DurableStoreBuilder, error::OpenError};
use self::{core::Core, load::Loaded, queue::Request, writer::Writer};
use crate::mvcc::{Retention, State, Timer};

/// The most bytes of keys and values of a transaction: 256 MiB, far from where the engine ends.
const LARGEST: usize = 256 << 20;

/// A store in a folder of the local disk. Clones share it; the folder is closed when the last is dropped, or by
/// [`close`](Self::close).
///
/// History is kept until [`Store::compact`] or until it exceeds what the [`DurableStoreBuilder`] says, across restarts too. Times
/// to live run on tokio's clock while the store is open, and on the builder's while it is not: a key whose time has passed
/// meanwhile is deleted soon after opening, and none lives longer than it was put for, even if the clock goes back.
///
/// A transaction may have 256 MiB of keys and values; larger ones are [`StoreError::InvalidArgument`].
///
/// # When the disk fails
/// A commit that cannot be written gets an error with the reason, and nothing of it has happened. Where there is no room, that is
/// [`StoreError::NoSpace`]: later commits go well once there is; keys that expire stay until then. After any other failure,
/// [`StoreError::Unavailable`], what the disk has is not known: commits are refused until the store is opened again. Reads go
/// on in both.
///
/// ```
/// # let folder = std::env::temp_dir().join(format!("orchestra-doc-{}", std::process::id()));
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use orchestra_core::store::{Precondition, ReadAt, Store, Transaction};
/// use orchestra_store::DurableStore;
///
/// let store = DurableStore::open(&folder)?;
/// let revision = store.commit(Transaction::new().put("/a", "1", Precondition::Absent)).await?;
/// drop(store);
///
/// let store = DurableStore::open(&folder)?;
/// let entry = store.get("/a", ReadAt::Latest).await?.expect("it was acknowledged");
/// assert_eq!((entry.mod_revision, &*entry.value), (revision, &b"1"[..]));
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct DurableStore {
    open: Arc<Open>,
}

/// Closes the store when the last clone is gone, whatever timer or thread still holds the core.
struct Open(Arc<Core>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl DurableStore {
    /// Opens the store in `folder`, which is made if it is missing, as [`DurableStoreBuilder::default`] says.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::builder().open(folder)
    }

    /// For a store that is not as [`DurableStoreBuilder::default`] says.
    pub fn builder() -> DurableStoreBuilder {
        DurableStoreBuilder::default()
    }

    /// Closes the folder, so that it can be opened again, whoever still has a clone: what was asked before is done first, which may
    /// block this thread for as long as a write takes, and calls after it fail with [`StoreError::Unavailable`]. Watches end.
    pub fn close(&self) {
        self.core().close();
    }

    /// Writes everything that is kept, as of one revision, to one file, which replaces what had its name. The store goes on
    /// meanwhile. The result is the revision.
    ///
    /// # Errors
    /// See [`BackupError`]; there is no new file then.
    pub async fn backup(&self, file: impl AsRef<Path>) -> Result<Revision, BackupError> {
        let snapshot = self.core().ask(Request::Snapshot).await?;
        let file = file.as_ref().to_owned();
        let write = move || backup::write(&snapshot, &file);
        match Handle::try_current() {
            Ok(runtime) => runtime.spawn_blocking(write).await.unwrap_or_else(|error| {
                Err(StoreError::Unavailable(format!("the backup was interrupted: {error}")).into())
            }),
            Err(_) => write(),
        }
    }

    /// Makes `folder`, which must be empty or missing, the store that `file` is a backup of, to be opened then. The result is
    /// its revision.
    ///
    /// ```
    /// # let folder = std::env::temp_dir().join(format!("orchestra-doc-backup-{}", std::process::id()));
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// use orchestra_core::store::{Precondition, ReadAt, Store, Transaction};
    /// use orchestra_store::DurableStore;
    ///
    /// let store = DurableStore::open(folder.join("store"))?;
    /// let revision = store.commit(Transaction::new().put("/a", "1", Precondition::Absent)).await?;
    /// store.backup(folder.join("monday.backup")).await?;
    ///
    /// assert_eq!(DurableStore::restore(folder.join("monday.backup"), folder.join("copy"))?, revision);
    /// let copy = DurableStore::open(folder.join("copy"))?;
    /// assert_eq!(copy.get("/a", ReadAt::Latest).await?, store.get("/a", ReadAt::Latest).await?);
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`OpenError::Corrupt`] for a file that is damaged or cut, [`OpenError::NotAStore`] for a folder that is not empty. The
    /// folder is as it was then.
    pub fn restore(file: impl AsRef<Path>, folder: impl AsRef<Path>) -> Result<Revision, OpenError> {
        backup::restore(file.as_ref(), folder.as_ref())
    }

    fn open_as_told(
        folder: &Path,
        retention: Retention,
        clock: Arc<dyn Clock>,
        accept_missing: bool,
    ) -> Result<Self, OpenError> {
        let now = clock.now().as_millisecond();
        let (writer, Loaded { state, publisher, .. }) = Writer::open(folder, retention, now, accept_missing)?;
        let core = Arc::new(Core::new(writer, state, publisher, clock));
        Timer::arm(&core);
        Ok(Self { open: Arc::new(Open(core)) })
    }

    fn core(&self) -> &Arc<Core> {
        &self.open.0
    }
}

#[async_trait]
impl Watcher for DurableStore {
    async fn watch(&self, range: KeyRange, after: Revision) -> Result<WatchStream, StoreError> {
        self.core().settle().await?;
        self.core().publisher.watch(range, after)
    }
}

#[async_trait]
impl Store for DurableStore {
    async fn get(&self, key: &str, at: ReadAt) -> Result<Option<KeyValue>, StoreError> {
        self.core().read(|state| state.get(key, at)).await?
    }

    async fn list(&self, range: &KeyRange, options: ListOptions) -> Result<Page, StoreError> {
        self.core().read(|state| state.list(range, &options)).await?
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, StoreError> {
        let bytes = queue::bytes(&transaction);
        if bytes > LARGEST {
            return Err(StoreError::InvalidArgument(format!(
                "{bytes} bytes are more than the {LARGEST} of a transaction"
            )));
        }
        self.core().ask(|reply| Request::Commit(transaction, reply)).await
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        self.core().read(State::revision).await
    }

    async fn compact(&self, revision: Revision) -> Result<(), StoreError> {
        self.core().ask(|reply| Request::Compact(revision, reply)).await
    }
}
