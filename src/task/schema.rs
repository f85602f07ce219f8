//! A task: which documents, which prompts, which metrics.
//!
//! Keys and meanings follow lm-evaluation-harness 0.4's task YAML. `assay`'s own keys are `random`, `doc_to_gold`,
//! `for_each`, `views`, `known_as`, and `name`, `choices` and `gold` of a metric; the README documents them.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::template::Template;
use super::yaml_value::{Node, Place};
use crate::vocabulary::Fingerprint;

/// What a task asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputType {
    /// The loglikelihood of every choice.
    MultipleChoice,
    /// The loglikelihood of the target.
    Loglikelihood,
    /// Greedy text.
    GenerateUntil,
}

/// Where a task's rows come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DatasetRef {
    /// The hub's id, `owner/name`; or `csv`, `json` or `parquet` with `data_files`.
    pub path: String,
    /// The hub's configuration.
    pub config: Option<String>,
    /// Files a split, for the generic loaders.
    pub data_files: Vec<(String, Vec<PathBuf>)>,
}

/// Names of the splits.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Splits {
    /// Shots come from here where nothing else is said.
    pub training: Option<String>,
    /// Evaluated where there is no test split.
    pub validation: Option<String>,
    /// Evaluated.
    pub test: Option<String>,
    /// Shots come from here.
    pub fewshot: Option<String>,
}

/// How shots are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampler {
    /// `random.sample` anew for each document.
    Random,
    /// The first rows, for every document.
    FirstN,
}

/// How choices are found.
#[derive(Debug, Clone)]
pub enum Choices {
    /// The same for every document.
    Fixed(Vec<String>),
    /// A column's name or a template that prints a list.
    Template(Template),
}

/// How what is right is found.
#[derive(Debug, Clone)]
pub enum Target {
    /// A column's name or a template.
    Template(Template),
    /// The same texts for every document, each of them right.
    Fixed(Vec<String>),
}

/// How a document becomes text; shots may have their own.
#[derive(Debug, Clone)]
pub struct Rendering {
    /// The question.
    pub doc_to_text: Template,
    /// The answer: a choice's index, a text, or a list.
    pub doc_to_target: Option<Target>,
    /// The choices.
    pub doc_to_choice: Option<Choices>,
    /// Between question and answer.
    pub target_delimiter: String,
    /// After a shot.
    pub fewshot_delimiter: String,
}

/// Few-shot examples.
#[derive(Debug, Clone)]
pub struct Fewshot {
    /// How many, unless the command line says otherwise. A declared 0 stays 0; none declared is 0 too, and can be overridden.
    pub count: Option<usize>,
    /// How they are chosen.
    pub sampler: Sampler,
    /// How they are written.
    pub rendering: Rendering,
    /// Text that their answers begin with.
    pub gen_prefix: Option<Template>,
    /// Examples that stand in the task file itself.
    pub samples: Option<Vec<Map<String, Value>>>,
}

/// Stop strings and length of a generation.
#[derive(Debug, Clone, PartialEq)]
pub struct Generation {
    /// The text ends before the first of these.
    pub until: Vec<String>,
    /// Where given, the model writes on to the first of these, and what it wrote is read beyond `until` too.
    pub beyond: Option<Vec<String>>,
    /// At most this many tokens.
    pub max_new_tokens: usize,
}

/// The generator that orders documents and draws shots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RandomOrder {
    /// Seed of one `random.Random` a task. 0.4 seeds with 1234.
    pub seed: u64,
    /// Whether the evaluation split is shuffled first, as harnesses before 0.4 did.
    pub shuffle_documents: bool,
}

/// A step or metric by name, with its arguments, as declared.
#[derive(Debug, Clone)]
pub struct Declared {
    /// The registered name.
    pub function: String,
    /// Where it stands.
    pub place: Place,
    /// Its arguments.
    pub arguments: Vec<(String, Node)>,
}

/// A named chain of filters over a response.
#[derive(Debug, Clone)]
pub struct FilterChain {
    /// The chain's name, which marks its metrics where a task has several chains.
    pub name: String,
    /// The steps.
    pub steps: Vec<Declared>,
}

/// What of a generated text a metric reads.
#[derive(Debug, Clone)]
pub enum Reads {
    /// Up to its first stop, by the task's filters.
    UpToStop,
    /// Beyond it, by the task's filters.
    Beyond,
    /// Beyond it, by filters of the metric's own.
    BeyondBy(FilterChain),
}

/// A metric as declared.
#[derive(Debug, Clone)]
pub struct MetricConfig {
    /// The registered metric and its arguments.
    pub metric: Declared,
    /// The name it is reported under.
    pub name: String,
    /// How documents become one value; the metric's own way where missing.
    pub aggregation: Option<String>,
    /// Whether more is better, where the file says so.
    pub higher_is_better: Option<bool>,
    /// `[from, to]`: the choices that this metric sees; all where missing.
    pub choices: Option<Template>,
    /// What is right for this metric; the document's gold where missing.
    pub gold: Option<Template>,
    /// What of a generated text it reads.
    pub reads: Reads,
}

/// A name under which a task's results may come.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownAs {
    /// The task.
    pub task: String,
    /// Metrics: their name, with their chain of filters behind a comma where there is one, and ours.
    pub metrics: Vec<(String, String)>,
    /// The stops that generated texts must have had there; any where missing.
    pub until: Option<Vec<String>>,
}

/// What a task file's `views` declares.
#[derive(Debug, Clone)]
pub struct Views {
    /// Those of the task's stops that a text still ends at.
    pub until: Vec<String>,
    /// What reads the whole text.
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
    /// Its rows.
    pub dataset: DatasetRef,
    /// Its splits.
    pub splits: Splits,
    /// What it asks.
    pub output_type: OutputType,
    /// Columns that are the same for every row (`for_each`).
    pub constants: Map<String, Value>,
    /// Before the shots.
    pub description: Option<Template>,
    /// How the document is written.
    pub rendering: Rendering,
    /// What is right, where it is not the target that shots show.
    pub doc_to_gold: Option<Template>,
    /// Text that the answer begins with.
    pub gen_prefix: Option<Template>,
    /// Its shots.
    pub fewshot: Fewshot,
    /// Order and draws.
    pub random: RandomOrder,
    /// For generation.
    pub generation: Generation,
    /// Filters over responses.
    pub filters: Vec<FilterChain>,
    /// Metrics, in order; those of the output type where none are declared.
    pub metrics: Vec<MetricConfig>,
    /// What else its texts can be read for; taken out by [`Task::with_views`].
    pub views: Option<Views>,
    /// What other harnesses call it, where that is not its own name.
    pub known_as: Vec<KnownAs>,
    /// `metadata.version`.
    pub version: Value,
    /// Hash over the file and all it includes.
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
