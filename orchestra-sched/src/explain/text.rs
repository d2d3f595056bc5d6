//! Explanations as tables.

use std::{cmp::Reverse, collections::BTreeMap, fmt};

use super::{Explanation, GangExplanation, NodeExplanation, Scorer, Verdict};

/// How many nodes that fit `{}` shows, and how many names it gives to a reason.
const SHOWN_NODES: usize = 10;
const SHOWN_NAMES: usize = 3;

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fitting = self.feasible().count();
        writeln!(f, "pod {}: {fitting} of {} nodes fit", self.pod, self.nodes.len())?;
        if let Some(gang) = &self.gang {
            writeln!(f, "{gang}")?;
        }
        let limit = |limit| if f.alternate() { usize::MAX } else { limit };
        let (nodes, names) = (limit(SHOWN_NODES), limit(SHOWN_NAMES));
        if fitting > 0 {
            writeln!(f)?;
            self.write_scores(f, nodes)?;
        }
        if fitting < self.nodes.len() {
            writeln!(f)?;
            self.write_reasons(f, names)?;
        }
        if let Some(message) = &self.message {
            writeln!(f, "\n{message}")?;
        }
        if !self.not_asked.is_empty() {
            writeln!(f, "\nnot asked: extenders {}", self.not_asked.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Display for GangExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group, minimum, placed, held_back } = self;
        match held_back {
            Some(why) => write!(f, "group {group}: {why}"),
            None => write!(f, "group {group}: {minimum} pods have to have nodes at once, so far {placed} do"),
        }
    }
}

impl Explanation {
    fn write_scores(&self, f: &mut fmt::Formatter<'_>, limit: usize) -> fmt::Result {
        let asked: Vec<&Scorer> = self.scorers.iter().filter(|scorer| !scorer.skipped).collect();
        let heading = |scorer: &&Scorer| format!("{} x{}", scorer.plugin, scorer.weight);
        let head = ["FITS".to_owned(), "TOTAL".to_owned()].into_iter().chain(asked.iter().map(heading));
        let mut rows = vec![head.collect::<Vec<_>>()];
        let mut fitting: Vec<&NodeExplanation> = self.nodes.iter().filter(|node| node.feasible).collect();
        fitting.sort_by_key(|node| Reverse(node.total));
        rows.extend(fitting.iter().take(limit).map(|node| {
            let scores = node.scores.iter().map(|score| match score.raw == score.normalized {
                true => score.weighted.to_string(),
                false => format!("{} (raw {})", score.weighted, score.raw),
            });
            [node.node.clone(), node.total.unwrap_or(0).to_string()].into_iter().chain(scores).collect()
        }));
        f.write_str(&table(&rows))?;
        if fitting.len() > limit {
            writeln!(f, "and {} more", fitting.len() - limit)?;
        }
        let skipped: Vec<&str> = self.scorers.iter().filter(|s| s.skipped).map(|s| s.plugin.as_str()).collect();
        if !skipped.is_empty() {
            writeln!(f, "equal to {}", skipped.join(", "))?;
        }
        Ok(())
    }

    /// A line for each thing that a plugin has against nodes, with how many and which.
    fn write_reasons(&self, f: &mut fmt::Formatter<'_>, limit: usize) -> fmt::Result {
        let mut groups: BTreeMap<(&str, &Verdict), Vec<&str>> = BTreeMap::new();
        for node in &self.nodes {
            for rejection in node.rejections() {
                groups.entry((&rejection.plugin, &rejection.verdict)).or_default().push(&node.node);
            }
        }
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_by_key(|(_, nodes)| Reverse(nodes.len()));
        let head = ["AGAINST", "PLUGIN", "REASON", "NODES"].map(str::to_owned).to_vec();
        let rows = groups.into_iter().map(|((plugin, verdict), nodes)| {
            let which = match nodes.len() {
                all if all == self.nodes.len() && all > limit => "all".to_owned(),
                _ => names(&nodes, limit),
            };
            vec![nodes.len().to_string(), plugin.to_owned(), verdict.reasons().join(", "), which]
        });
        f.write_str(&table(&std::iter::once(head).chain(rows).collect::<Vec<_>>()))
    }
}

fn names(nodes: &[&str], limit: usize) -> String {
    let shown = nodes.iter().take(limit).copied().collect::<Vec<_>>().join(", ");
    match nodes.len().saturating_sub(limit) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

impl fmt::Display for NodeExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.total {
            Some(total) => writeln!(f, "node {}: fits, total {total}", self.node)?,
            None => writeln!(f, "node {}: does not fit", self.node)?,
        }
        let verdict = |verdict: &Verdict| match verdict {
            Verdict::Accepts => "accepts".to_owned(),
            Verdict::Skips => "has nothing to look at".to_owned(),
            Verdict::Rejects { resolvable: true, .. } => {
                format!("rejects: {} (fewer pods there would help)", verdict.reasons().join(", "))
            }
            Verdict::Rejects { .. } | Verdict::Excludes => format!("rejects: {}", verdict.reasons().join(", ")),
            Verdict::Fails { error } => format!("fails: {error}"),
        };
        let verdicts = self.verdicts.iter().map(|said| vec![said.plugin.clone(), verdict(&said.verdict)]);
        f.write_str(&table(&verdicts.collect::<Vec<_>>()))?;
        if self.scores.is_empty() {
            return Ok(());
        }
        writeln!(f)?;
        let head = ["SCORE", "RAW", "NORMALIZED", "WEIGHT", "WEIGHTED"].map(str::to_owned).to_vec();
        let rows = self.scores.iter().map(|score| {
            let numbers = [score.raw, score.normalized, score.weight, score.weighted].map(|number| number.to_string());
            std::iter::once(score.plugin.clone()).chain(numbers).collect()
        });
        f.write_str(&table(&std::iter::once(head).chain(rows).collect::<Vec<_>>()))
    }
}

/// Rows with their cells under each other, a line each.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:<width$}   "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
