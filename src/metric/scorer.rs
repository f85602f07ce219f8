//! A task's metrics, bound to their functions.

use std::sync::Arc;

use miette::Diagnostic;
use thiserror::Error;

use super::choice::{self, Scored};
use super::filter::{self, Filter};
use super::text::ExactMatch;
use crate::python::regex::PythonRegex;
use crate::statistics;
use crate::task::{Declared, MetricConfig, OutputType, Place, Reads, Task, Yaml, closest};
use crate::vocabulary::{Decision, DocumentRequests, Estimate, Gold, Measured, Response, View};

/// Metrics cannot be bound or computed.
#[derive(Debug, Error, Diagnostic)]
pub enum MetricError {
    /// A name that nothing is registered under.
    #[error("{place}: unknown {kind} `{name}`")]
    #[diagnostic(code(assay::input), help("{hint}"))]
    Unknown {
        /// Where it stands.
        place: Place,
        /// Metric, filter or aggregation.
        kind: &'static str,
        /// The name.
        name: String,
        /// What was probably meant.
        hint: String,
    },
    /// An argument that does not fit.
    #[error("{place}: {what}")]
    #[diagnostic(code(assay::input), help("compare with the metrics and filters that the README lists"))]
    Argument {
        /// Where the metric or filter stands.
        place: Place,
        /// The fault.
        what: String,
    },
    /// A document that a metric cannot value.
    #[error("task `{task}`, document {doc_id} (row {row}): {what}")]
    #[diagnostic(
        code(assay::engine),
        help("the document gets no number: look at its samples, and at the task file's targets")
    )]
    Document {
        /// The task.
        task: Arc<str>,
        /// The document.
        doc_id: usize,
        /// Its row.
        row: usize,
        /// The fault.
        what: String,
    },
}

#[derive(Debug, Clone)]
enum Function {
    Accuracy,
    AccuracyByCharacters,
    AccuracyByBytes,
    GreedyMatch,
    TrueMass,
    TargetIsGreedy,
    Loglikelihood,
    ExactMatch(ExactMatch),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Aggregation {
    Mean,
    /// `exp(-mean)` of loglikelihoods.
    Perplexity,
}

/// The registered names by what a task asks for, each with how its values become one.
const CHOICE: [&str; 5] = ["acc", "acc_norm", "acc_bytes", "exact_match", "true_mass"];
const TARGET: [&str; 2] = ["acc", "perplexity"];
const TEXT: [&str; 1] = ["exact_match"];

struct Bound {
    name: String,
    function: Function,
    aggregation: Aggregation,
    /// Index of the task's declaration, and so of the document's view.
    view: usize,
    /// Index of the filter chain.
    chain: usize,
    /// Whether it reads a text beyond its stops.
    beyond: bool,
}

/// Values documents of one task.
pub struct Scorer {
    task: Arc<str>,
    bound: Vec<Bound>,
    chains: Vec<Vec<Filter>>,
}

impl Scorer {
    /// Binds a task's metrics and filters.
    ///
    /// # Errors
    /// Unknown names and arguments.
    pub fn for_task(task: &Task) -> Result<Self, MetricError> {
        let mut chains = Vec::new();
        for chain in &task.filters {
            chains.push(chain.steps.iter().map(read_filter).collect::<Result<Vec<_>, _>>()?);
        }
        let names: Vec<&str> = task.filters.iter().map(|chain| chain.name.as_str()).collect();
        if chains.is_empty() {
            chains.push(Vec::new());
        }
        let mut bound = Vec::new();
        for chain in 0..chains.len() {
            for (view, metric) in task.metrics.iter().enumerate() {
                let beyond = match metric.reads {
                    Reads::UpToStop => false,
                    Reads::Beyond => true,
                    Reads::BeyondBy(_) => continue,
                };
                let (function, aggregation) = bind(metric, task.output_type)?;
                // With several chains 0.4's names tell them apart; one chain needs no mark.
                let name = match names.len() {
                    0 | 1 => metric.name.clone(),
                    _ => format!("{},{}", metric.name, names[chain]),
                };
                bound.push(Bound { name, function, aggregation, view, chain, beyond });
            }
        }
        for (view, metric) in task.metrics.iter().enumerate() {
            if let Reads::BeyondBy(own) = &metric.reads {
                let (function, aggregation) = bind(metric, task.output_type)?;
                let (name, chain) = (metric.name.clone(), chains.len());
                chains.push(own.steps.iter().map(read_filter).collect::<Result<Vec<_>, _>>()?);
                bound.push(Bound { name, function, aggregation, view, chain, beyond: true });
            }
        }
        Ok(Self { task: task.name.clone(), bound, chains })
    }

