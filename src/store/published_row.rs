//! A row of published scores as a run without documents.

use std::borrow::Cow;
use std::path::Path;

use super::foreign::ForeignError;
use crate::builtin;
use crate::dataset::Manifest;
use crate::disk;
use crate::metric::Scorer;
use crate::task::{Column, Suite, Task, TaskIndex, closest};
use crate::vocabulary::{ColumnScore, ComparedRun};

const ENDING: &str = ".csv:";
/// A file built into the binary.
const PUBLISHED: &str = "results/published.csv";
/// Tolerance, in percentage points, for comparing a rounded score in double precision.
const ROUNDING: f64 = 1e-9;

/// File and model of `FILE.csv:MODEL`; `None` if it is an ordinary path.
pub fn published_spec(typed: &str) -> Option<(&str, &str)> {
    let at = typed.find(ENDING)?;
    let (file, model) = (&typed[..at + ENDING.len() - 1], &typed[at + ENDING.len()..]);
    (!model.is_empty() && !Path::new(typed).exists()).then_some((file, model))
}

/// The row of `model` in `file`, a table with the suite's columns in percent. `file` may be the name of the
/// one built into the binary.
///
/// # Errors
/// The file or row does not exist, or a score is not a percentage.
pub fn published_run(
    file: &str,
    model: &str,
    suite: &Suite,
    index: &TaskIndex,
    manifests: &[Manifest],
) -> Result<ComparedRun, ForeignError> {
    let fault =
        |line: usize, what: String, hint: &str| ForeignError::new(format!("{file}:{line}: {what}"), hint);
    const SHAPE: &str = "the file has a line a model: Model, the suite's columns in percent, Source";
    let bytes = bytes_of(file)?;
    let mut reader = csv::Reader::from_reader(bytes.as_ref());
    let header = reader.headers().map_err(|e| fault(1, e.to_string().to_lowercase(), SHAPE))?.clone();
    let place = |name: &str| header.iter().position(|head| head == name);
    let name_at = place("Model").ok_or_else(|| fault(1, "no column `Model`".into(), SHAPE))?;
    let mut names = Vec::new();
    let mut found: Option<(usize, csv::StringRecord)> = None;
    for (number, record) in reader.records().enumerate() {
        let line = number + 2;
        let record = record.map_err(|e| fault(line, e.to_string().to_lowercase(), SHAPE))?;
        let name = record.get(name_at).unwrap_or_default().trim();
        names.push(name.to_string());
        if name != model {
            continue;
        }
        if let Some((first, _)) = &found {
            let what = format!("`{model}` stands at line {first} too");
            return Err(fault(line, what, "keep one line of a model"));
        }
        found = Some((line, record));
    }
    let Some((line, record)) = found else {
        let hint = match closest(model, names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`assay leaderboard` shows the models that are published".to_string(),
        };
        return Err(ForeignError::new(format!("{file}: no model `{model}`"), hint));
    };
    let mut run =
        ComparedRun { name: model.to_string(), source: format!("{file}:{model}"), ..ComparedRun::default() };
    for column in &suite.columns {
        let Some(at) = place(&column.name) else { continue };
        let text = record.get(at).unwrap_or_default().trim();
        if text.is_empty() {
            continue;
        }
        let score = text.parse::<f64>().ok().filter(|score| (0.0..=100.0).contains(score));
        let score = score
            .ok_or_else(|| fault(line, format!("`{}` is `{text}`, expected percent", column.name), SHAPE))?;
        let (documents, counted) = documents_of(column, index, manifests)?;
        let decimals = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
        let correct = documents.filter(|_| counted).and_then(|n| only_count(score, decimals, n));
        run.columns.push(ColumnScore {
            column: column.name.clone(),
            score: score / 100.0,
            documents,
            correct,
        });
    }
    if run.columns.is_empty() {
        let names: Vec<&str> = suite.columns.iter().map(|column| column.name.as_str()).collect();
        return Err(fault(line, format!("no score, expected one of {}", names.join(", ")), SHAPE));
    }
    run.notes.push("published scores, rounded and without documents: nothing can be paired".into());
    Ok(run)
}

