//! What stores that keep history in this process are made of.
//!
//! ```text
//!   commit ──► State (every key's history) ──► Publisher: log (one batch a revision, for watches from the past)
//!                                                    └──► feeds (one queue a watched range, shared by its watchers)
//! ```
//!
//! A store whose history is kept elsewhere needs the [`Publisher`] alone.

mod batch;
mod changes;
mod draft;
mod expiries;
mod expiry;
mod feed;
mod forgotten;
mod history;
mod index;
mod keys;
mod publisher;
mod read;
mod state;
mod watch;
mod write;

pub(crate) use self::{
    batch::Batch,
    draft::{Draft, Drafted, DraftedWrite},
    expiry::{Expiring, Timer},
    forgotten::Forgotten,
    publisher::{Publisher, Retention},
    state::State,
    write::{Put, Write},
};
#[cfg(feature = "etcd")]
pub(crate) use self::{
    batch::{Events, Unreadable},
    write::{require_key, require_sense},
};
