//! Finds task files, follows their includes, and selects tasks by name.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::error::TaskError;
use super::fields::{SchemaError, text_of, wrong};
use super::includes::{expand, get, is_yaml, read_with_includes, walk};
use super::odd_files::{OddFile, notes};
use super::read_task::read_task;
use super::schema::Task;
use super::suite::{Suite, read_suite};
use super::template::closest;
use super::yaml::parse_document;
use super::yaml_value::{Key, Node, Yaml};
use crate::builtin;
use crate::vocabulary::Fingerprint;

/// What one task file declares, not yet compiled.
#[derive(Clone)]
struct Declaration {
    node: Node,
    constants: Map<String, Value>,
    fingerprint: Fingerprint,
    tags: Vec<String>,
    included: bool,
    /// Whether the working folder's files replace the built-in ones.
    own: bool,
}

/// One of a group's tasks, tags or groups, and the keys that the group sets in its tasks.
struct Member {
    name: String,
    overrides: Overrides,
}

type Overrides = Vec<(Key, Node)>;

/// `over`, and the entries of `base` whose keys it lacks.
fn merged(over: &[(Key, Node)], base: &[(Key, Node)]) -> Overrides {
    let other = base.iter().filter(|(key, _)| !over.iter().any(|(k, _)| k.name == key.name));
    over.iter().chain(other).cloned().collect()
}

/// The keys that a group keeps for itself; it passes all others on to its tasks.
const GROUP_KEYS: [&str; 8] =
    ["group", "group_alias", "task", "tag", "include", "aggregate_metric_list", "metadata", "task_list"];

/// All task files, by the names they declare.
pub struct TaskIndex {
    tasks: BTreeMap<String, Declaration>,
    order: Vec<String>,
    groups: BTreeMap<String, Vec<Member>>,
    suites: Vec<Suite>,
    /// Whether any of the working folder's files replaces a built-in one.
    has_own_files: bool,
    /// Files that cannot be read, and keys that occur twice in a mapping.
    odd_files: Vec<OddFile>,
    repeated: Vec<Key>,
}

/// The selected tasks.
#[derive(Debug)]
pub struct Selection {
    /// Each task once, in the requested order.
    pub tasks: Vec<Task>,
    /// The suite, if its name was the only one requested.
    pub suite: Option<Suite>,
}

/// The built-in task files; each subfolder holds those of a suite.
const BUILTIN: &str = "tasks";

impl TaskIndex {
    /// Reads the built-in task files and those below `include`, whose tasks override built-in ones of the
    /// same name. An included file that cannot be read does not hinder the others: see [`notes`](Self::notes).
    ///
    /// # Errors
    /// A folder that cannot be read; a name declared twice; a built-in file replaced by one that cannot be read.
    pub fn load(include: &[PathBuf]) -> Result<Self, TaskError> {
        let built_in = builtin::folders(BUILTIN).into_iter().flat_map(|folder| builtin::list(&folder));
        let built_in: Vec<String> = built_in.filter(|path| is_yaml(Path::new(path))).collect();
        let mut index = Self::empty();
        index.has_own_files = built_in.iter().any(|path| builtin::is_replaced(path));
        for path in built_in {
            index.add(Path::new(&path), false, &mut Vec::new())?;
        }
        for folder in include {
            let mut files = Vec::new();
            walk(folder, &mut files)?;
            files.sort();
            for file in files {
                let mut source = Vec::new();
                match index.add(&file, true, &mut source) {
                    Err(error @ TaskError::Twice { .. }) => return Err(error),
                    Err(error) => index.odd_files.push(OddFile::new(file, &source, &error)),
                    Ok(()) => {}
                }
            }
        }
        Ok(index)
    }

