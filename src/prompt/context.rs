//! The text of requests: contexts, continuations, and gold answers.
//!
//! Joining follows lm-evaluation-harness 0.4 (`fewshot_context`, `build_qa_turn`, `construct_requests`), whose prompts for the
//! leaderboard's tasks are those of the older harness, byte for byte.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::choice_numbers::{index_of, is_index, range};
use super::error::{PromptError, hint};
use super::row_columns::columns;
use super::shots::{ShotPool, Shots};
use super::turns::{ChatOptions, SYSTEM, Turn, chat_text, delimited, plain_text, question_and_answer};
use crate::python::literal::literal_eval;
use crate::python::{literal, text};
use crate::task::{Choices, Columns, OutputType, Rendering, Target, Task, Template, TemplateError};
use crate::vocabulary::{Cell, DocumentRequests, Gold, Request, Row, Stops, View};

/// Builds the requests of a task's documents.
pub struct Builder<'a> {
    task: &'a Task,
    /// The evaluated split's name.
    split: &'a str,
    pool: &'a ShotPool,
    chat: &'a ChatOptions,
    /// Contexts without the system's turn, which the chat template refuses.
    without_system: AtomicUsize,
    /// Whether the question is the index of the right choice, so that the choices are contexts.
    multiple_input: bool,
    /// Whether a list of targets means several right answers, rather than a text in brackets.
    multiple_target: bool,
}

/// Identifies a row in errors.
#[derive(Clone, Copy)]
struct RowRef<'a> {
    task: &'a Task,
    split: &'a str,
    row: usize,
}

impl RowRef<'_> {
    fn template(self, source: TemplateError) -> PromptError {
        PromptError::Template {
            task: self.task.name.clone(),
            row: self.row,
            split: self.split.into(),
            hint: hint(&source),
            source,
        }
    }

    fn fault(self, what: impl Into<String>, hint: &'static str) -> PromptError {
        PromptError::Document {
            task: self.task.name.clone(),
            row: self.row,
            split: self.split.into(),
            what: what.into(),
            hint,
        }
    }
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
            multiple_input: false,
            multiple_target: false,
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
        if let Some(i) = requests.iter().position(
            |r| matches!(r, Request::Loglikelihood { continuation, .. } if text::strip(continuation).is_empty()),
        ) {
            let hint = "a choice must have text: mend the row, or the task file's `doc_to_choice` and `doc_to_target`";
            return Err(at.fault(format!("continuation {i} is empty"), hint));
        }

        let declared = match &task.doc_to_gold {
            Some(template) => read_gold(template, &columns, rendered.choices.is_some(), at)?,
            None => target.clone(),
        };
        let choices = rendered.choices.unwrap_or_default();
        let gold = self.gold(&declared, &choices, at)?;
        let views = self.views(&columns, &choices, &gold, at)?;
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
            Ok(question_and_answer(
                question,
                answer.as_deref(),
                prefix.as_deref(),
                &rendering.target_delimiter,
                &rendering.fewshot_delimiter,
            ))
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

    /// The gold answer, as the metrics need it.
    fn gold(&self, value: &Cell, choices: &[String], at: RowRef<'_>) -> Result<Gold, PromptError> {
        let output = self.task.output_type;
        let no_target = "check the row and the task file's `doc_to_target`";
        match (output, value) {
            (_, Cell::Null) => Err(at.fault("the target is empty", no_target)),
            (OutputType::MultipleChoice, Cell::Bool(b)) => Ok(Gold::Index(usize::from(*b))),
            (OutputType::MultipleChoice, number @ (Cell::Int(_) | Cell::Float(_))) => {
                let index = index_of(number).filter(|i| *i < choices.len());
                index.map(Gold::Index).ok_or_else(|| label(number, choices, at))
            }
            (OutputType::MultipleChoice, Cell::Text(answer)) => {
                let index = choices.iter().position(|choice| choice == answer);
                let what =
                    || format!("the target `{answer}` is none of the document's {} choices", choices.len());
                index.map(Gold::Index).ok_or_else(|| at.fault(what(), no_target))
            }
            (OutputType::MultipleChoice, Cell::List(items)) => {
                let whole = |item: &Cell| match item {
                    Cell::Int(n) => i64::try_from(*n).ok(),
                    _ => None,
                };
                let labels = items.iter().map(whole).collect::<Option<Vec<_>>>();
                labels
                    .map(Gold::Labels)
                    .ok_or_else(|| at.fault("the target is a list, but not of whole numbers", no_target))
            }
            (OutputType::GenerateUntil, number @ (Cell::Int(_) | Cell::Float(_))) if !choices.is_empty() => {
                let choice = index_of(number).and_then(|i| choices.get(i));
                choice.map(|c| Gold::Answer(c.clone())).ok_or_else(|| label(number, choices, at))
            }
            (_, Cell::List(items)) if self.multiple_target => {
                Ok(Gold::Answers(items.iter().map(printed).collect()))
            }
            (_, other) => Ok(Gold::Answer(printed(other))),
        }
    }

    /// The part of the document that each metric reads.
    fn views(
        &self,
        columns: &Columns,
        choices: &[String],
        gold_of_document: &Gold,
        at: RowRef<'_>,
    ) -> Result<Vec<View>, PromptError> {
        let metrics = &self.task.metrics;
        let mut views = Vec::with_capacity(metrics.len());
        for metric in metrics {
            let range = match &metric.choices {
                None => 0..choices.len(),
                Some(template) => {
                    let text = template.render(columns).map_err(|e| at.template(e))?;
                    range(&text, choices.len()).ok_or_else(|| {
                        at.fault(
                            format!(
                                "metric `{}`: choices are `{text}`, expected [from, to] within 0..{}",
                                metric.name,
                                choices.len()
                            ),
                            "`choices` of a metric is a template that prints two numbers",
                        )
                    })?
                }
            };
            let seen = &choices[range.clone()];
            let gold = match &metric.gold {
                Some(template) => {
                    let value = read_gold(template, columns, !choices.is_empty(), at)?;
                    self.gold(&value, seen, at)?
                }
                None => gold_of_document.clone(),
            };
            if let (Gold::Index(i), OutputType::MultipleChoice) = (&gold, self.task.output_type)
                && *i >= seen.len()
            {
                return Err(label(&Cell::Int(*i as i128), seen, at));
            }
            views.push(View { choices: range, gold });
        }
        Ok(views)
    }
}

