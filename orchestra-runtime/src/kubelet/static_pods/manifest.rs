//! A pod from a file, as Kubernetes' kubelet reads one (`pkg/kubelet/config/common.go`).

use std::fmt::Write;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus, Toleration};
use orchestra_store::apiserver::{
    decode::DecodeError,
    kinds::pod::mirror::{api_reference, complete, read},
};

use super::{HASH, SEEN, SOURCE};
use crate::manifest::{self, ManifestError};

/// Why a file makes no pod.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadManifest {
    #[error("{0}")]
    Unreadable(#[from] ManifestError),
    #[error("one object was expected, and {0} are there")]
    Several(usize),
    #[error("a Pod of v1 was expected, not {kind:?} of {api_version:?}")]
    OtherKind { kind: String, api_version: String },
    #[error("{0}")]
    OtherForm(#[from] DecodeError),
    #[error("invalid pod: name is needed for the pod")]
    NoName,
    #[error("invalid pod: {0}")]
    Invalid(String),
    #[error("static pods may not reference {0}")]
    Reference(&'static str),
}

impl BadManifest {
    /// Whether more may be on its way, as nothing says that the file is not a pod's and written only in part.
    pub(super) fn may_be_half(&self) -> bool {
        match self {
            Self::Unreadable(_) | Self::OtherForm(_) | Self::NoName | Self::Invalid(_) => true,
            Self::Several(documents) => *documents == 0,
            Self::OtherKind { kind, api_version } => "Pod".starts_with(&**kind) && "v1".starts_with(&**api_version),
            Self::Reference(_) => false,
        }
    }
}

/// Whether this is the uid of a static pod: a hash. Those of the API server have dashes.
pub(in crate::kubelet) fn is_hash(uid: &str) -> bool {
    uid.len() == 32 && uid.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The pod that the text of `file` makes on a node.
pub(super) fn pod(file: &str, text: &str, node: &str, now: Timestamp) -> Result<Pod, BadManifest> {
    let documents = manifest::parse(file, text)?;
    let [document] = documents.as_slice() else { return Err(BadManifest::Several(documents.len())) };
    if (document.api_version(), document.kind()) != ("v1", "Pod") {
        let (kind, api_version) = (document.kind().to_owned(), document.api_version().to_owned());
        return Err(BadManifest::OtherKind { kind, api_version });
    }
    let mut pod = read(&document.object().to_string())?;
    let name = pod.metadata.name.take().filter(|name| !name.is_empty()).ok_or(BadManifest::NoName)?;
    // Kubernetes' kubelet takes one that is given, and then sees no change of the file, and takes two files of one uid for one pod.
    pod.metadata.uid = None;
    let uid = hash(&name, &pod, node, file);
    settle(&mut pod, node, now);
    pod.metadata.name = Some(format!("{name}-{}", node.to_lowercase()));
    pod.metadata.annotations.get_or_insert_default().insert(HASH.to_owned(), uid.clone());
    pod.metadata.uid = Some(uid);
    let errors = complete(&mut pod);
    if !errors.is_empty() {
        let all: Vec<String> = errors.iter().map(ToString::to_string).collect();
        return Err(BadManifest::Invalid(all.join(", ")));
    }
    match pod.spec.as_ref().and_then(api_reference) {
        Some(resource) => Err(BadManifest::Reference(resource)),
        None => Ok(pod),
    }
}

/// Makes it a pod of this node that comes from a file.
fn settle(pod: &mut Pod, node: &str, now: Timestamp) {
    pod.metadata.namespace.get_or_insert_default();
    if let Some(namespace) = pod.metadata.namespace.as_mut().filter(|namespace| namespace.is_empty()) {
        "default".clone_into(namespace);
    }
    // What only an API server says.
    pod.metadata.resource_version = None;
    pod.metadata.creation_timestamp = None;
    pod.metadata.deletion_timestamp = None;
    pod.metadata.deletion_grace_period_seconds = None;
    let annotations = pod.metadata.annotations.get_or_insert_default();
    annotations.insert(SOURCE.to_owned(), "file".to_owned());
    annotations.insert(SEEN.to_owned(), now.to_string());
    pod.status = Some(PodStatus { phase: Some("Pending".to_owned()), ..PodStatus::default() });
    let spec = pod.spec.get_or_insert_default();
    spec.node_name = Some(node.to_owned());
    // No trouble of the node drives it away.
    let stays = Toleration {
        operator: Some("Exists".to_owned()),
        effect: Some("NoExecute".to_owned()),
        ..Toleration::default()
    };
    let tolerations = spec.tolerations.get_or_insert_default();
    if !tolerations.contains(&stays) {
        tolerations.push(stays);
    }
}

/// A number for what the file says, on this node and in this place: 128-bit FNV-1a in hexadecimal digits.
fn hash(name: &str, pod: &Pod, node: &str, file: &str) -> String {
    // Plain values always have a JSON form.
    let mut text = serde_json::to_string(pod).unwrap_or_default();
    // A String takes all that is written to it.
    let _ = write!(text, "name:{name}host:{node}file:{file}");
    let hash = text.bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128, |hash, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(0x0100_0000_0000_0000_0000_013b)
    });
    format!("{hash:032x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: c, image: nginx}]}\n";

    fn read(text: &str) -> Result<Pod, String> {
        pod("/m/web.yaml", text, "n1", Timestamp::UNIX_EPOCH).map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_makes_a_pod_of_the_node() {
        let pod = read(GOOD).unwrap();
        let (metadata, spec) = (&pod.metadata, pod.spec.as_ref().unwrap());
        assert_eq!((metadata.name.as_deref(), metadata.namespace.as_deref()), (Some("web-n1"), Some("default")));
        let annotations = metadata.annotations.as_ref().unwrap();
        let uid = metadata.uid.as_ref().unwrap();
        assert_eq!((annotations[SOURCE].as_str(), &annotations[HASH], uid.len()), ("file", uid, 32));
        assert_eq!(annotations[SEEN], "1970-01-01T00:00:00Z");
        assert_eq!((spec.node_name.as_deref(), spec.restart_policy.as_deref()), (Some("n1"), Some("Always")));
        assert_eq!(spec.tolerations.as_ref().unwrap()[0].effect.as_deref(), Some("NoExecute"));
    }

    #[test]
    fn its_uid_is_of_what_it_says() {
        let uid = |text: &str| read(text).unwrap().metadata.uid.unwrap();
        assert_eq!(uid(GOOD), uid(&format!("# the same\n{GOOD}")));
        assert_ne!(uid(GOOD), uid(&GOOD.replace("nginx", "nginx:2")));
        assert_ne!(uid(GOOD), uid(&GOOD.replace("web", "web2")));
        let given = GOOD.replace("name: web", "name: web, uid: u");
        assert_eq!(uid(&given), uid(GOOD));
        assert_ne!(uid(&given), uid(&given.replace("nginx", "nginx:2")));
        let elsewhere = pod("/m/copy.yaml", &given, "n1", Timestamp::UNIX_EPOCH).unwrap();
        assert_ne!(elsewhere.metadata.uid.unwrap(), uid(&given));
    }

    #[test]
    fn what_makes_no_pod_is_told() {
        let container = "{containers: [{name: c, image: i}], ";
        let with =
            |more: &str| GOOD.replace("{containers: [{name: c, image: nginx}]}", &format!("{container}{more}}}"));
        for (text, error) in [
            (GOOD.replace("kind: Pod", "kind: Service"), "a Pod of v1 was expected, not \"Service\" of \"v1\""),
            (format!("{GOOD}---\n{GOOD}"), "one object was expected, and 2 are there"),
            (GOOD.replace("name: web", "labels: {}"), "invalid pod: name is needed for the pod"),
            (GOOD.replace("image: nginx", "x: y"), "invalid pod: spec.containers[0].image: Required value"),
            (with("serviceAccountName: a"), "static pods may not reference serviceaccounts"),
            (with("volumes: [{name: v, configMap: {name: m}}]"), "static pods may not reference configmaps"),
        ] {
            assert_eq!(read(&text).unwrap_err(), error);
        }
        assert!(read("a: [").unwrap_err().starts_with("/m/web.yaml: "));
    }

    #[test]
    fn every_part_of_a_manifest_may_be_half_of_it_and_other_things_are_not() {
        let half =
            |text: &str| pod("/m/web.yaml", text, "n1", Timestamp::UNIX_EPOCH).err().map(|bad| bad.may_be_half());
        let head = GOOD.find("{containers").unwrap();
        for end in (0..head).filter(|end| GOOD.is_char_boundary(*end)) {
            assert_eq!(half(&GOOD[..end]), Some(true), "{:?}", &GOOD[..end]);
        }
        for other in [
            "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n".to_owned(),
            "apiVersion: apps/v1\nkind: Pod\nmetadata: {name: web}\n".to_owned(),
            format!("{GOOD}---\n{GOOD}"),
            GOOD.replace("{containers", "{serviceAccountName: x, containers"),
        ] {
            assert_eq!(half(&other), Some(false), "{other:?}");
        }
    }

    #[test]
    fn uids_tell_whose_pods_are() {
        let uid = read(GOOD).unwrap().metadata.uid.unwrap();
        assert!(is_hash(&uid));
        assert!(!is_hash("5f0c9b1e-8d5e-4a57-9d6c-1b9b8f8f6a10"));
    }
}