    /// The tasks that a single file declares; `path` is for messages.
    ///
    /// # Errors
    /// As [`load`](Self::load); also an `include`, as no file is read.
    pub fn of_source(source: &str, path: &Path) -> Result<Self, TaskError> {
        let mut index = Self::empty();
        let node = parse_document(source, Arc::from(path)).map_err(SchemaError::from)?.root;
        if let Some(include) = get(&node, "include") {
            let (place, path) = (include.place.clone(), path.display().to_string());
            let source = std::io::Error::other("the file stands alone here");
            return Err(TaskError::Include { place, path, source });
        }
        index.declare(node, source.as_bytes(), true, false)?;
        Ok(index)
    }

    fn empty() -> Self {
        let (tasks, order, groups, suites) = Default::default();
        let (odd_files, repeated) = Default::default();
        Self { tasks, order, groups, suites, has_own_files: false, odd_files, repeated }
    }

    /// Adds what the file at `path` declares; what was read is in `sources`, also after an error.
    fn add(&mut self, path: &Path, included: bool, sources: &mut Vec<u8>) -> Result<(), TaskError> {
        let node = read_with_includes(path, included, sources, &mut Vec::new(), &mut self.repeated)?;
        // The names of included files are not known here, so any replaced built-in file counts.
        let includes = get(&node, "include").is_some();
        let own = !included
            && if includes { self.has_own_files } else { builtin::is_replaced(&path.to_string_lossy()) };
        self.declare(node, sources, included, own)
    }

    /// Adds what the mapping at `node` declares, which was read from `sources`.
    fn declare(&mut self, node: Node, sources: &[u8], included: bool, own: bool) -> Result<(), TaskError> {
        if get(&node, "suite").is_some() {
            self.suites.push(read_suite(node)?);
            return Ok(());
        }
        let Some(name) = get(&node, "task") else { return Ok(()) };
        if let (Yaml::List(_), Some(group)) = (&name.yaml, get(&node, "group")) {
            return self.add_group(text_of(group, "group")?, &node);
        }
        let fingerprint = Fingerprint::of(sources);
        for (constants, node) in expand(node)? {
            let declared = get(&node, "task").ok_or_else(|| wrong(&node, "task", "a name"))?;
            let name = text_of(declared, "task")?;
            let place = declared.place.clone();
            let mut tags = Vec::new();
            for key in ["tag", "group"] {
                match get(&node, key).map(|tag| &tag.yaml) {
                    Some(Yaml::Text(tag)) => tags.push(tag.clone()),
                    Some(Yaml::List(list)) => {
                        for tag in list {
                            tags.push(text_of(tag, key)?);
                        }
                    }
                    _ => {}
                }
            }
            let declaration =
                Declaration { node, constants, fingerprint: fingerprint.clone(), tags, included, own };
            match self.tasks.get(&name) {
                Some(other) if other.included == included => {
                    return Err(TaskError::Twice { place, name, other: other.node.place.clone() });
                }
                Some(_) => {}
                None => self.order.push(name.clone()),
            }
            self.tasks.insert(name, declaration);
        }
        Ok(())
    }

    /// Adds the group at `node`, and those in its list that have lists of their own.
    fn add_group(&mut self, group: String, node: &Node) -> Result<(), TaskError> {
        let (Yaml::Map(entries), Some(Yaml::List(items))) = (&node.yaml, get(node, "task").map(|t| &t.yaml))
        else {
            return Err(wrong(node, "group", "a mapping with a list of tasks").into());
        };
        let inherited = |(key, _): &&(Key, Node)| !GROUP_KEYS.contains(&key.name.as_str());
        let own: Overrides = entries.iter().filter(inherited).cloned().collect();
        let mut members = Vec::new();
        for item in items {
            members.push(match (get(item, "group"), get(item, "task")) {
                (Some(inner), Some(Node { yaml: Yaml::List(_), .. })) => {
                    let name = format!("{group}::{}", text_of(inner, "group")?);
                    self.add_group(name.clone(), item)?;
                    Member { name, overrides: own.clone() }
                }
                _ => read_member(item, &own)?,
            });
        }
        self.groups.insert(group, members);
        Ok(())
    }

