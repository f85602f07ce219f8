//! The cost of stops that generations continued past.

use serde_json::{Map, Value, json};

use super::table::{Cell, Table};
use crate::compare::StopCost;

/// The stops as quoted text.
pub fn shown_stops(stops: &[String]) -> String {
    stops.iter().map(|stop| format!("{stop:?}")).collect::<Vec<_>>().join(", ")
}

/// One row per model: its score up to the stops, its scores beyond them, and the differences.
pub fn stops_table(cost: &StopCost) -> Table {
    let mut head = vec!["Model".to_string(), cost.passed.up_to.clone()];
    for (metric, same) in &cost.passed.beyond {
        head.push(metric.clone());
        head.push(if *same { "Cost of the stop" } else { "Difference" }.into());
    }
    let row = |run: &crate::compare::StopScores| {
        let mut row = vec![Cell::Text(run.name.clone()), Cell::Score(Some(100.0 * run.up_to))];
        for score in &run.beyond {
            row.push(Cell::Score(Some(100.0 * score)));
            row.push(Cell::Number(format!("{:+.2}", 100.0 * (score - run.up_to))));
        }
        row
    };
    Table { head, rows: cost.runs.iter().map(row).collect() }
}

/// The same as objects, by task; scores are fractions.
pub fn stops_json(costs: &[StopCost]) -> Value {
    let of_task = |cost: &StopCost| {
        let models = cost.runs.iter().map(|run| {
            let mut scores = Map::new();
            scores.insert("name".into(), run.name.clone().into());
            scores.insert(cost.passed.up_to.clone(), run.up_to.into());
            for ((metric, same), score) in cost.passed.beyond.iter().zip(&run.beyond) {
                scores.insert(metric.clone(), (*score).into());
                if *same {
                    scores.insert("cost".into(), (score - run.up_to).into());
                }
            }
            Value::Object(scores)
        });
        json!({"stops": cost.passed.stops, "models": models.collect::<Vec<_>>()})
    };
    costs.iter().map(|cost| (cost.task.clone(), of_task(cost))).collect::<Map<_, _>>().into()
}
