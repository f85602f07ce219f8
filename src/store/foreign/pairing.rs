//! Matches the documents of another harness with ours. Its document numbers cannot be used: it may have
//! shuffled, selected or dropped rows. Documents are matched by the exact bytes of their requests.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::run::{ForeignDocument, ForeignError, ForeignRun, ForeignTask, request_hash};
use crate::metric::Scorer;
use crate::task::Task;
use crate::vocabulary::{
    ADD_BOS_TOKEN, ComparedDocument, ComparedMetric, ComparedRun, ComparedTask, DocumentRequests,
    Fingerprint, Gold,
};

/// All documents of each task, by task name, with our run's requests.
pub type RequestsByTask = BTreeMap<String, Vec<DocumentRequests>>;

/// Maximum number of metrics that a message lists.
const SHOWN: usize = 3;

/// Converts the run for comparisons; `source` is what the user called it. Given the requests that our own run
/// `asked`, its documents are matched with ours, and one without a match is an error. Without them, documents
/// are identified by their numbers and by a hash of their requests.
///
/// # Errors
/// A task has other requests, or metrics are missing.
pub fn compared_foreign(
    run: ForeignRun,
    source: &str,
    tasks: &[Task],
    asked: Option<&RequestsByTask>,
) -> Result<ComparedRun, ForeignError> {
    let mut compared = ComparedRun {
        name: run.name,
        source: source.to_string(),
        notes: run.notes,
        ..ComparedRun::default()
    };
    compared.numerics.extend(run.dtype.map(|dtype| ("dtype".to_string(), dtype)));
    for outside in run.tasks {
        let Some(task) = tasks.iter().find(|task| task.is_known_as(&outside.name)) else { continue };
        // Only what our runs have is compared.
        let own = match asked {
            Some(asked) => match asked.get(&*task.name) {
                Some(own) => Some(own.as_slice()),
                None => continue,
            },
            None => None,
        };
        let mut found = compared_task(outside, task, own, &mut compared.notes)?;
        let told = run.add_bos_token.map(|added| (ADD_BOS_TOKEN.to_string(), added.to_string()));
        found.setup.extend(told);
        found.setup.extend(run.chat.clone());
        match compared.tasks.iter_mut().find(|known| known.task == found.task) {
            Some(known) => join(known, found, source)?,
            None => compared.tasks.push(found),
        }
    }
    Ok(compared)
}

fn compared_task(
    outside: ForeignTask,
    task: &Task,
    own: Option<&[DocumentRequests]>,
    notes: &mut Vec<String>,
) -> Result<ComparedTask, ForeignError> {
    let metrics = metrics_of(&outside, task, notes)?;
    let scorer =
        Scorer::for_task(task).map_err(|error| ForeignError::new(error.to_string(), "mend the task file"))?;
    let identities = match own {
        Some(own) => Some(identities(&outside, task, &metrics, own)?),
        None => None,
    };
    let mut documents = Vec::with_capacity(outside.documents.len());
    for (place, document) in outside.documents.iter().enumerate() {
        let values = metrics.iter().filter_map(|(theirs, _)| document.values.get(theirs).copied()).collect();
        let answers = metrics.iter().map(|(theirs, _)| answer(document, theirs)).collect();
        let known = identities.as_ref().zip(own).and_then(|(found, own)| own.get(found[place]));
        documents.push(match known {
            Some(known) => ComparedDocument {
                doc_id: known.doc_id,
                row: Some(known.row),
                prompt: known.requests.first().map(|request| request.context().to_string()),
                gold: Some(known.gold.clone()),
                choices: known.choices.clone(),
                values,
                answers,
                ..ComparedDocument::default()
            },
            None => ComparedDocument {
                doc_id: document.doc_id,
                prompt_hash: Some(document.asked.clone()),
                values,
                answers,
                ..ComparedDocument::default()
            },
        });
    }
    documents.sort_by_key(|document| document.doc_id);
    let metrics = metrics.into_iter().map(|(_, name)| {
        let right_or_wrong = scorer.means().any(|(_, known, decides)| known == name && decides);
        ComparedMetric { name, right_or_wrong }
    });
    let metrics: Vec<ComparedMetric> = metrics.collect();
    let between = |document: &ComparedDocument| {
        let mut values = document.values.iter().zip(&metrics);
        values.any(|(value, metric)| metric.right_or_wrong && *value != 0.0 && *value != 1.0)
    };
    if let Some(document) = documents.iter().find(|document| between(document)) {
        let what = format!("{}: document {} is neither right nor wrong", outside.file, document.doc_id);
        return Err(ForeignError::new(
            what,
            "a metric of another kind stands in the place of one that task files map",
        ));
    }
    let shots = outside.shots.map(|shots| ("shots".to_string(), shots.to_string()));
    Ok(ComparedTask {
        task: task.name.to_string(),
        setup: shots.into_iter().collect(),
        available: outside.available.or(own.map(<[_]>::len)),
        metrics,
        passed: None,
        documents,
    })
}

