//! Passing over the tree until every request is answered.

use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

use miette::Diagnostic;
use thiserror::Error;

use super::draft::Speculation;
use super::forward::Forward;
use super::generate::{Choice, Step};
use super::part::Part;
use super::rounding::is_near_tie;
use super::schedule::{Pass, ROWS_PER_PASS, Reader, Schedule};
use super::score::{Score, first_two, log_softmax};
use crate::model::{Dtype, ForwardError};
use crate::tokenizer::{TokenRequest, Tokenizer, TokenizerError};
use crate::vocabulary::Response;

/// Requests cannot be answered.
#[derive(Debug, Error, Diagnostic)]
pub enum EngineError {
    /// The model.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Forward(#[from] ForwardError),
    /// The tokenizer, while a text is generated.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// A request that no truncation makes fit.
    #[error("no room for a context: the model holds {max_length} positions")]
    #[diagnostic(
        code(assay::input),
        help(
            "the continuation, or the longest answer that the task allows, is longer than the model's context: use a model with a longer one"
        )
    )]
    TooLong {
        /// Index of the request.
        request: usize,
        /// Positions.
        max_length: usize,
    },
    /// A request that alone is more than the memory for keys and values.
    #[error("the keys and values of {needed} tokens are needed at once, there is room for {room}")]
    #[diagnostic(code(assay::input), help("give more memory with --kv-memory, or fewer shots"))]
    NoRoom {
        /// Index of the request.
        request: usize,
        /// Tokens.
        needed: usize,
        /// Tokens that there is room for.
        room: usize,
    },
    /// A continuation without tokens.
    #[error("the continuation has no tokens of its own")]
    #[diagnostic(
        code(assay::input),
        help(
            "the tokenizer melts the continuation into the context: begin it with a space, see `target_delimiter`"
        )
    )]
    NoTokens {
        /// Index of the request.
        request: usize,
    },
}

impl EngineError {
    /// The request that the error is about, where it is about one.
    pub fn request(&self) -> Option<usize> {
        match self {
            EngineError::TooLong { request, .. }
            | EngineError::NoRoom { request, .. }
            | EngineError::NoTokens { request } => Some(*request),
            EngineError::Forward(_) | EngineError::Tokenizer(_) => None,
        }
    }
}

/// An answered request.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Index of the request.
    pub request: usize,
    /// The answer.
    pub response: Response,
}

/// What is heard of a run while it goes on.
#[derive(Debug)]
pub enum Heard {
    /// A request is answered.
    Answer(Answer),
    /// A pass is over and its answers are given; this is what the run cost so far.
    Pass(Work),
    /// The device had no memory for a pass: this one and those to come have fewer rows.
    Narrowed {
        /// At most as many.
        rows_per_pass: usize,
    },
}

/// What a run cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Work {
    /// Tokens if every request were computed alone.
    pub tokens_alone: usize,
    /// Distinct prefixes of the requests, in tokens.
    pub tokens_planned: usize,
    /// Rows that went through the model for prompts and continuations.
    pub tokens_computed: usize,
    /// Rows that went through the model for generated tokens; as many with drafts as without.
    pub tokens_generated: usize,
    /// Rows that went through the model for drafted tokens.
    pub tokens_drafted: usize,
    /// Those of them that turned out to be generated tokens, and count there too.
    pub tokens_accepted: usize,
    /// Passes in which they went.
    pub passes: usize,
    /// Tokens whose keys and values were kept at once, at most.
    pub peak_live_kv_tokens: usize,
    /// Requests cut to the model's context.
    pub truncated: usize,
}

impl Work {
    /// Adds another run's.
    pub fn add(&mut self, other: &Work) {
        self.tokens_alone += other.tokens_alone;
        self.tokens_planned += other.tokens_planned;
        self.tokens_computed += other.tokens_computed;
        self.tokens_generated += other.tokens_generated;
        self.tokens_drafted += other.tokens_drafted;
        self.tokens_accepted += other.tokens_accepted;
        self.passes += other.passes;
        self.peak_live_kv_tokens = self.peak_live_kv_tokens.max(other.peak_live_kv_tokens);
        self.truncated += other.truncated;
    }
}

/// Answers requests with a model.
pub struct Engine<'a> {
    forward: &'a mut dyn Forward,
    tokenizer: &'a Tokenizer,
    room: usize,
    rows_per_pass: usize,
    speculation: Speculation,
}

impl<'a> Engine<'a> {
    /// An engine over a model and its tokenizer.
    pub fn new(forward: &'a mut dyn Forward, tokenizer: &'a Tokenizer) -> Self {
        let (room, rows_per_pass, speculation) = (usize::MAX, ROWS_PER_PASS, Speculation::Off);
        Self { forward, tokenizer, room, rows_per_pass, speculation }
    }

    /// The same, keeping the keys and values of at most `tokens` tokens at once.
    pub fn with_room(self, tokens: usize) -> Self {
        Self { room: tokens, ..self }
    }

