//! How the lists and maps of the built-in types are merged: the `patchStrategy` and `patchMergeKey` of each field, as
//! `k8s.io/api` v1.36 declares them. Lists without an entry are replaced as a whole, maps are merged.

/// How a field is merged (`x-kubernetes-patch-strategy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// A map is merged, a list replaced; the field is named for the type below it.
    Plain,
    /// The patch's value replaces the field.
    Replace,
    /// A map that a patch may cut down to certain keys.
    RetainKeys,
    /// A list of scalars, merged as a set.
    Set,
    /// A list of maps, merged by this key.
    By(&'static str),
    /// A list of maps, merged by this key, each of which a patch may cut down to certain keys.
    ByRetainingKeys(&'static str),
}

impl Merge {
    /// Whether the items of a list are merged.
    pub fn merges_items(self) -> bool {
        matches!(self, Self::Set | Self::By(_) | Self::ByRetainingKeys(_))
    }

    /// The key that tells the items of a list apart.
    pub fn key(self) -> Option<&'static str> {
        match self {
            Self::By(key) | Self::ByRetainingKeys(key) => Some(key),
            _ => None,
        }
    }

    /// The text of `x-kubernetes-patch-strategy`; `None` if there is none.
    pub fn strategy(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Replace => Some("replace"),
            Self::RetainKeys => Some("retainKeys"),
            Self::Set | Self::By(_) => Some("merge"),
            Self::ByRetainingKeys(_) => Some("merge,retainKeys"),
        }
    }
}

/// A field with how it is merged and the type of its value or items; an empty type has nothing to say about its fields.
#[derive(Clone, Copy, Debug)]
pub struct Field(pub &'static str, pub Merge, pub &'static str);

use Merge::{By, ByRetainingKeys, Plain, Replace, RetainKeys, Set};

/// The type of a kind's objects, or `None` if the kind is not built in and so has no strategic merge.
pub fn root(group: &str, kind: &str) -> Option<&'static str> {
    const BUILT_IN: &[&str] = &[
        "",
        "apps",
        "batch",
        "autoscaling",
        "policy",
        "events.k8s.io",
        "coordination.k8s.io",
        "scheduling.k8s.io",
        "networking.k8s.io",
        "storage.k8s.io",
        "rbac.authorization.k8s.io",
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "apiregistration.k8s.io",
        "discovery.k8s.io",
        "node.k8s.io",
        "certificates.k8s.io",
        "flowcontrol.apiserver.k8s.io",
        "resource.k8s.io",
        "authentication.k8s.io",
        "authorization.k8s.io",
    ];
    if !BUILT_IN.contains(&group) {
        return None;
    }
    let found = ROOTS.iter().find(|(of, name, _)| *of == group && *name == kind);
    Some(found.map_or("Object", |(_, _, ty)| ty))
}

const ROOTS: &[(&str, &str, &str)] = &[
    ("", "Pod", "core.v1.Pod"),
    ("", "PodTemplate", "core.v1.PodTemplate"),
    ("", "ReplicationController", "core.v1.ReplicationController"),
    ("", "Service", "core.v1.Service"),
    ("", "ServiceAccount", "core.v1.ServiceAccount"),
    ("", "Node", "core.v1.Node"),
    ("", "Namespace", "core.v1.Namespace"),
    ("", "PersistentVolumeClaim", "core.v1.PersistentVolumeClaim"),
    ("apps", "Deployment", "apps.v1.Deployment"),
    ("apps", "ReplicaSet", "apps.v1.ReplicaSet"),
    ("apps", "StatefulSet", "apps.v1.StatefulSet"),
    ("apps", "DaemonSet", "apps.v1.DaemonSet"),
    ("batch", "Job", "batch.v1.Job"),
    ("batch", "CronJob", "batch.v1.CronJob"),
    ("autoscaling", "HorizontalPodAutoscaler", "autoscaling.v2.HorizontalPodAutoscaler"),
    ("policy", "PodDisruptionBudget", "policy.v1.PodDisruptionBudget"),
    ("scheduling.k8s.io", "PodGroup", "scheduling.v1alpha2.PodGroup"),
    ("storage.k8s.io", "CSINode", "storage.v1.CSINode"),
    ("networking.k8s.io", "ServiceCIDR", "networking.v1.ServiceCIDR"),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy", "admissionregistration.v1.ValidatingAdmissionPolicy"),
    (
        "admissionregistration.k8s.io",
        "ValidatingWebhookConfiguration",
        "admissionregistration.v1.ValidatingWebhookConfiguration",
    ),
    (
        "admissionregistration.k8s.io",
        "MutatingWebhookConfiguration",
        "admissionregistration.v1.MutatingWebhookConfiguration",
    ),
];

