//! The text of requests: contexts, continuations, and gold answers.
//!
//! Joining follows lm-evaluation-harness 0.4 (`fewshot_context`, `build_qa_turn`, `construct_requests`), whose prompts for the
//! leaderboard's tasks are those of the older harness, byte for byte.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::choice_numbers::is_index;
use super::error::{PromptError, hint};
use super::right_answers::{GoldReader, choice, printed, read_gold, read_target};
use super::room::PromptRoom;
use super::row_columns::columns;
use super::row_ref::RowRef;
use super::shots::{ShotPool, Shots};
use super::turns::{ChatOptions, SYSTEM, Turn, chat_text, delimited, plain_text, question_and_answer};
use crate::python::literal::literal_eval;
use crate::python::{literal, text};
use crate::task::{Choices, Columns, OutputType, Rendering, Target, Task, Template};
use crate::vocabulary::{Cell, DocumentRequests, Gold, Request, Row, Stops};

/// Builds the requests of a task's documents.
pub struct Builder<'a> {
    task: &'a Task,
    /// The evaluated split's name.
    split: &'a str,
    pool: &'a ShotPool,
    chat: &'a ChatOptions,
    /// Contexts without the system's turn, which the chat template refuses.
    without_system: AtomicUsize,
    /// Documents whose label is below 0.
    hidden_labels: AtomicUsize,
    /// Whether the question is the index of the right choice, so that the choices are contexts.
    multiple_input: bool,
    /// Whether a list of targets means several right answers, rather than a text in brackets.
    multiple_target: bool,
    /// What all documents take.
    pub room: PromptRoom,
}

/// A rendered row.
struct Rendered {
    text: Cell,
    target: Cell,
    choices: Option<Vec<String>>,
}

impl<'a> Builder<'a> {
    /// Infers the types of the task's values from the split's first row, as the harness does.
    pub fn new(
        task: &'a Task,
        split: &'a str,
        pool: &'a ShotPool,
        chat: &'a ChatOptions,
        first: Option<&Row>,
    ) -> Result<Self, PromptError> {
        let mut builder = Self {
            task,
            split,
            pool,
            chat,
            without_system: AtomicUsize::new(0),
            hidden_labels: AtomicUsize::new(0),
            multiple_input: false,
            multiple_target: false,
            room: PromptRoom::default(),
        };
        if let Some(first) = first {
            let rendered =
                builder.render(&task.rendering, &columns(task, first), RowRef { task, split, row: 0 })?;
            builder.multiple_input =
                rendered.choices.is_some_and(|choices| is_index(&rendered.text, &choices));
            builder.multiple_target = matches!(&rendered.target, Cell::List(targets) if !targets.is_empty());
        }
        Ok(builder)
    }

