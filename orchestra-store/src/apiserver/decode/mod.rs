//! From a client's bytes to a typed object, in one pass, with Kubernetes' words for what is wrong.
//!
//! serde alone would say too little: which fields are unknown or occur twice (`fieldValidation`), and the path of a value of
//! the wrong type. `Tracked` wraps any deserializer and notes these on the way.

mod form;
mod go_time;
mod key;
mod patch;
mod place;
mod record;
pub mod syntax;
mod tracked;
mod type_error;

use serde::{
    Deserialize,
    de::{DeserializeOwned, Error},
};

pub use self::patch::patch_findings;
use self::{record::Record, tracked::Tracked};
use super::object::Object;

/// A decoded object with what `fieldValidation` may object to.
#[derive(Debug)]
pub struct Decoded {
    /// The object.
    pub object: Box<dyn Object>,
    /// The findings.
    pub findings: Findings,
}

/// Fields that a strict reader refuses, each as Kubernetes words it: `unknown field "spec.foo"`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings(pub Vec<String>);

impl Findings {
    /// More are not told, as in Kubernetes (`sigs.k8s.io/json`).
    const MOST: usize = 100;

    /// Adds one that is new.
    pub(super) fn note(&mut self, finding: String) {
        if self.0.len() < Self::MOST && !self.0.contains(&finding) {
            self.0.push(finding);
        }
    }
}

/// Why bytes are not an object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// They are not JSON, or not an object.
    #[error("{0}")]
    Syntax(String),
    /// A value has the wrong type or form.
    #[error("{0}")]
    Type(String),
}

/// What an object says about its type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TypeMeta {
    /// `v1`, `apps/v1`; empty if not said.
    pub api_version: String,
    /// `Pod`; empty if not said.
    pub kind: String,
}

/// Reads the type of `body` and checks that it is JSON throughout.
pub fn type_meta(body: &[u8]) -> Result<TypeMeta, DecodeError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Lenient {
        #[serde(default)]
        api_version: Option<String>,
        #[serde(default)]
        kind: Option<String>,
    }
    // A repeated field is a finding for later, not an error here: decode into a map-like view only when serde objects to it.
    let parsed = match serde_json::from_slice::<Lenient>(body) {
        Err(error) if error.is_data() && error.to_string().starts_with("duplicate field") => {
            serde_json::from_slice::<serde_json::Value>(body).and_then(serde_json::from_value)
        }
        other => other,
    };
    match parsed {
        Ok(Lenient { api_version, kind }) if first_byte(body) == Some(b'{') => {
            let (api_version, kind) = (api_version.unwrap_or_default(), kind.unwrap_or_default());
            match api_version.matches('/').count() {
                0 | 1 => Ok(TypeMeta { api_version, kind }),
                _ => Err(DecodeError::Syntax(format!(
                    "unexpected GroupVersion string: {api_version} ({})",
                    type_error::quote(body)
                ))),
            }
        }
        _ => Err(DecodeError::Syntax(type_error::untyped(body))),
    }
}

fn first_byte(body: &[u8]) -> Option<u8> {
    body.iter().copied().find(|byte| !byte.is_ascii_whitespace())
}

/// Decodes `body`, whose syntax [`type_meta`] has checked. Its `known` fields are not looked over for findings: they were, when they
/// came in.
pub fn typed<T: DeserializeOwned>(body: &[u8], known: &[String]) -> Result<(T, Findings), DecodeError> {
    let record = Record::new(known);
    let mut json = serde_json::Deserializer::from_slice(body);
    match T::deserialize(Tracked::new(&mut json, &record)) {
        Ok(value) => Ok((value, record.into_findings())),
        Err(error) => Err(DecodeError::Type(record.into_type_error().unwrap_or_else(|| type_error::plain(&error)))),
    }
}

