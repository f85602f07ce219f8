//! The sentence with which a comparison ends.

use serde_json::{Value, json};

use super::p_value::shown_p;
use crate::compare::{Parent, Verdict};
use crate::statistics::Settling;

/// What was found over all columns together, how sure it is, and how many documents more would settle it.
pub fn sentence(merge: &str, parent: &Parent) -> String {
    let name = &parent.name;
    let Some(found) = &parent.conclusion else {
        return format!(
            "Over all columns together nothing can be tested between {merge} and {name}: no document is known of both."
        );
    };
    let row = &found.together;
    let over = match (found.columns, found.of) {
        (_, Some(_)) if found.whole => "Over all columns together".to_string(),
        (1, Some(of)) => format!("Over what was run of one column of {of}"),
        (columns, Some(of)) => format!("Over what was run of {columns} columns of {of} together"),
        (1, None) => "Over the one task".to_string(),
        (columns, None) => format!("Over all {columns} tasks together"),
    };
    let points = |fraction: f64| format!("{:+.2}", 100.0 * fraction);
    let interval = row
        .ci95
        .map(|[low, high]| format!("95 %: {} to {}, ", points(low), points(high)))
        .unwrap_or_default();
    let p = match shown_p(row.p) {
        _ if row.p.is_none() => "not tested".to_string(),
        small if small.starts_with('<') => format!("p {small}"),
        p => format!("p = {p}"),
    };
    let n = match row.n {
        Some(1) => ", 1 document".to_string(),
        Some(n) => format!(", {} documents", grouped(n)),
        None => String::new(),
    };
    let numbers = format!("{} points ({interval}{p}{n})", points(row.difference));
    match (row.verdict, found.settling) {
        (Some(Verdict::Better), _) => format!("{over}, {merge} is better than {name}: {numbers}."),
        (Some(Verdict::Worse), _) => format!("{over}, {merge} is worse than {name}: {numbers}."),
        (_, settling) => {
            let more = match settling {
                Some(Settling::Documents(more)) => {
                    format!(
                        "if the difference is as it looks, about {} documents more would settle it",
                        round(more)
                    )
                }
                Some(Settling::BeyondTasks(more)) => format!(
                    "if the difference is as it looks, about {} documents more would settle it, which these tasks do not have",
                    round(more)
                ),
                Some(Settling::TooFew) => "a task has too few documents to tell".to_string(),
                Some(Settling::NearZero) | None => "it cannot be settled by these tasks".to_string(),
            };
            format!("{over}, no difference between {merge} and {name} is shown: {numbers}; {more}.")
        }
    }
}

/// The same for programs.
pub fn conclusion_json(merge: &str, parent: &Parent) -> Value {
    let Some(found) = &parent.conclusion else { return json!({"sentence": sentence(merge, parent)}) };
    let row = &found.together;
    let more = match found.settling {
        Some(Settling::Documents(more) | Settling::BeyondTasks(more)) => Some(more),
        _ => None,
    };
    json!({
        "columns": found.columns,
        "of": found.of,
        "partial": !found.whole,
        "n": row.n,
        "difference": row.difference,
        "ci95": row.ci95,
        "p": row.p,
        "verdict": row.verdict.map(Verdict::words),
        "documents_more": more,
        "settled_by_these_tasks": match found.settling {
            None => Some(true),
            Some(Settling::Documents(_) | Settling::TooFew) => None,
            Some(Settling::BeyondTasks(_) | Settling::NearZero) => Some(false),
        },
        "sentence": sentence(merge, parent),
    })
}

/// Two digits: the number is an estimate.
fn round(count: usize) -> String {
    let digits = count.max(1).ilog10();
    let unit = 10usize.pow(digits.saturating_sub(1));
    grouped(count.div_ceil(unit) * unit)
}

/// A count with commas between its thousands.
fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let place = |(at, digit): (usize, char)| {
        let comma = at > 0 && (digits.len() - at).is_multiple_of(3);
        comma.then_some(',').into_iter().chain([digit])
    };
    digits.chars().enumerate().flat_map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_documents_are_rounded_up_to_two_digits() {
        let found: Vec<String> = [1, 9, 10, 87, 101, 4_210, 1_234_567].map(round).to_vec();
        assert_eq!(found, ["1", "9", "10", "87", "110", "4,300", "1,300,000"]);
    }
}
