//! `EtcdStore` over real etcd. Needs `etcd` and `etcdctl`, 3.4 or newer, and `openssl` on the path.
#![allow(clippy::unwrap_used)]

mod contract;
mod server;