const METADATA: Field = Field("metadata", Plain, "meta.v1.ObjectMeta");

const CONTAINER: &[Field] = &[
    Field("ports", By("containerPort"), ""),
    Field("env", By("name"), ""),
    Field("volumeMounts", By("mountPath"), ""),
    Field("volumeDevices", By("devicePath"), ""),
];
const TEMPLATE: &[Field] = &[METADATA, Field("template", Plain, "core.v1.PodTemplateSpec")];
const CONDITIONS: &[Field] = &[Field("conditions", By("type"), "")];

/// The fields of a type that are more than scalars, plain maps or lists that are replaced.
pub fn fields(ty: &str) -> &'static [Field] {
    match ty {
        "Object" => &[METADATA],
        "meta.v1.ObjectMeta" => &[Field("finalizers", Set, ""), Field("ownerReferences", By("uid"), "")],

        "core.v1.Pod" => {
            &[METADATA, Field("spec", Plain, "core.v1.PodSpec"), Field("status", Plain, "core.v1.PodStatus")]
        }
        "core.v1.PodTemplate" => TEMPLATE,
        "core.v1.PodTemplateSpec" => &[METADATA, Field("spec", Plain, "core.v1.PodSpec")],
        "core.v1.PodSpec" => &[
            Field("volumes", ByRetainingKeys("name"), "core.v1.Volume"),
            Field("initContainers", By("name"), "core.v1.Container"),
            Field("containers", By("name"), "core.v1.Container"),
            Field("ephemeralContainers", By("name"), "core.v1.EphemeralContainer"),
            Field("imagePullSecrets", By("name"), ""),
            Field("hostAliases", By("ip"), ""),
            Field("topologySpreadConstraints", By("topologyKey"), ""),
            Field("schedulingGates", By("name"), ""),
            Field("resourceClaims", ByRetainingKeys("name"), ""),
        ],
        "core.v1.Container" | "core.v1.EphemeralContainer" => CONTAINER,
        "core.v1.Volume" => &[Field("ephemeral", Plain, "core.v1.EphemeralVolumeSource")],
        "core.v1.EphemeralVolumeSource" => {
            &[Field("volumeClaimTemplate", Plain, "core.v1.PersistentVolumeClaimTemplate")]
        }
        "core.v1.PersistentVolumeClaimTemplate" => &[METADATA],
        "core.v1.PodStatus" => &[
            Field("conditions", By("type"), ""),
            Field("hostIPs", By("ip"), ""),
            Field("podIPs", By("ip"), ""),
            Field("resourceClaimStatuses", ByRetainingKeys("name"), ""),
        ],
        // Reached through lists that are replaced as a whole; clients read the extensions from the schema.
        "core.v1.ContainerStatus" => {
            &[Field("volumeMounts", By("mountPath"), ""), Field("allocatedResourcesStatus", By("name"), "")]
        }
        "core.v1.ReplicationController" => &[
            METADATA,
            Field("spec", Plain, "core.v1.ReplicationControllerSpec"),
            Field("status", Plain, "core.v1.ReplicationControllerStatus"),
        ],
        "core.v1.ReplicationControllerSpec" => &[Field("template", Plain, "core.v1.PodTemplateSpec")],
        "core.v1.ReplicationControllerStatus"
        | "core.v1.ServiceStatus"
        | "core.v1.NamespaceStatus"
        | "core.v1.PersistentVolumeClaimStatus"
        | "apps.v1.DeploymentStatus"
        | "apps.v1.ReplicaSetStatus"
        | "apps.v1.StatefulSetStatus"
        | "apps.v1.DaemonSetStatus"
        | "batch.v1.JobStatus"
        | "autoscaling.v2.HorizontalPodAutoscalerStatus"
        | "policy.v1.PodDisruptionBudgetStatus"
        | "networking.v1.ServiceCIDRStatus"
        | "scheduling.v1alpha2.PodGroupStatus" => CONDITIONS,
        "core.v1.Service" => {
            &[METADATA, Field("spec", Plain, "core.v1.ServiceSpec"), Field("status", Plain, "core.v1.ServiceStatus")]
        }
        "core.v1.ServiceSpec" => &[Field("ports", By("port"), "")],
        "core.v1.ServiceAccount" => {
            // `imagePullSecrets` has no merge key here, unlike in a pod's spec.
            &[METADATA, Field("secrets", By("name"), "")]
        }
        "core.v1.Node" => {
            &[METADATA, Field("spec", Plain, "core.v1.NodeSpec"), Field("status", Plain, "core.v1.NodeStatus")]
        }
        "core.v1.NodeSpec" => &[Field("podCIDRs", Set, "")],
        "core.v1.NodeStatus" => &[Field("conditions", By("type"), ""), Field("addresses", By("type"), "")],
        "core.v1.Namespace" => &[METADATA, Field("status", Plain, "core.v1.NamespaceStatus")],
        "core.v1.PersistentVolumeClaim" => &[METADATA, Field("status", Plain, "core.v1.PersistentVolumeClaimStatus")],

        "apps.v1.Deployment" => &[
            METADATA,
            Field("spec", Plain, "apps.v1.DeploymentSpec"),
            Field("status", Plain, "apps.v1.DeploymentStatus"),
        ],
        "apps.v1.DeploymentSpec" => {
            &[Field("strategy", RetainKeys, ""), Field("template", Plain, "core.v1.PodTemplateSpec")]
        }
        "scheduling.v1alpha2.PodGroup" => &[METADATA, Field("status", Plain, "scheduling.v1alpha2.PodGroupStatus")],
        "apps.v1.ReplicaSet" => &[
            METADATA,
            Field("spec", Plain, "apps.v1.ReplicaSetSpec"),
            Field("status", Plain, "apps.v1.ReplicaSetStatus"),
        ],
        "apps.v1.StatefulSet" => &[
            METADATA,
            Field("spec", Plain, "apps.v1.StatefulSetSpec"),
            Field("status", Plain, "apps.v1.StatefulSetStatus"),
        ],
        "apps.v1.DaemonSet" => &[
            METADATA,
            Field("spec", Plain, "apps.v1.DaemonSetSpec"),
            Field("status", Plain, "apps.v1.DaemonSetStatus"),
        ],
        "apps.v1.ReplicaSetSpec" | "apps.v1.StatefulSetSpec" | "apps.v1.DaemonSetSpec" | "batch.v1.JobSpec" => {
            &[Field("template", Plain, "core.v1.PodTemplateSpec")]
        }

        "batch.v1.Job" => {
            &[METADATA, Field("spec", Plain, "batch.v1.JobSpec"), Field("status", Plain, "batch.v1.JobStatus")]
        }
        "batch.v1.CronJob" => &[METADATA, Field("spec", Plain, "batch.v1.CronJobSpec")],
        "batch.v1.CronJobSpec" => &[Field("jobTemplate", Plain, "batch.v1.JobTemplateSpec")],
        "batch.v1.JobTemplateSpec" => &[METADATA, Field("spec", Plain, "batch.v1.JobSpec")],
        "autoscaling.v2.HorizontalPodAutoscaler" => {
            &[METADATA, Field("status", Plain, "autoscaling.v2.HorizontalPodAutoscalerStatus")]
        }
        "policy.v1.PodDisruptionBudget" => &[
            METADATA,
            Field("spec", Plain, "policy.v1.PodDisruptionBudgetSpec"),
            Field("status", Plain, "policy.v1.PodDisruptionBudgetStatus"),
        ],
        "policy.v1.PodDisruptionBudgetSpec" => &[Field("selector", Replace, "")],
        "storage.v1.CSINode" => &[METADATA, Field("spec", Plain, "storage.v1.CSINodeSpec")],
        "storage.v1.CSINodeSpec" => &[Field("drivers", By("name"), "")],
        "networking.v1.ServiceCIDR" => &[METADATA, Field("status", Plain, "networking.v1.ServiceCIDRStatus")],
        "admissionregistration.v1.ValidatingAdmissionPolicy" => {
            &[METADATA, Field("spec", Plain, "admissionregistration.v1.ValidatingAdmissionPolicySpec")]
        }
        "admissionregistration.v1.ValidatingAdmissionPolicySpec" => {
            &[Field("matchConditions", By("name"), ""), Field("variables", By("name"), "")]
        }
        "admissionregistration.v1.ValidatingWebhookConfiguration" => {
            &[METADATA, Field("webhooks", By("name"), "admissionregistration.v1.ValidatingWebhook")]
        }
        "admissionregistration.v1.MutatingWebhookConfiguration" => {
            &[METADATA, Field("webhooks", By("name"), "admissionregistration.v1.MutatingWebhook")]
        }
        "admissionregistration.v1.ValidatingWebhook" | "admissionregistration.v1.MutatingWebhook" => {
            &[Field("matchConditions", By("name"), "")]
        }
        _ => &[],
    }
}

/// How a field of a type is merged, and the type of its value or items.
pub fn field(ty: &str, name: &str) -> (Merge, &'static str) {
    fields(ty).iter().find(|field| field.0 == name).map_or((Plain, ""), |field| (field.1, field.2))
}
