//! Groups: files with a list of tasks, the keys that they set in these, and the metrics that they take the mean of.

use super::fields::{Fields, SchemaError, list_of, text_of, wrong};
use super::includes::get;
use super::yaml_value::{Key, Node, Place, Yaml};
use crate::vocabulary::Aggregate;

/// Keys that a group sets in its tasks.
pub type Overrides = Vec<(Key, Node)>;

/// A group as declared.
pub struct GroupFile {
    pub place: Place,
    pub members: Vec<Member>,
    /// The keys that it sets in all of its members.
    pub own: Overrides,
    /// The metrics that it has a score in.
    pub aggregates: Vec<Aggregate>,
    /// The name that tables show.
    pub alias: Option<String>,
}

/// One of a group's tasks, tags or groups, and the keys that are set in it alone.
pub struct Member {
    pub name: String,
    pub set: Overrides,
    /// Where the list has it, if it may be a task that is declared there.
    pub inline: Option<Node>,
}

/// The keys that a group keeps for itself; it passes all others on to its tasks.
const GROUP_KEYS: [&str; 8] =
    ["group", "group_alias", "task", "tag", "include", "aggregate_metric_list", "metadata", "task_list"];

/// `over`, and the entries of `base` whose keys it lacks.
pub fn merged(over: &[(Key, Node)], base: &[(Key, Node)]) -> Overrides {
    let other = base.iter().filter(|(key, _)| !over.iter().any(|(k, _)| k.name == key.name));
    over.iter().chain(other).cloned().collect()
}

/// Whether two lists set the same keys to the same values.
pub fn set_the_same(one: &[(Key, Node)], other: &[(Key, Node)]) -> bool {
    let has = |list: &[(Key, Node)], key: &Key, node: &Node| {
        list.iter().any(|(k, n)| k.name == key.name && n.to_json() == node.to_json())
    };
    one.len() == other.len() && one.iter().all(|(key, node)| has(other, key, node))
}

/// Reads the group `name` at `node`, and those in its list that have lists of their own: these come last.
pub fn read_groups(name: String, node: &Node) -> Result<Vec<(String, GroupFile)>, SchemaError> {
    let (Yaml::Map(entries), Some(Yaml::List(items))) = (&node.yaml, get(node, "task").map(|t| &t.yaml))
    else {
        return Err(wrong(node, "group", "a mapping with a list of tasks"));
    };
    let inherited = |(key, _): &&(Key, Node)| !GROUP_KEYS.contains(&key.name.as_str());
    let own: Overrides = entries.iter().filter(inherited).cloned().collect();
    let (mut members, mut inner_groups) = (Vec::new(), Vec::new());
    for item in items {
        members.push(match (get(item, "group"), get(item, "task")) {
            (Some(inner), Some(Node { yaml: Yaml::List(_), .. })) => {
                let name = format!("{name}::{}", text_of(inner, "group")?);
                inner_groups.extend(read_groups(name.clone(), item)?);
                Member { name, set: Vec::new(), inline: None }
            }
            _ => read_member(item)?,
        });
    }
    let aggregates = get(node, "aggregate_metric_list").cloned().map(read_aggregates).transpose()?;
    let alias = get(node, "group_alias").map(|alias| text_of(alias, "group_alias")).transpose()?;
    let place = node.place.clone();
    let group = GroupFile { place, members, own, aggregates: aggregates.unwrap_or_default(), alias };
    inner_groups.insert(0, (name, group));
    Ok(inner_groups)
}

/// Reads a member of a group: a name, or a mapping that names a task or group and sets keys in it.
fn read_member(member: &Node) -> Result<Member, SchemaError> {
    match &member.yaml {
        Yaml::Text(name) => Ok(Member { name: name.clone(), set: Vec::new(), inline: None }),
        Yaml::Map(entries) => {
            let name = get(member, "task").or_else(|| get(member, "group"));
            let name = name.ok_or_else(|| wrong(member, "task", "a name, or a mapping with `task`"))?;
            let set: Overrides =
                entries.iter().filter(|(k, _)| k.name != "task" && k.name != "group").cloned().collect();
            let inline = (get(member, "task").is_some() && !set.is_empty()).then(|| member.clone());
            Ok(Member { name: text_of(name, "task")?, set, inline })
        }
        _ => Err(wrong(member, "task", "a task's name")),
    }
}

/// One metric, or a list of them.
fn read_aggregates(node: Node) -> Result<Vec<Aggregate>, SchemaError> {
    let entries = match node.yaml {
        Yaml::Map(_) => vec![node],
        _ => list_of(node, "aggregate_metric_list")?,
    };
    entries.into_iter().map(read_aggregate).collect()
}

fn read_aggregate(node: Node) -> Result<Aggregate, SchemaError> {
    let mut fields = Fields::new(node, "an entry of aggregate_metric_list")?;
    let metric = fields.required_text("metric", "acc")?;
    let filters = fields.texts("filter_list")?;
    let weight_by_size = fields.flag("weight_by_size")?.unwrap_or(true);
    if let Some(aggregation) = fields.take("aggregation")
        && aggregation.yaml != Yaml::Text("mean".into())
    {
        return Err(wrong(&aggregation, "aggregation", "mean, the only one that groups have"));
    }
    fields.finish()?;
    Ok(Aggregate { metric, filters, weight_by_size })
}
