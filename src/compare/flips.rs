//! Documents that either a merge or a parent has right, but not both.

use super::columns::Group;
use super::rows::values;
use crate::vocabulary::{ComparedRun, Gold};

/// A document that flipped.
#[derive(Debug, Clone, PartialEq)]
pub struct Flip {
    pub task: String,
    /// The metric by which it is right or wrong.
    pub metric: String,
    /// Its index among the task's documents.
    pub doc_id: usize,
    /// Its index in the split's file.
    pub row: Option<usize>,
    /// The prompt, if a run recorded it.
    pub prompt: Option<String>,
    /// The right answer.
    pub gold: Option<Gold>,
    pub choices: Vec<String>,
    /// The merge, then its parents.
    pub sides: Vec<FlipSide>,
}

/// One model's answer to it.
#[derive(Debug, Clone, PartialEq)]
pub struct FlipSide {
    pub name: String,
    pub right: bool,
    /// The answer, if the run recorded it.
    pub answer: Option<String>,
    /// Its lead over the next-best answer.
    pub margin: Option<f64>,
    /// Whether rounding alone could have changed it.
    pub near_tie: bool,
}

impl Flip {
    /// Whether rounding alone could have made the difference: the decision of the merge, or that of every parent that decided
    /// otherwise, is a near-tie.
    pub fn near_tie(&self) -> bool {
        let Some((merge, parents)) = self.sides.split_first() else { return false };
        merge.near_tie || parents.iter().filter(|side| side.right != merge.right).all(|side| side.near_tie)
    }
}

/// The documents that flipped, in the order of groups and documents.
pub fn flips(runs: &[ComparedRun], groups: &[Group<'_>]) -> Vec<Flip> {
    let mut flips = Vec::new();
    for group in groups {
        for member in 0..group.tasks.len() {
            flips.extend(flips_of(runs, group, member).unwrap_or_default());
        }
    }
    flips
}

fn flips_of(runs: &[ComparedRun], group: &Group<'_>, member: usize) -> Option<Vec<Flip>> {
    let aligned = group.tasks.get(member)?;
    let (_, metric, _) = values(&runs[0], group, member, 0)?;
    let named = Group { metric: Some(&metric), ..group.clone() };
    let mut sides = Vec::new();
    for (place, run) in runs.iter().enumerate() {
        let (values, _, right_or_wrong) = values(run, &named, member, place)?;
        let task = run.task(&aligned.task)?;
        sides.push((values, task, aligned.places.get(place)?.as_ref()?));
        if !right_or_wrong {
            return None;
        }
    }
    let merge = &sides[0].0;
    let flipped = (0..merge.len()).filter(|at| sides.iter().any(|(values, ..)| values[*at] != merge[*at]));
    let flip = |at: usize| {
        let document = |side: usize| &sides[side].1.documents[sides[side].2[at]];
        let known = || (0..sides.len()).map(document);
        let side = |side: usize| {
            let place = sides[side].1.metric(&metric).unwrap_or(0);
            let decision = document(side).decisions.get(place).copied().flatten();
            FlipSide {
                name: runs[side].name.clone(),
                right: sides[side].0[at] == 1.0,
                answer: document(side).answers.get(place).cloned().flatten(),
                margin: decision.and_then(|decision| decision.margin),
                near_tie: decision.is_some_and(|decision| decision.near_tie),
            }
        };
        Flip {
            task: aligned.task.clone(),
            metric: metric.clone(),
            doc_id: document(0).doc_id,
            row: known().find_map(|document| document.row),
            prompt: known().find_map(|document| document.prompt.clone()),
            gold: known().find_map(|document| document.gold.clone()),
            choices: known().map(|d| &d.choices).find(|c| !c.is_empty()).cloned().unwrap_or_default(),
            sides: (0..sides.len()).map(side).collect(),
        }
    };
    Some(flipped.map(flip).collect())
}
