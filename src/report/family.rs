//! Where a merge's answers come from, as tables.

use super::table::{Cell, Table};
use crate::compare::{Comparison, Counts, Family, Moved};

/// Up to this many parents, every set of them has a column, with or without documents.
const ALL_SETS_UP_TO: usize = 3;

/// The sets of parents to show, by size: all sets of few parents; of many, the empty set and those with a
/// document.
pub fn sets(counts: &Counts, parents: usize) -> Vec<u64> {
    let mut sets: Vec<u64> = if parents <= ALL_SETS_UP_TO {
        (0..1 << parents).collect()
    } else {
        [0].into_iter().chain(counts.by_parents.keys().copied().filter(|set| *set > 0)).collect()
    };
    sets.sort_by_key(|set| (set.count_ones(), *set));
    sets
}

/// One row per task: right answers by the parents that they are inherited from, wrong ones by the parents
/// that they are lost from.
pub fn family_table(comparison: &Comparison) -> Table {
    let parents = &comparison.documented;
    let mut all = Counts::default();
    for family in &comparison.family {
        for set in family.counts.by_parents.keys() {
            all.by_parents.insert(*set, [0, 0]);
        }
    }
    let sets: Vec<u64> = sets(&all, parents.len()).into_iter().filter(|set| *set > 0).collect();
    let mut head = vec!["Task".to_string()];
    head.extend(sets.iter().map(|set| format!("from {}", letters(*set, parents))));
    head.push("emergent".into());
    head.extend(sets.iter().map(|set| format!("lost from {}", letters(*set, parents))));
    head.push("never had".into());
    let count = |count: usize| Cell::Count(count as u64);
    let row = |family: &Family| {
        let counts = &family.counts;
        let mut row = vec![Cell::Text(family.task.clone())];
        row.extend(sets.iter().map(|set| count(counts.inherited(*set))));
        row.push(count(counts.inherited(0)));
        row.extend(sets.iter().map(|set| count(counts.lost(*set))));
        row.push(count(counts.lost(0)));
        row
    };
    Table { head, rows: comparison.family.iter().map(row).collect() }
}

/// `A`, `B`, ...: the letter of a parent.
pub fn letter(parent: usize) -> char {
    char::from(b'A' + (parent % 26) as u8)
}

/// The letters of a set of `parents`, which are given by their indices.
fn letters(set: u64, parents: &[usize]) -> String {
    if parents.len() == 2 && set == 3 {
        return "both".into();
    }
    if parents.len() > 2 && set.count_ones() as usize == parents.len() {
        return "all".into();
    }
    let of = parents.iter().enumerate().filter(|(bit, _)| set >> bit & 1 == 1);
    let of: Vec<String> = of.map(|(_, place)| letter(*place).to_string()).collect();
    of.join("+")
}

/// The tasks of a column that moved from a parent, the furthest first, with a sentence about all of them.
pub fn moved_table(family: &Family, parent: usize, name: &str) -> (String, Table) {
    let share = |documents: usize, moved: &Moved| (moved.won as f64 - moved.lost as f64) / documents as f64;
    let mut moved: Vec<_> = family
        .members
        .iter()
        .map(|member| (member, member.moved[parent]))
        .filter(|(_, moved)| moved.p < 0.05)
        .collect();
    moved.sort_by(|(a, left), (b, right)| {
        share(b.documents, right).abs().total_cmp(&share(a.documents, left).abs()).then(a.task.cmp(&b.task))
    });
    let all = family.members.len();
    let certain = moved.iter().filter(|(_, moved)| moved.p_holm < 0.05).count();
    let sentence = format!(
        "{}: {} of {all} tasks moved from {name} with p < 0.05, each by itself (chance alone moves up to {:.0} on average); {certain} of them by Holm's p over {all} tasks.",
        family.task,
        moved.len(),
        (0.05 * all as f64).ceil(),
    );
    let head = ["Task", "n", "Difference", "Won", "Lost", "p", "p (Holm)"].map(str::to_string).to_vec();
    let rows = moved
        .into_iter()
        .map(|(member, moved)| {
            vec![
                Cell::Text(member.task.clone()),
                Cell::Count(member.documents as u64),
                Cell::Number(format!("{:+.2}", 100.0 * share(member.documents, &moved))),
                Cell::Count(moved.won as u64),
                Cell::Count(moved.lost as u64),
                Cell::Number(super::p_value::shown_p(Some(moved.p))),
                Cell::Number(super::p_value::shown_p(Some(moved.p_holm))),
            ]
        })
        .collect();
    (sentence, Table { head, rows })
}
