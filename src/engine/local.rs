//! The in-process engine: passes over the tree until every request is answered.

use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

use super::draft::Speculation;
use super::forward::Forward;
use super::generate::{Choice, Step};
use super::identity::EngineIdentity;
use super::part::Part;
use super::request_tree::RequestTree;
use super::rounding::is_near_tie;
use super::schedule::{LogitUse, Pass, ROWS_PER_PASS, Schedule};
use super::score::{Score, first_two, log_softmax};
use super::seam::{Engine, EngineEvent, RequestLimits};
use super::work::{Answer, EngineError, Work};
use crate::model::{Dtype, ForwardError};
use crate::tokenizer::Tokenizer;
use crate::vocabulary::RequestId;

/// Answers requests with a model in this process.
pub struct LocalEngine<'a> {
    forward: &'a mut dyn Forward,
    tokenizer: &'a Tokenizer,
    identity: EngineIdentity,
    limits: RequestLimits,
    rows_per_pass: usize,
    speculation: Speculation,
}

impl<'a> LocalEngine<'a> {
    /// An engine over a model and its tokenizer, limited only by the model's context length.
    pub fn new(forward: &'a mut dyn Forward, tokenizer: &'a Tokenizer) -> Self {
        let limits = RequestLimits::of_length(forward.max_length());
        let identity = EngineIdentity::default();
        let (rows_per_pass, speculation) = (ROWS_PER_PASS, Speculation::Off);
        Self { forward, tokenizer, identity, limits, rows_per_pass, speculation }
    }

    /// Sets the identity.
    pub fn with_identity(self, identity: EngineIdentity) -> Self {
        Self { identity, ..self }
    }

    /// Sets the limits.
    pub fn with_limits(self, limits: RequestLimits) -> Self {
        Self { limits, ..self }
    }

    /// Limits the cached keys and values to `tokens` tokens at once.
    pub fn with_kv_budget(self, tokens: usize) -> Self {
        Self { limits: RequestLimits { kv_budget: tokens, ..self.limits }, ..self }
    }

    /// Limits passes to `rows` rows.
    pub fn with_rows_per_pass(self, rows: usize) -> Self {
        Self { rows_per_pass: rows.max(1), ..self }
    }

    /// Sets speculative decoding.
    pub fn with_speculation(self, speculation: Speculation) -> Self {
        Self { speculation, ..self }
    }
}

impl Engine for LocalEngine<'_> {
    fn identity(&self) -> &EngineIdentity {
        &self.identity
    }

    fn limits(&self) -> RequestLimits {
        self.limits
    }

    fn rows_per_batch(&self) -> Option<usize> {
        Some(self.rows_per_pass)
    }

    fn seconds_per_token(&self) -> Result<Option<f64>, EngineError> {
        Ok(self.forward.seconds_per_token()?)
    }

    fn answer(
        &mut self,
        requests: &RequestTree<'_>,
        on_event: &mut dyn FnMut(EngineEvent) -> ControlFlow<()>,
    ) -> Result<Work, EngineError> {
        let mut schedule = Schedule::new(requests, self.limits.kv_budget)?.drafting(self.speculation);
        schedule.rows_per_pass = self.rows_per_pass;
        let outcome = self.walk(&mut schedule, on_event);
        self.rows_per_pass = schedule.rows_per_pass;
        schedule.release_all(self.forward);
        outcome?;
        Ok(schedule.work)
    }
}

