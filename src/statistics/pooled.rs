//! Means over tasks, and their standard errors.

use crate::vocabulary::Estimate;

/// The mean of tasks' scores: each document counts the same if `weight_by_size`, or else each task. As lm-evaluation-harness 0.4.13's
/// groups: the standard error is pooled over the documents in the first case, and that of a mean of independent means in the other.
/// There is none if a task has none. `None` without tasks.
pub fn mean_of_tasks(tasks: &[Estimate], weight_by_size: bool) -> Option<Estimate> {
    if tasks.is_empty() {
        return None;
    }
    let weight = |task: &Estimate| if weight_by_size { task.n as f64 } else { 1.0 };
    let weights: f64 = tasks.iter().map(weight).sum();
    let value = tasks.iter().map(|task| task.value * weight(task)).sum::<f64>() / weights;
    let n = tasks.iter().map(|task| task.n).sum();
    let errors: Option<Vec<f64>> = tasks.iter().map(|task| task.stderr).collect();
    let stderr = errors.map(|errors| {
        if !weight_by_size {
            return errors.iter().map(|error| error.powi(2)).sum::<f64>().sqrt() / errors.len() as f64;
        }
        let squares =
            |(task, error): (&Estimate, &f64)| (task.n as f64 - 1.0) * error.powi(2) * task.n as f64;
        let sum: f64 = tasks.iter().zip(&errors).map(squares).sum();
        (sum / (weights - tasks.len() as f64) / weights).sqrt()
    });
    Some(Estimate { value, stderr, n })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tasks() -> [Estimate; 3] {
        let task = |value, stderr, n| Estimate { value, stderr: Some(stderr), n };
        [task(0.5, 0.5, 2), task(1.0 / 3.0, 1.0 / 3.0, 3), task(0.75, 0.1, 20)]
    }

    /// lm_eval 0.4.13: aggregate_subtask_metrics, pooled_sample_stderr and unweighted_mean_stderr of these tasks.
    #[test]
    fn both_means_are_the_references() {
        for (weighted, value, error) in
            [(true, 0.68, 0.09502790658697596), (false, 0.527_777_777_777_777_8, 0.2030629653610785)]
        {
            let found = mean_of_tasks(&tasks(), weighted).unwrap();
            assert!((found.value - value).abs() < 1e-15, "{found:?}");
            assert!((found.stderr.unwrap() - error).abs() < 1e-15, "{found:?}");
            assert_eq!(found.n, 25);
        }
    }

    #[test]
    fn a_task_without_an_error_leaves_none() {
        let mut tasks = tasks();
        tasks[1].stderr = None;
        for weighted in [true, false] {
            assert_eq!(mean_of_tasks(&tasks, weighted).unwrap().stderr, None);
        }
        assert_eq!(mean_of_tasks(&[], true), None);
    }
}
