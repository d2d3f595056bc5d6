//! Checks of names, labels and metadata that all kinds share, in the words of `k8s.io/apimachinery/pkg/util/validation`.

pub mod condition;
pub mod ip;
pub mod label_selector;
pub mod port;

pub use orchestra_core::validation::{name, qualified_name};
