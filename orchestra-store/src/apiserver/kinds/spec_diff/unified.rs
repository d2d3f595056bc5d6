//! Unified diffs of lines.

/// Lines of context around a change.
const CONTEXT: usize = 3;
/// Above this many pairs of lines the whole stretch counts as replaced: an exact answer is not worth the time.
const PAIRS_MAX: usize = 1 << 22;

/// A stretch of lines that are equal, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stretch {
    equal: bool,
    old: (usize, usize),
    new: (usize, usize),
}

/// The hunks that lead from `old` to `new`; empty if they are equal.
pub(super) fn diff(old: &[String], new: &[String]) -> String {
    let mut out = String::new();
    for hunk in hunks(&stretches(old, new)) {
        let (Some(first), Some(last)) = (hunk.first(), hunk.last()) else { continue };
        let (old_range, new_range) = (range(first.old.0, last.old.1), range(first.new.0, last.new.1));
        out.push_str(&format!("@@ -{old_range} +{new_range} @@\n"));
        for stretch in &hunk {
            let mut write = |sign: char, lines: &[String]| {
                lines.iter().for_each(|line| out.extend([&sign.to_string(), line.as_str(), "\n"]));
            };
            if stretch.equal {
                write(' ', &old[stretch.old.0..stretch.old.1]);
            } else {
                write('-', &old[stretch.old.0..stretch.old.1]);
                write('+', &new[stretch.new.0..stretch.new.1]);
            }
        }
    }
    out
}

fn range(from: usize, to: usize) -> String {
    match to - from {
        0 => format!("{from},0"),
        1 => (from + 1).to_string(),
        length => format!("{},{length}", from + 1),
    }
}

fn stretches(old: &[String], new: &[String]) -> Vec<Stretch> {
    let prefix = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let suffix = old[prefix..].iter().rev().zip(new[prefix..].iter().rev()).take_while(|(a, b)| a == b).count();
    let (old_end, new_end) = (old.len() - suffix, new.len() - suffix);
    let mut found = Vec::new();
    push(&mut found, Stretch { equal: true, old: (0, prefix), new: (0, prefix) });
    if (old_end - prefix).saturating_mul(new_end - prefix) > PAIRS_MAX {
        push(&mut found, Stretch { equal: false, old: (prefix, old_end), new: (prefix, new_end) });
    } else {
        middle(old, new, (prefix, old_end), (prefix, new_end), &mut found);
    }
    push(&mut found, Stretch { equal: true, old: (old_end, old.len()), new: (new_end, new.len()) });
    found
}

/// Appends a stretch, as a part of the one before if that is of its sort.
fn push(found: &mut Vec<Stretch>, stretch: Stretch) {
    if stretch.old.0 == stretch.old.1 && stretch.new.0 == stretch.new.1 {
        return;
    }
    match found.last_mut() {
        Some(last) if last.equal == stretch.equal => (last.old.1, last.new.1) = (stretch.old.1, stretch.new.1),
        _ => found.push(stretch),
    }
}

/// The longest common subsequence of what lies between the equal ends.
fn middle(
    old: &[String],
    new: &[String],
    (a, a_end): (usize, usize),
    (b, b_end): (usize, usize),
    found: &mut Vec<Stretch>,
) {
    let width = b_end - b + 1;
    let mut lengths = vec![0_u32; (a_end - a + 1) * width];
    let at = |i: usize, j: usize| (i - a) * width + (j - b);
    for i in (a..a_end).rev() {
        for j in (b..b_end).rev() {
            lengths[at(i, j)] = if old[i] == new[j] {
                lengths[at(i + 1, j + 1)] + 1
            } else {
                lengths[at(i + 1, j)].max(lengths[at(i, j + 1)])
            };
        }
    }
    let (mut i, mut j) = (a, b);
    while i < a_end || j < b_end {
        let (from_i, from_j) = (i, j);
        let equal = i < a_end && j < b_end && old[i] == new[j];
        if equal {
            (i, j) = (i + 1, j + 1);
        } else if j == b_end || (i < a_end && lengths[at(i + 1, j)] >= lengths[at(i, j + 1)]) {
            i += 1;
        } else {
            j += 1;
        }
        push(found, Stretch { equal, old: (from_i, i), new: (from_j, j) });
    }
}

/// Groups changes that lie near each other, each group with its context.
fn hunks(stretches: &[Stretch]) -> Vec<Vec<Stretch>> {
    let mut hunks: Vec<Vec<Stretch>> = Vec::new();
    let mut current: Vec<Stretch> = Vec::new();
    for (index, stretch) in stretches.iter().enumerate() {
        if !stretch.equal {
            current.push(*stretch);
            continue;
        }
        let (last, length) = (index + 1 == stretches.len(), stretch.old.1 - stretch.old.0);
        if !current.is_empty() && !last && length <= 2 * CONTEXT {
            current.push(*stretch);
            continue;
        }
        if !current.is_empty() {
            let take = length.min(CONTEXT);
            let old = (stretch.old.0, stretch.old.0 + take);
            current.push(Stretch { equal: true, old, new: (stretch.new.0, stretch.new.0 + take) });
            hunks.push(std::mem::take(&mut current));
        }
        let take = length.min(CONTEXT);
        if !last {
            let old = (stretch.old.1 - take, stretch.old.1);
            current.push(Stretch { equal: true, old, new: (stretch.new.1 - take, stretch.new.1) });
        }
    }
    if current.iter().any(|stretch| !stretch.equal) {
        hunks.push(current);
    }
    hunks
}

#[cfg(test)]
mod tests {
    fn diff(old: &str, new: &str) -> String {
        let lines = |text: &str| text.chars().map(String::from).collect::<Vec<_>>();
        super::diff(&lines(old), &lines(new))
    }

    #[test]
    fn equal_texts_have_no_hunks() {
        assert_eq!(diff("abc", "abc"), "");
        assert_eq!(diff("", ""), "");
    }

    #[test]
    fn changes_far_apart_have_hunks_of_their_own() {
        let expected = "@@ -1,4 +1,4 @@\n-a\n+A\n b\n c\n d\n@@ -9,3 +9,4 @@\n i\n j\n k\n+l\n";
        assert_eq!(diff("abcdefghijk", "Abcdefghijkl"), expected);
    }

    #[test]
    fn changes_close_to_each_other_share_one() {
        assert_eq!(diff("abcd", "AbcD"), "@@ -1,4 +1,4 @@\n-a\n+A\n b\n c\n-d\n+D\n");
        assert_eq!(diff("ab", ""), "@@ -1,2 +0,0 @@\n-a\n-b\n");
        assert_eq!(diff("abc", "axbc"), "@@ -1,3 +1,4 @@\n a\n+x\n b\n c\n");
    }
}
