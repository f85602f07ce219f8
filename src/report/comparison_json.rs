//! A comparison as JSON.

use serde_json::{Map, Value, json};

use super::conclusion::conclusion_json;
use super::family::sets;
use super::stops::stops_json;
use crate::compare::{Comparison, Counts, Family, Flip, Row, Test};

/// The comparison as an object; scores are fractions. `flips` are included only if requested.
pub fn comparison_json(comparison: &Comparison, flips: bool) -> Value {
    let documented = comparison.documented.iter();
    let names: Vec<&str> = documented.map(|place| comparison.parents[*place].name.as_str()).collect();
    let parents: Vec<Value> = comparison
        .parents
        .iter()
        .map(|parent| {
            json!({
                "name": parent.name,
                "tasks": parent.rows.iter().map(row).collect::<Vec<_>>(),
                "average": parent.average.as_ref().map(row),
                "partial_average": parent.partial().map(row),
                "conclusion": conclusion_json(&comparison.merge, parent),
            })
        })
        .collect();
    let family: Map<String, Value> =
        comparison.family.iter().map(|family| (family.task.clone(), of_family(family, &names))).collect();
    let mut found = json!({"merge": comparison.merge, "merge_by": comparison.merge_by.words(), "parents": parents, "family": family});
    if !comparison.stops.is_empty() {
        found["stops"] = stops_json(&comparison.stops);
    }
    if flips {
        found["flips"] = comparison.flips.iter().map(flip).collect();
    }
    found
}

fn row(row: &Row) -> Value {
    let mut found = json!({
        "task": row.task,
        "metric": row.metric,
        "n": row.n,
        "merge": row.merge,
        "parent": row.parent,
        "difference": row.difference,
        "ci95": row.ci95,
        "p": row.p,
        "p_holm": row.p_holm,
        "won": row.won,
        "lost": row.lost,
        "mde": row.mde,
        "verdict": row.verdict.map(|verdict| verdict.words()),
    });
    // Rows that are not paired by documents must not be read as if they were.
    if matches!(row.test, Test::Unpaired | Test::None) {
        found["paired"] = false.into();
    }
    found
}

fn of_counts(counts: &Counts, parents: &[&str]) -> Map<String, Value> {
    let from = |count: &dyn Fn(u64) -> usize| -> Value {
        let sets = sets(counts, parents.len()).into_iter().filter(|set| *set > 0);
        sets.map(|set| json!({"from": names(set, parents), "count": count(set)})).collect()
    };
    let mut found = Map::new();
    found.insert("inherited".into(), from(&|set| counts.inherited(set)));
    found.insert("emergent".into(), counts.inherited(0).into());
    found.insert("lost".into(), from(&|set| counts.lost(set)));
    found.insert("never_had".into(), counts.lost(0).into());
    found
}

fn names<'a>(set: u64, parents: &[&'a str]) -> Vec<&'a str> {
    parents.iter().enumerate().filter(|(bit, _)| set >> bit & 1 == 1).map(|(_, name)| *name).collect()
}

fn of_family(family: &Family, parents: &[&str]) -> Value {
    let mut found = of_counts(&family.counts, parents);
    if !family.members.is_empty() {
        let members: Map<String, Value> = family
            .members
            .iter()
            .map(|member| {
                let mut of_member = of_counts(&member.counts, parents);
                let moved = member.moved.iter().zip(parents).map(|(moved, name)| {
                    let difference = (moved.won as f64 - moved.lost as f64) / member.documents as f64;
                    json!({
                        "name": name,
                        "n": member.documents,
                        "difference": difference,
                        "won": moved.won,
                        "lost": moved.lost,
                        "p": moved.p,
                        "p_holm": moved.p_holm,
                    })
                });
                of_member.insert("parents".into(), moved.collect());
                (member.task.clone(), Value::Object(of_member))
            })
            .collect();
        found.insert("by_task".into(), members.into());
    }
    Value::Object(found)
}

fn flip(flip: &Flip) -> Value {
    let models: Vec<Value> = flip
        .sides
        .iter()
        .map(|side| {
            json!({
                "name": side.name,
                "right": side.right,
                "answer": side.answer,
                "margin": side.margin,
                "near_tie": side.near_tie,
            })
        })
        .collect();
    json!({
        "task": flip.task,
        "metric": flip.metric,
        "doc_id": flip.doc_id,
        "row": flip.row,
        "prompt": flip.prompt,
        "gold": flip.gold,
        "choices": flip.choices,
        "near_tie": flip.near_tie(),
        "models": models,
    })
}
