//! A task's metrics, bound to their functions.

use std::sync::Arc;

use super::aggregation::{AGGREGATIONS, Aggregation};
use super::choice::Scored;
use super::error::MetricError;
use super::filter::{FILTERS, Filter};
use super::table::{Function, METRICS, Metric};
use super::target::TargetScore;
use super::text::TextMetric;
use super::value::Value;
use crate::task::{Declared, MetricConfig, OutputType, Reads, Task};
use crate::vocabulary::{Decision, DocumentRequests, Estimate, Gold, Measured, Response, View};

/// A metric as a task reports it.
struct Bound {
    name: String,
    metric: &'static Metric,
    aggregation: &'static Aggregation,
    /// For a metric over texts, with its arguments.
    text: Option<TextMetric>,
    /// Index of the task's declaration, and so of the document's view.
    view: usize,
    /// Index of the filter chain.
    chain: usize,
    /// Whether it reads the text that continues beyond its stops.
    beyond: bool,
}

impl Bound {
    /// Finds a declared metric in the table.
    ///
    /// # Errors
    /// Unknown names and arguments.
    fn new(
        config: &MetricConfig,
        output: OutputType,
        name: String,
        view: usize,
        chain: usize,
        beyond: bool,
    ) -> Result<Self, MetricError> {
        let declared = &config.metric;
        let fault = |what: String| MetricError::Argument { place: declared.place.clone(), what };
        let fitting = || METRICS.iter().filter(|metric| metric.needs == output);
        let metric = fitting().find(|metric| metric.name == declared.function).ok_or_else(|| {
            MetricError::unknown(declared, "metric", &fitting().map(|metric| metric.name).collect::<Vec<_>>())
        })?;
        let text = match metric.function {
            Function::Text(read) => Some(read(&declared.arguments).map_err(fault)?),
            Function::Choices { .. } | Function::Target { .. } => {
                if let Some((name, _)) = declared.arguments.first() {
                    return Err(fault(format!("metric `{}` has no argument `{name}`", metric.name)));
                }
                None
            }
        };
        if config.higher_is_better.is_some_and(|declared| declared != metric.higher_is_better) {
            let (found, expected) = (!metric.higher_is_better, metric.higher_is_better);
            let what =
                format!("`higher_is_better` of metric `{}` is {found}, expected {expected}", metric.name);
            return Err(fault(what));
        }
        let aggregation = match config.aggregation.as_deref() {
            None => metric.aggregation,
            Some(name) => *AGGREGATIONS.iter().find(|known| known.name == name).ok_or_else(|| {
                let names: Vec<&str> = AGGREGATIONS.iter().map(|known| known.name).collect();
                let hint = format!("there are {}", names.join(", "));
                let place = declared.place.clone();
                MetricError::Unknown { place, kind: "aggregation", name: name.to_string(), hint }
            })?,
        };
        Ok(Self { name, metric, aggregation, text, view, chain, beyond })
    }
}

