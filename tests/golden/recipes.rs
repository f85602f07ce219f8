//! Recipes of real merges: which models they name.

use assay::session::merge_recipe;

use crate::material::shared;

/// Models after each `model: ` of a text, which `base_model: ` ends with too, each once: read without YAML.
fn named(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for rest in text.split("model: ").skip(1) {
        let name: String = rest.chars().take_while(|c| !",}".contains(*c) && !c.is_whitespace()).collect();
        if !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

#[test]
fn recipes_of_merges_name_their_parents_and_their_method() {
    let Some(recipes) = shared("golden/merges/recipes") else { return };
    let mut read = 0;
    for entry in std::fs::read_dir(recipes).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let place = path.display();
        // As a merge has it: beside its weights, under the name that mergekit gives it.
        let merge = tempfile::tempdir().unwrap();
        for (at, file) in ["mergekit_config.yml", "mergekit_config.yaml"].into_iter().enumerate() {
            std::fs::write(merge.path().join(file), &text).unwrap();
            let recipe = merge_recipe(merge.path()).unwrap().unwrap();
            assert_eq!(recipe.recipe, ["mergekit_config.yml", "mergekit_config.yaml"][at], "{place}");
            std::fs::remove_file(merge.path().join(file)).unwrap();
            let (mut parents, mut expected) = (recipe.parents.clone(), named(&text));
            parents.sort();
            expected.sort();
            assert_eq!(parents, expected, "{place}");
            assert!(!parents.is_empty(), "{place}");
            let method = text.split("merge_method: ").nth(1).and_then(|rest| rest.split_whitespace().next());
            assert_eq!(recipe.method.as_deref(), method, "{place}");
            for parent in &parents {
                let folder = parent.trim_start_matches("../");
                assert!(recipe.names(folder, &format!("models/{folder}")), "{place}: {parent}");
            }
            assert!(!recipe.names("another", "models/another"), "{place}");
        }
        read += 1;
    }
    assert!(read >= 15, "{read} recipes");
}