impl LocalEngine<'_> {
    fn walk(
        &mut self,
        schedule: &mut Schedule<'_>,
        on_event: &mut dyn FnMut(EngineEvent) -> ControlFlow<()>,
    ) -> Result<(), EngineError> {
        while let Some(pass) = schedule.next_pass() {
            let mut answers = Vec::new();
            let before = schedule.rows_per_pass;
            let computed = self.compute(schedule, pass, &mut answers);
            let rows_per_pass = schedule.rows_per_pass;
            let narrowed = EngineEvent::BatchesNarrowed { rows: rows_per_pass };
            if rows_per_pass < before && on_event(narrowed).is_break() {
                return computed;
            }
            computed?;
            schedule.release_finished(self.forward);
            let events = answers.into_iter().map(EngineEvent::Answered);
            for event in events.chain([EngineEvent::BatchDone(schedule.work)]) {
                if on_event(event).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn compute(
        &mut self,
        schedule: &mut Schedule<'_>,
        pass: Pass,
        answers: &mut Vec<Answer>,
    ) -> Result<(), EngineError> {
        let Pass { segments, wanted, uses } = pass;
        let rows = self.read(schedule, Part::whole(segments, wanted), &uses)?;
        for (logit_use, row) in uses.iter().zip(rows) {
            let Some((choice, scores)) = row else { continue };
            match logit_use {
                LogitUse::Decode { index, drafted } => {
                    let decode = &mut schedule.decodes[*index];
                    if !decode.follows(*drafted) {
                        continue;
                    }
                    let step = decode.push(choice, self.forward.end_of_text(), self.tokenizer)?;
                    answers.extend(finished(decode.id, step));
                }
                LogitUse::Node { node, reads } => {
                    schedule.scored(*node, reads.clone(), &scores, answers);
                    for request in schedule.generations(*node, reads.clone()) {
                        let mut decode = schedule.decode(request, *node);
                        let step = decode.push(choice, self.forward.end_of_text(), self.tokenizer)?;
                        match finished(decode.id, step) {
                            Some(answer) => answers.push(answer),
                            None => schedule.start(decode),
                        }
                    }
                }
            }
        }
        Ok(schedule.forget_rejected(self.forward)?)
    }

    /// Computes a pass and returns what is read off its logits. If the device runs out of memory the pass is
    /// split into parts; parts that succeeded are not computed again.
    fn read(
        &mut self,
        schedule: &mut Schedule<'_>,
        whole: Part,
        uses: &[LogitUse],
    ) -> Result<Vec<Option<ReadRow>>, EngineError> {
        let dtype = self.forward.dtype();
        let rows: Vec<Mutex<Option<ReadRow>>> = uses.iter().map(|_| Mutex::default()).collect();
        let mut parts = vec![whole];
        while let Some(part) = parts.pop() {
            let count = part.rows();
            if count > schedule.rows_per_pass {
                let (first, second) = part.split(schedule.rows_per_pass);
                parts.extend([second, first]);
                continue;
            }
            let scheduled = &*schedule;
            let computed = self.forward.pass(&part.segments, &part.wanted, &|index, logits| {
                let which = part.uses[index];
                let row = read_row(scheduled, &uses[which], logits, dtype);
                *rows[which].lock().unwrap_or_else(PoisonError::into_inner) = Some(row);
            });
            match computed {
                Ok(()) => schedule.computed(&part.segments),
                Err(ForwardError::OutOfMemory { .. }) if count > 1 => {
                    schedule.rows_per_pass = count.div_ceil(2);
                    parts.push(part);
                }
                // Drafted tokens may give non-finite logits; the generation itself must not fail because of
                // them.
                Err(ForwardError::NotFinite { .. }) if part.uses.iter().any(|&u| uses[u].is_draft()) => {
                    parts.push(part);
                    schedule.cut_drafts(parts.iter().flat_map(|part| &part.uses).map(|&u| &uses[u]));
                    let without = |part: Part| part.without(|which| uses[which].is_draft());
                    parts = parts.into_iter().filter_map(without).collect();
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(rows.into_iter().map(|row| row.into_inner().unwrap_or_else(PoisonError::into_inner)).collect())
    }
}

/// The token that greedy decoding takes after a row, and the scores of the targets that are read off the row.
type ReadRow = (Choice, Vec<Score>);

fn read_row(schedule: &Schedule<'_>, logit_use: &LogitUse, logits: &[f32], dtype: Dtype) -> ReadRow {
    let targets: Vec<u32> = match logit_use {
        LogitUse::Decode { .. } => Vec::new(),
        LogitUse::Node { node, reads } => schedule.targets(*node, reads.clone()).collect(),
    };
    if targets.is_empty() {
        let (token, first, second) = first_two(logits);
        return (Choice { token, is_near_tie: is_near_tie(first, second, dtype) }, Vec::new());
    }
    let row = log_softmax(logits);
    let score = |&target: &u32| row.score(target, logits[target as usize], dtype);
    let scores = targets.iter().map(score).collect();
    (Choice { token: row.argmax, is_near_tie: row.is_near_tie(dtype) }, scores)
}

fn finished(id: RequestId, step: Step) -> Option<Answer> {
    match step {
        Step::Continues => None,
        Step::Finished(response) => Some(Answer { id, response }),
    }
}