    /// The requests of the document at `row`.
    pub fn document(
        &self,
        doc_id: usize,
        row: usize,
        columns_of_row: &Row,
        shots: &Shots,
    ) -> Result<DocumentRequests, PromptError> {
        let task = self.task;
        let at = RowRef { task, split: self.split, row };
        let columns = columns(task, columns_of_row);
        let rendered = self.render(&task.rendering, &columns, at)?;

        let description = match &task.description {
            Some(description) => printed(&description.value(&columns).map_err(|e| at.template(e))?),
            None => String::new(),
        };
        let system = match &self.chat.system {
            Some(system) => delimited(system, &description, &task.rendering.fewshot_delimiter),
            None => description,
        };
        let system = Turn { role: SYSTEM, text: system, delimiter: String::new() };
        let shots = shots.iter().map(|&shot| self.shot(shot)).collect::<Result<Vec<_>, _>>()?;
        let before: Vec<&Turn> = Some(&system)
            .filter(|turn| !turn.text.is_empty())
            .into_iter()
            .chain(shots.iter().flat_map(|s| s.iter()))
            .collect();
        let prefix = prefix(task.gen_prefix.as_ref(), &columns, at)?;

        let ask = |question: String| {
            self.ask(&before, question, prefix.as_deref(), &task.rendering.target_delimiter, at)
        };
        let (requests, target) = match task.output_type {
            OutputType::MultipleChoice => {
                let choices = rendered.choices.as_deref().unwrap_or_default();
                if choices.is_empty() {
                    return Err(
                        at.fault("the document has no choices", "check `doc_to_choice` in the task file")
                    );
                }
                let delimiter = self.choice_delimiter();
                match &rendered.text {
                    // The choices are contexts, and the target continues each of them.
                    _ if self.multiple_input => {
                        let continuation = format!("{delimiter}{}", printed(&rendered.target));
                        let requests = choices.iter().map(|choice| {
                            let context = self.ask(&before, choice.clone(), prefix.as_deref(), "", at)?;
                            Ok(Request::Loglikelihood { context, continuation: continuation.clone() })
                        });
                        (requests.collect::<Result<_, PromptError>>()?, &rendered.text)
                    }
                    question => {
                        let context = ask(self.question(question, at)?)?;
                        let requests = choices.iter().map(|choice| Request::Loglikelihood {
                            context: context.clone(),
                            continuation: format!("{delimiter}{choice}"),
                        });
                        (requests.collect(), &rendered.target)
                    }
                }
            }
            OutputType::Loglikelihood => {
                let context = ask(self.question(&rendered.text, at)?)?;
                let continuation = printed(&rendered.target);
                (vec![Request::Loglikelihood { context, continuation }], &rendered.target)
            }
            OutputType::GenerateUntil => {
                let context = ask(self.question(&rendered.text, at)?)?;
                let mut until = Stops::from(task.generation.until.clone());
                until.beyond = task.generation.beyond.clone().map(Into::into);
                let max_new_tokens = task.generation.max_new_tokens;
                (vec![Request::GenerateUntil { context, until, max_new_tokens }], &rendered.target)
            }
        };
        let own_texts: Vec<String> = match (&rendered.choices, task.output_type, self.multiple_input) {
            (Some(choices), OutputType::MultipleChoice, false) => choices.clone(),
            (_, OutputType::GenerateUntil, _) => Vec::new(),
            _ => vec![printed(&rendered.target)],
        };
        // White space is a text: a choice of "\n" is scored.
        if let Some(i) = own_texts.iter().position(String::is_empty) {
            let hint = "a choice must have text: mend the row, or the task file's `doc_to_choice` and `doc_to_target`";
            return Err(at.fault(format!("continuation {i} is empty"), hint));
        }

        let declared = match &task.doc_to_gold {
            Some(template) => read_gold(template, &columns, rendered.choices.is_some(), at)?,
            None => target.clone(),
        };
        let choices = rendered.choices.unwrap_or_default();
        let reader = GoldReader { at, multiple_target: self.multiple_target };
        let gold = reader.gold(&declared, &choices)?;
        self.hidden_labels.fetch_add(usize::from(matches!(gold, Gold::NoChoice(_))), Ordering::Relaxed);
        let views = reader.views(&columns, &choices, &gold)?;
        Ok(DocumentRequests { task: task.name.clone(), doc_id, row, gold, requests, choices, views })
    }

    /// A context: what stands before the question, the question, and the beginning of its answer.
    fn ask(
        &self,
        before: &[&Turn],
        question: String,
        prefix: Option<&str>,
        delimiter: &str,
        at: RowRef<'_>,
    ) -> Result<Arc<str>, PromptError> {
        let last = question_and_answer(question, None, prefix, delimiter, "");
        let Some(template) = &self.chat.template else {
            return Ok(plain_text(before.iter().copied().chain(&last)).into());
        };
        let turns: Vec<&Turn> = before.iter().copied().chain(&last).collect();
        let chatted = chat_text(template, &turns, self.chat.multiturn, prefix.is_some());
        let chatted = chatted.map_err(|source| PromptError::Chat {
            task: self.task.name.clone(),
            row: at.row,
            split: at.split.into(),
            hint: hint(&source),
            source,
        })?;
        self.without_system.fetch_add(usize::from(chatted.without_system), Ordering::Relaxed);
        Ok(chatted.text.into())
    }

    /// Contexts that have no system's turn because the chat template refuses it.
    pub fn without_system(&self) -> usize {
        self.without_system.load(Ordering::Relaxed)
    }

    /// Documents whose label is below 0: datasets hide labels so.
    pub fn hidden_labels(&self) -> usize {
        self.hidden_labels.load(Ordering::Relaxed)
    }

