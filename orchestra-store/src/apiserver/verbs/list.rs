use std::sync::Arc;

use base64::{
    DecodeError, Engine,
    alphabet::URL_SAFE,
    engine::general_purpose::{GeneralPurpose, NO_PAD},
};
use orchestra_core::store::{KeyRange, ListOptions as StoreListOptions, ReadAt, Revision};
use serde::{Deserialize, Serialize};

use super::{Answer, Call, Stored};
use crate::{
    apiserver::{
        ApiError,
        decode::{self, syntax},
        registry::Resource,
        render::{self, ListMeta},
        request::options::{ListOptions, VersionMatch},
        selection::Selection,
        server::Shared,
    },
    cache::{Entry, Freshness},
};

/// Answers with the objects of a scope, or with one page of them.
pub(super) async fn list(shared: &Shared, call: Call) -> Result<Answer, ApiError> {
    let options = ListOptions::parse(&call.query, false)?;
    options.check_fields(&call.resource)?;
    let selection = Selection::new(&call.resource, call.namespace.as_deref(), None, &options);
    let page = page(shared, &call.resource, call.namespace.as_deref(), &selection, &options).await?;
    let items = page.items.iter().map(|entry| Stored { value: entry.value.clone(), revision: entry.revision });
    Ok(Answer::json(200, render::list(&call.resource, items, &page.meta, &call.accept, &call.query, call.now)?))
}

/// Some entries of a range.
pub(super) struct Page {
    pub(super) items: Vec<Arc<Entry>>,
    pub(super) meta: ListMeta,
}

/// The content of a `continue` token, in Kubernetes' own form.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Token {
    v: String,
    rv: i64,
    start: String,
}

/// As Go reads and writes it: without padding, and bits that are left over do not matter.
const BASE64: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, NO_PAD.with_decode_allow_trailing_bits(true));
const TOKEN_VERSION: &str = "meta.k8s.io/v1";

/// The first page that `options` ask for, or the one after their token.
pub(super) async fn page(
    shared: &Shared,
    resource: &Resource,
    namespace: Option<&str>,
    selection: &Selection,
    options: &ListOptions,
) -> Result<Page, ApiError> {
    let prefix = resource.prefix(namespace);
    let token = options.continue_token.as_deref().map(decode_token).transpose()?;
    let (range, version) = match token {
        None => (selection.range.clone(), options.version),
        Some(Token { rv, start, .. }) => {
            let start = format!("{prefix}{}", start.strip_prefix('/').unwrap_or(&start));
            let range = KeyRange::between(start, selection.range.end().map(Into::into));
            // A negative version continues at whatever is newest, after an inconsistent token.
            let version = Revision::try_from(rv).map_or(VersionMatch::MostRecent, VersionMatch::Exact);
            (range, version)
        }
    };
    let (entries, revision) = read(shared, resource, &range, version).await?;
    let limit = options.limit.unwrap_or(usize::MAX);
    let mut matching = entries.into_iter().filter(|entry| selection.matches(resource, entry));
    let items: Vec<_> = matching.by_ref().take(limit).collect();
    let mut meta = ListMeta { revision, ..ListMeta::default() };
    let rest = matching.count();
    if rest > 0
        && let Some(last) = items.last()
    {
        let last = last.key.strip_prefix(&*prefix).unwrap_or(&last.key);
        let start = format!("{last}\0");
        let token = Token { v: TOKEN_VERSION.to_owned(), rv: i64::try_from(revision).unwrap_or(i64::MAX), start };
        meta.continue_token = Some(BASE64.encode(serde_json::to_vec(&token).map_err(ApiError::internal)?));
        // With selectors Kubernetes does not count.
        meta.remaining = selection.is_everything().then_some(rest);
    }
    Ok(Page { items, meta })
}

fn decode_token(text: &str) -> Result<Token, ApiError> {
    let refused =
        |why: String| ApiError::bad_request(format!("invalid continue token: continue key is not valid: {why}"));
    let bytes = BASE64.decode(text).map_err(|error| {
        let position = if let DecodeError::InvalidByte(position, _) = error { position } else { text.len() };
        refused(format!("illegal base64 data at input byte {position}"))
    })?;
    let token = decode::typed::<Token>(&bytes, &[]).map(|(token, _)| token);
    let token = token.map_err(|error| refused(syntax::error(&bytes).unwrap_or_else(|| error.to_string())))?;
    let is_clean = |start: &str| {
        let start = start.strip_prefix('/').unwrap_or(start);
        start.split('/').all(|part| !matches!(part, "" | "." | ".."))
    };
    match token.start.as_str() {
        _ if token.v != TOKEN_VERSION => {
            Err(refused(format!("server does not recognize this encoded version {}", token.v)))
        }
        _ if token.rv == 0 => {
            Err(refused(format!("incorrect encoded start resourceVersion (version {TOKEN_VERSION})")))
        }
        "" => Err(refused(format!("encoded start key empty (version {TOKEN_VERSION})"))),
        start if !is_clean(start) => Err(refused(start.to_owned())),
        _ => Ok(token),
    }
}

async fn read(
    shared: &Shared,
    resource: &Resource,
    range: &KeyRange,
    version: VersionMatch,
) -> Result<(Vec<Arc<Entry>>, Revision), ApiError> {
    let cache = shared.cache(resource);
    let freshness = match version {
        VersionMatch::MostRecent => Freshness::Latest,
        VersionMatch::NotOlderThan(revision) => Freshness::NotOlderThan(revision),
        VersionMatch::Exact(revision) => {
            let page = shared
                .store
                .list(range, StoreListOptions { at: ReadAt::Revision(revision), ..StoreListOptions::default() })
                .await?;
            return Ok((page.entries.into_iter().map(|entry| Arc::new(Entry::from(entry))).collect(), revision));
        }
    };
    let snapshot = cache.read(freshness).await?;
    Ok((snapshot.range(range).cloned().collect(), snapshot.revision))
}
