//! What a run would take, as `assay plan` and `assay eval --dry-run` show it.

use std::process::ExitCode;

use indicatif::{HumanBytes, HumanCount};
use serde_json::{Map, Value, json};

use super::announce::{ModelFacts, say_model, say_prompts, shown_time};
use super::failure::Failure;
use super::notices::say_notice;
use super::output::{say, write_stdout};
use super::screen::paper;
use crate::evaluate::{AnsweredTask, Plan, RunCosts, run_costs};
use crate::report::{Format, PLAN_DISPENSABLE, PlanRow, plan_table, row_name, wrapped};
use crate::session::{Forecast, ForecastInputs, ForecastModel, MemoryNeeds, forecast};

/// Bytes beside the weights and passes below which no size for keys and values is advised: half of them is what a run would take.
const LEAST_FOR_KEYS: u64 = 512 << 20;

/// How a forecast is shown.
pub struct ShownForecast {
    /// Whether tasks that share a tag have a row each.
    pub by_subject: bool,
    pub json: bool,
}

impl ShownForecast {
    /// Makes the forecast and prints it.
    pub fn show(&self, inputs: ForecastInputs<'_>) -> Result<ExitCode, Failure> {
        let named = match &inputs.model {
            ForecastModel::Own { source, .. } => Some((source.name.clone(), source.sample)),
            ForecastModel::Assumed { .. } => None,
        };
        if inputs.tasks.iter().any(|task| inputs.store.is_sampled(&task.dataset)) {
            say!("note: no --datasets: this is the plan of the built-in samples, not of the benchmarks");
        }
        let num_fewshot = inputs.prompts.num_fewshot;
        let found = forecast(inputs, &mut say_notice)?;
        if let (Some(needs), Some((name, sample))) = (&found.model, &named) {
            say_model(&ModelFacts {
                name,
                sample: *sample,
                architecture: Some(needs.architecture),
                parameters: Some(needs.parameters),
                dtype: Some(&needs.dtype.to_string()),
                device: Some(&needs.device),
                kernels: needs.kernels,
            });
        }
        let names_end_of_text = found.model.as_ref().is_none_or(|needs| needs.names_end_of_text);
        say_prompts(&found.tasks, num_fewshot, names_end_of_text);
        let open: Vec<AnsweredTask<'_>> = found.tasks.iter().map(AnsweredTask::new).collect();
        let costs = run_costs(&open, found.limits.kv_budget)?;
        let seconds = found.seconds_per_token().unwrap_or_else(|error| {
            say!("note: how long it takes cannot be told: {error}");
            None
        });
        let cost = Cost { found: &found, costs: &costs, seconds, memory: found.memory(&costs.total) };
        let text = if self.json {
            let name = named.map(|(name, _)| name);
            serde_json::to_string_pretty(&cost.json(name.as_deref())).unwrap_or_default()
        } else {
            cost.text(self.by_subject)
        };
        write_stdout(&(text + "\n"))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// What was found.
struct Cost<'a> {
    found: &'a Forecast,
    costs: &'a RunCosts,
    /// Expected seconds per token, if known.
    seconds: Option<f64>,
    memory: Option<MemoryNeeds>,
}

impl Cost<'_> {
    fn seconds_of(&self, plan: &Plan) -> Option<f64> {
        self.seconds.map(|seconds| seconds * plan.expected_tokens())
    }

    fn text(&self, by_subject: bool) -> String {
        let task = |index: usize| &self.found.tasks[index].task;
        let row = |name: String, plan: &Plan| {
            let time = self.seconds_of(plan).map(shown_time);
            PlanRow { name, plan: *plan, time }
        };
        let mut rows: Vec<PlanRow> = if by_subject {
            self.costs
                .tasks
                .iter()
                .enumerate()
                .map(|(at, plan)| row(task(at).name.to_string(), plan))
                .collect()
        } else {
            let family = |(tasks, plan): &(std::ops::Range<usize>, Plan)| {
                let first = task(tasks.start);
                row(row_name(&first.name, first.tags.first().map(String::as_str), tasks.len()), plan)
            };
            self.costs.families.iter().map(family).collect()
        };
        rows.push(row("all".into(), &self.costs.total));
        let table = plan_table(&rows, self.found.limits.kv_bytes_per_token);
        let mut parts = vec![table.render_on(Format::Table, paper(), &PLAN_DISPENSABLE)];
        let sentences = [self.time(), self.memory_sentence()].into_iter().flatten();
        parts.extend(sentences.map(|sentence| match paper().width {
            Some(width) => wrapped(&sentence, width).join("\n"),
            None => sentence,
        }));
        parts.join("\n\n")
    }

