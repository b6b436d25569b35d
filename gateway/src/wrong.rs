//! What is wrong with a body, all of it: whoever mends one field learns of the others at once.

use crate::problem::Problem;

/// The fields that broke a rule so far.
#[derive(Default)]
pub(crate) struct Wrong {
    fields: Vec<(String, String)>,
}

impl Wrong {
    /// The value of a field; nothing where it broke a rule, which is noted.
    pub(crate) fn check<T, E: ToString>(&mut self, name: &str, parsed: Result<T, E>) -> Option<T> {
        parsed.map_err(|rule| self.fields.push((name.to_owned(), rule.to_string()))).ok()
    }

    /// The values, where all of them are there.
    ///
    /// # Errors
    /// A problem that names every field that broke a rule.
    pub(crate) fn values_or_problem<T>(self, values: Option<T>) -> Result<T, Problem> {
        values.ok_or_else(|| Problem::fields(self.fields))
    }
}