/// The metrics that both have, as pairs of their name and ours.
fn metrics_of(
    outside: &ForeignTask,
    task: &Task,
    notes: &mut Vec<String>,
) -> Result<Vec<(String, String)>, ForeignError> {
    let until = outside.until.as_deref();
    let Some(known) = task.metrics_known_as(&outside.name, until) else {
        let expected: Vec<String> = task
            .known_as
            .iter()
            .filter_map(|known| known.until.as_ref())
            .map(|until| format!("{until:?}"))
            .collect();
        return Err(ForeignError::new(
            format!(
                "{}: texts of {} stop at {:?}, expected {}",
                outside.file,
                outside.name,
                until.unwrap_or_default(),
                expected.join(" or ")
            ),
            "texts that were cut elsewhere are other answers: run it with the stops of one of these",
        ));
    };
    let has =
        |name: &String| outside.documents.first().is_some_and(|document| document.values.contains_key(name));
    let ours = |name: &String| task.metrics.iter().any(|metric| metric.name == *name);
    let (found, missing): (Vec<_>, Vec<_>) =
        known.into_iter().partition(|(theirs, name)| has(theirs) && ours(name));
    if found.is_empty() {
        let there: Vec<&str> =
            outside.documents.iter().flat_map(|d| d.values.keys()).take(SHOWN).map(String::as_str).collect();
        let wanted: Vec<&str> = missing.iter().map(|(theirs, _)| theirs.as_str()).collect();
        return Err(ForeignError::new(
            format!(
                "{}: none of the metrics {}, there is {}",
                outside.file,
                wanted.join(", "),
                if there.is_empty() { "none at all".to_string() } else { there.join(", ") }
            ),
            "a task file says by `known_as` what others call its metrics",
        ));
    }
    if outside.available.is_some() {
        for (theirs, name) in missing.iter().filter(|(_, name)| ours(name)) {
            notes.push(format!("{}: no `{theirs}`, which is {name} here", outside.name));
        }
    }
    Ok(found)
}

fn answer(document: &ForeignDocument, metric: &str) -> Option<String> {
    let chain = metric.split_once(',').map_or("none", |(_, chain)| chain);
    document.answers.get(chain).cloned()
}

