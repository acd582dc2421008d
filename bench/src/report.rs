//! Figures as a table for people and as JSON for machines.

use crate::spread::Spread;
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// One measured number. The unit is the name's suffix, as in `lateness_p99_ms`.
#[derive(Debug, Clone, PartialEq)]
struct Figure {
    scenario: &'static str,
    name: String,
    value: f64,
}

/// Everything measured in one run, in the order measured.
#[derive(Debug, Default)]
pub struct Report {
    figures: Vec<Figure>,
}

impl Report {
    /// A report without figures.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one figure, and shows it at once on stderr as progress.
    pub fn add(&mut self, scenario: &'static str, name: impl Into<String>, value: f64) {
        let name = name.into();
        eprintln!("bench: {scenario} {name} {}", shown(value));
        self.figures.push(Figure { scenario, name, value });
    }

    /// Adds p50, p99 and max of `spread` as `{name}_p50_ms` and so on.
    pub fn add_millis(&mut self, scenario: &'static str, name: &str, spread: &Spread) {
        self.add(scenario, format!("{name}_p50_ms"), spread.percentile(50.0));
        self.add(scenario, format!("{name}_p99_ms"), spread.percentile(99.0));
        self.add(scenario, format!("{name}_max_ms"), spread.max());
    }

    /// One line a figure, in columns.
    pub fn table(&self) -> String {
        let scenario_width = self.figures.iter().map(|f| f.scenario.len()).max().unwrap_or(0);
        let name_width = self.figures.iter().map(|f| f.name.len()).max().unwrap_or(0);
        let value_width = self.figures.iter().map(|f| shown(f.value).len()).max().unwrap_or(0);
        let mut table = String::new();
        for Figure { scenario, name, value } in &self.figures {
            let value = shown(*value);
            let _ = writeln!(table, "{scenario:scenario_width$}  {name:name_width$}  {value:>value_width$}");
        }
        table
    }

    /// `{build, cores, figures: {scenario: {name: number}}}`.
    pub fn json(&self) -> Value {
        let mut scenarios = Map::new();
        for Figure { scenario, name, value } in &self.figures {
            let entry = scenarios.entry(*scenario).or_insert_with(|| json!({}));
            entry[name] = json!(value);
        }
        let build = if cfg!(debug_assertions) { "debug" } else { "release" };
        let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
        json!({ "build": build, "cores": cores, "figures": scenarios })
    }
}

/// Whole numbers without a fraction, others with three digits after the point.
fn shown(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.3}") }
}

#[cfg(test)]
mod tests {
    use super::{Report, shown};
    use crate::spread::Spread;
    use serde_json::json;

    #[test]
    fn numbers_are_shown_short() {
        assert_eq!(shown(20_000.0), "20000");
        assert_eq!(shown(0.0), "0");
        assert_eq!(shown(1.23456), "1.235");
        assert_eq!(shown(-0.5), "-0.500");
    }

    #[test]
    fn table_and_json_hold_the_same_figures() {
        let mut report = Report::new();
        report.add("lone", "delivered", 2.0);
        report.add_millis("lone", "wait", &Spread::of([1.5, 4.0]).expect("values"));
        report.add("throughput", "items_per_s", 1234.5);
        assert_eq!(
            report.table(),
            "lone        delivered           2\n\
             lone        wait_p50_ms     1.500\n\
             lone        wait_p99_ms         4\n\
             lone        wait_max_ms         4\n\
             throughput  items_per_s  1234.500\n"
        );
        assert_eq!(
            report.json()["figures"],
            json!({
                "lone": { "delivered": 2.0, "wait_p50_ms": 1.5, "wait_p99_ms": 4.0, "wait_max_ms": 4.0 },
                "throughput": { "items_per_s": 1234.5 },
            })
        );
    }
}
