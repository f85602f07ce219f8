//! The recipe in a model's folder.

use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::disk;
use crate::task::{Node, Yaml, parse_yaml};
use crate::vocabulary::MergeRecipe;

const FILES: [&str; 2] = ["mergekit_config.yml", "mergekit_config.yaml"];
/// Top-level keys under which recipes name models.
const SOURCES: [&str; 5] = ["base_model", "models", "slices", "modules", "experts"];

/// The recipe in a model's folder; `None` if there is none.
///
/// # Errors
/// It cannot be read, or is no recipe: the file, and what is wrong with it.
pub fn merge_recipe(model: &Path) -> Result<Option<MergeRecipe>, String> {
    let Some((name, path)) =
        FILES.iter().map(|name| (*name, model.join(name))).find(|(_, path)| path.is_file())
    else {
        return Ok(None);
    };
    let bytes = disk::read(&path, disk::TEXT)
        .map_err(|error| format!("{}: cannot be read: {error}", path.display()))?;
    let text = std::str::from_utf8(&bytes).map_err(|error| format!("{}: {error}", path.display()))?;
    let node = parse_yaml(text, Arc::from(path.as_path())).map_err(|error| error.to_string())?;
    let Yaml::Map(entries) = &node.yaml else {
        return Err(format!("{}: found {}, expected a mapping", node.place, node.yaml.kind()));
    };
    let mut recipe = MergeRecipe {
        recipe: name.to_string(),
        recipe_sha256: Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect(),
        ..MergeRecipe::default()
    };
    for (key, value) in entries {
        match (key.name.as_str(), &value.yaml) {
            ("merge_method", Yaml::Text(method)) => recipe.method = Some(method.clone()),
            ("base_model", _) => recipe.base_model = path_of(value),
            _ => {}
        }
        if SOURCES.contains(&key.name.as_str()) {
            collect(&key.name, value, &mut recipe.parents);
        }
    }
    if recipe.parents.is_empty() {
        return Err(format!("{}: the recipe names no model", path.display()));
    }
    Ok(Some(recipe))
}

/// Adds the models below a value.
fn collect(key: &str, value: &Node, found: &mut Vec<String>) {
    if ["model", "base_model", "source_model"].contains(&key) {
        if let Some(model) = path_of(value)
            && !found.contains(&model)
        {
            found.push(model);
        }
        return;
    }
    match &value.yaml {
        Yaml::Map(entries) => entries.iter().for_each(|(key, value)| collect(&key.name, value, found)),
        Yaml::List(items) => items.iter().for_each(|item| collect("", item, found)),
        _ => {}
    }
}

/// A model as text, or as a mapping that has it under `path` or `model`.
fn path_of(value: &Node) -> Option<String> {
    match &value.yaml {
        Yaml::Text(text) => Some(text.clone()),
        Yaml::Int(number) => Some(number.to_string()),
        Yaml::Map(entries) => {
            let found = entries.iter().find(|(key, _)| key.name == "path" || key.name == "model");
            found.and_then(|(_, value)| path_of(value))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<MergeRecipe>, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("mergekit_config.yml"), text).unwrap();
        merge_recipe(folder.path()).map_err(|fault| fault.replace(&folder.path().display().to_string(), "M"))
    }

    #[test]
    fn models_are_found_in_every_shape_of_recipe() {
        let slices = "slices:\n  - sources:\n      - {model: o/a, layer_range: [0, 8]}\n      - {model: o/b, layer_range: [0, 8]}\n\
            merge_method: slerp\nbase_model: o/a\nparameters:\n  t:\n    - {filter: mlp, value: [0, 1]}\n    - value: 0.5\n";
        let recipe = read(slices).unwrap().unwrap();
        assert_eq!(recipe.parents, ["o/a", "o/b"]);
        assert_eq!((recipe.method.as_deref(), recipe.base_model.as_deref()), (Some("slerp"), Some("o/a")));
        // sha256sum
        let empty = read("models: [{model: x}]\n").unwrap().unwrap();
        assert_eq!(empty.recipe_sha256.len(), 64);
        let models = "models:\n  - model: ./parents/a\n    parameters: {weight: 1}\n  - model: {model: {path: o/b, revision: r}}\n\
            base_model: o/base\nmerge_method: ties\ntokenizer: {tokens: {x: {source: {kind: model_token, model: o/not}}}}\n";
        assert_eq!(read(models).unwrap().unwrap().parents, ["./parents/a", "o/b", "o/base"]);
        let experts = "base_model: o/base\nexperts:\n  - source_model: o/e\n    positive_prompts: [model]\n";
        assert_eq!(read(experts).unwrap().unwrap().parents, ["o/base", "o/e"]);
        let fault = read("models: []\n").unwrap_err();
        assert_eq!(fault, "M/mergekit_config.yml: the recipe names no model");
        assert!(read("a: [\n").unwrap_err().contains("mergekit_config.yml:"));
        assert_eq!(merge_recipe(Path::new("nowhere")), Ok(None));
    }

    #[test]
    fn a_recipe_names_models_by_path_or_name() {
        let recipe = read("models: [{model: Owner/Parent-A@main}, {model: ./b/}, {model: o/c+o/lora}]\n");
        let recipe = recipe.unwrap().unwrap();
        assert!(recipe.names("parent-a", "/models/parent-a"));
        assert!(recipe.names("renamed", "/hub/models--owner--parent-a"));
        assert!(recipe.names("b", "elsewhere/b") && recipe.names("c", "c"));
        assert!(!recipe.names("lora", "lora") && !recipe.names("parent", "/models/parent"));
    }
}
