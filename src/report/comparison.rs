//! A comparison as text.

use super::conclusion::sentence;
use super::drawing::wrapped;
use super::family::{family_table, letter, moved_table};
use super::flips::flips_text;
use super::p_value::shown_p;
use super::paper::Paper;
use super::stops::{shown_stops, stops_table};
use super::table::{Cell, Format, Table, Tone};
use crate::compare::{Comparison, Parent, Row, Test, Verdict};

/// Each parent's table, the family and, if requested, the documents that flipped.
pub fn comparison(comparison: &Comparison, flips: bool, format: Format, paper: Paper) -> String {
    let parents: Vec<&str> = comparison.parents.iter().map(|parent| parent.name.as_str()).collect();
    let by = comparison.merge_by.words();
    let drawn = |table: Table| table.render_on(format, paper, &DISPENSABLE);
    // Sentences are as wide as the tables.
    let fit = |text: String| match (format, paper.width) {
        (Format::Table, Some(width)) => wrapped(&text, width).join("\n"),
        _ => text,
    };
    let heading = |text: String| match format {
        Format::Markdown => format!("## {text}\n"),
        _ => fit(text),
    };
    let mut parts = vec![fit(format!("merge: {} ({by}); parents: {}", comparison.merge, parents.join(", ")))];
    for (place, parent) in comparison.parents.iter().enumerate() {
        let head = heading(format!("{} against {}: {}", comparison.merge, letter(place), parent.name));
        parts.push(format!("{head}\n{}", drawn(parent_table(parent))));
        parts.extend(unpaired(parent).map(&fit));
    }
    parts.push(fit(
        "Scores, differences, intervals of 95 % and MDE in points. p (Holm) is corrected for the tasks of one parent. MDE: the smallest \
         difference that this comparison had a chance of 80 % to find."
            .into(),
    ));
    if !comparison.family.is_empty() {
        let parents: Vec<String> = comparison
            .documented
            .iter()
            .map(|place| format!("{} = {}", letter(*place), comparison.parents[*place].name))
            .collect();
        let head =
            heading(format!("Where the answers of {} come from ({})", comparison.merge, parents.join(", ")));
        parts.push(format!("{head}\n{}", drawn(family_table(comparison))));
    }
    for family in comparison.family.iter().filter(|family| !family.members.is_empty()) {
        for (number, place) in comparison.documented.iter().enumerate() {
            let name = format!("{} ({})", letter(*place), comparison.parents[*place].name);
            let (text, table) = moved_table(family, number, &name);
            let text = fit(text);
            parts.push(if table.rows.is_empty() {
                text
            } else if format == Format::Markdown {
                format!("{text}\n\n{}", drawn(table))
            } else {
                format!("{text}\n{}", drawn(table))
            });
        }
    }
    for cost in &comparison.stops {
        let head = heading(format!("{} up to {} and beyond", cost.task, shown_stops(&cost.passed.stops)));
        parts.push(format!("{head}\n{}", drawn(stops_table(cost))));
    }
    if flips {
        parts.push(flips_text(&comparison.flips, format, paper.width).trim_end().to_string());
    }
    parts.push(
        comparison
            .parents
            .iter()
            .map(|parent| fit(sentence(&comparison.merge, parent)))
            .collect::<Vec<_>>()
            .join("\n"),
    );
    parts.join("\n\n") + "\n"
}

/// Columns that a narrow table goes without, the first ones first.
const DISPENSABLE: [&str; 6] = ["p", "Won", "Lost", "MDE", "Metric", "n"];

fn parent_table(parent: &Parent) -> Table {
    let head = [
        "Task",
        "Metric",
        "n",
        "Merge",
        "Parent",
        "Difference",
        "95 %",
        "p",
        "p (Holm)",
        "Won",
        "Lost",
        "MDE",
        "Verdict",
    ];
    let rows = parent.rows.iter().chain(&parent.average).chain(parent.partial()).map(row).collect();
    Table { head: head.map(str::to_string).to_vec(), rows }
}

fn row(row: &Row) -> Vec<Cell> {
    let count = |count: Option<usize>| Cell::Number(count.map_or("-".into(), |count| count.to_string()));
    let points = |fraction: f64| format!("{:+.2}", 100.0 * fraction);
    let verdict = row.verdict.map_or("not tested", |verdict| verdict.words());
    vec![
        Cell::Text(row.task.clone()),
        Cell::Text(row.metric.clone()),
        count(row.n),
        Cell::Score(Some(100.0 * row.merge)),
        Cell::Score(Some(100.0 * row.parent)),
        Cell::Number(points(row.difference)),
        Cell::Number(
            row.ci95.map_or("-".into(), |[low, high]| format!("{} to {}", points(low), points(high))),
        ),
        Cell::Number(shown_p(row.p)),
        Cell::Number(shown_p(row.p_holm)),
        count(row.won),
        count(row.lost),
        Cell::Number(row.mde.map_or("-".into(), |mde| format!("{:.2}", 100.0 * mde))),
        Cell::Verdict(
            if row.test == Test::Unpaired { format!("{verdict} (unpaired)") } else { verdict.into() },
            match row.verdict {
                Some(Verdict::Better) => Tone::Better,
                Some(Verdict::Worse) => Tone::Worse,
                _ => Tone::Neither,
            },
        ),
    ]
}

fn unpaired(parent: &Parent) -> Option<String> {
    let has = |test: Test| parent.rows.iter().any(|row| row.test == test);
    let unpaired = has(Test::Unpaired).then_some(
        "Unpaired: only counts are known, so the test takes the documents of both for different ones, and sees less than a paired test.",
    );
    let alone = has(Test::None).then_some("Not tested: only the scores are known.");
    let sentences: Vec<&str> = unpaired.into_iter().chain(alone).collect();
    (!sentences.is_empty()).then(|| sentences.join(" "))
}
