use std::borrow::Cow;

use orchestra_core::scheduler::{NodeInfo, PodInfo, Snapshot};

use crate::framework::{CycleState, MAX_NODE_SCORE, Plugin, PreFilter, PreFilterOutcome, PreScore, Score};

const MIB: i64 = 1024 * 1024;
/// What has to be pulled anyway is not worth a choice below this size.
const LEAST: i64 = 23 * MIB;
/// From here on more makes no difference, for each container.
const MOST_PER_CONTAINER: i64 = 1000 * MIB;

/// Prefers nodes that have the images of a pod's containers already, the larger ones more.
///
/// An image counts with its size times the share of the nodes that have it: where few have it, all pods that need it would go there.
/// Init containers count as the others do.
#[derive(Clone, Copy, Debug, Default)]
pub struct ImageLocality;

impl Plugin for ImageLocality {
    fn name(&self) -> &'static str {
        "ImageLocality"
    }

    fn as_pre_filter(&self) -> Option<&dyn PreFilter> {
        Some(self)
    }

    fn as_pre_score(&self) -> Option<&dyn PreScore> {
        Some(self)
    }

    fn as_score(&self) -> Option<&dyn Score> {
        Some(self)
    }
}

/// The pod's images that any node has; kept if there is one.
struct Wanted {
    images: Vec<Image>,
    most: i64,
}

struct Image {
    name: String,
    /// The share of the nodes that have it.
    spread: f64,
}

impl Wanted {
    fn of(pod: &PodInfo, snapshot: &Snapshot) -> Self {
        let spec = pod.spec();
        let containers =
            spec.into_iter().flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers));
        let names: Vec<_> =
            containers.map(|container| normalized(container.image.as_deref().unwrap_or_default())).collect();
        let count = i64::try_from(names.len()).unwrap_or(i64::MAX);
        let images = names.into_iter().filter_map(|name| {
            let nodes = snapshot.nodes_with_image(&name);
            let spread = nodes as f64 / snapshot.len() as f64;
            (nodes > 0).then(|| Image { name: name.into_owned(), spread })
        });
        Self { images: images.collect(), most: count.saturating_mul(MOST_PER_CONTAINER) }
    }
}

/// The name as kubelets report it: without tag or digest, a name means the tag `latest`.
fn normalized(name: &str) -> Cow<'_, str> {
    if name.rfind(':') <= name.rfind('/') { format!("{name}:latest").into() } else { name.into() }
}

impl PreFilter for ImageLocality {
    /// All nodes are known only here.
    fn pre_filter(&self, state: &mut CycleState, pod: &PodInfo, snapshot: &Snapshot) -> PreFilterOutcome {
        let wanted = Wanted::of(pod, snapshot);
        if !wanted.images.is_empty() {
            state.write(wanted);
        }
        PreFilterOutcome::Skip
    }
}

impl PreScore for ImageLocality {
    fn pre_score(&self, state: &mut CycleState, _: &PodInfo, _: &[&NodeInfo]) -> bool {
        state.read::<Wanted>().is_some()
    }
}

impl Score for ImageLocality {
    fn score(&self, state: &CycleState, _: &PodInfo, node: &NodeInfo) -> i64 {
        let Some(wanted) = state.read::<Wanted>() else { return 0 };
        let there = wanted.images.iter().filter_map(|image| {
            let size = node.image_size(&image.name)?;
            Some((size as f64 * image.spread) as i64)
        });
        let bytes = there.fold(0, i64::saturating_add).clamp(LEAST, wanted.most);
        MAX_NODE_SCORE * (bytes - LEAST) / (wanted.most - LEAST)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::testing::*, *};

    const GIB: i64 = 1024 * MIB;

    fn having(name: &str, images: &[(&str, i64)]) -> NodeInfo {
        let images: Vec<_> = images.iter().map(|(name, size)| json!({ "names": [name], "sizeBytes": size })).collect();
        node(json!({ "metadata": { "name": name }, "status": { "images": images } }))
    }

    fn running(images: &[&str]) -> PodInfo {
        let containers: Vec<_> = images.iter().map(|image| json!({ "name": "c", "image": image })).collect();
        pod(json!({ "containers": containers }))
    }

