//! Whether runs can be compared, and which of their documents are the same.

use std::collections::{BTreeMap, HashMap};

use super::allowances::Allowances;
use super::error::CompareError;
use crate::vocabulary::{ComparedDocument, ComparedRun, ComparedTask, Gold};

/// A task's documents, side by side.
#[derive(Debug, Clone, PartialEq)]
pub struct Aligned {
    pub task: String,
    /// For each run, the indices of the documents in its list, in the same order for all; `None` if it does
    /// not have the task.
    pub places: Vec<Option<Vec<usize>>>,
    /// Whether these are all documents of the split, as far as every run knows.
    pub whole: bool,
}

/// Compares how answers were computed.
pub fn check_numerics(
    runs: &[ComparedRun],
    allowances: Allowances,
    notes: &mut Vec<String>,
) -> Result<(), CompareError> {
    let Some((merge, parents)) = runs.split_first() else { return Ok(()) };
    for parent in parents {
        let how = disagreements(&merge.numerics, &parent.numerics);
        if !how.is_empty() && !allowances.other_numerics {
            let (left, right) = (merge.source.clone(), parent.source.clone());
            return Err(CompareError::Numerics { left, right, how });
        }
        if !how.is_empty() {
            notes.push(format!(
                "{} and {} were computed otherwise: {how}: some of the documents won and lost may be so by rounding alone",
                merge.source, parent.source
            ));
        }
    }
    Ok(())
}

/// The facts that both have and that differ, short ones first: those read best in a message.
fn disagreements(left: &BTreeMap<String, String>, right: &BTreeMap<String, String>) -> String {
    let mut found: Vec<(&String, &String, &String)> = left
        .iter()
        .filter_map(|(name, a)| right.get(name).map(|b| (name, a, b)))
        .filter(|(_, a, b)| a != b)
        .collect();
    found.sort_by_key(|(_, a, b)| a.len().max(b.len()));
    let short = |value: &str| match value.char_indices().nth(16) {
        Some((at, _)) => format!("{}...", &value[..at]),
        None => value.to_string(),
    };
    let sentences: Vec<String> =
        found.iter().map(|(name, a, b)| format!("{name} {} and {}", short(a), short(b))).collect();
    sentences.join(", ")
}

/// Tasks that the first run and any other have, with the documents that every run with the task has, side by
/// side.
pub fn align(
    runs: &[ComparedRun],
    allowances: Allowances,
    notes: &mut Vec<String>,
) -> Result<Vec<Aligned>, CompareError> {
    let Some((merge, parents)) = runs.split_first() else { return Ok(Vec::new()) };
    let mut aligned = Vec::new();
    for task in &merge.tasks {
        let having: Vec<Option<&ComparedTask>> = runs.iter().map(|run| run.task(&task.task)).collect();
        if having.iter().flatten().count() < 2 {
            continue;
        }
        aligned.push(align_task(runs, &having, allowances)?);
    }
    note_common(runs, &aligned, notes);
    for parent in parents.iter().filter(|parent| !parent.tasks.is_empty() && !merge.tasks.is_empty()) {
        note_missing(merge, parent, notes);
        note_missing(parent, merge, notes);
    }
    Ok(aligned)
}

/// Notes the tasks of which runs have other documents: each, or, where they are many, all of the same runs in one line.
fn note_common(runs: &[ComparedRun], aligned: &[Aligned], notes: &mut Vec<String>) {
    const FEW: usize = 4;
    struct Counts<'a> {
        task: &'a str,
        common: usize,
        /// Documents of each run.
        has: Vec<usize>,
    }
    let mut by_runs: BTreeMap<Vec<&str>, Vec<Counts<'_>>> = BTreeMap::new();
    for task in aligned {
        let with = runs.iter().zip(&task.places).filter_map(|(run, places)| {
            Some((run.source.as_str(), run.task(&task.task)?.documents.len(), places.as_ref()?.len()))
        });
        let (sources, counts): (Vec<&str>, Vec<(usize, usize)>) =
            with.map(|(source, has, common)| (source, (has, common))).unzip();
        let common = counts.first().map_or(0, |(_, common)| *common);
        if counts.iter().any(|(has, _)| *has != common) {
            let has = counts.into_iter().map(|(has, _)| has).collect();
            by_runs.entry(sources).or_default().push(Counts { task: &task.task, common, has });
        }
    }
    for (sources, tasks) in by_runs {
        let mut note = |name: &str, common: usize, has: &[usize]| {
            let has: Vec<String> =
                sources.iter().zip(has).map(|(source, has)| format!("{source} has {has}")).collect();
            let documents = if common == 1 { "document" } else { "documents" };
            notes.push(format!("{name}: {common} {documents} in common: {}", has.join(", ")));
        };
        match tasks.as_slice() {
            [first, rest @ ..] if tasks.len() > FEW => {
                let common = tasks.iter().map(|counts| counts.common).sum();
                let has: Vec<usize> =
                    (0..sources.len()).map(|run| tasks.iter().map(|counts| counts.has[run]).sum()).collect();
                note(&format!("{} and {} more tasks", first.task, rest.len()), common, &has);
            }
            few => few.iter().for_each(|counts| note(counts.task, counts.common, &counts.has)),
        }
    }
}

