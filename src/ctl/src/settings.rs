//! `set settings.KEY=VALUE`: a key of the gateway's own configuration, at any depth.

use model::Exit;
use toml_edit::{DocumentMut, Item, Key, Table, TableLike, Value};

use crate::change::put;
use crate::failure::Failure;

/// Puts a value to a key below `[settings]`; an empty one takes the key out, and tables that are empty then.
pub(crate) fn assign(document: &mut DocumentMut, key: &str, text: &str) -> Result<(), Failure> {
    let path = Key::parse(key).map_err(|error| {
        let cause = error.to_string();
        let cause = cause.lines().last().unwrap_or_default();
        Failure::new(
            Exit::Data,
            format!("{key:?} is no key: {cause}; quote a part that has other characters than letters, digits, - and _"),
        )
    })?;
    let names: Vec<&str> = path.iter().map(Key::get).collect();
    let table: &mut dyn TableLike = document.as_table_mut();
    if text.is_empty() {
        take(table, &names);
        return Ok(());
    }
    let [above @ .., name] = names.as_slice() else { return Ok(()) };
    let mut table = table;
    for (depth, above) in above.iter().enumerate() {
        let item = table.entry(above).or_insert_with(|| Item::Table(implicit()));
        table = item.as_table_like_mut().ok_or_else(|| {
            let taken = names.get(..=depth).unwrap_or_default().join(".");
            Failure::new(
                Exit::Data,
                format!("{key}: {taken} is not a table in this spec: take it out first (\"{taken}=\")"),
            )
        })?;
    }
    put(table, name, value(text));
    Ok(())
}

/// A table that shows only once it holds a value of its own.
fn implicit() -> Table {
    let mut table = Table::new();
    table.set_implicit(true);
    table
}

/// What reads as TOML (`true`, `5`, `["a"]`, `"5"`) is that; anything else is text.
fn value(text: &str) -> Value {
    text.parse().unwrap_or_else(|_| Value::from(text))
}

fn take(table: &mut dyn TableLike, names: &[&str]) {
    let Some((name, below)) = names.split_first() else { return };
    if below.is_empty() {
        table.remove(name);
        return;
    }
    let Some(inner) = table.get_mut(name).and_then(Item::as_table_like_mut) else { return };
    take(inner, below);
    if inner.is_empty() {
        table.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(spec: &str, assignments: &[(&str, &str)]) -> Result<String, String> {
        let mut document: DocumentMut = spec.parse().unwrap();
        for (key, text) in assignments {
            assign(&mut document, key, text).map_err(|failure| failure.to_string())?;
        }
        Ok(document.to_string())
    }

    #[test]
    fn a_key_lands_in_its_table_with_its_type() {
        let made = after(
            "id = \"acme\"\n",
            &[
                ("settings.models.mode", "merge"),
                ("settings.models.limit", "5"),
                ("settings.models.names", "[\"a\", \"b\"]"),
                ("settings.models.\"gpt-4.1\".on", "true"),
            ],
        )
        .unwrap();
        assert_eq!(
            made,
            "id = \"acme\"\n\n[settings.models]\nmode = \"merge\"\nlimit = 5\nnames = [\"a\", \"b\"]\n\n[settings.models.\"gpt-4.1\"]\non = true\n"
        );
    }

    #[test]
    fn an_empty_value_takes_the_key_out_and_no_empty_table_stays() {
        let spec = "id = \"acme\"\n\n[settings.models]\nmode = \"merge\" # as agreed\n";
        assert_eq!(
            after(spec, &[("settings.models.mode", "replace")]).unwrap(),
            spec.replace("merge", "replace")
        );
        assert_eq!(after(spec, &[("settings.models.mode", "")]).unwrap(), "id = \"acme\"\n");
        assert_eq!(after(spec, &[("settings.nothing.there", "")]).unwrap(), spec);
    }

    #[test]
    fn a_key_that_is_none_is_refused_with_a_remedy() {
        let spec = "[settings]\nmode = 1\n";
        let message = after(spec, &[("settings.mode.x", "1")]).unwrap_err();
        assert_eq!(
            message,
            "settings.mode.x: settings.mode is not a table in this spec: take it out first (\"settings.mode=\")"
        );
        for key in ["settings.", "settings..x", "settings.a b"] {
            let message = after(spec, &[(key, "1")]).unwrap_err();
            assert!(message.starts_with(&format!("{key:?} is no key: ")), "{message}");
        }
    }
}
