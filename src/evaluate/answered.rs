//! A partly or fully answered task: its responses and outcomes.

use super::fitted::FittedTask;
use crate::engine::Sequence;
use crate::metric::MetricError;
use crate::vocabulary::{Estimate, Event, Measured, Outcome, Response, TaskRecord};

/// A fitted task, the responses so far, and the outcomes of documents with all their responses.
pub struct AnsweredTask<'f> {
    pub fitted: &'f FittedTask,
    /// By document and request. Those of a scored document have moved to its outcome.
    responses: Vec<Vec<Option<Response>>>,
    outcomes: Vec<Option<Outcome>>,
    /// The sum of each metric over the finished documents.
    sums: Vec<f64>,
    finished: usize,
}

impl<'f> AnsweredTask<'f> {
    /// A task without responses.
    pub fn new(fitted: &'f FittedTask) -> Self {
        Self {
            fitted,
            responses: fitted.sequences.iter().map(|requests| vec![None; requests.len()]).collect(),
            outcomes: vec![None; fitted.sequences.len()],
            sums: vec![0.0; fitted.scorer.names().count()],
            finished: 0,
        }
    }

    /// Fills in the missing responses that `find` knows.
    pub fn recall(&mut self, find: &mut dyn FnMut(&Sequence) -> Option<Response>) {
        for (sequences, responses) in self.fitted.sequences.iter().zip(&mut self.responses) {
            for (sequence, response) in sequences.iter().zip(responses).filter(|(_, known)| known.is_none()) {
                *response = find(sequence);
            }
        }
    }

    /// The requests that are not answered yet.
    pub fn open(&self) -> impl Iterator<Item = &'f Sequence> {
        let fitted: &'f FittedTask = self.fitted;
        let documents = fitted.sequences.iter().zip(&self.responses);
        documents.flat_map(|(sequences, responses)| {
            let open = sequences.iter().zip(responses).filter(|(_, known)| known.is_none());
            open.map(|(sequence, _)| sequence)
        })
    }

    /// Scores the documents that were complete before anything is computed.
    ///
    /// # Errors
    /// A document that a metric cannot score.
    pub fn score_known(&mut self, notify: &mut dyn FnMut(Event<'_>)) -> Result<(), MetricError> {
        for document in 0..self.responses.len() {
            self.score_complete(document, notify)?;
        }
        Ok(())
    }

    /// Adds a response; the last one of a document scores the document.
    ///
    /// # Errors
    /// A document that a metric cannot score.
    pub fn take(
        &mut self,
        document: usize,
        request: usize,
        response: Response,
        notify: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), MetricError> {
        self.responses[document][request] = Some(response);
        self.score_complete(document, notify)
    }

    fn score_complete(&mut self, index: usize, notify: &mut dyn FnMut(Event<'_>)) -> Result<(), MetricError> {
        let responses = &self.responses[index];
        if responses.is_empty() || responses.iter().any(Option::is_none) {
            return Ok(());
        }
        let FittedTask { task, scorer, requests, .. } = self.fitted;
        let document = &requests.documents[index];
        let responses: Vec<Response> =
            std::mem::take(&mut self.responses[index]).into_iter().flatten().collect();
        let metrics = scorer.score(document, &responses)?;
        self.finished += 1;
        for (sum, measured) in self.sums.iter_mut().zip(&metrics) {
            *sum += measured.value;
        }
        let (doc_id, row) = (document.doc_id, document.row);
        let (gold, choices, views) =
            (document.gold.clone(), document.choices.clone(), document.views.clone());
        let outcome = Outcome { doc_id, row, gold, choices, views, responses, metrics };
        let mean = |(of, sum): (&Measured, &f64)| (of.name.clone(), sum / self.finished as f64);
        let running: Vec<(String, f64)> = outcome.metrics.iter().zip(&self.sums).map(mean).collect();
        notify(Event::DocumentFinished {
            task: &task.name,
            outcome: &outcome,
            requests: outcome.responses.len(),
            running: &running,
        });
        self.outcomes[index] = Some(outcome);
        if self.finished == self.outcomes.len() {
            let estimates = self.estimates();
            notify(Event::TaskFinished { task: &task.name, estimates: &estimates });
        }
        Ok(())
    }

    /// Each metric over the finished documents; empty if none is finished.
    fn estimates(&self) -> Vec<(String, Estimate)> {
        let scorer = &self.fitted.scorer;
        let estimate = |(index, name): (usize, &str)| {
            let values: Vec<f64> = self.outcomes.iter().flatten().map(|o| o.metrics[index].value).collect();
            (!values.is_empty()).then(|| (name.to_string(), scorer.estimate(index, &values)))
        };
        scorer.names().enumerate().filter_map(estimate).collect()
    }

    /// The task's record.
    pub fn record(self) -> TaskRecord {
        let estimates = self.estimates();
        let FittedTask { task, requests, sequences, truncated, .. } = self.fitted;
        let outcomes: Vec<Outcome> = self.outcomes.into_iter().flatten().collect();
        TaskRecord {
            task: task.name.clone(),
            tag: task.tags.first().cloned(),
            included: task.included,
            version: task.version.clone(),
            config: task.config.clone(),
            num_fewshot: requests.num_fewshot,
            declared_fewshot: task.fewshot.count.unwrap_or(0),
            available: requests.available,
            asked: sequences.len(),
            outcomes,
            estimates,
            passed: task.passed(),
            sample: requests.splits.iter().any(|(_, split)| split.is_sample()),
            truncated: truncated.clone(),
            file: task.fingerprint.clone(),
            splits: self.fitted.splits(),
            text_begin: self.fitted.text_begin,
        }
    }
}
