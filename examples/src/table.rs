//! Prints what the server says about objects, in the columns that it sends (`metav1.Table`), as kubectl prints them.

use kube::Client;
use serde::Deserialize;
use serde_json::Value;

/// The `Accept` header of a client that wants tables.
pub const ACCEPT_TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

/// A `metav1.Table`, as far as printing needs it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Table {
    /// The columns; on a watch only the first event has them.
    #[serde(default)]
    pub column_definitions: Option<Vec<Column>>,
    /// The rows.
    #[serde(default)]
    pub rows: Vec<Row>,
}

/// A column's heading.
#[derive(Clone, Debug, Deserialize)]
pub struct Column {
    /// `Name`, `Ready`, ...
    pub name: String,
    /// Columns with a priority above zero belong to `-o wide`.
    #[serde(default)]
    pub priority: i32,
}

/// One object's cells.
#[derive(Clone, Debug, Deserialize)]
pub struct Row {
    /// A value for each column.
    pub cells: Vec<Value>,
    /// The object's type and metadata.
    #[serde(default)]
    pub object: Value,
}

impl Row {
    /// The object's namespace; empty if it has none.
    pub fn namespace(&self) -> &str {
        self.object["metadata"]["namespace"].as_str().unwrap_or_default()
    }
}

/// Gets the table at an API path such as `/api/v1/namespaces/default/pods`.
pub async fn get(client: &Client, path: &str) -> Result<Table, kube::Error> {
    client.request(request(path)?).await
}

/// A request for the table at `path`.
pub fn request(path: &str) -> Result<http::Request<Vec<u8>>, kube::Error> {
    http::Request::get(path).header(http::header::ACCEPT, ACCEPT_TABLE).body(Vec::new()).map_err(kube::Error::HttpError)
}

/// Renders the columns of priority zero: headings in capitals, columns padded to their longest cell and three spaces.
pub fn render(table: &Table) -> String {
    let columns = table.column_definitions.as_deref().unwrap_or_default();
    let heading = shown(columns, columns.iter().map(|column| column.name.to_uppercase()));
    let rows = table.rows.iter().map(|row| shown(columns, row.cells.iter().map(cell_text)));
    let lines: Vec<Vec<String>> = std::iter::once(heading).chain(rows).collect();
    let widths: Vec<usize> = (0..lines[0].len())
        .map(|i| lines.iter().filter_map(|line| line.get(i)).map(|cell| cell.chars().count()).max().unwrap_or(0) + 3)
        .collect();
    lines.iter().map(|line| align(line, &widths) + "\n").collect()
}

/// Pads each cell to its column's width; the last one stays as it is.
pub fn align(cells: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (i, cell) in cells.iter().enumerate() {
        let width = if i + 1 == cells.len() { 0 } else { widths.get(i).copied().unwrap_or(0) };
        line.push_str(&format!("{cell:<width$}"));
    }
    line
}

/// A cell as text.
pub fn cell_text(cell: &Value) -> String {
    match cell {
        Value::Null => "<none>".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn shown(columns: &[Column], cells: impl Iterator<Item = String>) -> Vec<String> {
    columns.iter().zip(cells).filter(|(column, _)| column.priority == 0).map(|(_, cell)| cell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_wide_ones_are_left_out() {
        let table = serde_json::json!({
            "columnDefinitions": [{"name": "Name"}, {"name": "Node", "priority": 1}, {"name": "Age"}],
            "rows": [{"cells": ["nginx-1", "n1", "5s"]}, {"cells": ["a", "n2", "10m"]}],
        });
        let table: Table = serde_json::from_value(table).unwrap();
        assert_eq!(render(&table), "NAME      AGE\nnginx-1   5s\na         10m\n");
    }
}
