//! The table: a row for what is measured, a column for each store.

use std::{fmt, time::Duration};

const STORES: [&str; 3] = ["memory", "durable", "etcd"];

#[derive(Default)]
pub(crate) struct Figures {
    rows: Vec<Row>,
}

struct Row {
    what: String,
    measured: [String; 3],
    target: Vec<String>,
}

impl Figures {
    /// Adds the figure of one store.
    pub(crate) fn add(&mut self, what: &str, store: &str, measured: String, target: &str) {
        eprintln!("  {store}: {what}: {measured}");
        let known = self.rows.iter().position(|row| row.what == what);
        let index = known.unwrap_or_else(|| {
            self.rows.push(Row { what: what.to_owned(), measured: Default::default(), target: Vec::new() });
            self.rows.len() - 1
        });
        let row = &mut self.rows[index];
        if let Some(column) = STORES.iter().position(|name| *name == store) {
            row.measured[column] = measured;
        }
        if !target.is_empty() {
            row.target.push(format!("{store} {target}"));
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| what | memory | durable | etcd | target |")?;
        write!(f, "|---|---|---|---|---|")?;
        for Row { what, measured: [memory, durable, etcd], target } in &self.rows {
            write!(f, "\n| {what} | {memory} | {durable} | {etcd} | {} |", target.join(", "))?;
        }
        Ok(())
    }
}

pub(crate) fn per_second(count: usize, took: Duration) -> String {
    let rate = (count as f64 / took.as_secs_f64()).round() as u64;
    let digits = rate.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    format!("{}/s", groups.join(","))
}

pub(crate) fn millis(took: Duration) -> String {
    format!("{:.2} ms", took.as_secs_f64() * 1e3)
}

/// Resident memory in bytes, zero where the system does not tell.
pub(crate) fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = kilobytes.and_then(|text| text.split_whitespace().next()).and_then(|text| text.parse::<f64>().ok());
    kilobytes.unwrap_or_default() * 1024.0
}
