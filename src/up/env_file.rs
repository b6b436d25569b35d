//! The file of a store's settings, `ludoteca.env`: shells can source it, roles and tools read it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, ensure};

use crate::local::write_private;

const NAME: &str = "ludoteca.env";

/// Settings by the names of their variables.
pub type Values = BTreeMap<String, String>;

/// Where a store's settings are.
#[must_use]
pub fn path(data: &Path) -> PathBuf {
    data.join(NAME)
}

/// The settings of a store; empty if it has no file.
///
/// # Errors
/// When a line cannot be read. The line itself is not told: it may hold a secret.
pub fn read(data: &Path) -> Result<Values> {
    let path = path(data);
    let Ok(lines) = dotenvy::from_path_iter(&path) else { return Ok(Values::new()) };
    lines.collect::<Result<_, _>>().map_err(|_| {
        anyhow!("{} has a line that cannot be read; mend it or put the file back from a backup", path.display())
    })
}

/// Writes the file, for its owner only.
///
/// # Errors
/// When it cannot be written.
pub fn write(data: &Path, values: &Values) -> Result<()> {
    let lines = values.iter().map(|(name, value)| format!("{name}={}\n", quoted(value)));
    let header = "# Secrets and addresses of this store; kept from start to start.\n".to_owned();
    write_private(&path(data), &std::iter::once(header).chain(lines).collect::<String>())
}

/// Writes secrets to the files where roles find them one by one, where those are named: `PSP_KEY` to `PSP_KEY_FILE`. A master
/// key that is there already stays: it may be the one that this one was exchanged for.
///
/// # Errors
/// When one cannot be written, or another master key is there.
pub fn lay_out(secrets: &Values) -> Result<()> {
    for (name, secret) in secrets {
        let Some(file) = std::env::var_os(format!("{name}_FILE")).map(PathBuf::from) else { continue };
        let there = std::fs::read_to_string(&file).unwrap_or_default();
        let is_other = name == "MASTER_KEY" && !there.is_empty() && there.trim_end() != secret;
        ensure!(!is_other, "{} is not the {name} of the settings; put the one that counts into both", file.display());
        write_private(&file, secret)?;
    }
    Ok(())
}

/// A value as a shell reads it: as it is where nothing in it is special, in single quotes otherwise.
pub(super) fn quoted(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    if value.chars().all(is_plain) { value.to_owned() } else { format!("'{}'", value.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_and_the_store_read_the_same_values() {
        let folder = tempfile::tempdir().unwrap();
        let hard =
            ["plain", "", "a folder with spaces", "it's João's; $HOME `x` \"y\" \\ # z", "Ludoteca <a@b.example>"];
        let values: Values = hard.iter().enumerate().map(|(n, value)| (format!("V{n}"), (*value).to_owned())).collect();
        write(folder.path(), &values).unwrap();
        assert_eq!(read(folder.path()).unwrap(), values);
        let script =
            format!(". '{}'; printf '%s|' \"$V0\" \"$V1\" \"$V2\" \"$V3\" \"$V4\"", path(folder.path()).display());
        let said = std::process::Command::new("sh").arg("-c").arg(script).output().unwrap();
        assert_eq!(String::from_utf8(said.stdout).unwrap(), hard.map(|value| format!("{value}|")).concat());
    }
}
