//! Pods (`pkg/registry/core/pod`, `pkg/apis/core/validation` of Kubernetes 1.36).

pub mod template;