    /// What was odd about the files, a line each: those that are left out, and keys of which an earlier value does not count.
    pub fn notes(&self) -> Vec<String> {
        let repeated = self.repeated.iter().map(|Key { name, place }| {
            format!("{place}: key `{name}` stands twice in one mapping; the last one counts, as for PyYAML")
        });
        let mut lines: Vec<String> = notes(&self.odd_files).chain(repeated).collect();
        lines.dedup();
        lines
    }

    /// An error if one of the names may be declared in a file that is left out.
    fn check_odd_files<'n>(&self, mut names: impl Iterator<Item = &'n String>) -> Result<(), TaskError> {
        let asked = names.find_map(|name| self.odd_files.iter().find(|file| file.mentions(name)));
        match asked {
            None => Ok(()),
            // The file is read once more for its error.
            Some(file) => Self::empty().add(&file.path, true, &mut Vec::new()),
        }
    }

    /// All names that can be selected: suites and their aliases, groups and tags, tasks.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for suite in &self.suites {
            names.extend(suite.aliases.iter().cloned());
            names.push(suite.name.clone());
        }
        names.extend(self.groups.keys().cloned());
        names.extend(self.tags());
        names.extend(self.order.iter().cloned());
        names
    }

    fn tags(&self) -> Vec<String> {
        let mut seen = HashSet::new();
        let all = self.order.iter().flat_map(|name| self.tasks[name].tags.iter());
        all.filter(|tag| seen.insert((*tag).clone())).cloned().collect()
    }

    /// The suites.
    pub fn suites(&self) -> &[Suite] {
        &self.suites
    }

    /// The names of all tasks with their tags, in the order of their files.
    pub fn tasks(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.order.iter().map(|name| (name.as_str(), self.tasks[name].tags.as_slice()))
    }

    /// The tasks that `wanted` stands for: a suite, its alias, a group, a tag, a task, or a pattern with `*`.
    ///
    /// # Errors
    /// An unknown name; a task file that does not compile.
    pub fn select(&self, wanted: &[String]) -> Result<Selection, TaskError> {
        self.check_odd_files(wanted.iter())?;
        let mut chosen: Vec<(String, Overrides)> = Vec::new();
        let mut suites: Vec<&Suite> = Vec::new();
        for name in wanted {
            chosen.extend(self.wanted(name)?);
            suites.extend(self.suite(name));
        }
        let mut seen = HashSet::new();
        chosen.retain(|(name, _)| seen.insert(name.clone()));
        self.check_odd_files(chosen.iter().map(|(name, _)| name))?;
        let tasks = chosen
            .iter()
            .map(|(name, overrides)| self.compile(name, overrides))
            .collect::<Result<Vec<_>, _>>()?;
        let suite = (suites.len() == 1 && wanted.len() == 1).then(|| suites[0].clone());
        Ok(Selection { tasks, suite })
    }

    /// The names of the tasks that `wanted` stands for, read as by [`select`](Self::select).
    ///
    /// # Errors
    /// An unknown name.
    pub fn resolve(&self, wanted: &str) -> Result<Vec<String>, TaskError> {
        Ok(self.wanted(wanted)?.into_iter().map(|(name, _)| name).collect())
    }

    fn suite(&self, name: &str) -> Option<&Suite> {
        self.suites.iter().find(|suite| suite.name == name || suite.aliases.iter().any(|alias| alias == name))
    }

    fn wanted(&self, name: &str) -> Result<Vec<(String, Overrides)>, TaskError> {
        let Some(suite) = self.suite(name) else { return self.chosen(name, &[], 0) };
        let mut chosen = Vec::new();
        for column in &suite.columns {
            chosen.extend(self.chosen(&column.tasks, &[], 0)?);
        }
        Ok(chosen)
    }

    /// The task names that a task, tag, group or pattern stands for.
    pub fn members(&self, name: &str, depth: usize) -> Result<Vec<String>, TaskError> {
        Ok(self.chosen(name, &[], depth)?.into_iter().map(|(name, _)| name).collect())
    }

    /// As [`members`](Self::members), with the keys that the enclosing groups set in each task; an outer
    /// group overrides an inner one.
    fn chosen(
        &self,
        name: &str,
        outer: &[(Key, Node)],
        depth: usize,
    ) -> Result<Vec<(String, Overrides)>, TaskError> {
        if self.tasks.contains_key(name) {
            return Ok(vec![(name.to_string(), outer.to_vec())]);
        }
        if let Some(members) = self.groups.get(name).filter(|_| depth < 8) {
            let mut chosen = Vec::new();
            for member in members {
                chosen.extend(self.chosen(&member.name, &merged(outer, &member.overrides), depth + 1)?);
            }
            return Ok(chosen);
        }
        let matching = |accept: &dyn Fn(&str) -> bool| -> Vec<String> {
            self.order.iter().filter(|name| accept(name)).cloned().collect()
        };
        let found = if name.contains('*') {
            matching(&|task| matches_pattern(name, task))
        } else {
            matching(&|task| self.tasks[task].tags.iter().any(|tag| tag == name))
        };
        if found.is_empty() {
            let names = self.names();
            let hint = match closest(name, names.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`? `assay tasks` lists all"),
                None => "`assay tasks` lists all; `--include DIR` adds your own".to_string(),
            };
            return Err(TaskError::Unknown { name: name.to_string(), hint });
        }
        Ok(found.into_iter().map(|name| (name, outer.to_vec())).collect())
    }

    fn compile(&self, name: &str, overrides: &[(Key, Node)]) -> Result<Task, TaskError> {
        let Some(declaration) = self.tasks.get(name) else {
            return Err(TaskError::Unknown { name: name.into(), hint: "`assay tasks` lists all".into() });
        };
        let Declaration { mut node, constants, mut fingerprint, included, own, .. } = declaration.clone();
        if let (Yaml::Map(entries), false) = (&mut node.yaml, overrides.is_empty()) {
            *entries = merged(overrides, entries);
            fingerprint = Fingerprint::of(format!("{fingerprint} {}", node.to_json()).as_bytes());
        }
        // A group that sets keys in a built-in task makes it a different task.
        let included = included || own || !overrides.is_empty();
        Ok(Task { included, ..read_task(node, constants, fingerprint)? })
    }
}

/// Reads a member of a group that sets `own` in all of its members. A member is a name, or a mapping that
/// names a task or group and sets keys in it.
fn read_member(member: &Node, own: &[(Key, Node)]) -> Result<Member, SchemaError> {
    match &member.yaml {
        Yaml::Text(name) => Ok(Member { name: name.clone(), overrides: own.to_vec() }),
        Yaml::Map(entries) => {
            let name = get(member, "task").or_else(|| get(member, "group"));
            let name = name.ok_or_else(|| wrong(member, "task", "a name, or a mapping with `task`"))?;
            let set: Overrides =
                entries.iter().filter(|(k, _)| k.name != "task" && k.name != "group").cloned().collect();
            Ok(Member { name: text_of(name, "task")?, overrides: merged(&set, own) })
        }
        _ => Err(wrong(member, "task", "a task's name")),
    }
}

/// Shell-style `*`.
fn matches_pattern(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<&str> = parts.collect();
    for (i, part) in parts.iter().enumerate() {
        if i + 1 == parts.len() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::matches_pattern;

    #[test]
    fn patterns_are_shell_style() {
        for (pattern, name, expected) in [
            ("group-*", "group-a", true),
            ("*", "x", true),
            ("a*c", "abc", true),
            ("a*c", "abd", false),
            ("*b*", "abc", true),
            ("a*b*", "ac", false),
        ] {
            assert_eq!(matches_pattern(pattern, name), expected, "{pattern} {name}");
        }
    }
}
