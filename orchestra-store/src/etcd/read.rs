use etcd_client::{GetOptions, proto::PbRangeResponse};
use orchestra_core::store::{KeyRange, KeyValue, ListOptions, Page, ReadAt, Revision, StoreError};

use super::{
    connection::{Connections, Repeatable},
    entry::{self, entry, signed},
    failure::{Failure, Kind},
    range::Span,
};

/// How many entries are asked for first where all are wanted: one answer is to be neither many nor huge messages.
const FIRST: usize = 500;
const MOST: usize = 10_000;
/// About how large an answer may be.
const BYTES: usize = 4 << 20;
/// How often a list of the latest state is begun again after compaction overtook it.
const ATTEMPTS: usize = 3;

/// Why a read failed.
pub(super) enum Unread {
    Failed(Failure),
    Error(StoreError),
}

impl From<Failure> for Unread {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<StoreError> for Unread {
    fn from(error: StoreError) -> Self {
        Self::Error(error)
    }
}

/// The revision to read at as etcd takes it: zero is the latest, and its history begins with the empty state at one.
fn wire(at: ReadAt) -> i64 {
    match at {
        ReadAt::Latest => 0,
        ReadAt::Revision(revision) => signed(revision.max(1)),
    }
}

async fn range(
    connections: &Connections,
    key: impl Into<Vec<u8>>,
    options: GetOptions,
) -> Result<PbRangeResponse, Failure> {
    let key = key.into();
    let answer = connections.call(Repeatable::Yes, |clients| {
        let (mut kv, key, options) = (clients.kv.clone(), key.clone(), options.clone());
        async move { kv.get(key, Some(options)).await }
    });
    Ok(answer.await?.0)
}

pub(super) async fn get(connections: &Connections, key: &str, at: ReadAt) -> Result<Option<KeyValue>, Unread> {
    let answer = range(connections, key, GetOptions::new().with_revision(wire(at))).await?;
    Ok(answer.kvs.into_iter().next().map(entry).transpose()?)
}

/// Fails where the state at `revision` cannot be read.
pub(super) async fn check(connections: &Connections, key: &str, revision: Revision) -> Result<(), Failure> {
    let options = GetOptions::new().with_revision(wire(ReadAt::Revision(revision))).with_count_only();
    range(connections, key, options).await.map(|_| ())
}

pub(super) async fn list(connections: &Connections, keys: &KeyRange, options: &ListOptions) -> Result<Page, Unread> {
    if options.limit == Some(0) {
        return Err(StoreError::InvalidArgument("a page's limit must not be zero".to_owned()).into());
    }
    let mut attempts = 1;
    loop {
        match list_once(connections, keys, options).await {
            Err(Unread::Failed(failure))
                if failure.kind == Kind::Compacted && options.at == ReadAt::Latest && attempts < ATTEMPTS =>
            {
                attempts += 1;
            }
            outcome => return outcome,
        }
    }
}

async fn list_once(connections: &Connections, keys: &KeyRange, options: &ListOptions) -> Result<Page, Unread> {
    let limit = options.limit.unwrap_or(usize::MAX);
    let mut page = Page::default();
    let mut at = options.at;
    let mut at_once = FIRST;
    let mut span = Span::new(keys, options.after.as_deref());
    loop {
        let wanted = limit.saturating_sub(page.entries.len()).min(at_once);
        let answer = read_page(connections, keys, span, wire(at), wanted).await?;
        if at == ReadAt::Latest {
            at = ReadAt::Revision(entry::revision(answer.header.as_ref())?);
        }
        let (came, bytes) =
            (answer.kvs.len(), answer.kvs.iter().map(|kv| kv.key.len() + kv.value.len()).sum::<usize>());
        page.remaining = usize::try_from(answer.count).unwrap_or(0).saturating_sub(came);
        for kv in answer.kvs {
            page.entries.push(entry(kv)?);
        }
        let last = page.entries.last().filter(|_| came > 0 && page.remaining > 0 && page.entries.len() < limit);
        let Some(last) = last else { break };
        span = Span::new(keys, Some(&last.key));
        at_once = (BYTES / (bytes / came).max(1)).clamp(1, MOST);
    }
    if let ReadAt::Revision(revision) = at {
        page.revision = revision;
    }
    Ok(page)
}

/// The first `limit` entries of `span`; where no key can be in it, none, from a read that tells the revision all the same.
async fn read_page(
    connections: &Connections,
    keys: &KeyRange,
    span: Option<Span>,
    revision: i64,
    limit: usize,
) -> Result<PbRangeResponse, Failure> {
    let options = GetOptions::new().with_revision(revision);
    match span {
        Some(span) => {
            let options = options.with_range(span.end).with_limit(i64::try_from(limit).unwrap_or(i64::MAX));
            range(connections, span.start, options).await
        }
        None => {
            let key = if keys.start().is_empty() { "/" } else { keys.start() };
            let answer = range(connections, key, options.with_count_only()).await?;
            Ok(PbRangeResponse { count: 0, ..answer })
        }
    }
}
