//! A function from utilization to score, given by points with straight lines between them.

use orchestra_core::field::{Error, Errors, Path};
use serde::Deserialize;

use crate::framework::MAX_NODE_SCORE;

/// The highest score of a point.
const MAX_POINT_SCORE: i32 = 10;

/// A point of the function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct UtilizationShapePoint {
    /// The share of the node that is reserved, in percent.
    pub utilization: i32,
    /// Its score, from 0 to 10.
    pub score: i32,
}

pub(super) fn validate_shape(shape: &[UtilizationShapePoint], path: &Path) -> Errors {
    if shape.is_empty() {
        return vec![Error::required(path, "at least one point must be specified")];
    }
    let mut errors = Errors::new();
    let unsorted = shape.windows(2).position(|pair| pair[0].utilization >= pair[1].utilization);
    if let Some(index) = unsorted.map(|before| before + 1) {
        let path = path.index(index).child("utilization");
        errors.push(Error::invalid(&path, shape[index].utilization, "values must be sorted in increasing order"));
    }
    for (index, point) in shape.iter().enumerate() {
        let mut check = |name: &str, value: i32, most: i32| {
            if !(0..=most).contains(&value) {
                let why = format!("not in valid range [0, {most}]");
                errors.push(Error::invalid(&path.index(index).child(name), value, why));
            }
        };
        check("utilization", point.utilization, 100);
        check("score", point.score, MAX_POINT_SCORE);
    }
    errors
}

/// The function that valid points stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Utilization and score, which goes up to [`MAX_NODE_SCORE`].
    points: Vec<(i64, i64)>,
}

impl Shape {
    pub(super) fn new(points: &[UtilizationShapePoint]) -> Self {
        let scale = MAX_NODE_SCORE / i64::from(MAX_POINT_SCORE);
        Self { points: points.iter().map(|point| (point.utilization.into(), i64::from(point.score) * scale)).collect() }
    }

    pub(super) fn score(&self, utilization: i64) -> i64 {
        match self.points.iter().position(|(at, _)| utilization <= *at) {
            Some(0) => self.points[0].1,
            Some(index) => {
                let ((from, low), (to, high)) = (self.points[index - 1], self.points[index]);
                low + (high - low) * (utilization - from) / (to - from)
            }
            None => self.points.last().map_or(0, |(_, score)| *score),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_lie_on_the_lines_between_the_points() {
        let point = |utilization, score| UtilizationShapePoint { utilization, score };
        let shape = Shape::new(&[point(20, 10), point(60, 0), point(80, 5)]);
        let scores = [0, 20, 40, 60, 70, 80, 100].map(|utilization| shape.score(utilization));
        assert_eq!(scores, [100, 100, 50, 0, 25, 50, 50]);
    }
}
