//! Which documents, in which order, with which shots.

use super::error::PromptError;
use super::shots::{ShotPool, Shots};
use crate::python::random::PythonRandom;
use crate::task::Task;
use crate::vocabulary::Row;

/// Rows in doc_id order and the shots of each, at most `limit` of them.
///
/// The leaderboard's harness shuffled the whole split with `random.Random(42)` and drew each document's shots from the same
/// generator, in order; 0.4 keeps the file's order and seeds the generator of the shots alone. The limit cuts after the
/// shuffle, and later draws do not reach back, so a limited run is the beginning of the full one.
pub fn order_and_draw(
    task: &Task,
    rows: &[Row],
    pool: &ShotPool,
    num_fewshot: usize,
    limit: Option<usize>,
) -> Result<(Vec<usize>, Vec<Shots>), PromptError> {
    let mut random = PythonRandom::new(task.random.seed);
    let mut order: Vec<usize> = (0..rows.len()).collect();
    if task.random.shuffle_documents {
        random.shuffle(&mut order);
    }
    order.truncate(limit.unwrap_or(usize::MAX));
    let draws = order
        .iter()
        .map(|&row| pool.draw(task, &mut random, num_fewshot, &rows[row]))
        .collect::<Result<Vec<_>, _>>()?;
    Ok((order, draws))
}
