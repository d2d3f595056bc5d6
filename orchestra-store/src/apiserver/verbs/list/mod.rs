//! Lists, as a whole or in pages.

mod find;
mod token;

use std::sync::Arc;

use orchestra_core::store::{KeyRange, StoreError};

use self::{find::find, token::Token};
use super::{Answer, Call, Stored};
use crate::{
    apiserver::{
        ApiError,
        registry::Resource,
        render::{self, ListMeta},
        request::options::{ListOptions, VersionMatch},
        selection::Selection,
        server::Shared,
    },
    cache::{CacheError, Entry},
};

/// Answers with the objects of a scope, or with one page of them.
pub(super) async fn list(shared: &Shared, call: Call) -> Result<Answer, ApiError> {
    let options = ListOptions::parse(&call.query, false)?;
    options.check_fields(&call.resource)?;
    let selection = Selection::new(&call.resource, call.namespace.as_deref(), None, &options);
    let page = page(shared, &call.resource, call.namespace.as_deref(), &selection, &options).await?;
    let items = page.items.iter().map(|entry| Stored::from(&**entry));
    Ok(Answer::json(200, render::list(&call.resource, items, &page.meta, &call.accept, &call.query, call.now)?))
}

/// Some entries of a range.
pub(super) struct Page {
    pub(super) items: Vec<Arc<Entry>>,
    pub(super) meta: ListMeta,
}

/// The first page that `options` ask for, or the one after their token.
pub(super) async fn page(
    shared: &Shared,
    resource: &Resource,
    namespace: Option<&str>,
    selection: &Selection,
    options: &ListOptions,
) -> Result<Page, ApiError> {
    let prefix = resource.prefix(namespace);
    let token = options.continue_token.as_deref().map(Token::decode).transpose()?;
    let (range, version) = match &token {
        None => (selection.range.clone(), options.version),
        Some(Token { version, start }) => {
            (KeyRange::between(format!("{prefix}{start}"), selection.range.end().map(Into::into)), *version)
        }
    };
    let limit = options.limit.unwrap_or(usize::MAX);
    let found = match (find(shared, resource, &range, version, selection, limit).await, token) {
        (Err(CacheError::Store(StoreError::Compacted { .. })), Some(Token { start, .. })) => {
            return Err(ApiError::expired_page(Token { version: VersionMatch::MostRecent, start }.encode()?));
        }
        (found, _) => found?,
    };
    let mut meta = ListMeta { revision: found.revision, ..ListMeta::default() };
    if let (true, Some(last)) = (found.left > 0, found.entries.last()) {
        let last = last.key.strip_prefix(&*prefix).unwrap_or(&last.key);
        let next = Token { version: VersionMatch::Exact(found.revision), start: format!("{last}\0") };
        meta.continue_token = Some(next.encode()?);
        // With selectors Kubernetes does not count.
        meta.remaining = selection.is_everything().then_some(found.left);
    }
    Ok(Page { items: found.entries, meta })
}
