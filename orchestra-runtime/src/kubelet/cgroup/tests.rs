//! Against folders that are laid out as the kernel lays out its own.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use orchestra_core::container_runtime::CgroupDriver;
use serde_json::json;

use super::{hierarchies::Legacy, *};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    /// With cgroups at `places`, each of which has these files.
    fn with(places: &[&str], files: &[(&str, &str)]) -> Self {
        let name = format!("orchestra-cgroup-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let root = std::env::temp_dir().join(name);
        for place in places {
            let cgroup = root.join(place);
            fs::create_dir_all(&cgroup).unwrap();
            files.iter().for_each(|(file, content)| fs::write(cgroup.join(file), content).unwrap());
        }
        Self(root)
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.0.join(file)).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn settings(root: &str) -> CgroupSettings {
    CgroupSettings { root: root.to_owned(), pod_processes: Some(64), driver: CgroupDriver::Cgroupfs }
}

fn pod(uid: &str) -> Pod {
    let amounts = json!({ "cpu": "500m", "memory": "64Mi" });
    let resources = json!({ "requests": { "cpu": "250m" }, "limits": amounts });
    let container = json!({ "name": "c", "resources": resources });
    serde_json::from_value(json!({ "metadata": { "uid": uid }, "spec": { "containers": [container] } })).unwrap()
}

/// What the kernel has for each cgroup of v2.
const V2: [(&str, &str); 9] = [
    ("cgroup.controllers", "cpuset cpu io memory hugetlb pids\n"),
    ("cgroup.subtree_control", ""),
    ("cpu.weight", "100\n"),
    ("cpu.max", "max 100000\n"),
    ("memory.max", "max\n"),
    ("pids.max", "max\n"),
    ("hugetlb.2MB.max", "max\n"),
    ("hugetlb.2MB.rsvd.max", "max\n"),
    ("hugetlb.1GB.max", "max\n"),
];
const PLACES: [&str; 5] = ["", "n1", "n1/kubepods", "n1/kubepods/burstable", "n1/kubepods/besteffort"];
const POD: &str = "n1/kubepods/burstable/podu";

#[tokio::test]
async fn cgroups_of_v2_are_granted_weights_and_maxima() {
    let folder = Folder::with(&[PLACES.as_slice(), &[POD]].concat(), &V2);
    let cgroups = Cgroups::within(Hierarchies::V2(folder.0.clone()), &settings("/n1")).unwrap();
    assert_eq!(folder.read("n1/kubepods/besteffort/cpu.weight"), "1");
    // The last controller that it was told of: a real one keeps all.
    assert_eq!(folder.read("n1/kubepods/cgroup.subtree_control"), "+rdma");
    let pod = pod("u");
    assert_eq!(cgroups.parent(&pod).unwrap(), format!("/{POD}"));
    let limits = cgroups.limits(&pod);
    assert_eq!(cgroups.make_pod(&pod, limits.clone()).await.unwrap(), PodCgroup::Granted(limits));
    let has = ["cpu.weight", "cpu.max", "memory.max", "pids.max"].map(|file| folder.read(&format!("{POD}/{file}")));
    assert_eq!(has, ["10", "50000 100000", "67108864", "64"]);
}

#[tokio::test]
async fn huge_pages_are_those_that_the_pod_asks_for() {
    let folder = Folder::with(&[PLACES.as_slice(), &[POD]].concat(), &V2);
    let cgroups = Cgroups::within(Hierarchies::V2(folder.0.clone()), &settings("n1")).unwrap();
    let mut pod = pod("u");
    let pages = |list: &mut Option<BTreeMap<_, _>>| {
        list.get_or_insert_default().insert("hugepages-2Mi".into(), Quantity("4Mi".into()))
    };
    let resources = pod.spec.as_mut().unwrap().containers[0].resources.as_mut().unwrap();
    pages(&mut resources.requests);
    pages(&mut resources.limits);
    cgroups.make_pod(&pod, cgroups.limits(&pod)).await.unwrap();
    let has = ["2MB.max", "2MB.rsvd.max", "1GB.max"].map(|file| folder.read(&format!("{POD}/hugetlb.{file}")));
    assert_eq!(has, ["4194304", "4194304", "0"]);
    assert_eq!(folder.read("n1/kubepods/besteffort/hugetlb.2MB.max"), "max\n");
}

#[tokio::test]
async fn limits_that_are_no_more_are_lifted() {
    let folder = Folder::with(&[PLACES.as_slice(), &[POD]].concat(), &V2);
    let cgroups = Cgroups::within(Hierarchies::V2(folder.0.clone()), &settings("n1")).unwrap();
    let mut pod = pod("u");
    cgroups.make_pod(&pod, cgroups.limits(&pod)).await.unwrap();
    pod.spec.as_mut().unwrap().containers[0].resources.as_mut().unwrap().limits = None;
    cgroups.grant(&pod, cgroups.limits(&pod)).await.unwrap();
    let has = ["cpu.weight", "cpu.max", "memory.max"].map(|file| folder.read(&format!("{POD}/{file}")));
    assert_eq!(has, ["10", "max 100000", "max"]);
}

#[test]
fn a_controller_that_is_not_there_is_named() {
    let without = [("cgroup.controllers", "cpu memory\n"), ("cgroup.subtree_control", "")];
    let folder = Folder::with(&PLACES, &without);
    let error = Cgroups::within(Hierarchies::V2(folder.0.clone()), &settings("n1")).map(drop).unwrap_err();
    assert!(error.to_string().ends_with("n1/kubepods: has some missing controllers: pids"), "{error}");
}

/// Hierarchies of v1 with a controller each.
fn v1(root: &Path, controllers: &[&str]) -> Hierarchies {
    let folders: Vec<_> = controllers.iter().map(|name| root.join(name)).collect();
    let controllers = controllers.iter().map(|name| (*name).to_owned()).zip(folders.clone()).collect();
    Hierarchies::V1(Legacy { controllers, folders, processes_only: Some(root.join("unified")) })
}

/// What the kernel has for each cgroup of v1, in whichever hierarchy it is.
const V1: [(&str, &str); 5] = [
    ("cpu.shares", "1024\n"),
    ("cpu.cfs_period_us", "100000\n"),
    ("cpu.cfs_quota_us", "-1\n"),
    ("memory.limit_in_bytes", "9223372036854771712\n"),
    ("pids.max", "max\n"),
];

#[tokio::test]
async fn cgroups_of_v1_are_granted_shares_and_limits_in_each_hierarchy() {
    let controllers = ["cpu", "memory", "pids"];
    let places: Vec<_> = controllers.iter().flat_map(|name| PLACES.map(|place| format!("{name}/{place}"))).collect();
    let pods: Vec<_> = controllers.iter().map(|name| format!("{name}/{POD}")).collect();
    let all: Vec<_> = places.iter().chain(&pods).map(String::as_str).collect();
    let folder = Folder::with(&all, &V1);
    let cgroups = Cgroups::within(v1(&folder.0, &controllers), &settings("n1")).unwrap();
    assert_eq!(folder.read("cpu/n1/kubepods/besteffort/cpu.shares"), "2");
    let pod = pod("u");
    cgroups.make_pod(&pod, cgroups.limits(&pod)).await.unwrap();
    let has =
        ["cpu.shares", "cpu.cfs_period_us", "cpu.cfs_quota_us"].map(|file| folder.read(&format!("cpu/{POD}/{file}")));
    assert_eq!(has, ["256", "100000", "50000"]);
    assert_eq!(folder.read(&format!("memory/{POD}/memory.limit_in_bytes")), "67108864");
    assert_eq!(folder.read(&format!("pids/{POD}/pids.max")), "64");
}

#[test]
fn systemd_shares_no_hierarchy_of_v1() {
    let driver = CgroupDriver::Systemd;
    let settings = CgroupSettings { driver, ..settings("/") };
    let error = Cgroups::within(v1(Path::new("/nowhere"), &["cpu", "memory"]), &settings).map(drop).unwrap_err();
    assert_eq!(error.to_string(), "the cgroup driver systemd needs cgroup v2");
}

#[tokio::test]
async fn cgroups_go_with_their_pods_wherever_they_are() {
    let folder = Folder::with(&["cpu", "memory", "unified"], &[]);
    let cgroups = Cgroups(Arc::new(Inner {
        driver: Driver::new(v1(&folder.0, &["cpu", "memory"]), CgroupDriver::Cgroupfs).unwrap(),
        places: Places::below("/", CgroupDriver::Cgroupfs).unwrap(),
        pod_processes: None,
        burstable: Mutex::default(),
        changed: Notify::new(),
    }));
    let there =
        ["cpu/kubepods/poda/c1", "memory/kubepods/poda", "unified/kubepods/poda", "cpu/kubepods/burstable/podb/c2"];
    let others = ["memory/kubepods/besteffort/podc", "cpu/kubepods/other", "memory/kubepods/podd"];
    there.iter().chain(&others).for_each(|path| fs::create_dir_all(folder.0.join(path)).unwrap());
    cgroups.remove_pod("a").await.unwrap();
    cgroups.remove_pod("a").await.unwrap();
    cgroups.remove_orphans(BTreeSet::from(["c".to_owned(), "d".to_owned()])).await.unwrap();
    assert!(
        ["cpu/kubepods/poda", "memory/kubepods/poda", "unified/kubepods/poda", "cpu/kubepods/burstable/podb"]
            .iter()
            .all(|path| !folder.0.join(path).exists())
    );
    assert!(others.iter().all(|path| folder.0.join(path).exists()));
}

#[tokio::test]
async fn a_busy_cgroup_keeps_none_of_the_others() {
    let folder = Folder::with(&["cpu/kubepods/poda", "memory/kubepods/poda"], &[]);
    // A folder with a file is not removed, as a cgroup with a process is not.
    fs::write(folder.0.join("cpu/kubepods/poda/held"), "").unwrap();
    let cgroups = Cgroups(Arc::new(Inner {
        driver: Driver::new(v1(&folder.0, &["cpu", "memory"]), CgroupDriver::Cgroupfs).unwrap(),
        places: Places::below("/", CgroupDriver::Cgroupfs).unwrap(),
        pod_processes: None,
        burstable: Mutex::default(),
        changed: Notify::new(),
    }));
    cgroups.remove_pod("a").await.unwrap_err();
    assert!(folder.0.join("cpu/kubepods/poda").exists());
    assert!(!folder.0.join("memory/kubepods/poda").exists());
}

#[tokio::test]
async fn a_pod_without_a_cgroup_is_granted_nothing() {
    let folder = Folder::with(&PLACES, &V2);
    let cgroups = Cgroups::within(Hierarchies::V2(folder.0.clone()), &settings("n1")).unwrap();
    let pod = pod("u");
    assert_eq!(cgroups.grant(&pod, cgroups.limits(&pod)).await.unwrap(), PodCgroup::None);
    assert!(!folder.0.join(POD).exists());
}