    /// The expected time, and on what ground.
    fn time(&self) -> Option<String> {
        let needs = self.found.model.as_ref()?;
        let seconds = self.seconds?;
        let total = &self.costs.total;
        let tokens = HumanCount(total.expected_tokens() as u64);
        let threads = if needs.is_on_cpu() { format!(" of {}", threads()) } else { String::new() };
        let written = match total.tokens_to_write {
            0 => "",
            _ => {
                " Half of the tokens that may be written are counted, and writing them one by one may take longer."
            }
        };
        Some(format!(
            "Time: about {}, for {tokens} tokens at {} a second: what a product of this model's width has just taken on {}{threads}, \
             without attention.{written} Answers that are kept from earlier runs are not taken off.",
            shown_time(seconds * total.expected_tokens()),
            shown_rate(seconds),
            needs.device,
        ))
    }

    /// The memory that it takes, and whether it is there.
    fn memory_sentence(&self) -> Option<String> {
        let needs = self.found.model.as_ref()?;
        let memory = self.memory?;
        let passes = match memory.passes {
            Some(bytes) => format!(", {} for passes", HumanBytes(bytes)),
            None => ", and memory for passes".into(),
        };
        let parts = format!(
            "{} of weights, {} of keys and values{passes}",
            HumanBytes(memory.weights),
            HumanBytes(memory.keys_and_values)
        );
        let total = HumanBytes(memory.total());
        Some(match self.found.free_memory {
            None if needs.is_on_cpu() => {
                format!("Memory: about {total}: {parts}. What is free is not known here.")
            }
            None => format!(
                "Memory of {}: {total} and more: {parts}. What is free there is not known.",
                needs.device
            ),
            Some(free) if memory.total() <= free => {
                let mebibytes = self.found.longest_kv_bytes.div_ceil(1 << 20);
                let least = if self.found.needs_kv_memory {
                    format!(
                        " The longest request needs --kv-memory {mebibytes}MiB: more than half of what is free beside the weights."
                    )
                } else {
                    String::new()
                };
                format!("Memory: about {total} of the {} that are free: {parts}.{least}", HumanBytes(free))
            }
            Some(free) => format!(
                "Memory: IT DOES NOT FIT: about {total} are needed, and {} are free: {parts}. {}",
                HumanBytes(free),
                self.remedy(memory, free)
            ),
        })
    }

    /// What makes a run fit.
    fn remedy(&self, memory: MemoryNeeds, free: u64) -> String {
        let rest = memory.weights.saturating_add(memory.passes.unwrap_or(0));
        match &self.found.model {
            Some(_)
                if free.saturating_sub(rest) >= LEAST_FOR_KEYS
                    && free.saturating_sub(rest) / 2 >= self.found.longest_kv_bytes =>
            {
                format!("It fits with --kv-memory {}MiB.", (free - rest) >> 21)
            }
            Some(needs) if needs.dtype.size() > 2 => {
                "--dtype bf16 takes half of it, and gives other numbers.".into()
            }
            _ => "It takes a machine with more memory.".into(),
        }
    }

    fn json(&self, name: Option<&str>) -> Value {
        let counts = |plan: &Plan| {
            let mut counts = json!({
                "documents": plan.documents,
                "requests": plan.requests,
                "tokens_alone": plan.tokens_alone,
                "tokens_planned": plan.tokens_planned,
                "tokens_to_write": plan.tokens_to_write,
                "peak_live_kv_tokens": plan.peak_live_kv_tokens,
            });
            if let Some(seconds) = self.seconds_of(plan) {
                counts["expected_seconds"] = seconds.into();
            }
            counts
        };
        let tasks = &self.found.tasks;
        let each: Map<String, Value> = tasks
            .iter()
            .zip(&self.costs.tasks)
            .map(|(task, plan)| (task.task.name.to_string(), counts(plan)))
            .collect();
        let families: Vec<Value> = self
            .costs
            .families
            .iter()
            .map(|(members, plan)| {
                let mut family = counts(plan);
                family["tag"] = json!(tasks[members.start].task.tags.first());
                family["tasks"] =
                    tasks[members.clone()].iter().map(|task| task.task.name.to_string()).collect();
                family
            })
            .collect();
        let mut all = json!({
            "total": counts(&self.costs.total),
            "families": families,
            "tasks": each,
            "kv_bytes_per_token": self.found.limits.kv_bytes_per_token,
        });
        if let (Some(needs), Some(memory)) = (&self.found.model, self.memory) {
            let free = self.found.free_memory;
            all["model"] = json!({
                "name": name,
                "architecture": needs.architecture,
                "parameters": needs.parameters,
                "dtype": needs.dtype.to_string(),
                "device": needs.device,
                "kernels": needs.kernels,
            });
            all["seconds_per_token"] = json!(self.seconds);
            all["memory"] = json!({
                "weights": memory.weights,
                "keys_and_values": memory.keys_and_values,
                "passes": memory.passes,
                "needed": memory.total(),
                "free": free,
                "fits": free.map(|free| memory.total() <= free),
            });
        }
        all
    }
}

fn threads() -> String {
    match rayon::current_num_threads() {
        1 => "one thread".into(),
        many => format!("{many} threads"),
    }
}

/// Tokens a second, in two or three digits.
fn shown_rate(seconds: f64) -> String {
    let rate = 1.0 / seconds.max(1e-12);
    if rate < 10.0 { format!("{rate:.1}") } else { HumanCount(rate.round() as u64).to_string() }
}
