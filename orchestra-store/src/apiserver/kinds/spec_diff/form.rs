//! The fields of Kubernetes' internal types (`pkg/apis/core/types.go`), in the order of their declaration.

use Form::{Flag, Held, List, Number, Raw, Struct, Text, Unknown};

/// The fields of a struct.
pub(super) type Fields = &'static [(&'static str, Form)];

/// What a field holds, and so how it looks when absent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    /// A string; `""`.
    Text,
    /// A bool; `false`.
    Flag,
    /// A number; `0`.
    Number,
    /// A pointer to one of these, a map, or a list of these; `null`.
    Raw,
    /// A pointer to a struct; `null`.
    Struct(Fields),
    /// A struct.
    Held(Fields),
    /// A list of structs; `null`.
    List(Fields),
    /// A pointer to a struct, or a list of structs, of which only the fields that are set are shown; `null`.
    Unknown,
}

/// `PodSpec`.
pub(super) const POD_SPEC: Fields = &[
    ("Volumes", List(VOLUME)),
    ("InitContainers", List(CONTAINER)),
    ("Containers", List(CONTAINER)),
    ("EphemeralContainers", List(CONTAINER)),
    ("RestartPolicy", Text),
    ("TerminationGracePeriodSeconds", Raw),
    ("ActiveDeadlineSeconds", Raw),
    ("DNSPolicy", Text),
    ("NodeSelector", Raw),
    ("ServiceAccountName", Text),
    ("AutomountServiceAccountToken", Raw),
    ("NodeName", Text),
    ("SecurityContext", Struct(POD_SECURITY)),
    ("ImagePullSecrets", List(&[("Name", Text)])),
    ("Hostname", Text),
    ("Subdomain", Text),
    ("SetHostnameAsFQDN", Raw),
    ("Affinity", Struct(AFFINITY)),
    ("SchedulerName", Text),
    ("Tolerations", List(TOLERATION)),
    ("HostAliases", List(&[("IP", Text), ("Hostnames", Raw)])),
    ("PriorityClassName", Text),
    ("Priority", Raw),
    ("PreemptionPolicy", Raw),
    ("DNSConfig", Struct(&[("Nameservers", Raw), ("Searches", Raw), ("Options", Unknown)])),
    ("ReadinessGates", List(&[("ConditionType", Text)])),
    ("RuntimeClassName", Raw),
    ("Overhead", Raw),
    ("EnableServiceLinks", Raw),
    ("TopologySpreadConstraints", List(SPREAD)),
    ("OS", Struct(&[("Name", Text)])),
    ("SchedulingGates", List(&[("Name", Text)])),
    ("ResourceClaims", List(&[("Name", Text), ("ResourceClaimName", Raw), ("ResourceClaimTemplateName", Raw)])),
    ("Resources", Struct(RESOURCES)),
    ("HostnameOverride", Raw),
    ("SchedulingGroup", Unknown),
];

const VOLUME: Fields = &[
    ("Name", Text),
    ("HostPath", Struct(&[("Path", Text), ("Type", Raw)])),
    ("EmptyDir", Struct(&[("Medium", Text), ("SizeLimit", Raw)])),
    ("GCEPersistentDisk", Unknown),
    ("AWSElasticBlockStore", Unknown),
    ("GitRepo", Unknown),
    ("Secret", Struct(&[("SecretName", Text), ("Items", List(KEY)), ("DefaultMode", Raw), ("Optional", Raw)])),
    ("NFS", Struct(&[("Server", Text), ("Path", Text), ("ReadOnly", Flag)])),
    ("ISCSI", Unknown),
    ("Glusterfs", Unknown),
    ("PersistentVolumeClaim", Struct(&[("ClaimName", Text), ("ReadOnly", Flag)])),
    ("RBD", Unknown),
    ("Quobyte", Unknown),
    ("FlexVolume", Unknown),
    ("Cinder", Unknown),
    ("CephFS", Unknown),
    ("Flocker", Unknown),
    ("DownwardAPI", Struct(&[("Items", List(DOWNWARD_FILE)), ("DefaultMode", Raw)])),
    ("FC", Unknown),
    ("AzureFile", Unknown),
    ("ConfigMap", Struct(&[("Name", Text), ("Items", List(KEY)), ("DefaultMode", Raw), ("Optional", Raw)])),
    ("VsphereVolume", Unknown),
    ("AzureDisk", Unknown),
    ("PhotonPersistentDisk", Unknown),
    ("Projected", Struct(&[("Sources", List(PROJECTION)), ("DefaultMode", Raw)])),
    ("PortworxVolume", Unknown),
    ("ScaleIO", Unknown),
    ("StorageOS", Unknown),
    ("CSI", Unknown),
    ("Ephemeral", Unknown),
    ("Image", Struct(&[("Reference", Text), ("PullPolicy", Text)])),
];

