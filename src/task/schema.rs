//! A task: which documents, which prompts, which metrics.
//!
//! Keys and meanings follow lm-evaluation-harness 0.4's task YAML. `assay`'s own keys are `random`, `doc_to_gold`,
//! `for_each`, `views`, `known_as`, `add_bos_token`, and `name`, `choices` and `gold` of a metric; the README documents them.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::template::Template;
use super::yaml_value::{Node, Place};
use crate::vocabulary::{Fingerprint, Row, TextBegin};

/// What a task requests from the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputType {
    /// The loglikelihood of every choice.
    MultipleChoice,
    /// The loglikelihood of the target.
    Loglikelihood,
    /// Text generated greedily.
    GenerateUntil,
}

/// Where a task's rows come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DatasetRef {
    /// The hub's id, `owner/name`; or `csv`, `json` or `parquet` with `data_files`.
    pub path: String,
    /// The hub's configuration.
    pub config: Option<String>,
    /// Files per split, for the generic loaders.
    pub data_files: Vec<(String, Vec<PathBuf>)>,
}

/// Names of the splits.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Splits {
    /// Source of the shots unless `fewshot` is set.
    pub training: Option<String>,
    /// Evaluated where there is no test split.
    pub validation: Option<String>,
    /// Evaluated.
    pub test: Option<String>,
    /// Source of the shots.
    pub fewshot: Option<String>,
}

/// How shots are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampler {
    /// A new `random.sample` for each document.
    Random,
    /// The first rows, for every document.
    FirstN,
}

/// Where a document's choices come from.
#[derive(Debug, Clone)]
pub enum Choices {
    /// The same for every document.
    Fixed(Vec<String>),
    /// A column's name or a template that prints a list.
    Template(Template),
}

/// Where a document's right answer comes from.
#[derive(Debug, Clone)]
pub enum Target {
    /// A column's name or a template.
    Template(Template),
    /// The same texts for every document, each of them right.
    Fixed(Vec<String>),
}

/// How a document is rendered as text; shots may have a rendering of their own.
#[derive(Debug, Clone)]
pub struct Rendering {
    /// The question.
    pub doc_to_text: Template,
    /// The answer: a choice's index, a text, or a list.
    pub doc_to_target: Option<Target>,
    pub doc_to_choice: Option<Choices>,
    /// Between question and answer.
    pub target_delimiter: String,
    /// After a shot.
    pub fewshot_delimiter: String,
}

/// Few-shot examples.
#[derive(Debug, Clone)]
pub struct Fewshot {
    /// Number of shots, unless overridden by the command line. A declared 0 stays 0; undeclared means 0 too,
    /// but can be overridden.
    pub count: Option<usize>,
    pub sampler: Sampler,
    pub rendering: Rendering,
    /// Text that their answers begin with.
    pub gen_prefix: Option<Template>,
    /// Shots given in the task file itself.
    pub samples: Option<Vec<Row>>,
}

/// Stop strings and maximum length of a generation.
#[derive(Debug, Clone, PartialEq)]
pub struct Generation {
    /// The text ends before the first of these.
    pub until: Vec<String>,
    /// If given, generation continues to the first of these, and metrics read the text beyond `until` too.
    pub beyond: Option<Vec<String>>,
    pub max_new_tokens: usize,
}

/// The random generator that orders documents and draws shots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RandomOrder {
    /// Seed of the task's one `random.Random`. lm-evaluation-harness 0.4 seeds with 1234.
    pub seed: u64,
    /// Whether the evaluation split is shuffled first, as harnesses before 0.4 did.
    pub shuffle_documents: bool,
}

/// A filter step or metric by name, with its arguments, as declared.
#[derive(Debug, Clone)]
pub struct Declared {
    /// The registered name.
    pub function: String,
    pub place: Place,
    pub arguments: Vec<(String, Node)>,
}