fn label(n: &Cell, choices: &[String], at: RowRef<'_>) -> PromptError {
    let n = literal::str(n);
    at.fault(
        format!("label {n} is out of range, the document has {} choices", choices.len()),
        "mend the row, or the task file's `doc_to_target`: labels count from 0",
    )
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

/// The choice at an index; a boolean is 0 or 1, as in Python.
fn choice(index: &Cell, choices: &[String], at: RowRef<'_>) -> Result<String, PromptError> {
    if !matches!(index, Cell::Bool(_) | Cell::Int(_) | Cell::Float(_)) {
        let hint = "the first document's question is a number, so all must be: check `doc_to_text`";
        return Err(at.fault("the question is no number of a choice", hint));
    }
    let found = index_of(index).and_then(|i| choices.get(i)).cloned();
    found.ok_or_else(|| label(index, choices, at))
}

/// A target: a column as it is, and what a template prints as [`read_gold`] parses it.
fn read_target(
    template: &Template,
    columns: &Columns,
    has_choices: bool,
    at: RowRef<'_>,
) -> Result<Cell, PromptError> {
    if columns.has(template) {
        return template.value(columns).map_err(|e| at.template(e));
    }
    read_gold(template, columns, has_choices, at)
}

/// What a template prints, as the harness parses it: digits become a number if there are choices, brackets a list. Brackets in a text
/// of the row are text: a list is what the template itself makes one.
fn read_gold(
    template: &Template,
    columns: &Columns,
    has_choices: bool,
    at: RowRef<'_>,
) -> Result<Cell, PromptError> {
    let value = template.value(columns).map_err(|e| at.template(e))?;
    Ok(match value {
        Cell::Text(text) if has_choices && text::is_digits(&text) => {
            text.parse::<u64>().map_or(Cell::Text(text), |n| Cell::Int(n.into()))
        }
        Cell::Text(text) if text.len() >= 2 && text.starts_with('[') && text.ends_with(']') => {
            if template.is_text(columns) {
                Cell::Text(text)
            } else {
                literal_eval(&text).map_or(Cell::Text(text), Cell::from)
            }
        }
        value => value,
    })
}

/// A value as Python's `str` prints it into a prompt; a missing one is empty.
fn printed(value: &Cell) -> String {
    match value {
        Cell::Null => String::new(),
        value => literal::str(value),
    }
}