    /// The names of the values, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.bound.iter().map(|bound| bound.name.as_str())
    }

    /// The names of the values that are means over documents, with their places, and whether a document is either right or wrong.
    pub fn means(&self) -> impl Iterator<Item = (usize, &str, bool)> {
        let means = |bound: &Bound| bound.aggregation == Aggregation::Mean;
        let decides = |function: &Function| !matches!(function, Function::TrueMass | Function::Loglikelihood);
        let bound = self.bound.iter().enumerate().filter(move |(_, bound)| means(bound));
        bound.map(move |(place, bound)| (place, bound.name.as_str(), decides(&bound.function)))
    }

    /// What the model answered, as each value sees it: a choice, or what the filters leave of a text; none where the value is no
    /// decision.
    pub fn answers(&self, document: &DocumentRequests, responses: &[Response]) -> Vec<Option<String>> {
        self.bound.iter().map(|bound| self.answer(bound, document, responses)).collect()
    }

    fn answer(&self, bound: &Bound, document: &DocumentRequests, responses: &[Response]) -> Option<String> {
        let view = document.views.get(bound.view)?;
        match (&bound.function, responses.first()?) {
            (Function::ExactMatch(_), Response::Generation { text, beyond, .. }) => {
                let text = match bound.beyond {
                    true => &beyond.as_ref()?.text,
                    false => text,
                };
                let chain = &self.chains[bound.chain];
                chain.iter().try_fold(text.clone(), |text, filter| filter.apply(&text).ok())
            }
            (Function::TargetIsGreedy, Response::Loglikelihood { is_greedy, .. }) => {
                Some(if *is_greedy { "the target" } else { "another text" }.to_string())
            }
            (function, _) => {
                let choices = document.choices.get(view.choices.clone())?;
                let seen = responses.get(view.choices.clone())?.iter().map(|response| match response {
                    Response::Loglikelihood { loglikelihood, .. } => Some(*loglikelihood),
                    Response::Generation { .. } => None,
                });
                let place = choice::likeliest_place(
                    choices,
                    &seen.collect::<Option<Vec<f64>>>()?,
                    match function {
                        Function::Accuracy => |_| 1,
                        Function::AccuracyByCharacters => |choice| choice.chars().count(),
                        Function::AccuracyByBytes => str::len,
                        _ => return None,
                    },
                );
                choices.get(place).cloned()
            }
        }
    }

    /// The values of one document.
    ///
    /// # Errors
    /// Responses that are no numbers, labels that no choice has: such a document gets no number.
    pub fn score(
        &self,
        document: &DocumentRequests,
        responses: &[Response],
    ) -> Result<Vec<Measured>, MetricError> {
        let fault = |what: String| MetricError::Document {
            task: self.task.clone(),
            doc_id: document.doc_id,
            row: document.row,
            what,
        };
        self.bound
            .iter()
            .map(|bound| {
                let view =
                    document.views.get(bound.view).ok_or_else(|| fault("a metric has no view".into()))?;
                let chain = &self.chains[bound.chain];
                let (value, decision) = measure(bound, view, document, responses, chain).map_err(fault)?;
                if value.is_nan() {
                    return Err(fault(format!("metric `{}` is not a number", bound.name)));
                }
                Ok(Measured { name: bound.name.clone(), value, decision })
            })
            .collect()
    }

