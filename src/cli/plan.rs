//! `assay plan`: what a run would cost, without weights.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use super::arguments::{TableOrJson, TaskArguments};
use super::failure::Failure;
use super::forecast::ShownForecast;
use super::model_arguments::ModelArguments;
use super::notices::say_task_notes;
use super::screen::format_of;
use crate::session::{ForecastInputs, ForecastModel, ModelSource};
use crate::task::TaskIndex;

/// `assay plan`.
#[derive(Debug, Args)]
pub struct PlanArguments {
    #[command(flatten)]
    pub model: ModelArguments,
    #[command(flatten)]
    pub tasks: TaskArguments,
    /// A row for each task, also where several share a tag
    #[arg(long)]
    pub by_subject: bool,
    /// How to write the plan [default: table]
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<TableOrJson>,
}

/// Prints the plan of each task, and that of all of them: tasks that share a tag are computed as one. With a tokenizer and no model, a 7B's
/// context and keys and values are assumed.
pub fn run(arguments: &PlanArguments) -> Result<ExitCode, Failure> {
    let PlanArguments { model, tasks, by_subject, format } = arguments;
    let format = format_of(*format, TableOrJson::Json)?;
    model.use_threads()?;
    let index = TaskIndex::load(&tasks.data.include)?;
    let selection = index.select(&tasks.names()?)?;
    say_task_notes(&index);
    let store = tasks.data.store()?;
    let show = |planned: ForecastModel<'_>, template_place: &Path| {
        let prompts = tasks.prompt_options(&index, &selection, template_place)?;
        let inputs = ForecastInputs {
            model: planned,
            tasks: selection.tasks.clone(),
            store: &store,
            prompts: &prompts,
            kv_memory: model.kv_memory,
        };
        let shown = ShownForecast { by_subject: *by_subject, json: format == TableOrJson::Json };
        shown.show(inputs)
    };
    if let (None, Some(tokenizer)) = (&model.model, &model.tokenizer) {
        return show(ForecastModel::Assumed { tokenizer }, tokenizer);
    }
    let source = ModelSource::find(model.model.as_deref())?;
    model.refuse_half_samples(&tasks.data, &selection, &store)?;
    let planned = ForecastModel::Own {
        source: &source,
        options: model.options(),
        tokenizer: model.tokenizer.as_deref(),
        allow_other_tokenizer: model.allow_other_tokenizer,
    };
    show(planned, model.template_place(&source.path))
}
