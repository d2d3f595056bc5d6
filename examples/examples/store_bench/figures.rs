//! The table: a row for what is measured, a column for each store.

use std::fmt;

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
