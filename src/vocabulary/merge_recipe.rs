//! What a model was merged from.

use serde::{Deserialize, Serialize};

/// The recipe that a merging tool left in the model's folder.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MergeRecipe {
    /// The file's name.
    pub recipe: String,
    /// SHA-256 of the file.
    pub recipe_sha256: String,
    /// How the models were merged.
    pub method: Option<String>,
    /// The model that differences are taken from, if the recipe has one.
    pub base_model: Option<String>,
    /// All models that the recipe names, as it names them, each once.
    pub parents: Vec<String>,
}

impl MergeRecipe {
    /// Whether the recipe names a model, given by its name and its place: by the whole path, or by its last part. Revisions (`@`)
    /// and adapters (`+`) that the recipe adds are left out.
    pub fn names(&self, model: &str, location: &str) -> bool {
        let last = |text: &str| {
            let text = text.trim_end_matches('/');
            let last = text.rsplit(['/', '\\']).next().unwrap_or(text);
            let last = last.strip_prefix("models--").and_then(|hub| hub.rsplit("--").next()).unwrap_or(last);
            last.to_lowercase()
        };
        self.parents.iter().any(|parent| {
            let parent = parent.split(['@', '+']).next().unwrap_or(parent);
            let known = last(parent);
            !known.is_empty() && (known == last(model) || known == last(location))
        })
    }
}
