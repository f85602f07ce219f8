//! Which documents, in which order, with which shots.

use super::error::PromptError;
use super::shots::{ShotPool, Shots};
use crate::python::random::PythonRandom;
use crate::task::Task;
use crate::vocabulary::Row;

/// Row numbers in doc_id order, at most `limit` of them, and the shots of each.
///
/// The leaderboard's harness shuffled the whole split with `random.Random(42)` and drew each document's shots
/// from the same generator, in order; 0.4 keeps the file's order and uses a seeded generator for the shots
/// only. The limit applies after the shuffle, and later draws do not affect earlier ones, so a limited run is
/// a prefix of the full one.
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