fn bytes_of(file: &str) -> Result<Cow<'static, [u8]>, ForeignError> {
    let unread = |error: &dyn std::fmt::Display| {
        ForeignError::new(
            format!("{file}: cannot be read: {error}"),
            format!("give a table of scores, or `published.csv:MODEL` for those in {PUBLISHED}"),
        )
    };
    if Path::new(file).exists() {
        return disk::read(file, disk::TEXT).map(Cow::from).map_err(|error| unread(&error));
    }
    if file != PUBLISHED && !PUBLISHED.ends_with(&format!("/{file}")) {
        return Err(unread(&"there is no such file"));
    }
    builtin::read(PUBLISHED).map_err(|error| unread(&error))?.ok_or_else(|| unread(&"there is no such file"))
}

/// The number of documents of a column, if the manifests give it, and whether its score is a share of right
/// documents: that takes a single task whose documents are each right or wrong.
fn documents_of(
    column: &Column,
    index: &TaskIndex,
    manifests: &[Manifest],
) -> Result<(Option<usize>, bool), ForeignError> {
    let fault =
        |error: &dyn std::fmt::Display| ForeignError::new(error.to_string(), "`assay tasks` lists all tasks");
    let tasks = index.select(std::slice::from_ref(&column.tasks)).map_err(|error| fault(&error))?.tasks;
    let rows = |task: &Task| {
        let manifest = manifests.iter().find(|manifest| manifest.hub_id == task.dataset.path)?;
        let split = manifest.split(task.dataset.config.as_deref(), task.evaluation_split()?)?;
        Some(split.rows)
    };
    let documents = tasks.iter().map(rows).sum();
    let counted = match tasks.as_slice() {
        [one] => {
            let scorer = Scorer::for_task(one).map_err(|error| fault(&error))?;
            scorer.means().any(|(_, name, decides)| name == column.metric && decides)
        }
        _ => false,
    };
    Ok((documents, counted))
}

/// The only count, out of `documents`, whose percentage rounded to `decimals` decimals is `score`; `None` if
/// several counts match, or none does.
fn only_count(score: f64, decimals: usize, documents: usize) -> Option<usize> {
    let half = 0.5 * 10f64.powi(-i32::try_from(decimals).ok()?) + ROUNDING;
    let of = |percent: f64| percent / 100.0 * documents as f64;
    let (least, most) = (of(score - half).ceil().max(0.0), of(score + half).floor().min(documents as f64));
    (least == most).then_some(least as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_pins_a_count_where_no_other_rounds_to_it() {
        // Published for Gille/StrangeMerges_24-7B-slerp.
        for (score, documents, count) in
            [(73.98, 1172, 867), (89.09, 10_042, 8946), (84.69, 1267, 1073), (68.99, 1319, 910)]
        {
            assert_eq!(only_count(score, 2, documents), Some(count));
        }
        assert_eq!(only_count(100.0, 2, 7), Some(7));
        assert_eq!(only_count(0.0, 0, 7), Some(0));
        // Several counts match; no count matches.
        assert_eq!(only_count(50.0, 1, 10_000), None);
        assert_eq!(only_count(50.0, 2, 7), None);
    }

    #[test]
    fn a_count_is_found_again_from_its_score() {
        for documents in [1172, 1267, 1319, 10_042] {
            for count in (0..=documents).step_by(7) {
                let shown = format!("{:.2}", 100.0 * count as f64 / documents as f64);
                let found = only_count(shown.parse().unwrap(), 2, documents);
                // HellaSwag's steps are finer than 0.01 %: some scores match two counts.
                assert!(
                    found == Some(count) || documents > 10_000 && found.is_none(),
                    "{count} of {documents}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_table_is_a_path() {
        assert_eq!(published_spec("published.csv:a/b"), Some(("published.csv", "a/b")));
        assert_eq!(published_spec("x/y.csv:a:b"), Some(("x/y.csv", "a:b")));
        for path in ["results/run", "published.csv", "published.csv:"] {
            assert_eq!(published_spec(path), None);
        }
    }
}
