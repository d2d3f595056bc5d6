//! From values to nftables: [`Applier`].
//!
//! ```text
//!   RuleSet ──► items: what a port has in its table ──► applied: what is other than before ──► transaction ──► nft -f -
//! ```
//!
//! Why the program: it is there wherever nftables is, its language is what people read when they debug, and one run of it costs some
//! milliseconds, as the tables have so few chains. A netlink crate would save these and have us encode each expression by hand.
//!
//! # Layout of the tables
//! ```text
//!   services ──► @service-ips: front ──► goto endpoints-10: draw a number n below 10, dnat to @service-endpoints: front, n ──► endpoint
//!            └─► @service-nodeports: node port ──► goto nodeport-external-10: mark, then as above
//! ```
//! A lookup is a hash table's, however many Services there are. Kubernetes' own layout differs in that it has a chain for each Service and
//! endpoint (see [`shape`] for why this one does not); Services with session affinity have these here too.

mod applied;
mod applier;
mod element;
mod items;
mod names;
mod program;
mod shape;
mod table;
#[cfg(test)]
mod tests;
mod traffic;
mod transaction;

pub use self::{
    applier::{Applier, Change},
    program::{NftError, Program},
};