/// Scores documents of one task.
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
                // Several chains are told apart by 0.4's names; one chain needs no suffix.
                let name = match names.len() {
                    0 | 1 => metric.name.clone(),
                    _ => format!("{},{}", metric.name, names[chain]),
                };
                bound.push(Bound::new(metric, task.output_type, name, view, chain, beyond)?);
            }
        }
        for (view, metric) in task.metrics.iter().enumerate() {
            if let Reads::BeyondBy(own) = &metric.reads {
                let (name, chain) = (metric.name.clone(), chains.len());
                chains.push(own.steps.iter().map(read_filter).collect::<Result<Vec<_>, _>>()?);
                bound.push(Bound::new(metric, task.output_type, name, view, chain, true)?);
            }
        }
        Ok(Self { task: task.name.clone(), bound, chains })
    }

    /// The names of the values, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.bound.iter().map(|bound| bound.name.as_str())
    }

    /// The values that are means over documents: index, name, and whether a document is either right or
    /// wrong.
    pub fn means(&self) -> impl Iterator<Item = (usize, &str, bool)> {
        let means = self.bound.iter().enumerate().filter(|(_, bound)| bound.aggregation.is_mean);
        means.map(|(place, bound)| (place, bound.name.as_str(), bound.metric.decides))
    }

    /// The model's answer by each value: a choice, or the filtered text; `None` if the metric has no single
    /// answer.
    pub fn answers(&self, document: &DocumentRequests, responses: &[Response]) -> Vec<Option<String>> {
        self.bound.iter().map(|bound| self.answer(bound, document, responses)).collect()
    }

    fn answer(&self, bound: &Bound, document: &DocumentRequests, responses: &[Response]) -> Option<String> {
        let view = document.views.get(bound.view)?;
        match bound.metric.function {
            Function::Choices { answer, .. } => {
                let scored = Scored::new(document, view, responses).ok()?;
                scored.choices.get(answer?(&scored)).cloned()
            }
            Function::Target { answer, .. } => Some(answer?(&target(responses).ok()?).to_string()),
            Function::Text(_) => Some(self.filtered(bound, responses).ok()?.0),
        }
    }

    /// A generated text as a metric reads it, and the near-ties in it.
    fn filtered(&self, bound: &Bound, responses: &[Response]) -> Result<(String, usize), String> {
        let Some(Response::Generation { text, near_ties, beyond, .. }) = responses.first() else {
            return Err("the response is no text".into());
        };
        let (text, near_ties) = match (bound.beyond, beyond) {
            (false, _) => (text, near_ties),
            (true, Some(beyond)) => (&beyond.text, &beyond.near_ties),
            (true, None) => return Err("the text ends at its first stop".into()),
        };
        let chain = &self.chains[bound.chain];
        let filtered = chain.iter().try_fold(text.clone(), |text, filter| filter.apply(&text))?;
        Ok((filtered, *near_ties))
    }

    /// The values of one document.
    ///
    /// # Errors
    /// Responses of the wrong kind, a NaN, labels without a choice: such a document gets no value.
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
                let (value, decision) = self.measure(bound, view, document, responses).map_err(fault)?;
                if value.is_nan() {
                    return Err(fault(format!("metric `{}` is not a number", bound.name)));
                }
                Ok(Measured { name: bound.name.clone(), value, decision })
            })
            .collect()
    }

    /// The estimate of metric number `metric` over its documents' values.
    pub fn estimate(&self, metric: usize, values: &[f64]) -> Estimate {
        (self.bound[metric].aggregation.estimate)(values)
    }

    fn measure(
        &self,
        bound: &Bound,
        view: &View,
        document: &DocumentRequests,
        responses: &[Response],
    ) -> Result<Value, String> {
        match (bound.metric.function, &bound.text) {
            (Function::Choices { value, .. }, _) => value(&Scored::new(document, view, responses)?),
            (Function::Target { value, .. }, _) => Ok(value(&target(responses)?)),
            (Function::Text(_), None) => Err("the metric is not bound".into()),
            (Function::Text(_), Some(compare)) => {
                let (text, near_ties) = self.filtered(bound, responses)?;
                let right: Vec<&str> = match &view.gold {
                    Gold::Answer(answer) => vec![answer],
                    Gold::Answers(answers) => answers.iter().map(String::as_str).collect(),
                    _ => return Err("the gold is no text".into()),
                };
                let decision = Decision { margin: None, near_tie: near_ties > 0 };
                Ok((compare(&text, &right)?, bound.metric.decides.then_some(decision)))
            }
        }
    }
}

/// The score of a document that has one target.
fn target(responses: &[Response]) -> Result<TargetScore, String> {
    match responses.first() {
        Some(&Response::Loglikelihood { loglikelihood, is_greedy, greedy_near_tie, .. }) => {
            Ok(TargetScore { loglikelihood, is_greedy, greedy_near_tie })
        }
        _ => Err("the response is no loglikelihood".into()),
    }
}

fn read_filter(step: &Declared) -> Result<Filter, MetricError> {
    let Some(kind) = FILTERS.iter().find(|kind| kind.name == step.function) else {
        let names: Vec<&str> = FILTERS.iter().map(|kind| kind.name).collect();
        return Err(MetricError::unknown(step, "filter", &names));
    };
    kind.read(step).map_err(|what| MetricError::Argument { place: step.place.clone(), what })
}