/// For each document, the index of ours that it matches.
fn identities(
    outside: &ForeignTask,
    task: &Task,
    metrics: &[(String, String)],
    own: &[DocumentRequests],
) -> Result<Vec<usize>, ForeignError> {
    let mut places: HashMap<Fingerprint, Vec<usize>> = HashMap::new();
    for (place, document) in own.iter().enumerate() {
        places.entry(asked_about(document, task, metrics)).or_default().push(place);
    }
    let mut taken: HashSet<usize> = HashSet::new();
    let mut found = Vec::with_capacity(outside.documents.len());
    let mut strange: Vec<usize> = Vec::new();
    for document in &outside.documents {
        let same = places.get(&document.asked).map(Vec::as_slice).unwrap_or_default();
        let free = || same.iter().copied().filter(|place| !taken.contains(place));
        // Among documents with equal requests, prefer the one with its number: of the row, or after the
        // shuffle.
        let by_number =
            free().find(|&place| own[place].row == document.doc_id || own[place].doc_id == document.doc_id);
        match by_number.or(free().next()) {
            Some(place) => {
                taken.insert(place);
                check_gold(outside, document, task, metrics, &own[place])?;
                found.push(place);
            }
            None => strange.push(document.doc_id),
        }
    }
    match strange.as_slice() {
        [] => Ok(found),
        [first, ..] => Err(ForeignError::new(
            format!(
                "{}: {} of {} documents were not asked as {} is asked here, the first is document {first}",
                outside.file,
                strange.len(),
                outside.documents.len(),
                task.name
            ),
            "other shots, prompts or rows are another test: run both without shots (harnesses draw different ones), or ours with \
             the other harness's task file, by --include",
        )),
    }
}

/// Hash of our run's requests for a document, as far as these metrics use them.
fn asked_about(document: &DocumentRequests, task: &Task, metrics: &[(String, String)]) -> Fingerprint {
    let place = |name: &String| task.metrics.iter().position(|metric| metric.name == *name);
    let mut seen =
        metrics.iter().filter_map(|(_, name)| document.views.get(place(name)?)).map(|view| &view.choices);
    let first = seen.next();
    let requests = &document.requests;
    match first.filter(|first| !first.is_empty() && seen.all(|other| other == *first)) {
        Some(range) => request_hash(requests.get(range.clone()).unwrap_or(requests)),
        None => request_hash(requests),
    }
}

/// Checks the gold answer: the same prompt with another one means another version of the dataset.
fn check_gold(
    outside: &ForeignTask,
    document: &ForeignDocument,
    task: &Task,
    metrics: &[(String, String)],
    own: &DocumentRequests,
) -> Result<(), ForeignError> {
    let place =
        metrics.first().and_then(|(_, name)| task.metrics.iter().position(|metric| metric.name == *name));
    let gold = place.and_then(|place| own.views.get(place)).map_or(&own.gold, |view| &view.gold);
    let theirs = document.target.as_ref().and_then(|target| target.parse::<i64>().ok());
    match (gold, theirs) {
        (Gold::NoChoice(ours), Some(theirs)) if (*ours < 0) != (theirs < 0) => Err(ForeignError::new(
            format!(
                "{}:{}: document {}: choice {theirs} is right there, and the label is hidden here (row {})",
                outside.file, document.place, document.doc_id, own.row
            ),
            "the runs are over different versions of the dataset",
        )),
        (Gold::Index(ours), Some(theirs)) if i64::try_from(*ours) != Ok(theirs) => Err(ForeignError::new(
            format!(
                "{}:{}: document {}: choice {theirs} is right there, choice {ours} here (row {})",
                outside.file, document.place, document.doc_id, own.row
            ),
            "the runs are over different versions of the dataset",
        )),
        _ => Ok(()),
    }
}

/// Joins two tasks of another harness that are one of ours, each with metrics of its own.
fn join(known: &mut ComparedTask, more: ComparedTask, source: &str) -> Result<(), ForeignError> {
    let fault = |what: &str| {
        ForeignError::new(
            format!("{source}: {}: {what}", known.task),
            "its parts must be of one run: leave one of them out",
        )
    };
    if more.metrics.iter().any(|metric| known.metric(&metric.name).is_some()) {
        return Err(fault("two of its tasks have the same metric"));
    }
    let ids = |task: &ComparedTask| task.documents.iter().map(|d| d.doc_id).collect::<Vec<_>>();
    if ids(known) != ids(&more) {
        return Err(fault("its tasks have different documents"));
    }
    known.metrics.extend(more.metrics);
    for (document, other) in known.documents.iter_mut().zip(more.documents) {
        document.values.extend(other.values);
        document.answers.extend(other.answers);
    }
    Ok(())
}
