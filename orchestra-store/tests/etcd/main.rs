//! `EtcdStore` over real etcd. Needs `etcd` and `etcdctl`, 3.4 or newer, and `openssl` on the path.
#![allow(clippy::unwrap_used)]

mod access;
mod act;
mod backlog;
mod bindings;
mod cache;
mod cluster;
mod compaction;
mod contract;
mod faults;
mod informer;
mod layout;
mod lease;
mod load;
mod proxy;
mod room;
mod server;
mod sharing;