/// `PersistentVolumeClaimSpec`.
pub(super) const CLAIM_SPEC: Fields = &[
    ("AccessModes", Raw),
    ("Selector", SELECTOR),
    ("Resources", Held(&[("Limits", Raw), ("Requests", Raw)])),
    ("VolumeName", Text),
    ("StorageClassName", Raw),
    ("VolumeMode", Raw),
    ("DataSource", Struct(&[("APIGroup", Raw), ("Kind", Text), ("Name", Text)])),
    ("DataSourceRef", Struct(&[("APIGroup", Raw), ("Kind", Text), ("Name", Text), ("Namespace", Raw)])),
    ("VolumeAttributesClassName", Raw),
];

/// `PersistentVolumeSource`.
pub(super) const VOLUME_SOURCE: Fields = &[
    ("GCEPersistentDisk", Unknown),
    ("AWSElasticBlockStore", Unknown),
    ("HostPath", Struct(&[("Path", Text), ("Type", Raw)])),
    ("Glusterfs", Unknown),
    ("NFS", Struct(&[("Server", Text), ("Path", Text), ("ReadOnly", Flag)])),
    ("RBD", Unknown),
    ("Quobyte", Unknown),
    ("ISCSI", Unknown),
    ("FlexVolume", Unknown),
    ("Cinder", Unknown),
    ("CephFS", Unknown),
    ("FC", Unknown),
    ("Flocker", Unknown),
    ("AzureFile", Unknown),
    ("VsphereVolume", Unknown),
    ("AzureDisk", Unknown),
    ("PhotonPersistentDisk", Unknown),
    ("PortworxVolume", Unknown),
    ("ScaleIO", Unknown),
    ("Local", Struct(&[("Path", Text), ("FSType", Raw)])),
    ("StorageOS", Unknown),
    ("CSI", Unknown),
];

const KEY: Fields = &[("Key", Text), ("Path", Text), ("Mode", Raw)];
const FIELD_REF: Fields = &[("APIVersion", Text), ("FieldPath", Text)];
const RESOURCE_REF: Fields = &[("ContainerName", Text), ("Resource", Text), ("Divisor", Raw)];

const DOWNWARD_FILE: Fields =
    &[("Path", Text), ("FieldRef", Struct(FIELD_REF)), ("ResourceFieldRef", Struct(RESOURCE_REF)), ("Mode", Raw)];

const PROJECTION: Fields = &[
    ("Secret", Struct(&[("Name", Text), ("Items", List(KEY)), ("Optional", Raw)])),
    ("DownwardAPI", Struct(&[("Items", List(DOWNWARD_FILE))])),
    ("ConfigMap", Struct(&[("Name", Text), ("Items", List(KEY)), ("Optional", Raw)])),
    ("ServiceAccountToken", Struct(&[("Audience", Text), ("ExpirationSeconds", Number), ("Path", Text)])),
    ("ClusterTrustBundle", Unknown),
    ("PodCertificate", Unknown),
];

