//! Tokens by which programs in pods say which service account they act for (`pkg/serviceaccount`).
//!
//! A token is a JSON Web Token (RFC 7519) with Kubernetes' claims, signed with HMAC-SHA256: only the server that has the key can tell
//! that it is genuine.

mod authenticate;
mod claims;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use sha2::Sha256;

pub(super) use self::authenticate::{Refused, authenticate, groups, review};
pub(super) use self::claims::{Bound, Claims, Kubernetes};

/// Who issues tokens, and for whom they are unless they say otherwise.
pub(super) const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// Signs tokens, and knows its own.
pub(super) struct Signer {
    key: Hmac<Sha256>,
}

impl Signer {
    /// Signs with `key`; the longer the better, to 64 bytes.
    pub(super) fn new(key: &[u8]) -> Option<Self> {
        // An HMAC takes keys of any length.
        Hmac::new_from_slice(key).ok().map(|key| Self { key })
    }

    pub(super) fn sign(&self, claims: &Claims) -> Result<String, serde_json::Error> {
        let text =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(HEADER), URL_SAFE_NO_PAD.encode(serde_json::to_vec(claims)?));
        let signature = self.key.clone().chain_update(&text).finalize().into_bytes();
        Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// What a token says, if this signer made it.
    fn verify(&self, token: &str) -> Option<Claims> {
        let (text, signature) = token.rsplit_once('.')?;
        let (header, claims) = text.split_once('.')?;
        if URL_SAFE_NO_PAD.decode(header).ok()? != HEADER.as_bytes() {
            return None;
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        // Compared in constant time.
        self.key.clone().chain_update(text).verify_slice(&signature).ok()?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
    }
}

/// What a token says, whoever made it.
fn unverified(token: &str) -> Option<Claims> {
    let mut parts = token.split('.');
    let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Claims {
        Claims {
            aud: vec![ISSUER.to_owned()],
            exp: 10,
            sub: "system:serviceaccount:ns:a".to_owned(),
            ..Claims::default()
        }
    }

    #[test]
    fn only_the_signer_makes_tokens_that_it_knows() {
        let (signer, other) = (Signer::new(b"one key").unwrap(), Signer::new(b"another").unwrap());
        let token = signer.sign(&claims()).unwrap();
        assert_eq!(signer.verify(&token), Some(claims()));
        assert_eq!(other.verify(&token), None);
        assert_eq!(unverified(&token), Some(claims()));
        let [header, body, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("{token}") };
        let forged = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&Claims { exp: 1 << 40, ..claims() }).unwrap());
        let unsigned = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
        for bad in [
            format!("{header}.{forged}.{signature}"),
            format!("{unsigned}.{body}."),
            format!("{unsigned}.{body}.{signature}"),
            format!("{header}.{body}"),
            String::new(),
            "..".to_owned(),
        ] {
            assert_eq!(signer.verify(&bad), None, "{bad}");
        }
    }
}
