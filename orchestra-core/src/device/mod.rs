//! Devices of dynamic resource allocation (KEP-4381), as far as the API server, the scheduler and controllers have to agree about them.
//!
//! ```
//! use k8s_openapi::api::resource::v1::Device;
//! use orchestra_core::device::Selector;
//! let device: Device = serde_json::from_str(r#"{ "name": "gpu-0", "attributes": { "model": { "string": "a100" } } }"#)?;
//! let selector = Selector::compile(r#"device.attributes["gpu.example.com"].model == "a100""#).unwrap();
//! assert_eq!(selector.matches("gpu.example.com", &device), Ok(true));
//! # Ok::<(), serde_json::Error>(())
//! ```

mod address;
mod claim;
mod cost;
mod domains;
mod library;
mod nesting;
mod pattern;
mod selector;
mod version;

pub use self::{
    claim::{
        ClaimError, EXTENDED_RESOURCE_CLAIM, FINALIZER, MAX_USERS, allocation, claim_name, is_extended_resource_claim,
        is_made_for, is_reserved_for, pod_user, reserved_for,
    },
    selector::{Selector, SelectorError},
    version::is_version,
};