fn note_missing(run: &ComparedRun, other: &ComparedRun, notes: &mut Vec<String>) {
    let missing: Vec<&str> =
        run.tasks.iter().map(|task| task.task.as_str()).filter(|name| other.task(name).is_none()).collect();
    let names = match missing.as_slice() {
        [] => return,
        [first, second, third, _, rest @ ..] => {
            format!("{first}, {second}, {third} and {} more", rest.len() + 1)
        }
        few => few.join(", "),
    };
    notes.push(format!("only in {}, and not compared with {}: {names}", run.source, other.source));
}

fn align_task(
    runs: &[ComparedRun],
    having: &[Option<&ComparedTask>],
    allowances: Allowances,
) -> Result<Aligned, CompareError> {
    let with: Vec<(&ComparedRun, &ComparedTask)> =
        runs.iter().zip(having).filter_map(|(run, task)| Some((run, (*task)?))).collect();
    let (merge_run, merge) = with[0];
    for (run, task) in &with[1..] {
        let how = disagreements(&merge.setup, &task.setup);
        if !how.is_empty() {
            let (left, right) = (merge_run.source.clone(), run.source.clone());
            return Err(CompareError::Setup { left, right, task: merge.task.clone(), how });
        }
    }
    let by_row = with.iter().all(|(_, task)| task.documents.iter().all(|document| document.row.is_some()));
    let key = |document: &ComparedDocument| document.row.filter(|_| by_row).unwrap_or(document.doc_id);
    let mut found: Vec<HashMap<usize, usize>> = Vec::new();
    for (run, task) in &with {
        let mut places = HashMap::with_capacity(task.documents.len());
        for (place, document) in task.documents.iter().enumerate() {
            let fault = |run: &ComparedRun| (run.source.clone(), task.task.clone(), document.doc_id);
            if document.values.len() != task.metrics.len()
                || document.values.iter().any(|value| !(-1e-9..=1.0 + 1e-9).contains(value))
            {
                let (run, task, doc_id) = fault(run);
                return Err(CompareError::NoNumber { run, task, doc_id });
            }
            if places.insert(key(document), place).is_some() {
                let (run, task, doc_id) = fault(run);
                return Err(CompareError::Twice { run, task, doc_id });
            }
        }
        found.push(places);
    }
    let mut places: Vec<Vec<usize>> = vec![Vec::new(); with.len()];
    for document in &merge.documents {
        let at: Option<Vec<usize>> = found.iter().map(|places| places.get(&key(document)).copied()).collect();
        for (places, at) in places.iter_mut().zip(at.into_iter().flatten()) {
            places.push(at);
        }
    }
    let both = places[0].len();
    for ((run, task), found) in with.iter().zip(&found).skip(1) {
        let shared = merge.documents.iter().filter(|document| found.contains_key(&key(document))).count();
        let (left_only, right_only) = (merge.documents.len() - shared, task.documents.len() - shared);
        let (left, right, name) = (merge_run.source.clone(), run.source.clone(), task.task.clone());
        if shared == 0 {
            return Err(CompareError::NoDocument { left, right, task: name });
        }
        if left_only + right_only > 0 && !allowances.common {
            return Err(CompareError::Documents {
                left,
                right,
                task: name,
                left_only,
                right_only,
                both: shared,
            });
        }
    }
    if both == 0 {
        let (left, right) = (merge_run.source.clone(), "the others together".to_string());
        return Err(CompareError::NoDocument { left, right, task: merge.task.clone() });
    }
    check_documents(&with, &places)?;
    let whole = with.iter().all(|(_, task)| task.available == Some(both));
    let mut places = places.into_iter();
    let places = having.iter().map(|task| task.and_then(|_| places.next())).collect();
    Ok(Aligned { task: merge.task.clone(), places, whole })
}

/// Checks that what both know of a document agrees.
fn check_documents(
    with: &[(&ComparedRun, &ComparedTask)],
    places: &[Vec<usize>],
) -> Result<(), CompareError> {
    let (merge_run, merge) = with[0];
    for ((run, task), others) in with.iter().zip(places).skip(1) {
        for (&a, &b) in places[0].iter().zip(others) {
            let (a, b) = (&merge.documents[a], &task.documents[b]);
            if let Some(what) = disagreement(a, b) {
                let (left, right, task) = (merge_run.source.clone(), run.source.clone(), task.task.clone());
                return Err(CompareError::Document { left, right, task, doc_id: a.doc_id, what });
            }
        }
    }
    Ok(())
}

fn disagreement(a: &ComparedDocument, b: &ComparedDocument) -> Option<&'static str> {
    // Runs record the right answer in more than one way: only equal kinds are compared.
    let gold = match (&a.gold, &b.gold) {
        (Some(Gold::Index(a)), Some(Gold::Index(b))) => a != b,
        (Some(Gold::NoChoice(a)), Some(Gold::NoChoice(b))) => a != b,
        (Some(Gold::Index(_)), Some(Gold::NoChoice(_))) | (Some(Gold::NoChoice(_)), Some(Gold::Index(_))) => {
            true
        }
        (Some(Gold::Labels(a)), Some(Gold::Labels(b))) => a != b,
        (Some(Gold::Answer(a)), Some(Gold::Answer(b))) => a != b,
        _ => false,
    };
    let choices = !a.choices.is_empty() && !b.choices.is_empty() && a.choices != b.choices;
    let prompt = matches!((&a.prompt_hash, &b.prompt_hash), (Some(a), Some(b)) if a != b);
    match (gold, choices, prompt) {
        (true, _, _) => Some("right answer"),
        (_, true, _) => Some("list of choices"),
        (_, _, true) => Some("prompt"),
        _ => None,
    }
}
