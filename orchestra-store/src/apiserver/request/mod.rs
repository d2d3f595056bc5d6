//! What a request asks for: its path, its options, and the formats that it speaks.

pub mod encoding;
pub mod negotiate;
pub mod options;
pub mod path;
