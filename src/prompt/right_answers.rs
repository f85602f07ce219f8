//! Right answers: of a document, of each of its metrics, and of shots.

use super::choice_numbers::{element, is_hidden, range};
use super::error::PromptError;
use super::row_ref::RowRef;
use crate::python::literal::literal_eval;
use crate::python::{literal, text};
use crate::task::{Columns, OutputType, Template};
use crate::vocabulary::{Cell, Gold, NO_CHOICE, View};

/// How a document's target is read.
#[derive(Clone, Copy)]
pub struct GoldReader<'a> {
    /// The document.
    pub at: RowRef<'a>,
    /// Whether a list of targets means several right answers, rather than a text in brackets.
    pub multiple_target: bool,
}

impl GoldReader<'_> {
    /// The gold answer, as the metrics need it.
    ///
    /// A label below 0 counts choices from the last one, as Python does; datasets hide labels as -1. No choice is right then, but
    /// what 0.4.13 reads by the label (a choice's text, whether it is greedy) is that choice's.
    ///
    /// # Errors
    /// [`PromptError::Document`] if the target is empty or names none of the choices.
    pub fn gold(self, value: &Cell, choices: &[String]) -> Result<Gold, PromptError> {
        let at = self.at;
        let no_target = "check the row and the task file's `doc_to_target`";
        match (at.task.output_type, value) {
            (_, Cell::Null) => Err(at.fault("the target is empty", no_target)),
            (OutputType::MultipleChoice, Cell::Bool(b)) => Ok(Gold::Index(usize::from(*b))),
            (OutputType::MultipleChoice, number @ (Cell::Int(_) | Cell::Float(_))) => {
                match (element(number, choices.len()), number) {
                    (Some(_), Cell::Int(label @ ..0)) => Ok(Gold::NoChoice(*label as i64)),
                    (Some(index), _) => Ok(Gold::Index(index)),
                    (None, Cell::Int(label)) if *label == i128::from(NO_CHOICE) => {
                        Ok(Gold::NoChoice(NO_CHOICE))
                    }
                    (None, _) => Err(label(number, choices, at)),
                }
            }
            (OutputType::MultipleChoice, Cell::Text(answer)) => {
                match choices.iter().position(|choice| choice == answer) {
                    Some(index) => Ok(Gold::Index(index)),
                    None if is_hidden(value) => Ok(Gold::NoChoice(NO_CHOICE)),
                    None => {
                        let count = choices.len();
                        let what = format!("the target `{answer}` is none of the document's {count} choices");
                        Err(at.fault(what, no_target))
                    }
                }
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
                choice(number, choices, at).map(Gold::Answer)
            }
            (_, Cell::List(items)) if self.multiple_target => {
                Ok(Gold::Answers(items.iter().map(printed).collect()))
            }
            (_, other) => Ok(Gold::Answer(printed(other))),
        }
    }

    /// The part of the document that each metric reads.
    ///
    /// # Errors
    /// As [`gold`](Self::gold); a metric's `choices` that are no range of the document's.
    pub fn views(
        self,
        columns: &Columns,
        choices: &[String],
        gold_of_document: &Gold,
    ) -> Result<Vec<View>, PromptError> {
        let at = self.at;
        let metrics = &at.task.metrics;
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
                    self.gold(&value, seen)?
                }
                None => gold_of_document.clone(),
            };
            if let (Gold::Index(i), OutputType::MultipleChoice) = (&gold, at.task.output_type)
                && *i >= seen.len()
            {
                return Err(label(&Cell::Int(*i as i128), seen, at));
            }
            views.push(View { choices: range, gold });
        }
        Ok(views)
    }
}

/// The error for a label without a choice.
fn label(n: &Cell, choices: &[String], at: RowRef<'_>) -> PromptError {
    let n = literal::str(n);
    at.fault(
        format!("label {n} is out of range, the document has {} choices", choices.len()),
        "mend the row, or the task file's `doc_to_target`: labels count from 0",
    )
}

/// The choice at an index, as Python indexes: a boolean is 0 or 1, and -1 is the last one.
///
/// # Errors
/// [`PromptError::Document`] if it is no number, or out of range.
pub fn choice(index: &Cell, choices: &[String], at: RowRef<'_>) -> Result<String, PromptError> {
    if !matches!(index, Cell::Bool(_) | Cell::Int(_) | Cell::Float(_)) {
        let hint = "the first document's question is a number, so all must be: check `doc_to_text`";
        return Err(at.fault("the question is no number of a choice", hint));
    }
    let found = element(index, choices.len()).and_then(|i| choices.get(i)).cloned();
    found.ok_or_else(|| label(index, choices, at))
}

/// A target: a column as it is, and what a template prints as [`read_gold`] parses it.
///
/// # Errors
/// A template that fails.
pub fn read_target(
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
///
/// # Errors
/// A template that fails.
pub fn read_gold(
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
pub fn printed(value: &Cell) -> String {
    match value {
        Cell::Null => String::new(),
        value => literal::str(value),
    }
}