/// Decodes what the store holds: from text, as this process's clients do, so that the program has the decoder of a type once for both.
pub(super) fn stored<T: DeserializeOwned>(value: &[u8]) -> serde_json::Result<T> {
    serde_json::from_str(str::from_utf8(value).map_err(serde_json::Error::custom)?)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::{
        apps::v1::Deployment,
        coordination::v1::Lease,
        core::v1::{ConfigMap, Pod, Secret},
    };

    use super::*;

    fn findings<T: DeserializeOwned>(json: &str) -> Vec<String> {
        typed::<T>(json.as_bytes(), &[]).map(|(_, findings)| findings.0).unwrap()
    }

    fn error<T: DeserializeOwned + std::fmt::Debug>(json: &str) -> String {
        typed::<T>(json.as_bytes(), &[]).unwrap_err().to_string()
    }

    #[test]
    fn unknown_fields_are_named_by_path() {
        let json = r#"{"metadata":{"lables":{}},"spec":{"containers":[{"name":"a"},{"nam":"b"}]},"dta":1}"#;
        let expected = [
            r#"unknown field "metadata.lables""#,
            r#"unknown field "spec.containers[1].nam""#,
            r#"unknown field "dta""#,
        ];
        assert_eq!(findings::<Pod>(json), expected);
    }

    #[test]
    fn repeated_fields_are_named_in_structs_and_maps() {
        let json = r#"{"metadata":{"name":"a","name":"b"},"data":{"k":"1","k":"2"}}"#;
        assert_eq!(findings::<ConfigMap>(json), [r#"duplicate field "metadata.name""#, r#"duplicate field "data.k""#]);
    }

    #[test]
    fn a_field_is_found_once_and_one_that_is_unknown_is_nothing_else() {
        let json = r#"{"dta":1,"dta":2,"dta":3,"data":{"k":"1","k":"2","k":"3"}}"#;
        assert_eq!(findings::<ConfigMap>(json), [r#"unknown field "dta""#, r#"duplicate field "data.k""#]);
    }

    #[test]
    fn known_fields_are_not_looked_over() {
        let json = r#"{"metadata":{"status":{}},"spec":{"containers":[{"nam":"a"}]},"status":{"phas":""}}"#;
        let (_, findings) = typed::<Pod>(json.as_bytes(), &["spec".to_owned(), "status".to_owned()]).unwrap();
        assert_eq!(findings.0, [r#"unknown field "metadata.status""#]);
    }

    #[test]
    fn a_value_of_the_wrong_type_is_named_as_go_does() {
        assert_eq!(
            error::<ConfigMap>(r#"{"metadata":{"name":5}}"#),
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.name of type string"
        );
        assert_eq!(
            error::<Deployment>(r#"{"spec":{"replicas":"two"}}"#),
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"
        );
        assert_eq!(
            error::<Pod>(r#"{"spec":{"containers":{}}}"#),
            "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container"
        );
    }

    #[test]
    fn bad_base64_says_where() {
        assert_eq!(error::<Secret>(r#"{"data":{"p":"%%%"}}"#), "illegal base64 data at input byte 0");
    }

    #[test]
    fn quantities_are_checked_and_may_be_numbers() {
        let pod = |cpu: &str| {
            format!(r#"{{"spec":{{"containers":[{{"name":"a","resources":{{"requests":{{"cpu":{cpu}}}}}}}]}}}}"#)
        };
        let (decoded, _) = typed::<Pod>(pod("2").as_bytes(), &[]).unwrap();
        let requests = decoded.spec.unwrap().containers[0].resources.clone().unwrap().requests.unwrap();
        assert_eq!(requests["cpu"].0, "2");
        typed::<Pod>(pod(r#""100m""#).as_bytes(), &[]).unwrap();
        assert_eq!(
            error::<Pod>(&pod(r#""abc""#)),
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
        );
    }

    #[test]
    fn times_are_those_that_go_reads() {
        let map = |at: &str| error::<ConfigMap>(&format!(r#"{{"metadata":{{"creationTimestamp":{at}}}}}"#));
        let unlike = r#"parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006""#;
        assert_eq!(map(r#""x""#), unlike);
        assert_eq!(map(r#""2026-01-01T00:00:60Z""#), r#"parsing time "2026-01-01T00:00:60Z": second out of range"#);
        let number =
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.creationTimestamp of type string";
        assert_eq!(map("5"), number);
        let lease = error::<Lease>(r#"{"spec":{"renewTime":"2026-01-01T00:00:00Z"}}"#);
        assert!(lease.ends_with(r#"cannot parse "Z" as ".000000""#), "{lease}");
        typed::<Lease>(
            br#"{"metadata":{"creationTimestamp":null},"spec":{"renewTime":"2026-01-01T00:00:00.000000Z"}}"#,
            &[],
        )
        .unwrap();
    }

    #[test]
    fn cut_off_json_is_quoted() {
        let error = type_meta(br#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x""#).unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"couldn't get version/kind; json parse error: unexpected end of JSON input ({"apiVersion":"v1","kind":"Con ...)"#
        );
    }

    #[test]
    fn a_repeated_type_is_not_an_error_yet() {
        assert_eq!(type_meta(br#"{"kind":"A","kind":"Pod"}"#).unwrap().kind, "Pod");
    }

    #[test]
    fn a_type_is_text() {
        let error = |body: &[u8]| type_meta(body).unwrap_err().to_string();
        let prefix = "couldn't get version/kind; json parse error: ";
        assert_eq!(
            error(br#"{"kind":5}"#),
            format!(
                r#"{prefix}json: cannot unmarshal number into Go struct field .kind of type string ({{"kind":5}})"#
            )
        );
        assert!(
            error(b"1").starts_with(&format!("{prefix}json: cannot unmarshal number into Go value of type struct"))
        );
        assert_eq!(
            error(br#"{"apiVersion":"a/b/c"}"#),
            r#"unexpected GroupVersion string: a/b/c ({"apiVersion":"a/b/c"})"#
        );
    }

    #[test]
    fn maps_are_named_without_their_keys() {
        assert_eq!(
            error::<ConfigMap>(r#"{"metadata":{"labels":{"a":1}}}"#),
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string"
        );
    }
}