    fn scores_of(pod: &PodInfo, nodes: &[NodeInfo]) -> Option<Vec<i64>> {
        scores(&ImageLocality, pod, &nodes.iter().collect::<Vec<_>>())
    }

    #[test]
    fn the_node_that_has_the_image_is_better() {
        let nodes = [having("n1", &[("web:1", 600 * MIB)]), having("n2", &[("db:1", 600 * MIB)])];
        // Half of the nodes have it: 300 MiB of the range from 23 to 1000.
        assert_eq!(scores_of(&running(&["web:1"]), &nodes), Some(vec![28, 0]));
    }

    #[test]
    fn an_image_on_few_nodes_counts_less() {
        let one = [having("n1", &[("web:1", 800 * MIB)]), having("n2", &[]), having("n3", &[]), having("n4", &[])];
        assert_eq!(scores_of(&running(&["web:1"]), &one), Some(vec![18, 0, 0, 0]));
        let both = [having("n1", &[("web:1", 800 * MIB)]), having("n2", &[("web:1", 800 * MIB)])];
        assert_eq!(scores_of(&running(&["web:1"]), &both), Some(vec![79, 79]));
    }

    #[test]
    fn small_images_do_not_count_and_large_ones_not_without_end() {
        let nodes = [
            having("n1", &[("small:1", 22 * MIB), ("large:1", 9 * GIB)]),
            having("n2", &[("small:1", 23 * MIB), ("large:1", 9 * GIB)]),
        ];
        assert_eq!(scores_of(&running(&["small:1"]), &nodes), Some(vec![0, 0]));
        assert_eq!(scores_of(&running(&["large:1"]), &nodes), Some(vec![100, 100]));
    }

    #[test]
    fn the_images_of_all_containers_add_up_and_so_does_what_is_most() {
        let nodes = [having("n1", &[("a:1", 500 * MIB), ("b:1", 500 * MIB)])];
        assert_eq!(scores_of(&running(&["a:1", "b:1"]), &nodes), Some(vec![49]));
        assert_eq!(scores_of(&running(&["a:1"]), &nodes), Some(vec![48]));
    }

    #[test]
    fn init_containers_count_too() {
        let nodes = [having("n1", &[("init:1", 2000 * MIB)])];
        let image = |image: &str| json!([{ "name": image, "image": image }]);
        let with_init = pod(json!({ "initContainers": image("init:1"), "containers": image("web:1") }));
        assert_eq!(scores_of(&with_init, &nodes), Some(vec![100]));
    }

    #[test]
    fn a_name_without_tag_means_latest() {
        for (name, normal) in [
            ("web", "web:latest"),
            ("registry:5000/web", "registry:5000/web:latest"),
            ("registry:5000/web:1", "registry:5000/web:1"),
            ("web@sha256:abc", "web@sha256:abc"),
            ("", ":latest"),
        ] {
            assert_eq!(normalized(name), normal);
        }
        let nodes = [having("n1", &[("registry:5000/web:latest", GIB)])];
        assert_eq!(scores_of(&running(&["registry:5000/web"]), &nodes), Some(vec![100]));
    }

    #[test]
    fn images_that_no_node_has_are_not_scored() {
        assert_eq!(scores_of(&running(&["web:1"]), &[having("n1", &[]), node(json!({}))]), None);
        assert_eq!(scores_of(&pod(json!({ "containers": [] })), &[having("n1", &[("web:1", GIB)])]), None);
    }

    #[test]
    fn absurd_sizes_do_not_overflow() {
        let nodes = [having("n1", &[("a:1", i64::MAX), ("b:1", i64::MAX), ("c:1", -5)])];
        assert_eq!(scores_of(&running(&["a:1", "b:1"]), &nodes), Some(vec![100]));
        assert_eq!(scores_of(&running(&["c:1"]), &nodes), Some(vec![0]));
    }

    #[test]
    fn a_node_that_lost_its_images_does_not_count_any_more() {
        let mut snapshot = Snapshot::from_iter([having("n1", &[("web:1", GIB)]), having("n2", &[("web:1", GIB)])]);
        snapshot.insert(having("n2", &[]));
        assert_eq!(snapshot.nodes_with_image("web:1"), 1);
        snapshot.remove("n1");
        assert_eq!(snapshot.nodes_with_image("web:1"), 0);
    }
}