    /// The same, with passes of at most `rows` rows.
    pub fn with_rows_per_pass(self, rows: usize) -> Self {
        Self { rows_per_pass: rows.max(1), ..self }
    }

    /// The same, drafting texts.
    pub fn with_speculation(self, speculation: Speculation) -> Self {
        Self { speculation, ..self }
    }

    /// Answers all requests, in an order of its own. `hear` may break off; what was answered by then stays so.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn answer<'r>(
        &mut self,
        requests: impl IntoIterator<Item = &'r TokenRequest>,
        hear: &mut dyn FnMut(Heard) -> ControlFlow<()>,
    ) -> Result<Work, EngineError> {
        let mut schedule =
            Schedule::new(requests, self.forward.max_length(), self.room)?.drafting(self.speculation);
        schedule.rows_per_pass = self.rows_per_pass;
        let outcome = self.walk(&mut schedule, hear);
        self.rows_per_pass = schedule.rows_per_pass;
        schedule.release_all(self.forward);
        outcome?;
        Ok(schedule.work)
    }

    fn walk(
        &mut self,
        schedule: &mut Schedule<'_>,
        hear: &mut dyn FnMut(Heard) -> ControlFlow<()>,
    ) -> Result<(), EngineError> {
        while let Some(pass) = schedule.next_pass() {
            let mut answers = Vec::new();
            let before = schedule.rows_per_pass;
            let computed = self.compute(schedule, pass, &mut answers);
            let rows_per_pass = schedule.rows_per_pass;
            if rows_per_pass < before && hear(Heard::Narrowed { rows_per_pass }).is_break() {
                return computed;
            }
            computed?;
            schedule.release_finished(self.forward);
            let heard = answers.into_iter().map(Heard::Answer).chain([Heard::Pass(schedule.work)]);
            for heard in heard {
                if hear(heard).is_break() {
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
        let Pass { segments, wanted, readers } = pass;
        let rows = self.read(schedule, Part::whole(segments, wanted), &readers)?;
        for (reader, row) in readers.iter().zip(rows) {
            let Some((choice, scores)) = row else { continue };
            match reader {
                Reader::Decode { index, drafted } => {
                    let decode = &mut schedule.decodes[*index];
                    if !decode.follows(*drafted) {
                        continue;
                    }
                    let step = decode.push(choice, self.forward.end_of_text(), self.tokenizer)?;
                    answers.extend(finished(decode.request, step));
                }
                Reader::Node { node, reads } => {
                    schedule.scored(*node, reads.clone(), &scores, answers);
                    for request in schedule.generations(*node, reads.clone()) {
                        let mut decode = schedule.decode(request, *node);
                        let step = decode.push(choice, self.forward.end_of_text(), self.tokenizer)?;
                        match finished(request, step) {
                            Some(answer) => answers.push(answer),
                            None => schedule.start(decode),
                        }
                    }
                }
            }
        }
        Ok(schedule.forget_rejected(self.forward)?)
    }

    /// What the readers of a pass read, in parts where the device has no memory for the whole; nothing that succeeded is
    /// computed again.
    fn read(
        &mut self,
        schedule: &mut Schedule<'_>,
        whole: Part,
        readers: &[Reader],
    ) -> Result<Vec<Option<ReadRow>>, EngineError> {
        let dtype = self.forward.dtype();
        let rows: Vec<Mutex<Option<ReadRow>>> = readers.iter().map(|_| Mutex::default()).collect();
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
                let place = part.readers[index];
                let row = read_row(scheduled, &readers[place], logits, dtype);
                *rows[place].lock().unwrap_or_else(PoisonError::into_inner) = Some(row);
            });
            match computed {
                Ok(()) => schedule.computed(&part.segments),
                Err(ForwardError::OutOfMemory { .. }) if count > 1 => {
                    schedule.rows_per_pass = count.div_ceil(2);
                    parts.push(part);
                }
                // A draft may be nonsense that the model has no numbers for; the text itself is not to fail over it.
                Err(ForwardError::NotFinite { .. })
                    if part.readers.iter().any(|&r| readers[r].is_draft()) =>
                {
                    parts.push(part);
                    schedule.cut_drafts(parts.iter().flat_map(|part| &part.readers).map(|&r| &readers[r]));
                    let without = |part: Part| part.without(|reader| readers[reader].is_draft());
                    parts = parts.into_iter().filter_map(without).collect();
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(rows.into_iter().map(|row| row.into_inner().unwrap_or_else(PoisonError::into_inner)).collect())
    }
}

/// The token that greedy decoding takes after a row, and the scores of those who read the row.
type ReadRow = (Choice, Vec<Score>);

fn read_row(schedule: &Schedule<'_>, reader: &Reader, logits: &[f32], dtype: Dtype) -> ReadRow {
    let targets: Vec<u32> = match reader {
        Reader::Decode { .. } => Vec::new(),
        Reader::Node { node, reads } => schedule.targets(*node, reads.clone()).collect(),
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

fn finished(request: usize, step: Step) -> Option<Answer> {
    match step {
        Step::Continues => None,
        Step::Finished(response) => Some(Answer { request, response }),
    }
}
