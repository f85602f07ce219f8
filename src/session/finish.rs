//! The end of a run: whatever happened, the finished results are written.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::destination::OpenedRun;
use super::error::SessionError;
use super::kept_answers::KeptAnswers;
use super::notice::Notify;
use super::setup::RunSetup;
use super::spans::Spans;
use crate::evaluate::{Circumstances, Digests, EvaluateError, Evaluation, Plan, group_records, suite_record};
use crate::store::{Answers, ModelRecord, RecordError, RunRecord, SessionWork};
use crate::task::{Suite, TaskIndex};
use crate::vocabulary::{Group, GroupRecord, SuiteRecord, TaskRecord};

/// A run that was evaluated, perhaps in part.
pub struct EvaluatedRun<'r> {
    pub setup: &'r RunSetup,
    pub model: &'r ModelRecord,
    /// What identifies the run.
    pub identity: Value,
    pub suite: Option<&'r Suite>,
    /// The groups that have scores.
    pub groups: &'r [Group],
    /// By task.
    pub digests: Vec<(Arc<str>, Digests)>,
    pub opened: OpenedRun<'r>,
    /// The response cache.
    pub kept: KeptAnswers<'r>,
    /// Why the cache is no longer written.
    pub cache_fault: Option<RecordError>,
    /// The remaining work when this session began.
    pub plan: Plan,
    pub evaluation: Evaluation,
    /// The cost of this session.
    pub session: SessionWork,
    /// Where the answers come from.
    pub answers: Answers,
    /// The error that ended the evaluation early, if any.
    pub outcome: Result<(), EvaluateError>,
}

/// A run whose files are written.
pub struct FinishedRun {
    /// The model's name.
    pub name: String,
    pub folder: PathBuf,
    /// Whether it was complete before this session.
    pub was_complete: bool,
    /// The tasks with finished documents.
    pub tasks: Vec<TaskRecord>,
    /// The suite's row.
    pub suite: Option<SuiteRecord>,
    /// The groups' scores.
    pub groups: Vec<GroupRecord>,
    /// Where the answers come from.
    pub answers: Answers,
    pub interrupted: bool,
}

impl EvaluatedRun<'_> {
    /// Writes the run's files, unless all exist already, and closes its session in the journal.
    ///
    /// # Errors
    /// The error that ended the evaluation early, after the rest is written; files that cannot be written.
    pub fn finish(
        self,
        index: &TaskIndex,
        spans: Spans,
        notify: Notify<'_>,
    ) -> Result<FinishedRun, SessionError> {
        let Self { setup, model, suite, opened, mut evaluation, session, answers, outcome, .. } = self;
        let OpenedRun { folder, history, complete } = opened;
        self.kept.close(self.cache_fault, setup.cache_size, notify);
        evaluation.tasks.retain(|task| !task.outcomes.is_empty());
        let prompts = &setup.prompts;
        let circumstances = Circumstances {
            limits: prompts.limits.clone(),
            chat_template: prompts.chat.template.is_some(),
            system_instruction: prompts.chat.system.is_some(),
            sample_model: model.sample,
            other_tokenizer: !model.tokenizer_faults.is_empty(),
            interrupted: evaluation.interrupted || outcome.is_err(),
        };
        let suite =
            suite.map(|suite| suite_record(suite, index, &evaluation.tasks, &circumstances)).transpose()?;
        let groups = group_records(self.groups, &evaluation.tasks);
        let finished = FinishedRun {
            name: model.engine.name.clone(),
            folder: folder.path().to_owned(),
            was_complete: complete,
            suite: suite.clone(),
            groups: groups.clone(),
            answers,
            interrupted: evaluation.interrupted,
            tasks: Vec::new(),
        };
        if complete || evaluation.tasks.is_empty() {
            outcome?;
            return Ok(FinishedRun { tasks: evaluation.tasks, ..finished });
        }
        let mut record = RunRecord {
            name: setup.name.clone(),
            merge: setup.merge.clone(),
            command: setup.command.clone(),
            model: model.clone(),
            tasks: &evaluation.tasks,
            digests: &self.digests,
            suite,
            groups: &groups,
            limits: prompts.limits.clone(),
            num_fewshot: prompts.num_fewshot,
            add_bos_token: prompts.add_bos_token,
            chat: prompts.chat.clone(),
            views: setup.views,
            datasets: setup.datasets.as_ref().map(|folder| folder.display().to_string()),
            include: setup.include.iter().map(|folder| folder.display().to_string()).collect(),
            identity: &self.identity,
            threads: setup.threads,
            started: setup.started,
            spans: spans.into_vec(),
            earlier: &history.sessions,
            session: session.clone(),
            answered: answers,
            work: [
                ("tokens_alone", Some(self.plan.tokens_alone)),
                ("peak_live_kv_tokens", Some(evaluation.work.peak_live_kv_tokens)),
                ("rows_per_pass", evaluation.rows_per_batch),
            ]
            .into_iter()
            .filter_map(|(name, count)| Some((name, count?)))
            .collect(),
            tokens_planned: self.plan.tokens_planned,
            interrupted: evaluation.interrupted,
            failed: outcome.as_ref().err().map(ToString::to_string),
            files: Vec::new(),
        };
        let written = folder.write_run(&mut record);
        if let Err(error) = outcome {
            // This error is returned. A further one here, from a full disk for example, is returned by the
            // next attempt.
            let _ = folder.journal.keep([], false, session);
            return Err(error.into());
        }
        written?;
        if evaluation.interrupted {
            folder.journal.keep([], false, session)?;
        } else {
            folder.journal.finish(session)?;
        }
        Ok(FinishedRun { tasks: evaluation.tasks, ..finished })
    }
}
