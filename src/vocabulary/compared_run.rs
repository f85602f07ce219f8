//! A run as comparisons see it, from any source: run folders, files of other harnesses and published scores
//! are read into this.

use std::collections::BTreeMap;

use super::fingerprint::Fingerprint;
use super::gold::Gold;
use super::merge_recipe::MergeRecipe;
use super::outcome::Decision;
use super::run_record::PassedStops;

/// The name of the fact whether the beginning-of-text token was put before a task's texts: `true` or `false`.
pub const ADD_BOS_TOKEN: &str = "add_bos_token";

/// A model's scores, as far as they are known.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ComparedRun {
    /// The model's name, as tables show it.
    pub name: String,
    /// Where it was read from, as the user gave it: a folder, a file, or a row of a table.
    pub source: String,
    /// The model's own name; empty if it is the run's.
    pub model: String,
    /// Where the model was, if that is recorded.
    pub location: String,
    /// The hashes of its weight files, sorted; empty if they are not recorded.
    pub weights: Vec<String>,
    /// The recipe that was in the model's folder.
    pub recipe: Option<MergeRecipe>,
    /// Facts about the computation of all answers, by name, such as `dtype`. Runs that differ in a fact that
    /// both have are not compared; unknown facts are left out.
    pub numerics: BTreeMap<String, String>,
    /// Tasks whose documents are known.
    pub tasks: Vec<ComparedTask>,
    /// Why its scores cannot be compared with published ones, such as a limit or other shots; empty if they
    /// can.
    pub unranked: Vec<String>,
    /// Scores of suite columns of which no document is known.
    pub columns: Vec<ColumnScore>,
    /// What readers of a comparison must know about this run, one sentence each, in lower case.
    pub notes: Vec<String>,
}

/// A task with its documents.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ComparedTask {
    /// Its name in task files.
    pub task: String,
    /// Facts that determine documents and prompts, by name, such as `shots` or the hash of a split's rows. As
    /// with [`ComparedRun::numerics`], facts that both runs have must agree.
    pub setup: BTreeMap<String, String>,
    /// Documents of the whole split; `None` if unknown.
    pub available: Option<usize>,
    /// Its metrics, in the task's order.
    pub metrics: Vec<ComparedMetric>,
    /// The stops that its generations continued past, if they did.
    pub passed: Option<PassedStops>,
    /// Its documents, by ascending `doc_id`.
    pub documents: Vec<ComparedDocument>,
}

/// A metric whose score is the mean over documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComparedMetric {
    /// Its reported name.
    pub name: String,
    /// Whether a document is either right (1) or wrong (0), and nothing between.
    pub right_or_wrong: bool,
}

/// A document.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ComparedDocument {
    /// Position among the task's documents, after any shuffle. Documents of two runs are matched by `row` if
    /// both know it, and by this otherwise.
    pub doc_id: usize,
    /// Position in the split's file.
    pub row: Option<usize>,
    /// What the model read before it answered, if the run stored it.
    pub prompt: Option<String>,
    /// Hash of the prompt; two runs that both know it must agree.
    pub prompt_hash: Option<Fingerprint>,
    pub gold: Option<Gold>,
    /// Empty if there are none, or none are known.
    pub choices: Vec<String>,
    /// A value for each of the task's metrics, in their order.
    pub values: Vec<f64>,
    /// How narrowly each metric was decided, in their order; empty if nothing is known.
    pub decisions: Vec<Option<Decision>>,
    /// The model's answer by each metric, in their order: the text of a choice, or what was extracted from a
    /// generated text; empty if nothing is known.
    pub answers: Vec<Option<String>>,
}

/// A score without documents.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnScore {
    /// The suite column's name.
    pub column: String,
    /// The score, as a fraction.
    pub score: f64,
    /// Number of documents, if known.
    pub documents: Option<usize>,
    /// Number of right ones, if the score allows only one count.
    pub correct: Option<usize>,
}

impl ComparedRun {
    /// The task of that name.
    pub fn task(&self, name: &str) -> Option<&ComparedTask> {
        self.tasks.iter().find(|task| task.task == name)
    }
}

impl ComparedTask {
    /// The index of a metric among the task's.
    pub fn metric(&self, name: &str) -> Option<usize> {
        self.metrics.iter().position(|metric| metric.name == name)
    }
}
