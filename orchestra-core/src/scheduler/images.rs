//! Which images nodes have, as their kubelets report it.

use std::sync::Arc;

use imbl::OrdMap;
use k8s_openapi::api::core::v1::{ContainerImage, Node};

/// The images of a node by name: where in its status each name stands, in order of the names. The names themselves stay there, so
/// that thousands of nodes do not keep them twice.
#[derive(Clone, Debug)]
pub(super) struct NodeImages {
    places: Arc<[Place]>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    image: u32,
    name: u32,
}

impl Place {
    fn image(self, node: &Node) -> Option<&ContainerImage> {
        images(node).get(self.image as usize)
    }

    fn name(self, node: &Node) -> &str {
        let names = self.image(node).and_then(|image| image.names.as_ref());
        names.and_then(|names| names.get(self.name as usize)).map_or("", String::as_str)
    }
}

fn images(node: &Node) -> &[ContainerImage] {
    node.status.as_ref().and_then(|status| status.images.as_deref()).unwrap_or_default()
}

impl NodeImages {
    pub(super) fn of(node: &Node) -> Self {
        let mut places: Vec<Place> = (0..)
            .zip(images(node))
            .flat_map(|(image, reported)| {
                (0..).zip(reported.names.iter().flatten()).map(move |(name, _)| Place { image, name })
            })
            .collect();
        places.sort_by(|a, b| a.name(node).cmp(b.name(node)));
        places.dedup_by(|a, b| a.name(node) == b.name(node));
        Self { places: places.into() }
    }

    /// The bytes of the image called `name`; `None` if the node does not have it.
    pub(super) fn size(&self, node: &Node, name: &str) -> Option<i64> {
        let index = self.places.binary_search_by(|place| place.name(node).cmp(name)).ok()?;
        Some(self.places[index].image(node)?.size_bytes.unwrap_or(0).max(0))
    }

    /// Each name once.
    fn names<'a>(&'a self, node: &'a Node) -> impl Iterator<Item = &'a str> {
        self.places.iter().map(|place| place.name(node))
    }
}

/// How many nodes have an image, by name.
#[derive(Clone, Default)]
pub(super) struct ImageSpread {
    nodes: OrdMap<Arc<str>, usize>,
}

impl ImageSpread {
    pub(super) fn get(&self, name: &str) -> usize {
        self.nodes.get(name).copied().unwrap_or(0)
    }

    /// A node came, went or changed. Most changes of nodes, and all of their pods, are none of its images.
    pub(super) fn replace(&mut self, old: Option<(&NodeImages, &Node)>, new: Option<(&NodeImages, &Node)>) {
        if let (Some((_, old)), Some((_, new))) = (old, new)
            && images(old) == images(new)
        {
            return;
        }
        for name in new.into_iter().flat_map(|(images, node)| images.names(node)) {
            match self.nodes.get_mut(name) {
                Some(nodes) => *nodes += 1,
                None => drop(self.nodes.insert(name.into(), 1)),
            }
        }
        for name in old.into_iter().flat_map(|(images, node)| images.names(node)) {
            match self.nodes.get_mut(name) {
                Some(nodes) if *nodes > 1 => *nodes -= 1,
                _ => drop(self.nodes.remove(name)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn node(images: Value) -> Node {
        serde_json::from_value(json!({ "metadata": { "name": "n" }, "status": { "images": images } })).unwrap()
    }

    #[test]
    fn an_image_is_found_by_each_of_its_names() {
        let node = node(json!([
            { "names": ["web:1", "web@sha256:abc"], "sizeBytes": 7 }, { "names": ["db:1"], "sizeBytes": 9 }, {}
        ]));
        let images = NodeImages::of(&node);
        let size = |name| images.size(&node, name);
        assert_eq!((size("web:1"), size("web@sha256:abc"), size("db:1")), (Some(7), Some(7), Some(9)));
        assert_eq!((size("web:2"), size("")), (None, None));
    }

    #[test]
    fn a_size_that_cannot_be_counts_as_none() {
        let node = node(json!([{ "names": ["a"], "sizeBytes": -1 }, { "names": ["b"] }]));
        let images = NodeImages::of(&node);
        assert_eq!((images.size(&node, "a"), images.size(&node, "b")), (Some(0), Some(0)));
    }

    #[test]
    fn each_node_counts_once_for_an_image_and_no_longer_than_it_has_it() {
        let both = node(json!([{ "names": ["a", "a", "b"] }, { "names": ["a"] }]));
        let one = node(json!([{ "names": ["b"] }]));
        let (of_both, of_one) = (NodeImages::of(&both), NodeImages::of(&one));
        let mut spread = ImageSpread::default();
        spread.replace(None, Some((&of_both, &both)));
        spread.replace(None, Some((&of_one, &one)));
        assert_eq!((spread.get("a"), spread.get("b")), (1, 2));
        spread.replace(Some((&of_both, &both)), Some((&of_one, &one)));
        assert_eq!((spread.get("a"), spread.get("b")), (0, 2));
        spread.replace(Some((&of_one, &one)), None);
        spread.replace(Some((&of_one, &one)), None);
        assert_eq!(spread.get("b"), 0);
    }
}
