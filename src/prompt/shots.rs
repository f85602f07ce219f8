//! Few-shot examples: the rows they come from, and how they are drawn.

use std::sync::{Arc, OnceLock};

use super::error::PromptError;
use super::options::PromptOptions;
use super::turns::Turn;
use crate::python::random::PythonRandom;
use crate::task::{Sampler, Task};
use crate::vocabulary::Row;

/// Row numbers of a document's shots, in prompt order.
pub type Shots = Vec<usize>;

/// Rows to draw from, each rendered at most once.
pub struct ShotPool {
    /// The split's name.
    pub split: String,
    pub rows: Arc<Vec<Row>>,
    /// Whether it is the split whose documents are evaluated.
    is_evaluated: bool,
    rendered: Vec<OnceLock<Arc<[Turn]>>>,
}

/// Shots per document: the task's number, overridden by the command line's unless the task declares 0 (as in
/// 0.4).
pub fn count(task: &Task, options: &PromptOptions) -> usize {
    match (task.fewshot.count, options.num_fewshot) {
        (Some(0), _) => 0,
        (_, Some(asked)) => asked,
        (declared, None) => declared.unwrap_or(0),
    }
}

impl ShotPool {
    /// A pool over a split, which may be the evaluated one.
    pub fn new(split: &str, rows: Arc<Vec<Row>>, is_evaluated: bool) -> Self {
        let rendered = rows.iter().map(|_| OnceLock::new()).collect();
        Self { split: split.to_string(), rows, is_evaluated, rendered }
    }

    /// A pool that nothing is drawn from.
    pub fn empty() -> Self {
        Self::new("", Arc::new(Vec::new()), false)
    }

    /// The shot's turns, rendered by `render` on first use.
    pub fn turns(
        &self,
        row: usize,
        render: impl FnOnce() -> Result<Vec<Turn>, PromptError>,
    ) -> Result<Arc<[Turn]>, PromptError> {
        if let Some(turns) = self.rendered[row].get() {
            return Ok(turns.clone());
        }
        let turns: Arc<[Turn]> = render()?.into();
        Ok(self.rendered[row].get_or_init(|| turns).clone())
    }

    /// Draws `n` shots for `document`.
    ///
    /// If shots come from the evaluated split itself, one more is drawn and the document is left out. 0.4.13 compares the declared
    /// names (`fewshot_split` and `test_split`), so it does the same if neither is declared. Where the splits are the same because
    /// one of them is the other's fallback, it draws the document with its answer; here it is left out too, as if the names were
    /// declared.
    pub fn draw(
        &self,
        task: &Task,
        random: &mut PythonRandom,
        n: usize,
        document: &Row,
    ) -> Result<Shots, PromptError> {
        if n == 0 {
            return Ok(Vec::new());
        }
        let too_few = || PromptError::TooFewShots {
            task: task.name.clone(),
            wanted: n,
            split: self.split.clone(),
            found: self.rows.len(),
        };
        let declared_alike = task.splits.fewshot == task.splits.test;
        let same_split = declared_alike || self.is_evaluated;
        let differs = |row: &usize| !same_split || self.rows[*row] != *document;
        let shots: Shots = match task.fewshot.sampler {
            Sampler::FirstN => (0..self.rows.len()).filter(differs).take(n).collect(),
            Sampler::Random => {
                let drawn =
                    random.sample(self.rows.len(), n + usize::from(same_split)).ok_or_else(too_few)?;
                let kept: Shots = drawn.into_iter().filter(differs).take(n).collect();
                if kept.len() == n {
                    kept
                } else {
                    // The split has the document more than once: 0.4 draws again from the rows that differ.
                    let others: Shots = (0..self.rows.len()).filter(differs).collect();
                    let drawn = random.sample(others.len(), n).ok_or_else(too_few)?;
                    drawn.into_iter().map(|i| others[i]).collect()
                }
            }
        };
        if shots.len() < n { Err(too_few()) } else { Ok(shots) }
    }
}
