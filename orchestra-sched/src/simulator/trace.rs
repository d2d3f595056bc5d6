use std::{fmt::Write as _, sync::Arc, time::Duration};

use orchestra_core::{ObjectKey, quantity::Quantity, scheduler::PodInfo, validation::qualified_name};

use super::LONGEST;
use crate::testing::{PodBuilder, pod};

/// The columns that a trace may have.
const COLUMNS: &str = "time, pod, cpu, memory, duration, priority, labels, node_selector, tolerations or spread";

/// What a time is.
const SECONDS: &str = "a number of seconds, of a hundred years at most,";

/// Pods, when they arrive, and for how long they run.
///
/// # The file
/// A trace is CSV: a line of names of columns, then a line for each pod. There is no quoting; empty lines and lines that begin with `#` are left out.
/// Columns may be in any order, and all but `time` and `pod` may be missing or empty:
///
/// | column | |
/// |---|---|
/// | `time` | when the pod arrives, in seconds since the start, of which there may be those of a hundred years |
/// | `pod` | its name, or `namespace/name`; several pods may have the same, and are told apart |
/// | `cpu`, `memory` | its requests: `500m`, `2Gi` |
/// | `duration` | for how many seconds it runs once it has a node; if empty, to the end |
/// | `priority` | its priority |
/// | `labels`, `node_selector` | `key=value`, several with `;` in between |
/// | `tolerations` | `key=value:Effect`, `key:Effect` or `key`, several with `;` in between |
/// | `spread` | `maxSkew key`: pods with the same labels are spread over the values of the nodes' label `key` (`DoNotSchedule`) |
///
/// ```
/// use orchestra_sched::simulator::Trace;
/// let trace = Trace::from_csv("\
/// time,pod,cpu,memory,duration,labels,spread
/// 0,web-0,500m,1Gi,,app=web,1 topology.kubernetes.io/zone
/// 12.5,batch-0,2,4Gi,600,,
/// ")?;
/// assert_eq!(trace.arrivals().len(), 2);
/// assert_eq!(trace.end().as_millis(), 12_500);
/// # Ok::<(), orchestra_sched::simulator::TraceError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// In order of time.
    arrivals: Vec<Arrival>,
}

/// A pod of a trace.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// When it arrives, after the start.
    pub at: Duration,
    /// For how long it runs once it has a node; `None` is to the end.
    pub duration: Option<Duration>,
    /// The pod. Its [`id`](PodInfo::id) tells it from the others.
    pub pod: Arc<PodInfo>,
}

/// Why a text is no trace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// There is no line with the names of columns.
    #[error("no line with the names of columns")]
    Empty,
    /// A column is not known.
    #[error("column {0:?} is none of {COLUMNS}")]
    Column(String),
    /// A column has to be there.
    #[error("there is no column {0:?}")]
    Missing(&'static str),
    /// A line has more or fewer cells than there are columns.
    #[error("line {line} has {cells} cells, not {columns}")]
    Cells {
        /// The line, from 1.
        line: usize,
        /// How many cells it has.
        cells: usize,
        /// How many columns there are.
        columns: usize,
    },
    /// A cell cannot be read.
    #[error("line {line}: {column} {text:?} cannot be read: {expected} is expected")]
    Cell {
        /// The line, from 1.
        line: usize,
        /// The column's name.
        column: String,
        /// What is there.
        text: String,
        /// What should be.
        expected: &'static str,
    },
}

impl Trace {
    /// A trace of these pods, in whatever order they are.
    pub fn new(arrivals: impl IntoIterator<Item = Arrival>) -> Self {
        let mut arrivals: Vec<Arrival> = arrivals.into_iter().collect();
        arrivals.sort_by_key(|arrival| arrival.at);
        Self { arrivals }
    }

    /// The pods, in order of time.
    pub fn arrivals(&self) -> &[Arrival] {
        &self.arrivals
    }

    /// When the last pod arrives.
    pub fn end(&self) -> Duration {
        self.arrivals.last().map_or(Duration::ZERO, |arrival| arrival.at)
    }

    /// Reads a trace from CSV.
    ///
    /// # Errors
    /// A column that is not known, a line or a cell that is not as it should be, each with its line.
    pub fn from_csv(text: &str) -> Result<Self, TraceError> {
        let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
        let mut lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let (_, head) = lines.next().ok_or(TraceError::Empty)?;
        let columns: Vec<&str> = head.split(',').map(str::trim).collect();
        let known: Vec<&str> = COLUMNS.split(", ").flat_map(|name| name.split(" or ")).collect();
        if let Some(unknown) = columns.iter().find(|column| !known.contains(column)) {
            return Err(TraceError::Column((*unknown).to_owned()));
        }
        if let Some(missing) = ["time", "pod"].into_iter().find(|column| !columns.contains(column)) {
            return Err(TraceError::Missing(missing));
        }
        let arrivals = lines.map(|(line, text)| {
            let cells: Vec<&str> = text.split(',').map(str::trim).collect();
            if cells.len() != columns.len() {
                return Err(TraceError::Cells { line, cells: cells.len(), columns: columns.len() });
            }
            Row { line, columns: &columns, cells }.arrival()
        });
        Ok(Self::new(arrivals.collect::<Result<Vec<_>, _>>()?))
    }

