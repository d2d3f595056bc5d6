use base64::{
    DecodeError, Engine,
    alphabet::URL_SAFE,
    engine::general_purpose::{GeneralPurpose, NO_PAD},
};
use orchestra_core::store::Revision;
use serde::{Deserialize, Serialize};

use crate::apiserver::{
    ApiError,
    decode::{self, syntax},
    request::options::VersionMatch,
};

/// What a `continue` token says: where a list goes on.
pub(super) struct Token {
    pub(super) version: VersionMatch,
    /// The first key that is next, without what all keys of the list begin with.
    pub(super) start: String,
}

/// In Kubernetes' own form.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Content {
    v: String,
    rv: i64,
    start: String,
}

/// As Go reads and writes it: without padding, and bits that are left over do not matter.
const BASE64: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, NO_PAD.with_decode_allow_trailing_bits(true));
const VERSION: &str = "meta.k8s.io/v1";

impl Token {
    pub(super) fn encode(&self) -> Result<String, ApiError> {
        let rv = match self.version {
            VersionMatch::Exact(revision) => i64::try_from(revision).unwrap_or(i64::MAX),
            VersionMatch::MostRecent | VersionMatch::NotOlderThan(_) => -1,
        };
        let content = Content { v: VERSION.to_owned(), rv, start: self.start.clone() };
        Ok(BASE64.encode(serde_json::to_vec(&content).map_err(ApiError::internal)?))
    }

    pub(super) fn decode(text: &str) -> Result<Self, ApiError> {
        let refused =
            |why: String| ApiError::bad_request(format!("invalid continue token: continue key is not valid: {why}"));
        let bytes = BASE64.decode(text).map_err(|error| {
            let position = if let DecodeError::InvalidByte(position, _) = error { position } else { text.len() };
            refused(format!("illegal base64 data at input byte {position}"))
        })?;
        let token = decode::typed::<Content>(&bytes, &[]).map(|(token, _)| token);
        let token = token.map_err(|error| refused(syntax::error(&bytes).unwrap_or_else(|| error.to_string())))?;
        let is_clean = |start: &str| {
            let start = start.strip_prefix('/').unwrap_or(start);
            start.split('/').all(|part| !matches!(part, "" | "." | ".."))
        };
        match token.start.as_str() {
            _ if token.v != VERSION => {
                Err(refused(format!("server does not recognize this encoded version {}", token.v)))
            }
            _ if token.rv == 0 => Err(refused(format!("incorrect encoded start resourceVersion (version {VERSION})"))),
            "" => Err(refused(format!("encoded start key empty (version {VERSION})"))),
            start if !is_clean(start) => Err(refused(start.to_owned())),
            start => {
                // A negative version goes on at whatever is newest, after an inconsistent token.
                let version = Revision::try_from(token.rv).map_or(VersionMatch::MostRecent, VersionMatch::Exact);
                Ok(Self { version, start: start.strip_prefix('/').unwrap_or(start).to_owned() })
            }
        }
    }
}
