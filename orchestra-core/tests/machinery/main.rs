//! Informers, the controller manager, leader election and the event recorder, against a scripted API.
#![allow(clippy::unwrap_used)]

mod api;
mod event_recorder;
mod informer;
mod manager;
