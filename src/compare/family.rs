//! Where a merge's right and wrong answers come from.

use std::collections::BTreeMap;

use super::columns::Group;
use super::rows::values;
use crate::statistics::{holm, mcnemar};
use crate::vocabulary::ComparedRun;

/// How many documents the merge has right and wrong, by the parents that have them right: bit `i` stands for parent `i`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    /// For each set of parents that have a document right, how many of those the merge has wrong, and how many right.
    pub by_parents: BTreeMap<u64, [usize; 2]>,
}

impl Counts {
    /// Documents that exactly these parents have right, and the merge too.
    pub fn inherited(&self, parents: u64) -> usize {
        self.by_parents.get(&parents).map_or(0, |[_, right]| *right)
    }

    /// Documents that exactly these parents have right, and the merge wrong.
    pub fn lost(&self, parents: u64) -> usize {
        self.by_parents.get(&parents).map_or(0, |[wrong, _]| *wrong)
    }
}

/// Where the answers to a column's or a task's documents come from.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// A suite's column, or a task.
    pub task: String,
    pub metric: String,
    /// Over all documents.
    pub counts: Counts,
    /// The tasks, if there are several.
    pub members: Vec<Member>,
}

/// One of several tasks of a column.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    pub task: String,
    /// Number of documents.
    pub documents: usize,
    /// Where its answers come from.
    pub counts: Counts,
    /// How far it moved from each parent.
    pub moved: Vec<Moved>,
}

/// A task's difference from a parent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moved {
    /// Documents that the merge alone has right.
    pub won: usize,
    /// Documents that the parent alone has right.
    pub lost: usize,
    /// McNemar's exact p-value.
    pub p: f64,
    /// `p` with Holm's correction over all tasks of the column.
    pub p_holm: f64,
}

/// The families of those groups whose documents are right or wrong in all runs.
pub fn families(runs: &[ComparedRun], groups: &[Group<'_>]) -> Vec<Family> {
    groups.iter().filter_map(|group| family(runs, group)).collect()
}

fn family(runs: &[ComparedRun], group: &Group<'_>) -> Option<Family> {
    let mut family = Family {
        task: group.name.clone(),
        metric: String::new(),
        counts: Counts::default(),
        members: Vec::new(),
    };
    for member in 0..group.tasks.len() {
        let mut sides: Vec<Vec<f64>> = Vec::new();
        for (place, run) in runs.iter().enumerate() {
            let named = Group {
                metric: Some(&family.metric).filter(|_| place > 0).map(String::as_str).or(group.metric),
                ..group.clone()
            };
            let (values, name, right_or_wrong) = values(run, &named, member, place)?;
            if !right_or_wrong {
                return None;
            }
            family.metric = name;
            sides.push(values);
        }
        let (merge, parents) = sides.split_first()?;
        let mut counts = Counts::default();
        for (document, value) in merge.iter().enumerate() {
            let right = |parent: &Vec<f64>| parent[document] == 1.0;
            let set = parents.iter().enumerate().map(|(bit, parent)| u64::from(right(parent)) << bit).sum();
            for counts in [&mut counts, &mut family.counts] {
                counts.by_parents.entry(set).or_default()[usize::from(*value == 1.0)] += 1;
            }
        }
        let moved = (0..parents.len()).map(|parent| moved(&counts, parent)).collect();
        family.members.push(Member {
            task: group.tasks[member].task.clone(),
            documents: merge.len(),
            counts,
            moved,
        });
    }
    for parent in 0..runs.len().saturating_sub(1) {
        let p: Vec<f64> = family.members.iter().map(|member| member.moved[parent].p).collect();
        for (member, p_holm) in family.members.iter_mut().zip(holm(&p)) {
            member.moved[parent].p_holm = p_holm;
        }
    }
    if family.members.len() < 2 {
        family.members.clear();
    }
    Some(family)
}

fn moved(counts: &Counts, parent: usize) -> Moved {
    let (mut won, mut lost) = (0, 0);
    for (set, [wrong, right]) in &counts.by_parents {
        match set >> parent & 1 {
            0 => won += right,
            _ => lost += wrong,
        }
    }
    let p = mcnemar(won, lost);
    Moved { won, lost, p, p_holm: p }
}