const CONTAINER: Fields = &[
    ("Name", Text),
    ("Image", Text),
    ("Command", Raw),
    ("Args", Raw),
    ("WorkingDir", Text),
    ("Ports", List(PORT)),
    ("EnvFrom", List(&[("Prefix", Text), ("ConfigMapRef", Struct(ENV_SOURCE)), ("SecretRef", Struct(ENV_SOURCE))])),
    ("Env", List(&[("Name", Text), ("Value", Text), ("ValueFrom", Struct(VALUE_FROM))])),
    ("Resources", Held(RESOURCES)),
    ("ResizePolicy", List(&[("ResourceName", Text), ("RestartPolicy", Text)])),
    ("RestartPolicy", Raw),
    ("RestartPolicyRules", Unknown),
    ("VolumeMounts", List(MOUNT)),
    ("VolumeDevices", List(&[("Name", Text), ("DevicePath", Text)])),
    ("LivenessProbe", Struct(PROBE)),
    ("ReadinessProbe", Struct(PROBE)),
    ("StartupProbe", Struct(PROBE)),
    ("Lifecycle", Struct(&[("PostStart", Struct(HANDLER)), ("PreStop", Struct(HANDLER)), ("StopSignal", Raw)])),
    ("TerminationMessagePath", Text),
    ("TerminationMessagePolicy", Text),
    ("ImagePullPolicy", Text),
    ("SecurityContext", Struct(SECURITY)),
    ("Stdin", Flag),
    ("StdinOnce", Flag),
    ("TTY", Flag),
];

const PORT: Fields =
    &[("Name", Text), ("HostPort", Number), ("ContainerPort", Number), ("Protocol", Text), ("HostIP", Text)];
const ENV_SOURCE: Fields = &[("Name", Text), ("Optional", Raw)];
const KEY_REF: Fields = &[("Name", Text), ("Key", Text), ("Optional", Raw)];

const VALUE_FROM: Fields = &[
    ("FieldRef", Struct(FIELD_REF)),
    ("ResourceFieldRef", Struct(RESOURCE_REF)),
    ("ConfigMapKeyRef", Struct(KEY_REF)),
    ("SecretKeyRef", Struct(KEY_REF)),
    ("FileKeyRef", Struct(&[("VolumeName", Text), ("Path", Text), ("Key", Text), ("Optional", Raw)])),
];

const RESOURCES: Fields = &[("Limits", Raw), ("Requests", Raw), ("Claims", List(&[("Name", Text), ("Request", Text)]))];

const MOUNT: Fields = &[
    ("Name", Text),
    ("ReadOnly", Flag),
    ("RecursiveReadOnly", Raw),
    ("MountPath", Text),
    ("SubPath", Text),
    ("MountPropagation", Raw),
    ("SubPathExpr", Text),
];

const EXEC: Form = Struct(&[("Command", Raw)]);
const TCP_SOCKET: Form = Struct(&[("Port", Raw), ("Host", Text)]);
const HTTP_GET: Form = Struct(&[
    ("Path", Text),
    ("Port", Raw),
    ("Host", Text),
    ("Scheme", Text),
    ("HTTPHeaders", List(&[("Name", Text), ("Value", Text)])),
]);

const HANDLER: Fields =
    &[("Exec", EXEC), ("HTTPGet", HTTP_GET), ("TCPSocket", TCP_SOCKET), ("Sleep", Struct(&[("Seconds", Number)]))];

const PROBE: Fields = &[
    ("Exec", EXEC),
    ("HTTPGet", HTTP_GET),
    ("TCPSocket", TCP_SOCKET),
    ("GRPC", Struct(&[("Port", Number), ("Service", Raw)])),
    ("InitialDelaySeconds", Number),
    ("TimeoutSeconds", Number),
    ("PeriodSeconds", Number),
    ("SuccessThreshold", Number),
    ("FailureThreshold", Number),
    ("TerminationGracePeriodSeconds", Raw),
];

