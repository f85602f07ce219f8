//! Metrics and filters as task files declare them.

use super::fields::{Fields, SchemaError, list_of, text_of};
use super::schema::{Declared, FilterChain, MetricConfig, OutputType, Reads};
use super::yaml_value::Node;

fn read_declared(mut fields: Fields, key: &'static str) -> Result<Declared, SchemaError> {
    let place = fields.place().clone();
    let node = fields.take(key).ok_or(SchemaError::MissingKey {
        place,
        what: "an entry of the list",
        key,
        example: if key == "metric" { "acc" } else { "take_first" },
    })?;
    let function = text_of(&node, key)?;
    let arguments = fields.rest().into_iter().map(|(k, v)| (k.name, v)).collect();
    Ok(Declared { function, place: node.place, arguments })
}

pub fn read_filters(fields: &mut Fields) -> Result<Vec<FilterChain>, SchemaError> {
    let Some(node) = fields.take("filter_list") else { return Ok(Vec::new()) };
    let mut chains = Vec::new();
    for node in list_of(node, "filter_list")? {
        let mut chain = Fields::new(node, "an entry of filter_list")?;
        let name = chain.required_text("name", "strict-match")?;
        let steps = chain.take("filter").map(read_steps).transpose()?.unwrap_or_default();
        chain.finish()?;
        chains.push(FilterChain { name, steps });
    }
    Ok(chains)
}

/// The steps of a chain of filters.
pub fn read_steps(node: Node) -> Result<Vec<Declared>, SchemaError> {
    let steps = list_of(node, "filter")?;
    steps.into_iter().map(|step| read_declared(Fields::new(step, "a filter")?, "function")).collect()
}

pub fn read_metrics(fields: &mut Fields, output: OutputType) -> Result<Vec<MetricConfig>, SchemaError> {
    let place = fields.place().clone();
    let Some(node) = fields.take("metric_list") else {
        // lm-evaluation-harness 0.4's defaults by output type.
        let names: &[&str] = match output {
            OutputType::MultipleChoice => &["acc", "acc_norm"],
            OutputType::Loglikelihood => &["perplexity", "acc"],
            OutputType::GenerateUntil => &["exact_match"],
        };
        let plain = |name: &&str| MetricConfig {
            metric: Declared { function: name.to_string(), place: place.clone(), arguments: Vec::new() },
            name: name.to_string(),
            aggregation: None,
            higher_is_better: None,
            choices: None,
            gold: None,
            reads: Reads::UpToStop,
        };
        return Ok(names.iter().map(plain).collect());
    };
    let entries = list_of(node, "metric_list")?.into_iter();
    entries.map(|node| read_metric(Fields::new(node, "an entry of metric_list")?)).collect()
}

/// An entry of a list of metrics.
pub fn read_metric(mut entry: Fields) -> Result<MetricConfig, SchemaError> {
    let aggregation = entry.text("aggregation")?;
    let higher_is_better = entry.flag("higher_is_better")?;
    let choices = entry.template("choices")?;
    let gold = entry.template("gold")?;
    let name = entry.text("name")?;
    // A key of groups; some files have it here too, where it has no effect.
    entry.ignore("weight_by_size");
    entry.refuse("hf_evaluate", "metrics are assay's own", "use one of `assay`'s metrics")?;
    let metric = read_declared(entry, "metric")?;
    let name = name.unwrap_or_else(|| metric.function.clone());
    let reads = Reads::UpToStop;
    Ok(MetricConfig { metric, name, aggregation, higher_is_better, choices, gold, reads })
}