    /// The estimate of metric number `metric` over its documents' values.
    pub fn estimate(&self, metric: usize, values: &[f64]) -> Estimate {
        let estimate = statistics::estimate(values);
        match self.bound[metric].aggregation {
            Aggregation::Mean => estimate,
            Aggregation::Perplexity => Estimate { value: (-estimate.value).exp(), stderr: None, ..estimate },
        }
    }
}

/// A metric's value and, where it is a decision, how narrowly it was taken.
fn measure(
    bound: &Bound,
    view: &View,
    document: &DocumentRequests,
    responses: &[Response],
    chain: &[Filter],
) -> Result<(f64, Option<Decision>), String> {
    match &bound.function {
        Function::ExactMatch(matcher) => {
            let Some(Response::Generation { text, near_ties, beyond, .. }) = responses.first() else {
                return Err("the response is no text".into());
            };
            let (text, near_ties) = match (bound.beyond, beyond) {
                (false, _) => (text, near_ties),
                (true, Some(beyond)) => (&beyond.text, &beyond.near_ties),
                (true, None) => return Err("the text ends at its first stop".into()),
            };
            let mut answer = text.clone();
            for filter in chain {
                answer = filter.apply(&answer)?;
            }
            let right: Vec<&str> = match &view.gold {
                Gold::Answer(answer) => vec![answer],
                Gold::Answers(answers) => answers.iter().map(String::as_str).collect(),
                _ => return Err("the gold is no text".into()),
            };
            let decision = Decision { margin: None, near_tie: *near_ties > 0 };
            Ok((matcher.score(&answer, &right)?, Some(decision)))
        }
        function @ (Function::TargetIsGreedy | Function::Loglikelihood) => {
            let Some(Response::Loglikelihood { loglikelihood, is_greedy, greedy_near_tie, .. }) =
                responses.first()
            else {
                return Err("the response is no loglikelihood".into());
            };
            Ok(match function {
                Function::Loglikelihood => (*loglikelihood, None),
                _ => {
                    let decision = Decision { margin: None, near_tie: *greedy_near_tie };
                    (f64::from(u8::from(*is_greedy)), Some(decision))
                }
            })
        }
        function => {
            let seen = responses.get(view.choices.clone()).ok_or("responses are missing")?;
            let choices = document.choices.get(view.choices.clone()).ok_or("choices are missing")?;
            let mut scored = Scored::new(choices, &view.gold);
            for response in seen {
                let Response::Loglikelihood { loglikelihood, is_greedy, rounding, greedy_near_tie, .. } =
                    response
                else {
                    return Err("a response is no loglikelihood".into());
                };
                if loglikelihood.is_nan() {
                    return Err("a loglikelihood is not a number".into());
                }
                scored.loglikelihoods.push(*loglikelihood);
                scored.roundings.push(*rounding);
                scored.greedy.push(*is_greedy);
                scored.greedy_near_ties.push(*greedy_near_tie);
            }
            let (value, decision) = match function {
                Function::Accuracy => choice::accuracy(&scored),
                Function::AccuracyByCharacters => choice::accuracy_by_characters(&scored),
                Function::AccuracyByBytes => choice::accuracy_by_bytes(&scored),
                Function::GreedyMatch => choice::greedy_match(&scored),
                _ => {
                    let mass = choice::true_mass(&scored);
                    let mass = mass.ok_or("the labels name no wrong choice, so there is no mass to share")?;
                    return Ok((mass, None));
                }
            };
            Ok((value, Some(decision)))
        }
    }
}

fn read_filter(step: &Declared) -> Result<Filter, MetricError> {
    match Filter::read(step) {
        Ok(Some(filter)) => Ok(filter),
        Ok(None) => Err(unknown(step, "filter", &filter::NAMES)),
        Err(what) => Err(MetricError::Argument { place: step.place.clone(), what }),
    }
}