    /// Writes a trace as CSV, with the columns `time`, `pod`, `cpu`, `memory`, `duration` and `priority`; what else pods say is left out.
    pub fn to_csv(&self) -> String {
        let mut text = "time,pod,cpu,memory,duration,priority\n".to_owned();
        for Arrival { at, duration, pod } in &self.arrivals {
            let requests = pod.requests();
            let (cpu, memory) = (Quantity::from_milli(requests.milli_cpu), Quantity::from_bytes(requests.memory));
            let duration = duration.map(|duration| duration.as_secs_f64().to_string()).unwrap_or_default();
            let name = pod.key();
            // Writing to a String does not fail.
            let _ = writeln!(text, "{},{name},{cpu},{memory},{duration},{}", at.as_secs_f64(), pod.priority());
        }
        text
    }
}

/// A line of the file.
struct Row<'a> {
    line: usize,
    columns: &'a [&'a str],
    cells: Vec<&'a str>,
}

impl Row<'_> {
    fn arrival(&self) -> Result<Arrival, TraceError> {
        let at = self.read("time", SECONDS, seconds)?;
        let at = at.ok_or_else(|| self.error("time", "", SECONDS))?;
        let duration = self.read("duration", SECONDS, seconds)?;
        // Of its own, since pods of one name may come one after the other.
        let pod = self.pod()?.with(|pod| pod.metadata.uid = Some(format!("{}#{}", ObjectKey::of(pod), self.line)));
        Ok(Arrival { at, duration, pod: Arc::new(pod.info()) })
    }

    fn pod(&self) -> Result<PodBuilder, TraceError> {
        let name = self.read("pod", "a name", |text| Some(text.to_owned()))?;
        let name = name.ok_or_else(|| self.error("pod", "", "a name"))?;
        let (namespace, name) = name.split_once('/').unwrap_or(("default", &name));
        let mut pod = pod(name).namespace(namespace);
        for resource in ["cpu", "memory"] {
            if let Some(amount) = self.read(resource, "a quantity", |text| text.parse::<Quantity>().ok())? {
                pod = pod.request(resource, amount);
            }
        }
        if let Some(priority) = self.read("priority", "a whole number", |text| text.parse().ok())? {
            pod = pod.priority(priority);
        }
        let labels = self.read("labels", "key=value;key=value", pairs)?.unwrap_or_default();
        let selector = labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",");
        pod = labels.into_iter().fold(pod, |pod, (key, value)| pod.label(key, value));
        let nodes = self.read("node_selector", "key=value;key=value", pairs)?.unwrap_or_default();
        pod = nodes.into_iter().fold(pod, |pod, (key, value)| pod.node_selector(key, value));
        let tolerations = self.read("tolerations", "key=value:Effect;key", tolerations)?.unwrap_or_default();
        pod = tolerations.iter().fold(pod, |pod, toleration| pod.tolerate(toleration));
        if let Some((skew, key)) = self.read("spread", "a number and a label's key", spread)? {
            pod = pod.spread(skew, &key, &selector);
        }
        Ok(pod)
    }

    /// `None` if there is no such column, or the cell is empty.
    fn read<T>(
        &self,
        column: &str,
        expected: &'static str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, TraceError> {
        let index = self.columns.iter().position(|name| *name == column);
        let text = index.and_then(|index| self.cells.get(index)).filter(|text| !text.is_empty());
        text.map(|text| read(text).ok_or_else(|| self.error(column, text, expected))).transpose()
    }

    fn error(&self, column: &str, text: &str, expected: &'static str) -> TraceError {
        TraceError::Cell { line: self.line, column: column.to_owned(), text: text.to_owned(), expected }
    }
}

fn seconds(text: &str) -> Option<Duration> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.filter(|seconds| *seconds <= LONGEST)
}

fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let pair = |text: &str| {
        let (key, value) = text.trim().split_once('=')?;
        let is_label = qualified_name::key(key).is_empty() && qualified_name::label_value(value).is_empty();
        is_label.then(|| (key.to_owned(), value.to_owned()))
    };
    text.split(';').map(pair).collect()
}

fn tolerations(text: &str) -> Option<Vec<String>> {
    let is_effect = |effect: &str| orchestra_core::scheduler::Effect::parse(effect).is_some();
    let read = |text: &str| {
        let text = text.trim();
        text.rsplit_once(':').is_none_or(|(_, effect)| is_effect(effect)).then(|| text.to_owned())
    };
    text.split(';').map(read).collect()
}

fn spread(text: &str) -> Option<(i32, String)> {
    let (skew, key) = text.split_once(' ')?;
    Some((skew.parse().ok().filter(|skew| *skew > 0)?, key.trim().to_owned()))
}