    /// What stands between a context and a choice. A chat template ends where an answer begins, unless the task begins the answer itself.
    fn choice_delimiter(&self) -> &str {
        let begun = self.task.gen_prefix.as_ref().and_then(|prefix| prefix.source().chars().next_back());
        if self.chat.template.is_some() && begun.is_none_or(text::is_space) {
            return "";
        }
        &self.task.rendering.target_delimiter
    }

    /// A shot's turns.
    fn shot(&self, row: usize) -> Result<Arc<[Turn]>, PromptError> {
        self.pool.turns(row, || {
            let at = RowRef { task: self.task, split: &self.pool.split, row };
            let columns = columns(self.task, &self.pool.rows[row]);
            let rendering = &self.task.fewshot.rendering;
            let shot = self.render(rendering, &columns, at)?;
            let choices = shot.choices.as_deref().unwrap_or_default();
            let question = match &shot.text {
                index if self.multiple_input => choice(index, choices, at)?,
                text => self.question(text, at)?,
            };
            let answer = match &shot.target {
                Cell::Null => None,
                Cell::Text(text) if text.is_empty() => None,
                index @ (Cell::Int(_) | Cell::Float(_) | Cell::Bool(_))
                    if !choices.is_empty() && !self.multiple_input =>
                {
                    Some(choice(index, choices, at)?)
                }
                // A list of the right choices' numbers: the text of the first one.
                Cell::List(several) => match several.first() {
                    Some(index @ Cell::Int(_)) if !choices.is_empty() && !self.multiple_input => {
                        Some(choice(index, choices, at)?)
                    }
                    first => Some(first.map(printed).unwrap_or_default()),
                },
                other => Some(printed(other)),
            };
            let prefix = prefix(self.task.fewshot.gen_prefix.as_ref(), &columns, at)?;
            let turns = question_and_answer(
                question,
                answer.as_deref(),
                prefix.as_deref(),
                &rendering.target_delimiter,
                &rendering.fewshot_delimiter,
            );
            self.room.take_shot(&self.task.name, &turns)?;
            Ok(turns)
        })
    }

    /// Renders a row's fields. A target of digits becomes a number if the task itself has choices, whether or
    /// not its shots have any; a question of digits only if the task's questions are the numbers of choices.
    fn render(
        &self,
        rendering: &Rendering,
        columns: &Columns,
        at: RowRef<'_>,
    ) -> Result<Rendered, PromptError> {
        let choices = match &rendering.doc_to_choice {
            None => None,
            Some(Choices::Fixed(choices)) => Some(choices.clone()),
            Some(Choices::Template(template)) => {
                let value = match template.value(columns).map_err(|e| at.template(e))? {
                    Cell::Text(text) => literal_eval(&text).map_or(Cell::Text(text), Cell::from),
                    value => value,
                };
                let Cell::List(items) = value else {
                    let hint =
                        "`doc_to_choice` must name a column with a list, or be a template that prints one";
                    return Err(at.fault("the choices are no list", hint));
                };
                Some(items.iter().map(printed).collect())
            }
        };
        let has_choices = self.task.rendering.doc_to_choice.is_some();
        let text = match rendering.doc_to_text.value(columns).map_err(|e| at.template(e))? {
            Cell::Text(text) if self.multiple_input && text::is_digits(&text) => {
                literal_eval(&text).map_or(Cell::Text(text), Cell::from)
            }
            value => value,
        };
        let target = match &rendering.doc_to_target {
            Some(Target::Fixed(targets)) => Cell::from(serde_json::Value::from(targets.clone())),
            Some(Target::Template(template)) => read_target(template, columns, has_choices, at)?,
            None => Cell::Null,
        };
        Ok(Rendered { text, target, choices })
    }

    fn question(&self, value: &Cell, at: RowRef<'_>) -> Result<String, PromptError> {
        match value {
            Cell::Text(text) => Ok(text.clone()),
            number @ (Cell::Int(_) | Cell::Float(_)) => Ok(literal::str(number)),
            _ => Err(at.fault(
                "the question is no text",
                "`doc_to_text` must name a column of text or be a template",
            )),
        }
    }
}

fn prefix(
    template: Option<&Template>,
    columns: &Columns,
    at: RowRef<'_>,
) -> Result<Option<String>, PromptError> {
    let Some(template) = template else { return Ok(None) };
    let prefix = printed(&template.value(columns).map_err(|e| at.template(e))?);
    Ok((!prefix.is_empty()).then_some(prefix))
}