/// A named chain of filters over a response.
#[derive(Debug, Clone)]
pub struct FilterChain {
    /// The chain's name, which is added to its metrics' names if a task has several chains.
    pub name: String,
    pub steps: Vec<Declared>,
}

/// The part of a generated text that a metric reads.
#[derive(Debug, Clone)]
pub enum Reads {
    /// The text up to its first stop, through the task's filters.
    UpToStop,
    /// The text beyond that stop too, through the task's filters.
    Beyond,
    /// The text beyond that stop too, through the metric's own filters.
    BeyondBy(FilterChain),
}

/// A metric as declared.
#[derive(Debug, Clone)]
pub struct MetricConfig {
    /// The registered metric and its arguments.
    pub metric: Declared,
    /// The name it is reported under.
    pub name: String,
    /// How the documents' values are aggregated; the metric's default if missing.
    pub aggregation: Option<String>,
    /// Whether higher is better, if the file declares it.
    pub higher_is_better: Option<bool>,
    /// `[from, to]`: the choices that this metric sees; all if missing.
    pub choices: Option<Template>,
    /// The right answer for this metric; the document's gold if missing.
    pub gold: Option<Template>,
    pub reads: Reads,
}

/// A name that another harness uses for a task.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownAs {
    /// The task's name there.
    pub task: String,
    /// Metric names, theirs and ours. Theirs ends with a comma and the filter chain, if there is one.
    pub metrics: Vec<(String, String)>,
    /// The stops that generation must have used there; any if missing.
    pub until: Option<Vec<String>>,
}

/// What a task file's `views` declares.
#[derive(Debug, Clone)]
pub struct Views {
    /// Those of the task's stops at which a text still ends.
    pub until: Vec<String>,
    /// The metrics that read the whole text.
    pub metrics: Vec<MetricConfig>,
}

/// A task, ready to build requests.
#[derive(Debug, Clone)]
pub struct Task {
    /// Its name, unique among all task files.
    pub name: Arc<str>,
    /// Where the file begins.
    pub place: Place,
    /// Whether its file is a user's own (`--include`).
    pub included: bool,
    /// Groups that it belongs to.
    pub tags: Vec<String>,
    pub dataset: DatasetRef,
    pub splits: Splits,
    pub output_type: OutputType,
    /// Columns that are the same for every row (`for_each`).
    pub constants: Map<String, Value>,
    /// Text before the shots.
    pub description: Option<Template>,
    pub rendering: Rendering,
    /// The right answer, if it is not the target that shots show.
    pub doc_to_gold: Option<Template>,
    /// Text that the answer begins with.
    pub gen_prefix: Option<Template>,
    pub fewshot: Fewshot,
    pub random: RandomOrder,
    /// What its texts begin with.
    pub text_begin: TextBegin,
    pub generation: Generation,
    /// Filters over responses.
    pub filters: Vec<FilterChain>,
    /// Metrics, in order; those of the output type where none are declared.
    pub metrics: Vec<MetricConfig>,
    /// Further readings of its texts; [`Task::with_views`] moves them into the task.
    pub views: Option<Views>,
    /// Other harnesses' names for it, if they differ from its own.
    pub known_as: Vec<KnownAs>,
    /// `metadata.version`.
    pub version: Value,
    /// Hash over the file, all it includes, and the keys that a group overrides.
    pub fingerprint: Fingerprint,
    /// The file as data, for the run's record.
    pub config: Value,
}

impl Task {
    /// The split whose documents are scored: test, or else validation.
    pub fn evaluation_split(&self) -> Option<&str> {
        self.splits.test.as_deref().or(self.splits.validation.as_deref())
    }

    /// The split that shots are drawn from: declared, or else training, validation, test.
    pub fn fewshot_split(&self) -> Option<&str> {
        let splits = &self.splits;
        splits
            .fewshot
            .as_deref()
            .or(splits.training.as_deref())
            .or(splits.validation.as_deref())
            .or(splits.test.as_deref())
    }
}
