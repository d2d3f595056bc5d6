//! Outcomes as a picture (SVG).

use std::ops::Range;

use plotters::{
    coord::Shift,
    prelude::{
        ChartBuilder, Color, DrawingArea, IntoDrawingArea, IntoFont, LineSeries, PathElement, RGBColor, SVGBackend,
        SeriesLabelPosition, WHITE,
    },
    style::{BLACK, TextStyle},
};

use super::{Comparison, Outcome};

/// The picture's width and height in pixels.
const SIZE: (u32, u32) = (1300, 1350);
/// Told apart by people who do not see all colours too (Okabe and Ito).
const COLORS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

/// Why a picture could not be drawn.
#[derive(Debug, thiserror::Error)]
#[error("the picture could not be drawn: {0}")]
pub struct PlotError(String);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Points = Vec<(f64, f64)>;

/// One of the picture's plots.
struct Panel {
    title: &'static str,
    x: &'static str,
    points: fn(&Outcome) -> Points,
    /// The highest value that is shown at least.
    at_least: f64,
}

const PANELS: [Panel; 6] = [
    Panel { title: "CPU reserved (%)", x: HOURS, points: |o| over_time(o, |s| s.cpu * 100.0), at_least: 100.0 },
    Panel { title: "Memory reserved (%)", x: HOURS, points: |o| over_time(o, |s| s.memory * 100.0), at_least: 100.0 },
    Panel { title: "Nodes in use", x: HOURS, points: |o| over_time(o, |s| s.used_nodes as f64), at_least: 1.0 },
    Panel {
        title: "Fragmentation (% of the room for the largest pod)",
        x: HOURS,
        points: |o| over_time(o, |s| s.fragmentation * 100.0),
        at_least: 10.0,
    },
    Panel { title: "Pods waiting", x: HOURS, points: |o| over_time(o, |s| s.waiting as f64), at_least: 10.0 },
    Panel {
        title: "Seconds waited for a node",
        x: "% of the pods waited at most so long",
        points: waits,
        at_least: 1.0,
    },
];

const HOURS: &str = "hours";

impl Comparison {
    /// Draws the outcomes over each other: utilisation, nodes in use, fragmentation and waiting pods over time, and how long pods waited.
    ///
    /// # Errors
    /// What the drawing library says.
    pub fn to_svg(&self) -> Result<String, PlotError> {
        let mut svg = String::new();
        {
            let picture = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
            picture.fill(&WHITE).map_err(error)?;
            for (index, (panel, area)) in PANELS.iter().zip(picture.split_evenly((3, 2))).enumerate() {
                self.draw(panel, &area, index == 0)?;
            }
            picture.present().map_err(error)?;
        }
        Ok(svg)
    }

    fn draw(&self, panel: &Panel, area: &Area<'_>, with_names: bool) -> Result<(), PlotError> {
        let lines: Vec<Points> = self.outcomes.iter().map(panel.points).collect();
        let range = |of: fn(&(f64, f64)) -> f64, at_least: f64| -> Range<f64> {
            0.0..lines.iter().flatten().map(of).fold(at_least, f64::max) * 1.02
        };
        let mut chart = ChartBuilder::on(area)
            .caption(panel.title, ("sans-serif", 22).into_font())
            .margin(16)
            .x_label_area_size(48)
            .y_label_area_size(64)
            .build_cartesian_2d(range(|point| point.0, 1.0), range(|point| point.1, panel.at_least))
            .map_err(error)?;
        let text = TextStyle::from(("sans-serif", 16).into_font());
        let mut mesh = chart.configure_mesh();
        mesh.x_desc(panel.x).label_style(text.clone()).light_line_style(WHITE).max_light_lines(1);
        mesh.y_label_formatter(&number).x_label_formatter(&number).x_labels(9).y_labels(6).draw().map_err(error)?;
        for (index, (outcome, points)) in self.outcomes.iter().zip(lines).enumerate() {
            let style = COLORS[index % COLORS.len()].stroke_width(2);
            let series = chart.draw_series(LineSeries::new(points, style)).map_err(error)?;
            series.label(&outcome.scheduler).legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], style));
        }
        if !with_names {
            return Ok(());
        }
        let mut labels = chart.configure_series_labels();
        labels.position(SeriesLabelPosition::UpperLeft).label_font(text).background_style(WHITE.mix(0.8));
        labels.border_style(BLACK.mix(0.3)).draw().map_err(error)
    }
}

fn over_time(outcome: &Outcome, value: impl Fn(&super::Sample) -> f64) -> Points {
    outcome.samples.iter().map(|sample| (sample.at.as_secs_f64() / 3600.0, value(sample))).collect()
}

fn waits(outcome: &Outcome) -> Points {
    (0..=200).map(|half| (f64::from(half) / 2.0, outcome.wait(f64::from(half) / 200.0).as_secs_f64())).collect()
}

fn number(value: &f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

fn error(error: impl std::error::Error) -> PlotError {
    PlotError(error.to_string())
}