const PROFILE: Form = Struct(&[("Type", Text), ("LocalhostProfile", Raw)]);
const SE_LINUX: Form = Struct(&[("User", Text), ("Role", Text), ("Type", Text), ("Level", Text)]);

const SECURITY: Fields = &[
    ("Capabilities", Struct(&[("Add", Raw), ("Drop", Raw)])),
    ("Privileged", Raw),
    ("SELinuxOptions", SE_LINUX),
    ("WindowsOptions", Unknown),
    ("RunAsUser", Raw),
    ("RunAsGroup", Raw),
    ("RunAsNonRoot", Raw),
    ("ReadOnlyRootFilesystem", Raw),
    ("AllowPrivilegeEscalation", Raw),
    ("ProcMount", Raw),
    ("SeccompProfile", PROFILE),
    ("AppArmorProfile", PROFILE),
];

const POD_SECURITY: Fields = &[
    ("HostNetwork", Flag),
    ("HostPID", Flag),
    ("HostIPC", Flag),
    ("ShareProcessNamespace", Raw),
    ("HostUsers", Raw),
    ("SELinuxOptions", SE_LINUX),
    ("WindowsOptions", Unknown),
    ("RunAsUser", Raw),
    ("RunAsGroup", Raw),
    ("RunAsNonRoot", Raw),
    ("SupplementalGroups", Raw),
    ("SupplementalGroupsPolicy", Raw),
    ("FSGroup", Raw),
    ("FSGroupChangePolicy", Raw),
    ("Sysctls", List(&[("Name", Text), ("Value", Text)])),
    ("SeccompProfile", PROFILE),
    ("AppArmorProfile", PROFILE),
    ("SELinuxChangePolicy", Raw),
];

const REQUIREMENT: Fields = &[("Key", Text), ("Operator", Text), ("Values", Raw)];
const NODE_TERM: Fields = &[("MatchExpressions", List(REQUIREMENT)), ("MatchFields", List(REQUIREMENT))];
/// Selectors are types of the API themselves, with its names, and omit what is absent.
const SELECTOR: Form = Raw;

const POD_TERM: Fields = &[
    ("LabelSelector", SELECTOR),
    ("Namespaces", Raw),
    ("TopologyKey", Text),
    ("NamespaceSelector", SELECTOR),
    ("MatchLabelKeys", Raw),
    ("MismatchLabelKeys", Raw),
];

const POD_AFFINITY: Form = Struct(&[
    ("RequiredDuringSchedulingIgnoredDuringExecution", List(POD_TERM)),
    (
        "PreferredDuringSchedulingIgnoredDuringExecution",
        List(&[("Weight", Number), ("PodAffinityTerm", Held(POD_TERM))]),
    ),
]);

const NODE_AFFINITY: Form = Struct(&[
    ("RequiredDuringSchedulingIgnoredDuringExecution", Struct(&[("NodeSelectorTerms", List(NODE_TERM))])),
    ("PreferredDuringSchedulingIgnoredDuringExecution", List(&[("Weight", Number), ("Preference", Held(NODE_TERM))])),
]);

const AFFINITY: Fields =
    &[("NodeAffinity", NODE_AFFINITY), ("PodAffinity", POD_AFFINITY), ("PodAntiAffinity", POD_AFFINITY)];

const TOLERATION: Fields =
    &[("Key", Text), ("Operator", Text), ("Value", Text), ("Effect", Text), ("TolerationSeconds", Raw)];

const SPREAD: Fields = &[
    ("MaxSkew", Number),
    ("TopologyKey", Text),
    ("WhenUnsatisfiable", Text),
    ("LabelSelector", SELECTOR),
    ("MinDomains", Raw),
    ("NodeAffinityPolicy", Raw),
    ("NodeTaintsPolicy", Raw),
    ("MatchLabelKeys", Raw),
];