fn unknown(declared: &Declared, kind: &'static str, known: &[&str]) -> MetricError {
    let hint = match closest(&declared.function, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", known.join(", ")),
    };
    MetricError::Unknown { place: declared.place.clone(), kind, name: declared.function.clone(), hint }
}

fn bind(config: &MetricConfig, output: OutputType) -> Result<(Function, Aggregation), MetricError> {
    let declared = &config.metric;
    let function = match (output, declared.function.as_str()) {
        (OutputType::MultipleChoice, "acc") => Function::Accuracy,
        (OutputType::MultipleChoice, "acc_norm") => Function::AccuracyByCharacters,
        (OutputType::MultipleChoice, "acc_bytes") => Function::AccuracyByBytes,
        (OutputType::MultipleChoice, "exact_match") => Function::GreedyMatch,
        (OutputType::MultipleChoice, "true_mass") => Function::TrueMass,
        (OutputType::Loglikelihood, "acc") => Function::TargetIsGreedy,
        (OutputType::Loglikelihood, "perplexity") => Function::Loglikelihood,
        (OutputType::GenerateUntil, "exact_match") => Function::ExactMatch(exact_match(declared)?),
        (OutputType::MultipleChoice, _) => return Err(unknown(declared, "metric", &CHOICE)),
        (OutputType::Loglikelihood, _) => return Err(unknown(declared, "metric", &TARGET)),
        (OutputType::GenerateUntil, _) => return Err(unknown(declared, "metric", &TEXT)),
    };
    if !matches!(function, Function::ExactMatch(_))
        && let Some((name, _)) = declared.arguments.first()
    {
        let what = format!("metric `{}` has no argument `{name}`", declared.function);
        return Err(MetricError::Argument { place: declared.place.clone(), what });
    }
    let own =
        if matches!(function, Function::Loglikelihood) { Aggregation::Perplexity } else { Aggregation::Mean };
    let aggregation = match config.aggregation.as_deref() {
        None => own,
        Some("mean") => Aggregation::Mean,
        Some("perplexity") => Aggregation::Perplexity,
        Some(name) => {
            let hint = "there are mean, perplexity".to_string();
            let place = declared.place.clone();
            return Err(MetricError::Unknown { place, kind: "aggregation", name: name.to_string(), hint });
        }
    };
    Ok((function, aggregation))
}

fn exact_match(declared: &Declared) -> Result<ExactMatch, MetricError> {
    let fault = |what: String| MetricError::Argument { place: declared.place.clone(), what };
    let mut matcher = ExactMatch::default();
    for (name, node) in &declared.arguments {
        let flag = || match node.yaml {
            Yaml::Bool(flag) => Ok(flag),
            _ => Err(fault(format!("`{name}` is {}, expected true or false", node.yaml.kind()))),
        };
        match name.as_str() {
            "ignore_case" => matcher.ignore_case = flag()?,
            "ignore_punctuation" => matcher.ignore_punctuation = flag()?,
            "ignore_numbers" => matcher.ignore_numbers = flag()?,
            "regexes_to_ignore" => {
                let Yaml::List(patterns) = &node.yaml else {
                    return Err(fault(format!("`{name}` is {}, expected a list", node.yaml.kind())));
                };
                for pattern in patterns {
                    let Yaml::Text(pattern) = &pattern.yaml else {
                        return Err(fault(format!("`{name}` holds {}, expected text", pattern.yaml.kind())));
                    };
                    let regex = PythonRegex::new(pattern)
                        .map_err(|e| fault(format!("bad regular expression `{pattern}`: {e}")))?;
                    matcher.regexes_to_ignore.push(regex);
                }
            }
            _ => return Err(fault(format!("metric `exact_match` has no argument `{name}`"))),
        }
    }
    Ok(matcher)
}
